"""Attachments that arrive in parts, in both stores (SPEC section 6)."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from dropbox_app.protocol.attachment import FILE_PART
from dropbox_app.protocol.encoding import sha256_hex
from dropbox_app.server.errors import BadShape, Gone
from tests.support.server_folder import ANNA, AServer, file, ids
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


def test_file_consisting_of_a_single_part_is_kept_when_joined(server: AServer) -> None:
    sealed = file(1, 70_000)
    part = send(server, sealed)
    assert server.mailboxes.join(access=ACCESS, item=part, parts=[part]) == []
    server.add("one", 2, named=[part])
    assert server.mailboxes.item_for(ANNA, part) is not None


def test_failed_joining_of_parts_changes_nothing(server: AServer) -> None:
    sealed = file(1, FILE_PART + 1000)
    parts = [send(server, sealed[:FILE_PART]), send(server, sealed[FILE_PART:])]
    item = sha256_hex(sealed)
    before = server.store.items(ids("one")[0])
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
