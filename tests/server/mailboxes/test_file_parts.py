"""Attachments that arrive in parts, in both stores (SPEC section 6)."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from dropbox_app.protocol.attachment import FILE_PART
from dropbox_app.protocol.encoding import sha256_hex
from dropbox_app.server.config.settings import Limits
from dropbox_app.server.errors import BadShape, Gone, MailboxFull, SiteFull
from dropbox_app.server.mailboxes import file_parts
from dropbox_app.server.mailboxes.room import Room
from tests.support.server_folder import ANNA, AServer, file, ids, message
from tests.support.two_stores import Kind

ACCESS = ids("one")[1]


@pytest.fixture
def server(tmp_path: Path, on: Kind) -> Iterator[AServer]:
    made = AServer(tmp_path / "server", on=on)
    made.report("one")
    yield made
    made.store.close()


def send(server: AServer, part: bytes) -> str:
    with server.mailboxes.stage() as staged:
        staged.write(part)
        server.mailboxes.attach_part(access=ACCESS, part=staged.digest(), staged=staged)
    return sha256_hex(part)


def test_parts_of_a_file_are_joined_and_then_removed(server: AServer) -> None:
    sealed = file(1, 2 * FILE_PART + 1000)
    parts = [send(server, sealed[at : at + FILE_PART]) for at in range(0, len(sealed), FILE_PART)]
    item = sha256_hex(sealed)
    for _ in range(2):
        assert server.mailboxes.join(access=ACCESS, item=item, parts=parts) == []
    assert [i.id for i in server.store.items(ids("one")[0]) if not i.n] == [item]
    server.add("one", 2, named=[item])
    opened = server.mailboxes.item_for(ANNA, item)
    assert opened is not None
    with opened.file:
        assert opened.file.read() == sealed


def test_file_consisting_of_a_single_part_is_kept_when_its_parts_are_joined(
    server: AServer,
) -> None:
    sealed = file(1, 70_000)
    part = send(server, sealed)
    assert server.mailboxes.join(access=ACCESS, item=part, parts=[part]) == []
    server.add("one", 2, named=[part])
    assert server.mailboxes.item_for(ANNA, part) is not None


def test_join_of_parts_that_is_refused_before_copying_changes_nothing(
    server: AServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    sealed = file(1, FILE_PART + 1000)
    parts = [send(server, sealed[:FILE_PART]), send(server, sealed[FILE_PART:])]
    item = sha256_hex(sealed)
    before = server.store.items(ids("one")[0])
    with monkeypatch.context() as patched:
        patched.setattr(file_parts, "join", None)
        for wrong in (parts[::-1], parts[:1]):
            with pytest.raises(BadShape):
                server.mailboxes.join(access=ACCESS, item=item, parts=wrong)
    assert server.mailboxes.join(access=ACCESS, item=item, parts=[*parts, "0" * 64]) == ["0" * 64]
    with pytest.raises(Gone):
        server.mailboxes.join(access="0" * 64, item=item, parts=parts)
    assert server.store.items(ids("one")[0]) == before


def test_parts_of_a_file_expire_a_day_before_a_file_without_its_message(server: AServer) -> None:
    sealed = file(1, FILE_PART + 1000)
    part = send(server, sealed[:FILE_PART])
    last = send(server, sealed[FILE_PART:])
    server.later(1)
    server.purge()
    assert server.store.item(part) is None
    assert server.store.item(last) is not None
    server.later(2)
    server.purge()
    assert server.store.item(last) is None


def test_parts_copied_in_a_failed_join_are_removed(server: AServer) -> None:
    """So each copy costs a new upload."""
    sealed = file(1, FILE_PART + 1000)
    parts = [send(server, sealed[:FILE_PART]), send(server, sealed[FILE_PART:])]
    with pytest.raises(BadShape):
        server.mailboxes.join(access=ACCESS, item="0" * 64, parts=parts)
    assert [i.what for i in server.store.items(ids("one")[0])] == ["message"]
    assert server.mailboxes.join(access=ACCESS, item="0" * 64, parts=parts) == parts


def test_complete_file_longer_than_a_part_is_not_treated_as_a_part(server: AServer) -> None:
    sealed = file(1, FILE_PART + 1000)
    item = sha256_hex(sealed)
    with server.mailboxes.stage() as staged:
        staged.write(sealed)
        server.mailboxes.attach(access=ACCESS, item=item, staged=staged)
    for other in ("0" * 64, "1" * 64):
        assert server.mailboxes.join(access=ACCESS, item=other, parts=[item]) == [item]
    assert server.store.item(item) is not None


def test_parts_whose_total_exceeds_the_maximum_file_size_are_not_copied(
    tmp_path: Path, on: Kind, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = AServer(tmp_path / "small", on=on, limits=Limits(free_bytes=1, file=FILE_PART))
    small.report("one")
    sealed = file(1, 2 * FILE_PART)
    parts = [send(small, sealed[at : at + FILE_PART]) for at in range(0, len(sealed), FILE_PART)]
    monkeypatch.setattr(file_parts, "join", None)
    with pytest.raises(BadShape, match="a file may be"):
        small.mailboxes.join(access=ACCESS, item=sha256_hex(sealed), parts=parts)
    small.store.close()


def test_part_longer_than_the_maximum_file_size_is_refused(tmp_path: Path, on: Kind) -> None:
    small = AServer(tmp_path / "small", on=on, limits=Limits(free_bytes=1, file=1024 * 1024))
    small.report("one")
    with pytest.raises(BadShape, match="a part has"):
        send(small, bytes(FILE_PART))
    small.store.close()


def test_free_space_is_checked_while_parts_are_copied(
    server: AServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: Room) -> None:
        raise SiteFull("the disk has no room left")

    sealed = file(1, FILE_PART + 1000)
    parts = [send(server, sealed[:FILE_PART]), send(server, sealed[FILE_PART:])]
    monkeypatch.setattr(file_parts, "LOOK", FILE_PART)
    monkeypatch.setattr(Room, "check_again", full)
    with pytest.raises(SiteFull):
        server.mailboxes.join(access=ACCESS, item=sha256_hex(sealed), parts=parts)
    assert len(server.store.items(ids("one")[0])) == 3


def test_files_whose_message_never_arrived_do_not_block_the_next_message(server: AServer) -> None:
    limits = server.site.settings.limits
    waiting = [send(server, bytes([n]) * 100) for n in range(2 * limits.files_per_message + 1)]
    with pytest.raises(MailboxFull):
        send(server, b"one more")
    sealed = file(1, 20_000)
    with server.mailboxes.stage() as staged:
        staged.write(sealed)
        server.mailboxes.add(access=ACCESS, n=2, to=(ANNA,), sealed=message(1), files=[staged])
    assert server.mailboxes.item_for(ANNA, sha256_hex(sealed)) is not None
    assert not any(server.store.item(item) for item in waiting)


def test_waiting_parts_leave_space_for_the_next_message(tmp_path: Path, on: Kind) -> None:
    room = 2 * FILE_PART
    limits = Limits(free_bytes=1, mailbox_bytes=room, file=FILE_PART)
    small = AServer(tmp_path / "small", on=on, limits=limits)
    small.report("one")
    send(small, bytes(FILE_PART))
    with pytest.raises(MailboxFull):
        small.mailboxes.room_for_files(ACCESS, FILE_PART - 100_000)
    small.mailboxes.room_for_files(ACCESS, FILE_PART - 100_000, whole=True)
    with pytest.raises(MailboxFull):
        small.mailboxes.room_for_files(ACCESS, room, whole=True)
    small.store.close()
