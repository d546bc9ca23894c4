"""Messages to the counsellor: about the profile, a lost connection, and closed threads."""

from pathlib import Path

import pytest

from dropbox_app.protocol import card as cards
from tests.desk.conftest import Office
from tests.support.fake_server import Clock, Peer, Reporter


@pytest.fixture
def thread(office: Office, reporter: Reporter) -> str:
    office.run("fetch")
    return reporter.mailbox


def test_changed_profile_is_published_by_the_next_fetch(office: Office, peer: Peer) -> None:
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


def test_register_number_and_sentence_can_be_set_and_cleared(office: Office, peer: Peer) -> None:
    mine = str(office.identity)
    said = office.run(
        "card", "--register-number", "LVV 1234", "--sentence", "nl", "Vraag maar.",
        "--sentence", "en", "Just ask.",
    )  # fmt: skip
    assert "register number LVV 1234." in said.stderr
    assert "\u201cVraag maar.\u201d" in said.stderr
    office.run("fetch")
    card = cards.parse(peer.cards[mine])
    assert card.register_number == "LVV 1234"
    assert card.sentence == {"en": "Just ask.", "nl": "Vraag maar."}
    office.run("fetch")
    assert peer.cards[mine] == card.raw, "no new card for the same words"
    office.run("card", "--register-number", "", "--sentence", "en", "")
    office.run("fetch")
    card = cards.parse(peer.cards[mine])
    assert (card.register_number, card.sentence) == ("", {"nl": "Vraag maar."})


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        (("--register-number", "9" * 51), "at most 50 characters; this one has 51"),
        (("--sentence", "nl", "a" * 201), "at most 200 characters; this one has 201"),
        (("--sentence", "dutch", "Vraag maar."), "codes of two or three letters"),
        (("--register-number", "1\u202e2"), "cannot be seen"),
    ],
)
def test_invalid_card_values_are_refused_and_change_nothing(
    office: Office, wrong: tuple[str, ...], told: str
) -> None:
    assert told in office.run("card", "--name", "Ander", *wrong, code=1).stderr
    with office.desk() as desk:
        assert desk.state.profile.name == "Els de Vries"


def test_unpublished_card_can_be_changed_immediately(
    tmp_path: Path, peer: Peer, clock: Clock
) -> None:
    office = Office(tmp_path / "desk", peer, clock)
    invitation = peer.invitation().decode()
    office.run("init", "-", "--name", "Els", "--kind", "external", given=invitation)
    raw = office.run("card", "--kind", "internal").stdout.encode()
    assert cards.parse(raw).kind == "internal"


def test_error_while_offline_says_whether_anything_was_kept(
    office: Office, peer: Peer, thread: str
) -> None:
    peer.drop_after = 0
    said = office.run("reply", thread, "--text-file", "-", given="Hoi", code=1).stderr
    assert "was not sent and not kept" in said
    said = office.run("away", "--until", "2027-02-01", code=1).stderr
    assert "Nothing was changed" in said
    peer.drop_after = None
    peer.lose_answer_to = "PUT /api/desk/card"
    said = office.run("away", "--until", "2027-02-01", code=1).stderr
    assert "It is kept here" in said


def test_list_shows_closed_threads(office: Office, thread: str) -> None:
    office.run("notice", thread, "closed")
    assert office.run("list").stdout.endswith("  closed  \u201cHet gaat over mijn chef.\u201d\n")
    office.run("notice", thread, "reopened")
    assert "closed" not in office.run("list").stdout


def test_unsupported_language_is_refused(office: Office, thread: str) -> None:
    office.run("notice", thread, "read", "--lang", "de", code=2)
