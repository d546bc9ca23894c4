"""A server that is always late: one deadline for a fetch, and a minimum rate per file.

No test waits: the machine uses a clock that the test sets.
"""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager

import pytest

from dropbox_app.desk.errors import CannotReach
from dropbox_app.desk.folder import Machine, opened
from dropbox_app.desk.storage import vault
from dropbox_app.desk.sync import fetch as rounds
from dropbox_app.desk.transport import pace
from dropbox_app.desk.transport.connection import Answer, Transport
from dropbox_app.protocol.messages import REPORTER
from tests.desk.conftest import PASSPHRASE, Office
from tests.support.fake_server import Peer, PeerTransport, Reporter


class Late:
    """A transport to a Peer: a response takes ``each`` seconds, a file ``pace`` bytes a second."""

    def __init__(self, way: Transport, each: float, pace: float = 1e9) -> None:
        self.way, self.each, self.pace = way, each, pace
        self.now = 1.0

    def monotonic(self) -> float:
        return self.now

    @contextmanager
    def send(
        self, method: str, origin: str, target: str, headers: Mapping[str, str],
        body: bytes | Iterable[bytes], seconds: float,
    ) -> Iterator[Answer]:  # fmt: skip
        end = self.now + seconds
        if "/challenge" not in target:  # otherwise the fetch would not start
            self.wait(self.each, end)
        with self.way.send(method, origin, target, headers, body, seconds) as answer:
            file = "/items/" in target
            yield Answer(answer.status, self.pieces(answer, end) if file else answer.pieces)

    def pieces(self, answer: Answer, end: float) -> Iterator[bytes]:
        came = 0
        for piece in answer.pieces:
            came += len(piece)
            if came > 100_000:  # small responses arrive in time
                self.wait(len(piece) / self.pace, end)
            yield piece

    def wait(self, seconds: float, end: float) -> None:
        self.now = min(self.now + seconds, end)
        if self.now == end:
            raise CannotReach("it took too long")

    def break_off(self) -> None:
        """Do nothing: no request waits here."""

    def apart(self) -> "Late":
        return self

    def close(self) -> None:
        """Do nothing: the Peer has no connection."""


def fetch(office: Office, late: Late, monkeypatch: pytest.MonkeyPatch) -> tuple[str, list[str]]:
    """Fetch over this transport; return the error that ended it, and the output."""
    machine = Machine(office.clock, lambda _: late, vault.CHEAP_FOR_TESTS)
    with monkeypatch.context() as patched:
        patched.setattr(pace, "time", late)
        with opened(office.folder, PASSPHRASE, machine) as place, place.connected(place.one()) as d:
            try:
                rounds.fetch(d)
            except CannotReach as error:
                return str(error), d.report.notes
            return "", d.report.notes


def test_slow_responses_share_one_deadline_and_nothing_is_lost(
    office: Office, peer: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    reporter = Reporter(peer, office.identity)
    reporter.report("Melding")
    sealed = next(iter(peer.items.values())).sealed
    for number in range(120):  # a file is requested alone, unlike a message
        data = sealed[:-4] + number.to_bytes(4, "big")
        peer.keep(reporter.mailbox, "attachment", REPORTER, 1, data, [str(office.identity)])
    late = Late(PeerTransport(peer), each=pace.ANSWER_SECONDS - 1)
    ended, _ = fetch(office, late, monkeypatch)
    assert "after 120 minutes" in ended
    assert late.now < pace.ROUND_SECONDS + pace.ANSWER_SECONDS
    office.fetch_quietly()
    with office.desk() as desk:
        assert set(desk.state.items) == set(peer.items)


@pytest.mark.parametrize(("part", "comes"), [(1.1, True), (0.1, False)])
def test_download_below_the_minimum_rate_is_abandoned(
    office: Office,
    peer: Peer,
    reporter: Reporter,
    part: float,
    comes: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A trickling file is abandoned after minutes, before its time limit; the rest arrives."""
    reporter.attach("Zie bestand", ("a.bin", "application/octet-stream", bytes(2_000_000)))
    late = Late(PeerTransport(peer), each=1.0, pace=part * pace.SLOWEST)
    ended, told = fetch(office, late, monkeypatch)
    assert not ended
    assert late.now < 2_000_000 / pace.SLOWEST + 2 * pace.ANSWER_SECONDS
    assert any("did not come whole" in note for note in told) != comes
    assert office.texts(reporter.mailbox) == ["Het gaat over mijn chef.", "Zie bestand"]
