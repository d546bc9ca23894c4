"""Desks of the first format are migrated completely, on a copy, or left unchanged.

The desk in ``first_format`` was written by the program of that format. That desk has a report with
a file, whose January key is gone, and an answer with a file. It also has a withdrawn report, a
forgotten one, one from March with a file, and an unsent answer.
"""

import io
import json
import shutil
import tarfile
from pathlib import Path
from typing import Any

import pytest

from dropbox_app.desk.actions import backups
from dropbox_app.desk.errors import Damaged, DeskError
from dropbox_app.desk.storage import vault
from dropbox_app.desk.storage.atomic_files import Disk
from dropbox_app.desk.threads import attachments, open_thread
from dropbox_app.protocol.encoding import sha256_hex
from tests.desk.conftest import PASSPHRASE, Office
from tests.desk.test_disk import Killed
from tests.support.fake_server import Clock, Peer
from tests.support.thief import Thief

Expected = dict[str, Any]
WRITTEN = Path(__file__).with_name("first_format")


@pytest.fixture
def expected() -> Expected:
    """Return the output that the program of that format printed."""
    found: Expected = json.loads((WRITTEN / "expected.json").read_text())
    return found


@pytest.fixture
def old(tmp_path: Path, peer: Peer, clock: Clock) -> Office:
    """Return that desk on its last day."""
    clock.to("2027-03-05")
    office = Office(tmp_path / "desk", peer, clock)
    unpack(office.folder)
    return office


def unpack(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(mode=0o700)
    with tarfile.open(fileobj=io.BytesIO((WRITTEN / "desk.tar").read_bytes())) as archive:
        archive.extractall(folder, filter="data")


def files(folder: Path) -> dict[str, bytes]:
    """Return everything in a desk except its empty lock file."""
    found = (path for path in folder.rglob("*") if path.is_file() and path.name != "lock")
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in found}


def assert_taken_over(office: Office, expected: Expected) -> None:
    listed = {one["id"]: one for one in office.json("list")}
    assert {one["id"] for one in expected["list"]} == set(listed)
    for one in expected["list"]:
        assert one.items() <= listed[one["id"]].items()
    for mailbox, before in expected["read"].items():
        now = office.json("read", mailbox)
        for was, message in zip(before["messages"], now["messages"], strict=True):
            assert {**message, **was} == message
        assert before["unnamed_files"] == now["unnamed_files"]
    with office.desk() as desk:
        assert desk.identity.fingerprint() == expected["fingerprint"]
        for item in (*expected["own"], *expected["withdrawal"]):
            own = desk.state.items[item]
            original = desk.store.original(item)
            if own.sent != "received" or item in expected["withdrawal"][-1:]:
                assert original is not None
                assert sha256_hex(original) == item
        for mailbox in expected["read"]:
            for file in attachments.of_case(open_thread.open_case(desk, mailbox)):
                assert attachments.check(desk, file)[0].state in attachments.READY
    names = set(files(office.folder))
    assert not any(name.endswith("state.age") for name in names)
    assert len([name for name in names if name.endswith(".db")]) == 1


def test_desk_in_the_first_format_is_migrated_completely(old: Office, expected: Expected) -> None:
    assert_taken_over(old, expected)
    for name in ("foto.jpg", "notitie.txt", "folder.pdf"):
        assert any(name in old.run("files", one["id"]).stdout for one in expected["list"])
    thief = Thief(old.folder, PASSPHRASE)
    assert thief.knows("Mijn chef schreeuwt.")
    assert not thief.knows("vergeten")


def test_waiting_messages_keep_their_sealed_form(old: Office, expected: Expected) -> None:
    (waiting,) = (
        message["item"]
        for one in expected["read"].values()
        for message in one["messages"]
        if message["sent"] == "waiting"
    )
    with old.desk() as desk:
        assert desk.state.items[waiting].sent == "waiting"
        assert sha256_hex(desk.store.original(waiting) or b"") == waiting


def test_backup_in_the_first_format_is_restored(
    old: Office,
    tmp_path: Path,
    expected: Expected,
) -> None:
    again = Office(tmp_path / "again", old.peer, old.clock)
    backups.restore(again.folder, WRITTEN / "backup.age", PASSPHRASE, old.machine)
    assert_taken_over(again, expected)


def test_kill_during_migration_loses_nothing(
    old: Office,
    expected: Expected,
    monkeypatch: pytest.MonkeyPatch,
    long_run: bool,
) -> None:
    before = files(old.folder)
    kill_at, killed = 0, True
    while killed:
        unpack(old.folder)
        seen = 0

        def step(_: str, kill_at: int = kill_at) -> None:
            nonlocal seen
            seen += 1
            if seen > kill_at:
                raise Killed

        killed = False
        with monkeypatch.context() as patch:
            patch.setattr(
                "dropbox_app.desk.folder.Disk", lambda root, today, do=step: Disk(root, today, do)
            )
            try:
                with old.open():
                    pass
            except Killed:
                killed = True
        with Disk(old.folder, old.clock).locked():
            now = files(old.folder)
        if now["vault.age"] == before["vault.age"]:
            assert before.items() <= now.items()  # the old desk is still complete
        assert_taken_over(old, expected)
        kill_at += 1 if long_run else 5
    assert kill_at > 40


@pytest.mark.parametrize("how", ["state damaged", "state missing a field", "disk full", "no room"])
def test_desk_that_cannot_be_migrated_is_refused_and_unchanged(
    old: Office, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if how.startswith("state"):
        (state,) = old.folder.rglob("state.age")
        raw = bytearray(state.read_bytes())
        raw[-1 if how == "state damaged" else 30] ^= 1
        state.write_bytes(raw)
    elif how == "disk full":
        writing = Disk.writing

        def full(disk: Disk, name: str, **more: Any) -> Any:  # noqa: ANN401 - as the original
            if name.endswith(".body"):
                raise OSError(28, "No space left on device")
            return writing(disk, name, **more)

        monkeypatch.setattr(Disk, "writing", full)
    else:
        used = shutil.disk_usage(old.folder)
        monkeypatch.setattr(shutil, "disk_usage", lambda _: used._replace(free=0))
    before = files(old.folder)
    with pytest.raises((Damaged, DeskError), match="Nothing was changed"), old.open():
        pass
    assert files(old.folder) == before
    monkeypatch.undo()
    kept = vault.Vault.open(Disk(old.folder, old.clock), PASSPHRASE)
    assert kept.archive is not None
