"""An upgrade on a full or read-only disk: the previous version keeps serving."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from dropbox_app.server.cli import main
from dropbox_app.server.release import upgrade
from dropbox_app.server.release.upgrade import Upgrade, UpgradeError
from tests.e2e.faults.conftest import SmallDisk, disk
from tests.server.cli.test_mounts import closed
from tests.server.release import test_upgrade
from tests.server.release.test_upgrade import Installed
from tests.support.processes import until
from tests.support.programs import needs_root

__all__ = ["disk"]
pytestmark = [needs_root, *test_upgrade.pytestmark]

KIB = 1024


class OnADisk(Installed):
    """A server and its program on their own disk, and the operator's commands."""

    def types(self, release: Path) -> Result:
        done = CliRunner().invoke(main.main, ["upgrade", str(release)])
        assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
        return done

    def fill(self, left: int) -> None:
        """Fill the disk except for ``left`` bytes."""
        free = os.statvfs(self.top)
        with (self.top / "junk").open("wb") as junk:
            os.posix_fallocate(junk.fileno(), 0, free.f_bavail * free.f_frsize - left)

    def make_room(self) -> None:
        (self.top / "junk").unlink()


@pytest.fixture
def installed(disk: SmallDisk, monkeypatch: pytest.MonkeyPatch) -> Iterator[OnADisk]:
    made = OnADisk(disk("size=512m"))
    monkeypatch.setattr(upgrade, "Machine", lambda: made.machine)
    try:
        until(made.serves, "the server does not serve")
        yield made
    finally:
        subprocess.run([made.top / "systemctl", "stop"], check=True)


def check_nothing_switched(installed: OnADisk, done: Result) -> None:
    assert done.exit_code == 1, done.output
    assert "and type the same command again" in done.stderr
    assert installed.current == "old"
    assert installed.serves()
    assert installed.is_clean()


def check_done(installed: OnADisk, done: Result) -> None:
    assert done.exit_code == 0, done.output
    assert installed.current == "new"
    assert installed.serves()
    assert installed.is_clean()


@pytest.mark.parametrize("part", [pytest.param("program", marks=pytest.mark.long), "data"])
def test_upgrade_on_a_read_only_disk_changes_nothing(installed: OnADisk, part: str) -> None:
    release = installed.release()
    with closed(installed.top / part):
        done = installed.types(release)
        check_nothing_switched(installed, done)
    assert "ead-only" in done.stderr
    assert str(installed.top / part) in done.stderr
    assert "Nothing that serves was changed. Let that disk take writes," in done.stderr
    assert "5." not in done.stdout  # the switch was not reached
    check_done(installed, installed.types(release))


LEFT = [0, *(4 * KIB << n for n in range(0, 17, 2))]  # to 256 MiB, which a backup leaves free


@pytest.mark.parametrize(
    "left",
    [pytest.param(n, marks=[pytest.mark.long] if n else []) for n in LEFT],
)
def test_upgrade_on_a_full_disk_changes_nothing_and_asks_for_space(
    installed: OnADisk, left: int
) -> None:
    """With any free space, either it suffices for the whole upgrade or the old version stays."""
    release = installed.release()
    installed.fill(left)
    done = installed.types(release)
    if done.exit_code:
        check_nothing_switched(installed, done)
        assert "Make room on that disk," in done.stderr
        assert "5." not in done.stdout  # the switch was not reached
    installed.make_room()
    if done.exit_code:
        check_done(installed, installed.types(release))
    assert installed.serves()
    assert installed.is_clean()


def test_upgrade_is_rolled_back_if_the_disk_fills_up_during_the_switch(
    installed: OnADisk,
) -> None:
    """Reports keep arriving until the server stops, and other programs write too."""
    release = installed.release()

    def say(line: str) -> None:
        if line.startswith("5."):
            installed.fill(0)

    with pytest.raises(UpgradeError, match=r"serves again\. Make room on that disk,"):
        Upgrade(installed.machine, "0.1.0", say).run(release)
    assert installed.current == "old"
    assert installed.serves()
    assert installed.is_clean()
    installed.make_room()
    check_done(installed, installed.types(release))
