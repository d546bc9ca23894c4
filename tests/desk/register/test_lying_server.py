"""A lying server can add no case, date or consent that nobody signed to the register."""

import datetime
import json
import secrets

import pytest

from dropbox_app.protocol import age
from dropbox_app.protocol import card as cards
from tests.desk.conftest import Office
from tests.support.fake_server import Clock, Peer, Reporter

STEP = {"event": "step", "date": "2027-01-05", "employer": "Voorbeeld BV"}


def ask(office: Office, thread: str) -> str:
    """Ask for consent; return the digest of the question."""
    office.run("ask", thread, "--step", "Praten", "--with", "De directeur", "--scope", "Geen naam")
    asked = office.case(thread).thread.entries[-1].message
    assert asked is not None
    return asked.digest


def answer(reporter: Reporter, question: str, said: str) -> str:
    return reporter.send("consent-answer", {"request": question, "answer": said})


def test_item_forged_by_the_server_creates_no_case(office: Office, peer: Peer, thread: str) -> None:
    (raw,) = peer.cards.values()
    key = cards.parse(raw).sealing_key(peer.today())
    assert key is not None
    for _ in range(3):
        sealed, mailbox = age.seal(secrets.token_bytes(900), [key]), secrets.token_hex(32)
        peer.keep(mailbox, "message", "reporter", 1, sealed, [str(office.identity)])
    assert office.fetch().news
    assert [one["thread"] for one in office.json("register", "cases")] == [thread]


def test_case_date_is_the_signed_date_and_not_the_date_on_the_server(
    office: Office, peer: Peer, reporter: Reporter, clock: Clock
) -> None:
    (item,) = peer.items.values()
    item.day = datetime.date(2026, 3, 1)
    office.fetch()
    (found,) = office.json("register", "cases")
    assert (found["thread"], found["opened"]) == (reporter.mailbox, clock().isoformat())


@pytest.mark.parametrize("first", ["yes", "no", "tell-me-more"])
@pytest.mark.parametrize("later", ["yes", "no", "withdrawn"])
def test_most_recently_signed_answer_counts_regardless_of_arrival_order(
    office: Office, peer: Peer, reporter: Reporter, thread: str, first: str, later: str
) -> None:
    question = ask(office, thread)
    early = answer(reporter, question, first)
    answer(reporter, question, later)
    peer.withheld = {early}
    office.fetch()
    (found,) = office.json("register", "cases")
    for _ in range(2):
        (one,) = office.json("register", "consents", found["case"])
        assert one["answer"] == later
        peer.withheld = set()
        office.fetch()


def test_replayed_answer_does_not_override_its_withdrawal(
    office: Office, peer: Peer, reporter: Reporter, thread: str
) -> None:
    question = ask(office, thread)
    draft = reporter.draft("consent-answer", {"request": question, "answer": "yes"})
    to = [str(identity) for identity in draft.to]
    peer.keep(thread, "message", "reporter", draft.n, draft.seal(), to)
    answer(reporter, question, "withdrawn")
    office.fetch()
    (found,) = office.json("register", "cases")
    office.run("register", "consents", found["case"])
    peer.keep(thread, "message", "reporter", draft.n, draft.seal(), to)
    office.fetch()
    (one,) = office.json("register", "consents", found["case"])
    assert one["answer"] == "withdrawn"


def test_step_cannot_use_consent_while_a_later_message_is_withheld(
    office: Office, peer: Peer, reporter: Reporter, thread: str
) -> None:
    question = ask(office, thread)
    answer(reporter, question, "yes")
    back = reporter.write("Wacht nog even.")
    reporter.write("Is er al iets gebeurd?")
    peer.withheld = {back}
    office.fetch()
    (found,) = office.json("register", "cases")
    (one,) = office.json("register", "consents", found["case"])
    step = json.dumps(STEP | {"case": found["case"], "consent": one["consent"]})
    refused = office.run("register", "import", "-", given=step, code=1)
    assert "holds back" in refused.stderr
    peer.withheld = set()
    office.fetch()
    office.run("register", "import", "-", given=step)
