"""Backups of a desk with large files: little memory, one format, complete or not at all."""

import io
import os
import shutil
import tarfile
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from dropbox_app.desk.actions import backups
from dropbox_app.desk.errors import Damaged
from dropbox_app.protocol import age
from tests.desk.conftest import PASSPHRASE, Office
from tests.support.fake_server import Reporter

MIB = 1024 * 1024
LOG_N = 4
KEPT = {".age", ".body", ".db"}


@pytest.fixture
def reporter(reporter: Reporter) -> Reporter:
    reporter.attach("Zie het bestand", ("a.bin", "application/octet-stream", b"x"))
    return reporter


def large_item(office: Office, size: int) -> None:
    """Replace a received item with a large one; a backup does not check the contents."""
    (path,) = (office.folder / "sites").glob("*/items/*.body")
    with path.open("wb") as file:
        for number in range(size // MIB):
            file.write(bytes([number % 256]) * MIB)


@contextmanager
def within(size: int) -> Iterator[None]:
    """Check that the block uses no more memory than this."""
    tracemalloc.start()
    try:
        yield
        assert tracemalloc.get_traced_memory()[1] < size
    finally:
        tracemalloc.stop()


def files_of(folder: Path) -> dict[str, bytes]:
    """Return a desk's files except the database, which a restore changes."""
    found = (path for path in folder.rglob("*") if path.suffix in KEPT - {".db"})
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in found}


def as_before(office: Office) -> bytes:
    """Return the tar of a backup as if made in one piece, sorted by name."""
    contents = io.BytesIO()
    with tarfile.open(fileobj=contents, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for path in sorted(p for p in office.folder.rglob("*") if p.suffix in KEPT):
            entry = tarfile.TarInfo(path.relative_to(office.folder).as_posix())
            entry.size, entry.mode = path.stat().st_size, 0o600
            archive.addfile(entry, io.BytesIO(path.read_bytes()))
    return contents.getvalue()


def test_large_file_is_backed_up_and_restored_in_little_memory(
    office: Office, reporter: Reporter, tmp_path: Path
) -> None:
    office.fetch_quietly()
    large_item(office, 48 * MIB)
    with office.open() as place, within(4 * MIB):
        backups.backup(place, tmp_path / "b.age")
    with within(4 * MIB):
        backups.restore(tmp_path / "again", tmp_path / "b.age", PASSPHRASE, office.machine)
    assert files_of(tmp_path / "again") == files_of(office.folder)


def test_backup_is_byte_for_byte_a_tar_of_the_folder(
    office: Office, reporter: Reporter, tmp_path: Path
) -> None:
    office.fetch_quietly()
    large_item(office, 2 * MIB)
    with office.open() as place:
        backups.backup(place, tmp_path / "b.age")
        now = age.open_with_passphrase((tmp_path / "b.age").read_bytes(), PASSPHRASE)
        assert now == as_before(office)


def test_single_chunk_backup_is_restored(
    office: Office, reporter: Reporter, tmp_path: Path
) -> None:
    office.fetch_quietly()
    sealed = age.seal_with_passphrase(as_before(office), PASSPHRASE, LOG_N)
    (tmp_path / "old.age").write_bytes(sealed)
    again = Office(tmp_path / "again", office.peer, office.clock)
    backups.restore(again.folder, tmp_path / "old.age", PASSPHRASE, office.machine)
    assert files_of(again.folder) == files_of(office.folder)
    assert again.texts(reporter.mailbox) == office.texts(reporter.mailbox)


CHUNK = 65_552


@pytest.mark.parametrize("at", [0, 1, 15 * CHUNK, 15 * CHUNK + 1, -3 * CHUNK, -CHUNK, -20_000, -1])
@pytest.mark.parametrize("how", ["cut", "changed"])
def test_truncated_or_altered_backup_is_not_partially_restored(
    office: Office, reporter: Reporter, tmp_path: Path, at: int, how: str
) -> None:
    """The cut or change may be anywhere, even in the last chunk, after the end of the archive."""
    office.fetch_quietly()
    large_item(office, 2 * MIB)
    with office.open() as place:
        backups.backup(place, tmp_path / "b.age")
    data = bytearray((tmp_path / "b.age").read_bytes())
    if how == "cut":
        del data[at:]
    else:
        data[at] ^= 1
    (tmp_path / "b.age").write_bytes(data)
    before = sorted(tmp_path.iterdir())
    with pytest.raises(Damaged):
        backups.restore(tmp_path / "again", tmp_path / "b.age", PASSPHRASE, office.machine)
    assert sorted(tmp_path.iterdir()) == before


def test_failed_backup_leaves_nothing_behind(
    office: Office, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """This is what happens on a full memory stick."""

    def full(handle: int) -> None:
        raise OSError(28, "No space left on device")

    with office.open() as place, monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(OSError, match="No space"):
            backups.backup(place, tmp_path / "b.age")
    assert not (tmp_path / "b.age").exists()


def test_archive_with_unexpected_members_is_not_restored(office: Office, tmp_path: Path) -> None:
    """Even if the holder of the passphrase made it, it writes only inside the desk's folder."""
    for name in ("../../x.age", "/etc/x", "sites", "vault.age/x"):
        contents = io.BytesIO(as_before(office))
        with tarfile.open(fileobj=contents, mode="a", format=tarfile.USTAR_FORMAT) as archive:
            archive.addfile(tarfile.TarInfo(name), io.BytesIO())
        sealed = age.seal_with_passphrase(contents.getvalue(), PASSPHRASE, LOG_N)
        (tmp_path / "b.age").write_bytes(sealed)
        before = sorted(tmp_path.iterdir())
        with pytest.raises(Damaged):
            backups.restore(tmp_path / "again", tmp_path / "b.age", PASSPHRASE, office.machine)
        assert sorted(tmp_path.iterdir()) == before
        shutil.rmtree(tmp_path / "again", ignore_errors=True)
