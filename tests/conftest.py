"""What all tests share: ``--long``, ``--quick``, how many examples Hypothesis tries, fixtures."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tests.support.drop_box import box, counsellor, mould

__all__ = ["box", "counsellor", "mould"]  # fixtures

HERE = Path(__file__).parent
# Each test below these starts servers, browsers or a whole machine: seconds each.
SLOW = {HERE / "deploy", HERE / "e2e", HERE / "load", HERE / "security" / "leaks"}

# Short: the same examples every time, so that a change that broke nothing never goes red.
settings.register_profile(
    "short",
    max_examples=40,
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
        "--quick",
        action="store_true",
        help="leave out every test that is marked as slow, and the folders of SLOW",
    )
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


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    quick = config.getoption("--quick")
    return True if quick and collection_path in SLOW else None  # None: as others decide


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    for item in items:
        if SLOW & set(item.path.parents):
            item.add_marker(pytest.mark.slow)
        if item.get_closest_marker("long") and not _long():
            item.add_marker(pytest.mark.skip(reason="only with --long"))
    if config.getoption("--quick"):
        quick = [item for item in items if not item.get_closest_marker("slow")]
        config.hook.pytest_deselected(items=[item for item in items if item not in set(quick)])
        items[:] = quick


@pytest.fixture(scope="session")
def long_run() -> bool:
    """Say whether this run may take its time."""
    return _long()


def _long() -> bool:
    return os.environ.get("KLANKBORD_LONG") == "1"
