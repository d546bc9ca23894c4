"""How a colleague is identified: never on the server's word alone."""

import pytest

from dropbox_app.protocol import card as cards
from dropbox_app.protocol.keys import VerifyKey
from tests.desk.conftest import Office
from tests.support.fake_server import Clock, Peer, Reporter


@pytest.fixture
def bas(office: Office, peer: Peer, clock: Clock) -> VerifyKey:
    return Office(office.folder.with_name("bas"), peer, clock, "Bas de Wit").set_up()


@pytest.fixture
def thread(office: Office, reporter: Reporter) -> str:
    office.fetch_quietly()
    return reporter.mailbox


def _ask(thread: str, who: str) -> tuple[str, ...]:
    return ("ask", thread, "--step", "x", "--with", "y", "--scope", "z", "--successor", who)


def _successor(reporter: Reporter) -> object:
    return [*reporter.thread().genuine()][-1].body.get("successor")


def test_colleague_given_by_identity_or_fingerprint_needs_no_confirmation(
    office: Office, reporter: Reporter, bas: VerifyKey, thread: str
) -> None:
    for who in (str(bas), bas.hex, bas.fingerprint(), bas.fingerprint().upper().replace(" ", "")):
        office.run(*_ask(thread, who))
        assert _successor(reporter) == str(bas)


def test_colleague_given_by_name_is_shown_with_fingerprint_for_confirmation(
    office: Office, reporter: Reporter, bas: VerifyKey, thread: str
) -> None:
    for given in ("n\n", ""):
        said = office.run(*_ask(thread, "Bas de Wit"), given=given, code=1)
        assert bas.fingerprint() in said.stderr
        assert "give the ten groups or the identity" in said.stderr
    assert len(reporter.texts()) == 1
    office.run(*_ask(thread, "Bas  de Wit"), given="y\n")
    assert _successor(reporter) == str(bas)
    office.run("away", "--until", "2027-02-01", "--stand-in", "Bas de Wit", code=1)
    office.run("away", "--until", "2027-02-01", "--stand-in", "Bas de Wit", given="y\n")


def test_card_whose_name_is_another_persons_fingerprint_is_not_matched(
    office: Office, peer: Peer, clock: Clock, bas: VerifyKey, thread: str
) -> None:
    """The server shows its own card named after another's fingerprint, and hides the real one."""
    rogue = Office(office.folder.with_name("rogue"), peer, clock, bas.fingerprint())
    rogue.set_up()
    peer.shown_cards = {who: raw for who, raw in peer.cards.items() if who != str(bas)}
    for who in (bas.fingerprint(), str(bas), bas.hex):
        assert office.run(*_ask(thread, who), given="y\n", code=1).stderr.startswith("No counsel")


def test_card_from_another_site_does_not_identify_a_colleague(
    office: Office, peer: Peer, clock: Clock, thread: str
) -> None:
    other = Peer(clock)
    cor = Office(office.folder.with_name("cor"), other, clock, "Cor").set_up()
    peer.shown_cards = {**peer.cards, **other.cards}
    assert cards.parse(other.cards[str(cor)]).site != peer.site
    for who in (str(cor), "Cor"):
        assert office.run(*_ask(thread, who), given="y\n", code=1).stderr.startswith("No counsel")


def test_counsellor_can_name_neither_themselves_nor_an_unknown_person_as_colleague(
    office: Office, thread: str
) -> None:
    assert "No counsellor" in office.run(*_ask(thread, "Niemand"), code=1).stderr
    own = str(office.identity)
    assert "yourself" in office.run(*_ask(thread, own), code=1).stderr
    assert (
        "yourself" in office.run("away", "--until", "2027-02-01", "--stand-in", own, code=1).stderr
    )


def test_counsellor_no_longer_chosen_is_told_why_writing_is_impossible(
    office: Office, reporter: Reporter, bas: VerifyKey, thread: str
) -> None:
    reporter.wanted = (bas,)
    reporter.write("Ik ga verder met Bas")
    said = office.run("reply", thread, "--text-file", "-", given="Toch", code=1)
    assert "newest message" in said.stderr
    assert "not addressed to you" in said.stderr
    assert said.stderr.splitlines()[-1].startswith(f"Thread {thread[:8]} is gone: ")
