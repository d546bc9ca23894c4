"""A real server behind nginx, configured by the test."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.serving import Serving


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Callable[..., Serving]]:
    """Yield a function that starts a server, such as ``serve(changes=..., program=...)``."""
    started: list[Serving] = []

    def start(**named: object) -> Serving:
        started.append(Serving(tmp_path, **named))  # type: ignore[arg-type]  # passed on
        return started[-1]

    yield start
    for made in started:
        made.close()
