"""What all tests share: ``--long``, the examples that Hypothesis tries, and the fixtures."""

from __future__ import annotations

import os

import pytest
from hypothesis import HealthCheck, settings

from tests.support.drop_box import box, counsellor, mould

__all__ = ["box", "counsellor", "mould"]  # fixtures

# Short: the same examples every time, so that a change that broke nothing never goes red.
settings.register_profile(
    "short",
    max_examples=100,
    derandomize=True,
    deadline=None,
    print_blob=True,
)
# Long: new examples every time, and the blob that makes a failing one again.
settings.register_profile(
    "long",
    max_examples=3000,
    derandomize=False,
    deadline=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow],
)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--long",
        action="store_true",
        help="many more examples and kill points (the same as KLANKBORD_LONG=1)",
    )


def pytest_configure(config: pytest.Config) -> None:
    if config.getoption("--long"):
        # In the environment, so that xdist's workers and started programs see it too.
        os.environ["KLANKBORD_LONG"] = "1"
    settings.load_profile("long" if _long() else "short")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if _long():
        return
    for item in items:
        if item.get_closest_marker("long"):
            item.add_marker(pytest.mark.skip(reason="only with --long"))


@pytest.fixture(scope="session")
def long_run() -> bool:
    """Say whether this run may take its time."""
    return _long()


def _long() -> bool:
    return os.environ.get("KLANKBORD_LONG") == "1"
