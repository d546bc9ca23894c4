"""A real server behind nginx, made as a test wants it."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.serving import Serving


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Callable[..., Serving]]:
    """Start one: ``serve(changes=..., program=...)``, as ``Serving`` has it."""
    started: list[Serving] = []

    def start(**named: object) -> Serving:
        started.append(Serving(tmp_path, **named))  # type: ignore[arg-type]  # passed on
        return started[-1]

    yield start
    for made in started:
        made.close()
