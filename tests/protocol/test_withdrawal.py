"""A restored server accepts a reporter's withdrawal, whoever sends it, and nothing else."""

from collections.abc import Callable
from pathlib import Path

import pytest

from dropbox_app.protocol import age, messages, withdrawal, writing
from dropbox_app.protocol.encoding import Json, sha256_hex
from dropbox_app.protocol.errors import MessageError
from dropbox_app.protocol.messages import Message
from dropbox_app.protocol.retrieval_code import derive_root, generate, reporter_keys
from dropbox_app.protocol.thread import open_item, read
from dropbox_app.server.errors import BadShape, Gone
from tests.server.web.test_desk_api import Desk
from tests.support.server_folder import ANNA, BRAM, DAY, AServer
from tests.vectors import world


class Reporter:
    """A reporter with a mailbox at the server, who withdrew everything before the restore."""

    def __init__(self, server: AServer) -> None:
        self.server = server
        self.keys = reporter_keys(derive_root(generate("nl"), world.SITE))
        self.report = self._write("report", {"text": "Hallo", "answers": {}})
        server.mailboxes.submit(
            mailbox=self.keys.mailbox, access=self.keys.access, to=(ANNA,), sealed=self.report
        )
        self.sealed = self._write("withdrawal", {})
        self.message = self.opened(self.sealed)

    @property
    def mailbox(self) -> str:
        return self.keys.mailbox

    @property
    def given(self) -> bytes:
        return withdrawal.write(self.message, self.sealed)

    def _write(self, kind: str, body: dict[str, Json]) -> bytes:
        known = None
        if kind != "report":
            known = read(
                [open_item(sha256_hex(self.report), self.report, [self.keys.reply])],
                site=world.SITE,
                mailbox=self.mailbox,
                viewer=None,
                reporter=self.opened(self.report).reporter,
            )
        return writing.from_reporter(
            self.keys,
            site=world.SITE,
            day=DAY,
            lang="nl",
            kind=kind,
            body=body,
            thread=known,
            wanted=(ANNA,),
            cards=self.server.site.open_cards(DAY),
        ).seal()

    def opened(self, sealed: bytes) -> Message:
        return messages.parse(age.open_sealed(sealed, [self.keys.reply]))


@pytest.fixture
def server(tmp_path: Path) -> AServer:
    return AServer(tmp_path / "server")


def test_withdrawal_sent_by_a_desk_closes_the_mailbox_and_waits_for_the_other_desks(
    server: AServer,
) -> None:
    reporter = Reporter(server)
    desk = Desk(server)
    answer = desk.ask("POST", f"/api/desk/mailboxes/{reporter.mailbox}/withdrawal", reporter.given)
    assert answer.status_code == 200, answer.data
    assert server.mailboxes.conversation(reporter.keys.access) is None
    assert server.store.is_withdrawn(reporter.mailbox)
    (row,) = server.store.inbox(str(ANNA), 0, 9)
    assert server.store.read(row.item.id) == reporter.sealed
    assert server.store.addressed(reporter.mailbox)[0].fetched == DAY
    # A repeated call succeeds, and removed data stays removed.
    again = desk.ask("POST", f"/api/desk/mailboxes/{reporter.mailbox}/withdrawal", reporter.given)
    assert again.status_code == 200
    assert desk.get("/api/desk/mailboxes")["mailboxes"] == []


def test_desk_that_was_not_addressed_may_also_send_a_withdrawal(server: AServer) -> None:
    """The backup may be from before the reporter changed counsellor."""
    reporter = Reporter(server)
    server.mailboxes.given_back(BRAM, reporter.mailbox, reporter.given)
    assert server.store.is_withdrawn(reporter.mailbox)
    assert server.store.addressed(reporter.mailbox)[0].fetched is None


def test_withdrawal_proof_is_not_stored(server: AServer) -> None:
    reporter = Reporter(server)
    server.mailboxes.given_back(ANNA, reporter.mailbox, reporter.given)
    public = reporter.message.reporter
    assert public is not None
    everything = server.everything_on_disk()
    for secret in (public.verify.raw, str(public.verify).encode(), public.recipient_text.encode()):
        assert secret not in everything
    assert reporter.report[3000:3100] not in everything


def test_unknown_mailbox_is_refused(server: AServer) -> None:
    reporter = Reporter(server)
    with server.store.writing():
        server.store.remove_mailbox(reporter.mailbox)
    with pytest.raises(Gone):
        server.mailboxes.given_back(ANNA, reporter.mailbox, reporter.given)


def _flip(data: bytes, at: int) -> bytes:
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


FAULTS: dict[str, Callable[[Reporter, Reporter], bytes]] = {
    "nothing": lambda one, _: b"",
    "no file": lambda one, _: withdrawal.write(one.message, b""),
    "a file of another shape": lambda one, _: withdrawal.write(one.message, one.sealed[:-1]),
    "a report": lambda one, _: withdrawal.write(one.opened(one.report), one.sealed),
    "of another mailbox": lambda _, other: other.given,
    "another signature": lambda one, _: one.given.replace(b"\n", b"\nAAAA", 1),
    "a flipped bit in the line": lambda one, _: _flip(one.given, one.given.index(b'"nl"') + 2),
    "a flipped bit in the signature": lambda one, _: _flip(one.given, one.given.index(b"\n") + 9),
    "too long a line": lambda one, _: b" " * 200_000 + one.given,
}


@pytest.mark.parametrize("fault", FAULTS)
def test_invalid_proof_withdraws_nothing(server: AServer, fault: str) -> None:
    one, other = Reporter(server), Reporter(server)
    given = FAULTS[fault](one, other)
    with pytest.raises(BadShape):
        server.mailboxes.given_back(ANNA, one.mailbox, given)
    assert server.mailboxes.conversation(one.keys.access) is not None


def test_withdrawal_of_another_site_or_mailbox_is_refused(server: AServer) -> None:
    reporter = Reporter(server)
    with pytest.raises(MessageError, match="another mailbox"):
        withdrawal.read(reporter.given, site="0" * 32, mailbox=reporter.mailbox)
    with pytest.raises(MessageError, match="another mailbox"):
        withdrawal.read(reporter.given, site=world.SITE, mailbox="0" * 64)
