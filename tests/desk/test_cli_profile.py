"""What a counsellor is told: about the own profile, a lost connection, and what is closed."""

from pathlib import Path

import pytest

from dropbox_app.protocol import card as cards
from tests.desk.conftest import Office
from tests.support.fake_server import Clock, Peer, Reporter


@pytest.fixture
def thread(office: Office, reporter: Reporter) -> str:
    office.run("fetch")
    return reporter.mailbox


def test_the_profile_changes_with_the_next_fetch(office: Office, peer: Peer) -> None:
    mine = str(office.identity)
    said = office.run("card", "--kind", "internal", "--languages", "nl")
    assert "Els de Vries; works at the organisation; for unwanted" in said.stderr
    assert said.stdout == ""
    assert cards.parse(peer.cards[mine]).kind == "external"
    office.run("fetch")
    card = cards.parse(peer.cards[mine])
    assert (card.kind, card.scope, card.languages) == ("internal", "both", ("nl",))
    office.run("fetch")
    assert cards.parse(peer.cards[mine]).raw == card.raw
    assert office.run("card", "--name", "", code=1).stderr.startswith("The card cannot be made")


def test_a_card_that_nobody_has_changes_at_once(tmp_path: Path, peer: Peer, clock: Clock) -> None:
    office = Office(tmp_path / "desk", peer, clock)
    invitation = peer.invitation().decode()
    office.run("init", "-", "--name", "Els", "--kind", "external", given=invitation)
    raw = office.run("card", "--kind", "internal").stdout.encode()
    assert cards.parse(raw).kind == "internal"


def test_offline_says_whether_anything_was_kept(office: Office, peer: Peer, thread: str) -> None:
    peer.drop_after = 0
    said = office.run("reply", thread, "--text-file", "-", given="Hoi", code=1).stderr
    assert "was not sent and not kept" in said
    said = office.run("away", "--until", "2027-02-01", code=1).stderr
    assert "Nothing was changed" in said
    peer.drop_after = None
    peer.lose_answer_to = "PUT /api/desk/card"
    said = office.run("away", "--until", "2027-02-01", code=1).stderr
    assert "It is kept here" in said


def test_list_shows_what_is_closed(office: Office, thread: str) -> None:
    office.run("notice", thread, "closed")
    assert office.run("list").stdout.endswith("  closed  \u201cHet gaat over mijn chef.\u201d\n")
    office.run("notice", thread, "reopened")
    assert "closed" not in office.run("list").stdout


def test_another_language_is_refused(office: Office, thread: str) -> None:
    office.run("notice", thread, "read", "--lang", "de", code=2)
