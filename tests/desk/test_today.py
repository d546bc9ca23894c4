"""Today's list: threads that wait for the counsellor or a reporter, and unsent messages."""

import datetime
from collections.abc import Callable
from typing import Any

import pytest

from dropbox_app.desk.actions import register, sites, threads, today, writing
from dropbox_app.desk.errors import Kept
from dropbox_app.desk.register.events import Case
from dropbox_app.desk.threads import open_thread, turn
from dropbox_app.desk.threads.summary import Summary
from dropbox_app.protocol.encoding import Json
from tests.desk.conftest import Office
from tests.support.fake_server import Clock, Peer, Reporter


@pytest.fixture
def report(office: Office, peer: Peer) -> Callable[..., Reporter]:
    """Return a function with which a new reporter writes to that counsellor."""

    def write(text: str, **answers: Json) -> Reporter:
        made = Reporter(peer, office.identity)
        made.report(text, **answers)
        return made

    return write


def one(office: Office) -> dict[str, Any]:
    """Return the only thread as JSON."""
    (listed,) = office.json("list")
    return dict(listed)


def test_excerpt_is_from_the_newest_reporter_text_and_ends_with_a_whole_word(
    office: Office, reporter: Reporter, thread: str
) -> None:
    office.reply(thread, "Dank je. Wat vind je het moeilijkst?")
    assert one(office)["first_words"] == "Het gaat over mijn chef."
    reporter.write(
        "Het moeilijkst is dat iedereen in het team wegkijkt,\n en dat het elke week weer gebeurt."
    )
    office.fetch_quietly()
    assert one(office)["first_words"] == (
        "Het moeilijkst is dat iedereen in het team wegkijkt, en dat het elke week weer…"
    )


@pytest.mark.parametrize(
    ("text", "begins"),
    [
        ("Kort.", "Kort."),
        (" \n Op\ttwee  regels ", "Op twee regels"),
        ("a" * 80, "a" * 80),
        ("a" * 81, "a" * 79 + "…"),
        ("Zin een, " + "b" * 100, "Zin een…"),
        ("woord " * 1_000, ("woord " * 13).strip() + "…"),
        ("", ""),
    ],
)
def test_text_is_truncated_after_a_whole_word(text: str, begins: str) -> None:
    assert turn.first_words(text) == begins
    assert len(turn.first_words(text)) <= turn.FIRST_WORDS


def test_report_marked_unsafe_is_flagged_and_listed_first(
    office: Office, clock: Clock, report: Callable[..., Reporter]
) -> None:
    older = report("Een vraag over mijn rooster")
    clock.to("2027-01-06")
    unsafe = report("Hij wacht me buiten op", safe="no")
    report("Ik voel me wel veilig", safe="yes")
    office.fetch_quietly()
    with office.open() as place:
        found = today.today(place)
    assert [t.mailbox for t in found.mine][:2] == [unsafe.mailbox, older.mailbox]
    assert [t.summary.not_safe for t in found.mine] == [True, False, False]
    shown = office.run("today").stdout
    assert "does not feel safe" in shown.splitlines()[1]


def test_answered_consent_request_is_listed_before_older_reports(
    office: Office, clock: Clock, reporter: Reporter, thread: str, report: Callable[..., Reporter]
) -> None:
    office.run("ask", thread, "--step", "Bellen", "--with", "HR", "--scope", "Geen naam")
    waits = report("Ik wacht al langer")
    clock.to("2027-01-07")
    (request,) = [m for m in reporter.thread().genuine() if m.kind == "consent-request"]
    reporter.send("consent-answer", {"request": request.digest, "answer": "yes"})
    office.fetch_quietly()
    with office.open() as place:
        found = today.today(place)
    assert [t.mailbox for t in found.mine] == [thread, waits.mailbox]
    assert found.mine[0].summary.consent == "yes"
    assert "consent: yes" in office.run("today").stdout
    office.run("read", thread)
    office.reply(thread, "Dan bel ik morgen.")
    with office.open() as place:
        (told,) = today.today(place).theirs
    assert (told.mailbox, told.summary.consent) == (thread, "")


def test_excerpt_quotes_no_remark_on_a_consent_that_was_withdrawn_since(
    office: Office, reporter: Reporter, thread: str
) -> None:
    office.run("ask", thread, "--step", "Bellen", "--with", "HR", "--scope", "Geen naam")
    (request,) = [m for m in reporter.thread().genuine() if m.kind == "consent-request"]
    answer = {"request": request.digest, "answer": "yes", "text": "Prima, maar na de vakantie."}
    reporter.send("consent-answer", answer)
    office.fetch_quietly()
    assert row(office).first_words == "Prima, maar na de vakantie."
    reporter.send("consent-answer", {"request": request.digest, "answer": "withdrawn"})
    office.fetch_quietly()
    assert (row(office).consent, row(office).first_words) == (
        "withdrawn", "Het gaat over mijn chef."
    )  # fmt: skip


def test_request_for_consent_is_open_until_it_is_answered_with_yes_or_no(
    office: Office, reporter: Reporter, thread: str
) -> None:
    office.reply(thread, "Dank je.")
    assert not row(office).asked
    office.run("ask", thread, "--step", "Bellen", "--with", "HR", "--scope", "Geen naam")
    assert row(office).asked
    (request,) = [m for m in reporter.thread().genuine() if m.kind == "consent-request"]
    for answer, is_open in (("tell-me-more", True), ("yes", False), ("withdrawn", False)):
        reporter.send("consent-answer", {"request": request.digest, "answer": answer})
        office.fetch_quietly()
        assert row(office).asked is is_open
    office.run("ask", thread, "--step", "Schrijven", "--with", "HR", "--scope", "Geen naam")
    assert row(office).asked


def row(office: Office) -> Summary:
    with office.open() as place:
        (listed,) = threads.list_threads(place)
    return listed.summary


def test_due_day_is_based_on_the_promised_working_days(
    office: Office, peer: Peer, clock: Clock, reporter: Reporter, thread: str
) -> None:
    """A report on Tuesday is due on Thursday, and one on Thursday is due on Monday."""
    assert (one(office)["since"], one(office)["answer_by"]) == ("2027-01-05", "2027-01-07")
    assert "answer promised by 2027-01-07" in office.run("list").stdout
    office.reply(thread, "Dank je")
    assert (one(office)["since"], one(office)["answer_by"]) == (None, None)
    clock.to("2027-01-07")
    reporter.write("Nog iets")
    clock.to("2027-01-08")
    reporter.write("En nog iets")
    peer.response_days = 2
    office.fetch_quietly()
    assert (one(office)["since"], one(office)["answer_by"]) == ("2027-01-07", "2027-01-11")


@pytest.mark.parametrize("said", [0, -1, 61, 10**9, "2", 2.0, None, True])
def test_invalid_response_time_sets_no_due_day(
    office: Office, peer: Peer, thread: str, said: object
) -> None:
    peer.response_days = said
    office.fetch_quietly()
    assert one(office)["answer_by"] is None


def test_reporter_who_writes_in_a_closed_thread_waits_for_the_counsellor(
    office: Office, reporter: Reporter, thread: str
) -> None:
    office.run("read", thread)
    office.run("notice", thread, "closed")
    assert (one(office)["turn"], one(office)["closed"]) == ("nobody", True)
    with office.open() as place:
        assert today.today(place).mine == ()
    reporter.write("Toch nog iets")
    office.fetch_quietly()
    assert (one(office)["turn"], one(office)["closed"]) == ("counsellor", True)
    office.reply(thread, "Goed dat je het zegt.")
    assert one(office)["turn"] == "nobody"


def test_receipt_or_read_notice_does_not_count_as_an_answer(office: Office, thread: str) -> None:
    office.run("notice", thread, "received")
    office.run("notice", thread, "read")
    assert one(office)["turn"] == "counsellor"


def test_thread_in_any_state_waits_for_the_counsellor_while_a_message_is_unread(
    office: Office, peer: Peer, reporter: Reporter, thread: str
) -> None:
    peer.gone.add(thread)
    office.fetch()
    assert (one(office)["status"], one(office)["turn"]) == ("gone", "nobody")
    with office.open() as place:
        assert [t.mailbox for t in today.today(place).mine] == [thread]
        threads.mark_seen(threads.read(place, thread))
        assert today.today(place).mine == ()


def test_unsent_messages_form_their_own_group(office: Office, peer: Peer, thread: str) -> None:
    office.run("read", thread)
    peer.busy = True
    with office.open() as place:
        desk, mailbox = threads.find(place, thread)
        with pytest.raises(Kept):
            writing.send(place, desk, mailbox, writing.reply("Dank je"))
        found = today.today(place)
    assert [t.mailbox for t in found.to_send] == [thread]
    assert (found.mine, found.theirs) == ((), ())
    shown = office.json("today")
    assert [t["waiting"] for t in shown["to_send"]] == [1]
    peer.busy = False
    office.fetch_quietly()
    assert [t["id"] for t in office.json("today")["theirs"]] == [thread]


def test_today_says_the_phase_of_the_case_and_whether_a_request_is_still_open(
    office: Office, clock: Clock, reporter: Reporter, thread: str
) -> None:
    assert office.json("today")["mine"][0]["phase"] == "new"
    office.run("read", thread)
    office.reply(thread, "Dank je.")
    office.run("ask", thread, "--step", "Bellen", "--with", "HR", "--scope", "Geen naam")
    with office.open() as place:
        (case,) = register.all_cases(place)
        waits = Case(
            date=clock.day,
            employer=case.employer,
            case=case.reference,
            phase="waiting_for_reporter",
        )
        register.record(place, waits)
    (row,) = office.json("today")["theirs"]
    assert (row["asked"], row["phase"]) == (True, "waiting_for_reporter")
    said = office.run("today").stdout
    assert "  your request for consent is still open  " in said
    assert "  phase: waiting for reporter\n" in said
    (request,) = [m for m in reporter.thread().genuine() if m.kind == "consent-request"]
    reporter.send("consent-answer", {"request": request.digest, "answer": "no"})
    office.fetch_quietly()
    assert office.json("today")["mine"][0]["asked"] is False
    assert "still open" not in office.run("today").stdout


def test_listing_threads_again_opens_no_thread(
    office: Office, thread: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = office.json("today")

    def refuse(*_: object) -> None:
        raise AssertionError("a thread was opened")

    monkeypatch.setattr(open_thread, "open_case", refuse)
    assert office.json("today") == first
    assert office.json("list")[0]["id"] == thread


def test_thread_summary_made_by_an_older_version_is_rebuilt(office: Office, thread: str) -> None:
    before = office.json("list")
    with office.open() as place:
        place.database.run("UPDATE summary SET form = 1, fields = '{}'")
    assert office.json("list") == before


@pytest.mark.parametrize(
    ("since", "days", "last"),
    [
        ("2027-01-04", 1, "2027-01-05"),  # a Monday
        ("2027-01-08", 1, "2027-01-11"),  # a Friday
        ("2027-01-09", 2, "2027-01-12"),  # a Saturday
        ("2027-01-04", 10, "2027-01-18"),
    ],
)
def test_weekends_are_not_working_days(since: str, days: int, last: str) -> None:
    day = datetime.date.fromisoformat
    assert turn.answer_by(day(since), days) == day(last)


def test_site_not_fetched_within_its_promised_response_time_is_named(
    office: Office, peer: Peer, clock: Clock, thread: str
) -> None:
    """If it was last read on Tuesday and promises two working days, it is late from Friday."""
    for day, late in (("2027-01-05", False), ("2027-01-07", False), ("2027-01-08", True)):
        clock.to(day)
        (read,) = office.json("today")["read"]
        assert (read["read_to_end"], read["late"]) == ("2027-01-05", late)
        assert ("not fetched since 2027-01-05" in office.run("today").stdout) == late
    office.fetch_quietly()
    assert not office.json("today")["read"][0]["late"]


def test_due_day_during_an_absence_is_marked(office: Office, thread: str) -> None:
    assert one(office)["away_until"] is None
    with office.open() as place:
        sites.away(place, datetime.date(2027, 1, 6))
    assert (one(office)["answer_by"], one(office)["away_until"]) == ("2027-01-07", None)
    with office.open() as place:
        sites.away(place, datetime.date(2027, 1, 7))
    assert one(office)["away_until"] == "2027-01-07"
    assert "(you are away until 2027-01-07)" in office.run("today").stdout


def test_many_reports_marked_unsafe_do_not_hide_the_others(
    office: Office, report: Callable[..., Reporter], clock: Clock
) -> None:
    for number in range(3):
        report(f"Verzonnen {number}", safe="no")
    clock.to("2027-01-06")
    honest = report("Ik durf niet naar huis.", safe="no")
    report("Een vraag")
    office.fetch_quietly()
    with office.open() as place:
        work = today.today(place, most=2)
    assert honest.mailbox in {one.mailbox for one in work.mine}
    assert (len(work.mine), work.all["mine"], work.unsafe) == (4, 5, 4)
