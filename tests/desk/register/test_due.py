"""The agenda: working days, terms, consents, upkeep, and a calendar without details."""

import datetime
from pathlib import Path

import pytest

from dropbox_app.desk.register import due, workdays
from dropbox_app.desk.register.events import Event
from tests.desk.conftest import Office
from tests.desk.register.test_keeping import jsonl
from tests.desk.register.test_rules import CASE, TERM, YES, on, read
from tests.support.fake_server import Clock


def day(text: str) -> datetime.date:
    return datetime.date.fromisoformat(text)


def events(*values: dict[str, object]) -> list[Event]:
    return [one.event for one in read(*values)]


def rows(today: str, *values: dict[str, object]) -> list[tuple[str, str]]:
    return [(str(one.day), one.kind) for one in due.agenda(events(*values), day(today))]


@pytest.mark.parametrize(
    ("since", "count", "last"),
    [
        ("2027-01-05", 2, "2027-01-07"),
        ("2027-01-08", 1, "2027-01-11"),  # Friday, Monday
        ("2027-03-25", 1, "2027-03-30"),  # Good Friday and Easter Monday
        ("2027-04-26", 1, "2027-04-28"),  # the King's birthday
        ("2025-05-02", 1, "2025-05-06"),  # 5 May, every fifth year
        ("2027-05-04", 1, "2027-05-05"),
        ("2026-12-24", 2, "2026-12-29"),
    ],
)
def test_weekends_and_dutch_holidays_are_not_working_days(
    since: str, count: int, last: str
) -> None:
    assert workdays.after(day(since), count) == day(last)


def test_counsellors_days_off_are_not_working_days() -> None:
    off = due.days_off(events({"event": "absence", "date": "2026-11-02", "until": "2026-11-04"}))
    assert workdays.after(day("2026-10-30"), 1, off) == day("2026-11-05")


def test_report_of_wrongdoing_has_deadlines_only_if_the_employer_is_in_scope() -> None:
    sheet = on("01-01", "employer", legal_terms=True)
    case = CASE | {"possible_report": True}
    both = [("2026-03-08", "receipt"), ("2026-06-01", "feedback")]
    assert rows("2026-03-02", sheet, case) == both
    assert rows("2026-03-02", sheet, case, on("03-02", "contact", case="K")) == both[1:]
    assert rows("2026-03-02", case) == []
    assert due.months_after(day("2026-11-30"), 3) == day("2027-02-28")


def test_consent_is_on_the_agenda_until_its_step_is_done_or_the_consent_expires() -> None:
    assert rows("2026-03-10", CASE, YES) == [("2026-03-16", "consent_ends")]
    assert rows("2026-03-17", CASE, YES) == []
    assert rows("2026-03-10", CASE, YES, on("03-09", "step", case="K", consent="a")) == []
    more = YES | {"answer": "tell_me_more"}
    assert rows("2026-03-10", CASE, more) == [("2026-03-02", "consent_asked_again")]


def test_agenda_lists_aftercare_and_final_review_of_a_closed_case() -> None:
    close = on("03-06", "close", case="K")
    assert rows("2026-03-07", CASE, close) == [("2026-03-06", "no_last_day")]
    dated = close | {"aftercare_on": "2026-04-17", "destroy_on": "2027-03-06"}
    wanted = [("2026-04-17", "aftercare"), ("2027-03-06", "last_look")]
    assert rows("2026-03-07", CASE, dated) == wanted
    assert rows("2027-06-01", CASE, dated) == wanted  # overdue, and still listed


def test_terms_absences_and_certificates_are_on_the_agenda() -> None:
    held = {"event": "certificate", "date": "2023-05-01", "until": "2027-05-01"}
    given = [TERM, held, {"event": "absence", "date": "2026-07-15", "until": "2026-08-02"}]
    given += [{"event": "upkeep", "date": f"2026-01-{n:02}", "what": "training", "minutes": 720}
              for n in (10, 20)]  # fmt: skip
    found = due.agenda(events(*given), day("2026-07-20"))
    assert [(one.kind, one.upkeep, one.hours) for one in found] == [
        ("absence", "", 0), ("certificate_ends", "", 0), ("upkeep", "other", 16),
        ("upkeep", "peer_supervision", 32), ("term_ends", "", 0),
    ]  # fmt: skip
    assert "absence" not in [one.kind for one in due.agenda(events(*given), day("2026-08-03"))]


def test_calendar_marks_days_without_saying_what_is_due(
    office: Office, clock: Clock, tmp_path: Path
) -> None:
    case = {"event": "case", "date": "2026-12-01", "employer": "Geheim BV", "case": "2026-1",
            "label": "Zeldzaam", "aftercare_on": "2027-02-01"}  # fmt: skip
    office.run("register", "import", "-", given=jsonl(case, case | {"case": "2026-2"}))
    shown = office.run("register", "agenda", "--ics", str(tmp_path / "a.ics")).stdout
    assert shown.count("2027-02-01  Geheim BV  Zeldzaam  aftercare") == 2
    # An existing file is never overwritten.
    office.run("register", "agenda", "--ics", str(tmp_path / "a.ics"), code=1)
    made = (tmp_path / "a.ics").read_text()
    assert made.count("BEGIN:VEVENT") == 1
    assert "20270201" in made
    assert not any(word in made for word in ("Geheim", "Zeldzaam", "aftercare", "2026-1"))
    assert office.json("register", "agenda", "--days", "3") == []
    clock.to("2027-02-02")
    assert "(overdue)" in office.run("register", "agenda").stdout


def test_day_by_which_a_site_promises_an_answer_is_on_the_agenda(
    office: Office, thread: str
) -> None:
    with office.open() as place:
        desk = place.one()
        desk.state.response_days = 2
        desk.save()
    off = {"event": "absence", "date": "2027-01-06", "until": "2027-01-06"}
    office.run("register", "import", "-", given=jsonl(off))
    found = office.json("register", "agenda")
    assert [(one["day"], one["kind"]) for one in found] == [
        ("2027-01-06", "absence"), ("2027-01-08", "answer"),
    ]  # fmt: skip
