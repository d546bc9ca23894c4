"""Shared by all tests: ``--long``, ``--quick``, the number of Hypothesis examples, fixtures."""

from __future__ import annotations

import functools
import gc
import os
import sys
import zlib
from pathlib import Path

import pytest
from flask import Flask
from hypothesis import HealthCheck, settings
from hypothesis.internal.conjecture import providers

from tests.support.drop_box import both, box, counsellor, mould
from tests.support.postgres import postgres
from tests.support.routes import KnownRule
from tests.support.two_stores import on

__all__ = ["both", "box", "counsellor", "mould", "on", "postgres"]  # fixtures

HERE = Path(__file__).parent
MORE_FILES = 200  # files opened since the last garbage collection
_collect_above = [MORE_FILES]
# Tests in these files start servers, browsers, sandboxes or a whole machine, compute many Argon2id
# hashes, check each page in each state, or stop a desk at each of its steps. They run first,
# because a slow test that runs last would leave the other core idle.
SLOW = {
    HERE / path
    for path in (
        "browser",
        "deploy",
        "desk/annual/test_attacker.py",
        "desk/annual/test_year.py",
        "desk/register/test_kill.py",
        "desk/test_bounds.py",
        "desk/test_cleaning.py",
        "desk/test_endless_list.py",
        "desk/test_files.py",
        "desk/test_forward_secrecy.py",
        "desk/test_hanging.py",
        "desk/test_kill.py",
        "desk/test_large_backups.py",
        "desk/test_list_columns.py",
        "desk/test_migrations.py",
        "desk/test_program.py",
        "desk/test_restores.py",
        "desk/test_rounds.py",
        "desk/test_sandbox.py",
        "desk/test_sending_files.py",
        "desk/test_slow_servers.py",
        "desk/test_stopped.py",
        "desk/web/test_command.py",
        "desk/web/test_every_page.py",
        "desk/web/test_files.py",
        "desk/web/test_hostile_pages.py",
        "desk/web/test_locked_memory.py",
        "desk/web/test_look_of_a_day.py",
        "desk/web/test_look_of_conversations.py",
        "desk/web/test_look_of_managing.py",
        "desk/web/test_look_of_register.py",
        "desk/web/test_looking_changes_nothing.py",
        "desk/web/test_managing.py",
        "desk/web/test_register.py",
        "desk/web/test_window.py",
        "desk/web/viewer",
        "e2e",
        "load",
        "protocol/interop",
        "security",
        "server/backup/test_backup_of_postgres.py",
        "server/backup/test_other_age.py",
        "server/cli/test_postgres.py",
        "server/cli/test_root.py",
        "server/cli/test_store_move.py",
        "server/doctor/test_hostile.py",
        "server/doctor/test_real_programs.py",
        "server/mailboxes/test_scheduler.py",
        "server/release/test_upgrade_on_postgres.py",
        "server/store/test_postgres.py",
        "server/store/test_postgres_failover.py",
        "server/web/test_availability.py",
        "server/web/test_before.py",
        "server/web/test_contacts.py",
        "server/web/test_conversation.py",
        "server/web/test_file_downloads.py",
        "server/web/test_files.py",
        "server/web/test_full_site.py",
        "server/web/test_hardening.py",
        "server/web/test_lengths.py",
        "server/web/test_refusals.py",
        "server/web/test_repeated_posts.py",
        "server/web/test_sameness.py",
        "server/web/test_serving.py",
        "server/web/test_two_sites.py",
        "server/web/test_withdrawn_meanwhile.py",
        "test_run.py",
    )
}

# The longest of all, by default or with --long, of which none may be the last to begin. xdist gives
# a process its next file while two tests are left. In .ci/run test_debian has only one, of minutes:
# so the fifth of these, which waits for it, is short.
LONGEST = [
    HERE / path
    for path in (
        "deploy/test_debian.py",
        "desk/web/test_traces.py",
        "desk/web/viewer/test_drawing.py",
        "e2e/test_gallery.py",
        "deploy/test_release.py",
        "e2e/test_browsers.py",
        "deploy/test_restore.py",
        "e2e/test_sealed_files.py",
        "e2e/test_sealed_journey.py",
        "server/web/test_oldest.py",
        "desk/web/test_look_of_a_day.py",
        "desk/web/test_every_page.py",
        "server/release/test_upgrade.py",
    )
]

# Short: the same examples every time, so that a change that broke nothing never goes red.
settings.register_profile(
    "short",
    max_examples=40,
    derandomize=True,
    deadline=None,
    print_blob=True,
)
# Before a commit: only the first of these examples.
settings.register_profile("quick", settings.get_profile("short"), max_examples=10)
# Long: new examples every time, and the blob that reproduces a failing one.
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
        help="leave out what is marked as slow, and take few examples",
    )
    parser.addoption(
        "--long",
        action="store_true",
        help="many more examples and kill points (the same as KLANKBORD_LONG=1)",
    )


def pytest_configure(config: pytest.Config) -> None:
    # pytest rewrites every file's assertions in every process, or only once if it may cache them.
    # Programs started by tests still write no bytecode, which would look like a leak.
    sys.dont_write_bytecode = False
    os.environ["PYTHONDONTWRITEBYTECODE"] = "1"
    Flask.url_rule_class = KnownRule
    if config.getoption("--long"):
        # This is in the environment, so that xdist's workers and started programs see it too.
        os.environ["KLANKBORD_LONG"] = "1"
    quick = config.getoption("--quick")
    settings.load_profile("long" if _long() else "quick" if quick else "short")
    if not _long():
        # Hypothesis also draws constants from the modules loaded so far, which depend on the tests
        # that ran before. Without these constants the examples are always the same.
        pytest.MonkeyPatch().setattr(providers, "is_local_module_file", lambda _path: False)


def pytest_collection() -> None:
    # What is loaded stays to the end: to look again and again for garbage in it would take seconds.
    gc.disable()


def pytest_collection_finish() -> None:
    # Garbage is collected only among objects that tests make.
    gc.collect()
    gc.freeze()
    gc.enable()


def pytest_runtest_logfinish() -> None:
    # An app that a test made keeps its files open until it is garbage-collected, and many systems
    # allow a process only 1,024 open files.
    if len(os.listdir("/dev/fd")) > _collect_above[0]:
        gc.collect()  # not again until as many more are opened: those still open are in use
        _collect_above[0] = len(os.listdir("/dev/fd")) + MORE_FILES


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    quick = config.getoption("--quick")
    return True if quick and collection_path in SLOW else None  # None: other hooks decide


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    for item in items:
        if _in_slow(item.path):
            item.add_marker(pytest.mark.slow)
        if item.get_closest_marker("long") and not _long():
            item.add_marker(pytest.mark.skip(reason="only with --long"))
    items.sort(key=lambda item: _turn(item.path))
    if config.getoption("--quick"):
        slow = [item for item in items if item.get_closest_marker("slow")]
        config.hook.pytest_deselected(items=slow)
        items[:] = [item for item in items if not item.get_closest_marker("slow")]


@functools.cache
def _turn(path: Path) -> tuple[int, bool, int]:
    """Return when a file is run: the longest first, then the other slow ones, mixed.

    Those of one folder compute, or wait, at the same time, so both cores would be wanted at once
    and then neither.
    """
    longest = LONGEST.index(path) if path in LONGEST else len(LONGEST)
    mixed = zlib.crc32(str(path.relative_to(HERE)).encode()) if _in_slow(path) else 0
    return longest, not _in_slow(path), mixed


@functools.cache
def _in_slow(path: Path) -> bool:
    return bool(SLOW & {path, *path.parents})


@pytest.fixture(scope="session")
def long_run() -> bool:
    """Return whether this is a long run."""
    return _long()


def _long() -> bool:
    return os.environ.get("KLANKBORD_LONG") == "1"
