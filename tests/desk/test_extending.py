"""Extending a thread sends a notice that all readers know and the server counts as activity."""

import pytest

from tests.desk.conftest import Office
from tests.support.fake_server import Clock, Peer, Reporter


@pytest.mark.parametrize(
    ("language", "said"), [("nl", "blijft langer staan"), ("en", "is kept longer")]
)
def test_reporter_is_told_in_their_language_that_the_thread_is_extended(
    office: Office, peer: Peer, clock: Clock, language: str, said: str
) -> None:
    reporter = Reporter(peer, office.identity)
    reporter.language = language
    reporter.report("Er is iets.")
    office.fetch_quietly()
    clock.to("2027-03-20")
    assert office.run("extend", reporter.mailbox).stdout.startswith("Sent to thread")
    notice = list(reporter.thread().genuine())[-1]
    assert (notice.kind, notice.body["status"], notice.lang) == ("notice", "read", language)
    assert said in notice.text
    assert max(kept.day for kept in peer.items.values()) == clock.day
    assert office.json("list")[0]["turn"] == "counsellor", "it is no answer"


def test_closed_thread_is_not_extended(office: Office, reporter: Reporter, thread: str) -> None:
    office.run("notice", thread, "closed")
    before = reporter.texts()
    assert "Reopen it first" in office.run("extend", thread, code=1).stderr
    assert reporter.texts() == before
    office.run("notice", thread, "reopened")
    office.run("extend", thread)
