"""Messages that are requested together: a batch saves requests and changes nothing else."""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest

from dropbox_app.desk.errors import CannotReach
from dropbox_app.desk.sync import batches, inbox
from dropbox_app.desk.transport.connection import Answer
from dropbox_app.protocol import batch
from tests.desk.conftest import Office
from tests.support.fake_server import Peer, PeerTransport, Reporter

Reply = tuple[int, bytes]


@pytest.fixture
def texts(office: Office, peer: Peer) -> dict[str, list[str]]:
    """Return the texts of seven reports at the server, by mailbox."""
    written = {}
    for number in range(7):
        reporter = Reporter(peer, office.identity)
        reporter.report(f"Melding {number}")
        written[reporter.mailbox] = [f"Melding {number}"]
    return written


def asked(peer: Peer, method: str, part: str) -> int:
    """Count the requests of desks with this method and this part of the target."""
    return sum(said == method and part in target for said, target in peer.log)


def test_messages_are_requested_and_confirmed_together(
    office: Office, peer: Peer, texts: dict[str, list[str]]
) -> None:
    office.fetch_quietly()
    assert {mailbox: office.texts(mailbox) for mailbox in texts} == texts
    assert asked(peer, "GET", "/items?ids=") == 1
    assert asked(peer, "GET", "/items/") == 0
    assert asked(peer, "POST", "/fetched") == 1
    assert set(peer.fetched) == set(peer.items)


def test_single_message_is_requested_alone(office: Office, peer: Peer) -> None:
    reporter = Reporter(peer, office.identity)
    reporter.report("Een")
    office.fetch_quietly()
    assert (asked(peer, "GET", "/items?ids="), asked(peer, "GET", "/items/")) == (0, 1)


@pytest.mark.parametrize(("most", "requests"), [(3 * 12_000, 3), (1, 0)])
def test_batch_is_limited_in_bytes(
    office: Office,
    peer: Peer,
    texts: dict[str, list[str]],
    most: int,
    requests: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Seven messages of 9,680 bytes: two full batches and the last alone, or each alone."""
    monkeypatch.setattr(batches, "MOST_BYTES", most)
    office.fetch_quietly()
    alone = 7 - 3 * (requests - 1) if requests else 7
    assert asked(peer, "GET", "/items?ids=") == (requests - 1 if requests else 0)
    assert asked(peer, "GET", "/items/") == alone
    assert {mailbox: office.texts(mailbox) for mailbox in texts} == texts


@pytest.mark.parametrize(
    "change",
    [
        lambda _: (404, b"{}"),
        lambda _: (500, b""),
        lambda _: (200, b""),
        lambda body: (200, body[:-1]),
        lambda body: (200, body + bytes(4)),
        lambda body: (200, body + bytes(2_000_000)),
        lambda body: (200, b"{}" + body),
        lambda body: (200, batch.pack(batch.unpack(body, 7)[:3])),
        lambda body: (200, batch.pack([b"", *batch.unpack(body, 7)[1:]])),
    ],
    ids=["missing", "broken", "empty", "cut", "one more", "endless", "no batch", "part", "gap"],
)
def test_messages_that_a_batch_lacks_are_requested_alone(
    office: Office,
    peer: Peer,
    texts: dict[str, list[str]],
    change: Callable[[bytes], Reply],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    honest = peer.batch_for
    monkeypatch.setattr(peer, "batch_for", lambda by, ids: change(honest(by, ids)[1]))
    office.fetch_quietly()
    assert {mailbox: office.texts(mailbox) for mailbox in texts} == texts
    assert set(peer.fetched) == set(peer.items)


def test_swapped_messages_in_a_batch_are_an_alarm_and_are_requested_again(
    office: Office,
    peer: Peer,
    texts: dict[str, list[str]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    honest = peer.batch_for

    def swapped(by: str, ids: Sequence[str]) -> Reply:
        first, second, *rest = batch.unpack(honest(by, ids)[1], 7)
        return 200, batch.pack([second, first, *rest])

    with monkeypatch.context() as lying:
        lying.setattr(peer, "batch_for", swapped)
        alarms = office.fetch().alarms
    assert sum("came as another one" in alarm for alarm in alarms) == 2
    assert len(set(peer.fetched)) == 5
    office.fetch()
    assert {mailbox: office.texts(mailbox) for mailbox in texts} == texts


def test_damaged_message_keeps_back_no_other(
    office: Office, peer: Peer, texts: dict[str, list[str]]
) -> None:
    """The connection breaks in the middle of the fourth message, however it is requested."""
    damaged = list(peer.items)[3]
    peer.damaged = {damaged: 5_000}
    office.fetch()
    assert set(peer.fetched) == set(peer.items) - {damaged}
    peer.damaged = {}
    office.fetch()
    assert {mailbox: office.texts(mailbox) for mailbox in texts} == texts


def test_each_fetch_over_a_bad_connection_keeps_the_complete_messages(
    office: Office, peer: Peer, texts: dict[str, list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The connection carries 60,000 bytes, then breaks and stays down until the next fetch."""
    left, kept, send = 0, [0], PeerTransport.send

    @contextlib.contextmanager
    def limited(way: PeerTransport, *request: Any) -> Iterator[Answer]:  # noqa: ANN401 - as sent
        with send(way, *request) as answer:
            yield Answer(answer.status, carried(answer.pieces))

    def carried(pieces: Iterator[bytes]) -> Iterator[bytes]:
        nonlocal left
        for piece in pieces:
            left -= len(piece)
            if left < 0:
                raise CannotReach("The connection was lost.")
            yield piece

    monkeypatch.setattr(PeerTransport, "send", limited)
    while kept[-1] < len(texts):
        left = 60_000
        with contextlib.suppress(CannotReach):
            office.fetch()
        with office.desk() as desk:
            kept.append(len(desk.state.items))
        assert kept[-1] > kept[-2]
    assert {mailbox: office.texts(mailbox) for mailbox in texts} == texts


def test_bytes_of_an_unusable_batch_count_towards_the_limit_of_a_fetch(
    office: Office, peer: Peer, texts: dict[str, list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    size = sum(len(kept.sealed) for kept in peer.items.values())
    monkeypatch.setattr(peer, "batch_for", lambda _, ids: (200, b"x" * size))
    monkeypatch.setattr(inbox, "MOST_BYTES", 2 * size - 1)
    assert any("more in the inbox" in note for note in office.fetch().notes)
    with office.desk() as desk:
        assert len(desk.state.items) == len(texts) - 1


def test_connection_that_fails_before_a_batch_begins_ends_the_fetch(
    office: Office, peer: Peer, texts: dict[str, list[str]]
) -> None:
    """Otherwise each message would wait for a server that does not respond."""
    peer.drop_after = 2  # challenge, inbox
    with pytest.raises(CannotReach):
        office.fetch()
    assert peer.drop_after == -1
    peer.drop_after = None
    office.fetch_quietly()
    assert {mailbox: office.texts(mailbox) for mailbox in texts} == texts
