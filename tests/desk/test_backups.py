"""Backups: complete before they get their name, and rehearsed without restoring anything."""

from collections.abc import Callable
from pathlib import Path

import pytest

from dropbox_app.desk.actions import backups
from dropbox_app.desk.errors import AlreadyThere
from dropbox_app.desk.storage.atomic_files import writing_outside
from dropbox_app.protocol.errors import KlankbordError, WrongPassphrase
from tests.desk.conftest import PASSPHRASE, Office


@pytest.fixture
def file(office: Office, thread: str, tmp_path: Path) -> Path:
    """Return a backup of a desk with one thread, in its own folder."""
    (tmp_path / "stick").mkdir()
    made = tmp_path / "stick" / "desk.age"
    with office.open() as place:
        backups.backup(place, made)
    return made


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


class Unplugged(Exception):
    """The memory stick was pulled out."""


def test_incomplete_file_never_gets_its_final_name(tmp_path: Path) -> None:
    def break_off() -> None:
        with writing_outside(tmp_path / "desk.age") as write:
            write(b"half")
            assert names(tmp_path) == ["desk.age.unfinished"]
            raise Unplugged

    with pytest.raises(Unplugged):
        break_off()
    assert names(tmp_path) == []


def test_unfinished_file_left_by_a_crash_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "desk.age.unfinished").write_bytes(b"half of an earlier one")
    with writing_outside(tmp_path / "desk.age") as write:
        write(b"all of it")
    assert names(tmp_path) == ["desk.age"]
    assert (tmp_path / "desk.age").read_bytes() == b"all of it"
    assert (tmp_path / "desk.age").stat().st_mode & 0o777 == 0o600


def test_file_created_during_the_backup_is_not_overwritten(tmp_path: Path) -> None:
    def write_both() -> None:
        with writing_outside(tmp_path / "desk.age") as write:
            write(b"mine")
            (tmp_path / "desk.age").write_bytes(b"theirs")

    with pytest.raises(AlreadyThere):
        write_both()
    assert (tmp_path / "desk.age").read_bytes() == b"theirs"
    assert names(tmp_path) == ["desk.age"]


def test_backup_does_not_overwrite_an_existing_file(office: Office, file: Path) -> None:
    before = file.read_bytes()
    with office.open() as place, pytest.raises(AlreadyThere):
        backups.backup(place, file)
    assert file.read_bytes() == before


def test_rehearsal_reports_backup_contents_and_leaves_nothing_behind(
    office: Office, file: Path, tmp_path: Path
) -> None:
    assert office.passphrase_file.is_file()
    before = names(tmp_path), file.read_bytes(), names(office.folder)
    (held,) = backups.rehearse(file, PASSPHRASE, office.machine, office.folder)
    assert (held.employer, held.threads, held.messages, held.files) == ("Voorbeeld BV", 1, 1, 0)
    assert held.read_to_end == office.clock()
    shown = office.run("rehearse", str(file)).stdout
    assert "Voorbeeld BV: 1 thread, 1 message, 0 files, fetched to the end on 2027-01-05" in shown
    assert (names(tmp_path), file.read_bytes(), names(office.folder)) == before
    assert office.run("rehearse", str(file), "--json").stdout.count('"threads": 1') == 1


def test_restore_rehearsal_needs_no_existing_desk(
    office: Office, file: Path, tmp_path: Path
) -> None:
    nowhere = tmp_path / "not" / "there"
    assert len(backups.rehearse(file, PASSPHRASE, office.machine, nowhere)) == 1
    assert not nowhere.parent.exists()


@pytest.mark.parametrize(
    "spoil",
    [
        lambda raw: raw[:-1],
        lambda raw: raw[: len(raw) // 2],
        lambda raw: raw[:-20] + bytes([raw[-20] ^ 1]) + raw[-19:],
        lambda raw: raw + b"x",
        lambda _: b"",
    ],
    ids=["a byte less", "half", "a changed bit", "a byte more", "empty"],
)
def test_rehearsal_of_damaged_backup_reports_it_and_leaves_nothing_behind(
    office: Office, file: Path, tmp_path: Path, spoil: Callable[[bytes], bytes]
) -> None:
    file.write_bytes(spoil(file.read_bytes()))
    assert office.passphrase_file.is_file()
    before = names(tmp_path)
    with pytest.raises(KlankbordError):
        backups.rehearse(file, PASSPHRASE, office.machine, office.folder)
    assert names(tmp_path) == before
    assert office.run("rehearse", str(file), code=1).stdout == ""


def test_rehearsal_with_wrong_passphrase_is_refused(office: Office, file: Path) -> None:
    with pytest.raises(WrongPassphrase):
        backups.rehearse(file, "een heel andere zin 1729", office.machine, office.folder)
