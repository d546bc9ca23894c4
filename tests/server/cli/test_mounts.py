"""Unsuitable file systems: fresh, full, read-only, or mounted over part of a folder."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from dropbox_app.server.cli import common, main
from tests.e2e.faults.conftest import SmallDisk, disk
from tests.support.programs import needs_root
from tests.support.server_folder import DAY, AServer, file

__all__ = ["disk"]
pytestmark = needs_root


class Operator:
    """A server with a backup next to it, and its operator's commands."""

    def __init__(self, top: Path) -> None:
        self.folder = top / "server"
        server = AServer(self.folder)
        server.report("one")
        server.put_file("one", file(2, 1_500_000))
        server.store.close()
        self.key = top / "key"
        self.key.write_text(self.types("backup-key").stdout)
        assert self.types("backup", "--to", top / "kept").exit_code == 0
        (self.backup,) = (top / "kept").glob("klankbord-*.age")

    def types(self, *words: str | Path, folder: Path | None = None) -> Result:
        where = ["--dir", str(folder or self.folder)]
        done = CliRunner().invoke(main.main, [*where, *map(str, words)])
        assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
        return done

    def restores(self, folder: Path) -> Result:
        return self.types("restore", self.backup, "--key", self.key, folder=folder)

    def state(self) -> dict[str, bytes]:
        return {str(path): path.read_bytes() for path in self.folder.rglob("*") if path.is_file()}


@pytest.fixture
def operator(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Operator:
    monkeypatch.setattr(common, "today", lambda: DAY)
    monkeypatch.delenv("KLANKBORD_DIR", raising=False)
    return Operator(tmp_path)


@contextmanager
def closed(place: Path) -> Iterator[None]:
    """Make the folder read-only inside the block."""
    for words in (("--bind", place, place), ("-o", "remount,ro,bind", place)):
        done = subprocess.run(("mount", *words), capture_output=True, text=True, check=False)
        if done.returncode:
            pytest.skip(f"mount is not allowed here: {done.stderr.strip()}")
    try:
        yield
    finally:
        subprocess.run(("umount", "--lazy", place), check=True)


def test_restore_works_on_a_freshly_formatted_disk(operator: Operator, disk: SmallDisk) -> None:
    place = disk("size=256m")
    (place / "lost+found").mkdir(0o700)
    done = operator.restores(place)
    assert done.exit_code == 0, done.output
    assert "1 conversation is back" in done.stdout
    again = operator.restores(place)
    assert again.exit_code == 1
    assert "is not empty; nothing was changed" in again.stderr


def test_failed_restore_on_a_fresh_disk_leaves_it_unchanged(
    operator: Operator, disk: SmallDisk
) -> None:
    place = disk("size=1m")
    (place / "lost+found").mkdir(0o700)
    done = operator.restores(place)
    assert done.exit_code == 1
    assert "the disk is full; nothing was restored" in done.stderr
    assert [path.name for path in place.iterdir()] == ["lost+found"]


def test_restore_is_refused_if_part_of_the_folder_is_mounted(
    operator: Operator, disk: SmallDisk, tmp_path: Path
) -> None:
    (tmp_path / "new" / "files").mkdir(parents=True)
    with closed(tmp_path / "new" / "files"):
        done = operator.restores(tmp_path / "new")
    assert done.exit_code == 1
    assert "is not empty; nothing was changed" in done.stderr


@pytest.mark.parametrize("part", [".", "files", "cards"])
def test_doctor_reports_a_read_only_part_of_the_folder(operator: Operator, part: str) -> None:
    place = operator.folder / part
    with closed(place):
        done = operator.types("doctor", "--site", ".")
    assert done.exit_code == 1
    assert f"{place} is on a read-only file system" in done.stdout
    assert "read-only" not in operator.types("doctor", "--site", ".").stdout


@pytest.mark.parametrize("part", [".", "files", "backups"])
def test_error_for_an_unwritable_backup_names_the_path_and_nothing_changes(
    operator: Operator, part: str
) -> None:
    assert operator.types("backup").exit_code == 0
    before, place = operator.state(), operator.folder / part
    with closed(place):
        done = operator.types("backup")
    assert done.exit_code == 1
    assert str(place) in done.stderr
    assert "Read-only file system" in done.stderr
    assert operator.state() == before


@pytest.mark.parametrize("part", ["backups", "files"])
def test_full_disk_leaves_no_partial_backup(operator: Operator, part: str, disk: SmallDisk) -> None:
    small, place = disk("size=16k"), operator.folder / part
    place.mkdir(exist_ok=True)
    subprocess.run(("mount", "--bind", small, place), check=True)
    try:
        done = operator.types("backup")
        left = list(place.iterdir())
    finally:
        subprocess.run(("umount", "--lazy", place), check=True)
    assert done.exit_code == 1
    assert "the disk is full" in done.stderr or "there is no room" in done.stderr
    assert left == []


def test_empty_disk_mounted_over_the_folder_is_not_mistaken_for_a_new_server(
    operator: Operator, disk: SmallDisk
) -> None:
    """This is the state after a reboot, before the encrypted disk is mounted."""
    empty = disk("size=16m")
    for words in (["backup"], ["doctor", "--site", "."], ["status"], ["serve"], ["purge"]):
        done = operator.types(*words, folder=empty)
        assert done.exit_code in (1, 2), words
        assert list(empty.iterdir()) == [], words
