"""Messages from a counsellor who is no longer chosen, or from a colleague who never was."""

import pytest

from dropbox_app.desk.actions import today
from dropbox_app.protocol import age, messages
from dropbox_app.protocol import card as cards
from dropbox_app.protocol.encoding import Json
from dropbox_app.protocol.keys import SigningKey
from tests.desk.conftest import Office
from tests.support.fake_server import Clock, Peer, Reporter

OTHER = SigningKey.generate()

ANSWERS: dict[str, dict[str, Json]] = {
    "notice": {"status": "closed", "text": "Afgerond."},
    "reply": {"text": "Dit is afgehandeld.", "attachments": []},
    "options": {
        "text": "Kies",
        "options": [{"title": "a", "pro": "b", "con": "c"}, {"title": "d", "pro": "e", "con": "f"}],
    },
    "consent-request": {"step": "Bellen", "with": "HR", "scope": "Geen naam"},
}


@pytest.fixture
def shared(peer: Peer, office: Office) -> Reporter:
    """Return a reporter who has reported to that counsellor and a colleague."""
    made = Reporter(peer, office.identity, OTHER.verify_key)
    made.report("Het gaat over mijn chef.")
    office.fetch_quietly()
    office.run("read", made.mailbox)
    return made


def write(
    peer: Peer,
    office: Office,
    mailbox: str,
    kind: str,
    body: dict[str, Json] | None = None,
    *,
    saw: int,
    n: int = 1,
) -> None:
    """Send a message that the other counsellor signs, whomever the reporter chose.

    The message is read immediately, because an unread message keeps its thread on today's list.
    """
    fields: dict[str, Json] = {
        "v": 1, "site": peer.site, "mailbox": mailbox, "by": str(OTHER.verify_key),
        "to": [str(office.identity), str(OTHER.verify_key)],
        "n": n, "seen": [{"by": "reporter", "n": saw}],
        "day": peer.today().isoformat(), "lang": "nl", "kind": kind, **(body or ANSWERS[kind]),
    }  # fmt: skip
    if n > 1:
        fields["prev"] = "0" * 64
    (raw,) = peer.cards.values()
    key = cards.parse(raw).sealing_key(peer.today())
    assert key is not None
    sealed = age.seal(messages.lay_out(fields, OTHER), [key] * 3)
    peer.keep(mailbox, "message", str(OTHER.verify_key), n, sealed, [str(office.identity)])
    office.fetch()
    office.run("read", mailbox)


def standing(office: Office) -> tuple[str, bool, str | None]:
    (one,) = office.json("list")
    return one["turn"], one["closed"], one["since"]


@pytest.mark.parametrize(
    ("kind", "saw"),
    [("notice", 1), ("notice", 2), ("reply", 2), ("reply", 9), ("options", 2)],
)
def test_former_counsellor_cannot_mark_a_reporter_as_answered(
    office: Office, peer: Peer, clock: Clock, shared: Reporter, kind: str, saw: int
) -> None:
    """This holds whatever that counsellor claims to have seen."""
    clock.to("2027-01-06")
    shared.wanted = (office.identity,)
    shared.write("Ik ben bij de ander weg, help mij.")
    office.fetch_quietly()
    clock.to("2027-01-07")
    write(peer, office, shared.mailbox, kind, saw=saw)
    assert standing(office)[:2] == ("counsellor", False)
    with office.open() as place:
        assert [one.mailbox for one in today.today(place).mine] == [shared.mailbox]


def test_former_counsellors_message_is_marked_as_such(
    office: Office, peer: Peer, shared: Reporter
) -> None:
    remark = "[the reporter no longer writes to this counsellor]"
    write(peer, office, shared.mailbox, "reply", saw=1)
    assert remark not in office.run("read", shared.mailbox).stdout
    shared.wanted = (office.identity,)
    shared.write("Ik ben bij de ander weg, help mij.")
    office.fetch()
    write(peer, office, shared.mailbox, "notice", saw=2, n=2)
    assert office.run("read", shared.mailbox).stdout.count(remark) == 2
    told = office.json("read", shared.mailbox)["messages"]
    assert [one["former"] for one in told] == [one["by"] == str(OTHER.verify_key) for one in told]


def test_chosen_colleague_can_answer_a_thread_but_not_close_it(
    office: Office, peer: Peer, shared: Reporter
) -> None:
    before = standing(office)
    write(peer, office, shared.mailbox, "notice", saw=1)
    assert standing(office) == before == ("counsellor", False, "2027-01-05")
    write(peer, office, shared.mailbox, "reply", saw=1, n=2)
    assert standing(office) == ("reporter", False, None)


@pytest.mark.parametrize("status", messages.NOTICE_STATUS)
def test_colleagues_notice_does_not_count_as_an_answer(
    office: Office, peer: Peer, shared: Reporter, status: str
) -> None:
    """For example, a notice of receipt is not an answer."""
    write(peer, office, shared.mailbox, "notice", {"status": status}, saw=1)
    assert standing(office) == ("counsellor", False, "2027-01-05")
    with office.open() as place:
        assert [one.mailbox for one in today.today(place).mine] == [shared.mailbox]


def test_answer_from_a_colleague_who_was_chosen_at_the_time_still_counts(
    office: Office, peer: Peer, clock: Clock, shared: Reporter
) -> None:
    write(peer, office, shared.mailbox, "reply", saw=1)
    clock.to("2027-01-07")
    shared.wanted = (office.identity,)
    shared.write("Ik ga liever met jou alleen verder.")
    office.fetch()
    assert standing(office) == ("counsellor", False, "2027-01-07")
