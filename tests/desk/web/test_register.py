"""The register's pages: a contact, the cases, one case with its consents, corrections."""

import contextlib
import datetime
import json
from typing import Any

import pytest

from dropbox_app.desk.actions import corrections, register
from dropbox_app.desk.register.events import Consent, Contact, Step
from dropbox_app.desk.register.form import Refused, read
from dropbox_app.desk.web import forms
from tests.desk.conftest import PASSPHRASE, Office
from tests.desk.web.conftest import Running, Window
from tests.desk.web.test_thread import opened
from tests.support.fake_server import Clock, Reporter
from tests.support.plain_browser import Form
from tests.support.plain_browser import Page as Answer
from tests.support.thief import Thief

EMPLOYER = "Voorbeeld BV"


@pytest.fixture
def window(running: Running) -> Window:
    return running.at_work()


def bring_in(running: Running, *values: dict[str, object]) -> None:
    raw = "\n".join(map(json.dumps, values)).encode()
    with running.lock.use() as place:
        register.bring_in(place, raw)


def event(kind: str, day: str = "2027-01-05", **fields: object) -> dict[str, object]:
    return {"event": kind, "date": day, "employer": EMPLOYER, **fields}


def exported(running: Running) -> list[dict[str, object]]:
    with running.lock.use() as place:
        return [json.loads(line) for line in register.export(place).splitlines()]


def contacts(running: Running) -> list[dict[str, object]]:
    return [one for one in exported(running) if one["event"] == "contact"]


def contact(running: Running, window: Window, **values: str | list[str]) -> Answer:
    page = window.get(f"{running.home}contact")
    return window.submit(page, page.form_with("which"), **values)


def case_page(running: Running, window: Window, name: str) -> Answer:
    listed = window.get(f"{running.home}cases")
    for link in listed.links:
        if "/case/" in link and name in (page := window.get(link)).text:
            return page
    raise AssertionError(f"no case is called {name}")


def box(page: Answer, what: str) -> Form:
    """Return the case page's form that records the given kind."""
    return next(form for form in page.forms if form.action.split("#")[0].endswith(f"/{what}"))


PAGES = ("contact", "cases", "employers", "agenda", "work")


@pytest.mark.parametrize("path", PAGES)
def test_locked_desk_shows_no_page_of_the_register(running: Running, path: str) -> None:
    assert 'data-page="unlock"' in running.window().get(running.home + path).html


# new contact


def test_contact_form_requires_only_an_employer_and_a_date(
    running: Running, window: Window
) -> None:
    page = contact(running, window)
    assert f"Vastgelegd bij {EMPLOYER}, vandaag." in page.text
    assert contacts(running) == [event("contact")]


def test_contact_with_a_new_case_is_recorded_and_links_to_the_case(
    running: Running, window: Window
) -> None:
    page = contact(
        running, window, minutes="45", how="telephone", topic="labour_conflict", which="new",
        new_case="Rooster", help=["listening", "advice"],
    )  # fmt: skip
    assert "45 minuten" in page.text
    case = window.get(next(link for link in page.links if "/case/" in link))
    assert "Rooster" in case.text
    assert "45 minuten" in case.text
    (kept,) = contacts(running)
    assert (kept["minutes"], kept["help"], kept["case"]) == (45, ["listening", "advice"], "2027-1")


def test_case_shows_the_main_group_given_by_a_later_contact(
    running: Running, window: Window
) -> None:
    """The annual report counts it in that group, so the counsellor must see it."""
    contact(running, window, employer=EMPLOYER, which="new", new_case="Rooster")
    page = case_page(running, window, "Rooster")
    assert "arbeidsconflict" not in page.text
    page = window.get(next(link for link in page.links if "/contact?case=" in link))
    after = window.submit(page, page.form_with("which"), topic="labour_conflict")
    assert "arbeidsconflict" in after.text
    listed = window.get(f"{running.home}cases")
    found = window.submit(listed, listed.form_with("words"), words="arbeidsconflict")
    assert "Rooster" in found.text


@pytest.mark.parametrize("employers", [1, 2])
def test_case_button_opens_a_contact_form_for_that_case(
    running: Running, window: Window, employers: int
) -> None:
    """The form is sent as it opens, with only the minutes filled in."""
    if employers == 2:
        bring_in(running, {"event": "employer", "date": "2027-01-05", "employer": "Bakkerij"})
    contact(running, window, employer=EMPLOYER, which="new", new_case="Rooster")
    page = case_page(running, window, "Rooster")
    page = window.get(next(link for link in page.links if "/contact?case=" in link))
    form = page.form_with("which")
    assert [value for name, value in form.fields if name == "which"] == ["old"]
    after = window.submit(page, form, minutes="20")
    assert 'data-page="case"' in after.html
    assert [one.get("case") for one in contacts(running)] == ["2027-1", "2027-1"]
    assert {one["employer"] for one in contacts(running)} == {EMPLOYER}


@pytest.mark.parametrize(
    ("typed", "number"),
    [
        (" 75 ", 75), ("0", 0), ("1.250", 1250), ("1 250", 1250), ("1,250", 1250),
        ("1.250.000", 1_250_000), ("1\xa0250", 1250),
    ],
)  # fmt: skip
def test_whole_number_with_thousands_separators_is_read(typed: str, number: int) -> None:
    assert forms.number(typed) == number


@pytest.mark.parametrize(
    "typed",
    ["7,5", "7.5", "0,250", "1.250,00", "1,250.50", "1.250 000", "12.50", "-5", "1."],
)
def test_text_that_is_not_a_whole_number_is_never_read_as_a_number(typed: str) -> None:
    assert forms.number(typed) == typed


def test_choice_can_be_cleared_before_the_contact_is_recorded(
    running: Running, window: Window
) -> None:
    page = window.get(f"{running.home}contact")
    form = page.form_with("which")
    for name in ("minutes", "how", "channel", "topic"):
        assert form.choices[name].count("") == 1
        assert (name, "") in form.fields
    contact(running, window, minutes="", how="", topic="")
    assert contacts(running) == [event("contact")]


def test_call_sheet_can_be_downloaded(running: Running, window: Window) -> None:
    answer = window.press(window.get(f"{running.home}contact"), "/sheet")
    assert answer.body.startswith(b"%PDF")


def test_contact_to_be_kept_without_details_has_only_date_employer_and_minutes(
    running: Running, window: Window
) -> None:
    contact(
        running, window, other_minutes="12", record_nothing="1", topic="integrity", which="new",
        new_case="Zeldzaamwoord", notes="Zeldzaamwoord",
    )  # fmt: skip
    assert contacts(running) == [event("contact", minutes=12, record_nothing=True)]
    assert "Zeldzaamwoord" not in json.dumps(exported(running))


def test_two_identical_contacts_are_both_counted_but_a_double_click_counts_once(
    running: Running, window: Window
) -> None:
    page = window.get(f"{running.home}contact")
    for _ in range(2):
        window.submit(page, page.form_with("which"), record_nothing="1", minutes="15")
    assert len(contacts(running)) == 1
    contact(running, window, record_nothing="1", minutes="15")
    assert len(contacts(running)) == 2


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"other_minutes": "1441"}, "Minuten: vul een heel getal in, van 0 tot 1.440."),
        ({"other_minutes": "een uur"}, "Minuten: vul een heel getal in"),
        ({"other_minutes": "7,5"}, "Minuten: vul een heel getal in"),
        ({"date": "6-1-2027"}, "Dag: deze dag moet nog komen."),
        ({"date": "31-2-2026"}, "Dag: dit is geen dag."),
        ({"date": ""}, "Dag: vul dit in."),
        ({"employer": ""}, "Werkgever: vul dit in."),
        ({"which": "old"}, "Kies bij welke zaak dit hoort."),
        ({"which": "new", "with_whom": "hr"}, "Hiervoor is toestemming van de melder nodig."),
    ],
)
def test_faults_in_a_form_are_reported_and_typed_text_is_kept(
    running: Running, window: Window, values: dict[str, str], said: str
) -> None:
    bring_in(running, event("case", case="K"))
    page = contact(running, window, **({"topic": "integrity", "notes": "Wat ik typte"} | values))
    assert page.status == 422
    assert said in page.text
    assert "Wat ik typte" in page.html
    assert contacts(running) == []


@pytest.mark.parametrize("level", ["none", "minimal", "full"])
def test_page_names_the_fields_that_the_recording_level_omits(
    running: Running, window: Window, level: str
) -> None:
    bring_in(running, event("employer", recording=level))
    assert f'data-level="{level}" selected' in window.get(f"{running.home}contact").html
    page = contact(running, window, how="telephone", topic="integrity", notes="Geheimpje")
    (kept,) = contacts(running)
    wanted = {"none": {"topic"}, "minimal": {"topic", "how"}, "full": {"topic", "how", "notes"}}
    assert set(kept) == {"event", "date", "employer"} | wanted[level]
    assert ("Niet bewaard" in page.text) == (level != "full")


def test_filled_in_form_is_shown_again_after_unlock(running: Running, window: Window) -> None:
    page = window.get(f"{running.home}contact")
    running.lock.lock()
    asked = window.submit(page, page.form_with("which"), notes="Bijna kwijt", help=["listening"])
    assert asked.status == 403
    again = window.press(asked, "unlock", passphrase="een zin die niemand raadt 1729")
    assert 'data-page="contact"' in again.html
    assert "Bijna kwijt" in again.html
    assert contacts(running) == []


# cases


def test_open_cases_come_first_and_can_be_searched(running: Running, window: Window) -> None:
    bring_in(
        running,
        event("case", "2026-03-01", case="A", label="Rooster", phase="informal"),
        event("case", "2026-04-01", case="B", label="Pesten", main_group="unwanted_behaviour"),
        event("close", "2026-12-01", case="B", outcome="referred"),
        event("case", "2026-02-01", case="C", label="Anders") | {"employer": "Bakker"},
    )
    page = window.get(f"{running.home}cases")
    assert page.text.index("Rooster") < page.text.index("Anders") < page.text.index("Pesten")
    assert "3 zaken" in page.text
    at_one = window.press(page, "cases", employer="Bakker")
    assert "1 zaak" in at_one.text
    assert "Rooster" not in at_one.text
    found = window.press(page, "cases", words="ongewenst pest")
    assert "Pesten" in found.text
    assert "Rooster" not in found.text
    assert "pest" not in found.path
    assert "Pesten" not in window.press(page, "cases", state="open").text


def test_conversation_links_to_its_case_with_employer_and_date(
    running: Running, thread: str, window: Window
) -> None:
    page = opened(running, window)
    case = window.get(next(link for link in page.links if "/case/of/" in link))
    assert 'data-page="case"' in case.html
    (made,) = exported(running)
    assert (made["employer"], made["date"], made["thread"]) == (EMPLOYER, "2027-01-05", thread)
    assert 'data-page="thread"' in window.get(
        next(link for link in case.links if "/t/" in link)
    ).html  # fmt: skip


def test_thread_has_one_case_even_if_only_numbers_are_recorded(
    running: Running, thread: str, window: Window
) -> None:
    bring_in(running, event("employer", recording="none"))
    for _ in range(3):
        assert "1 zaak" in window.get(f"{running.home}cases").text


def test_case_sheet_can_be_filled_in_changed_and_cleared(running: Running, window: Window) -> None:
    bring_in(running, event("employer", recording="full"), event("case", case="K", label="Zaak"))
    page = case_page(running, window, "Zaak")
    form = window.get(next(link for link in page.links if link.endswith("/sheet")))
    done = window.submit(
        form, form.form_to("sheet"), main_group="integrity",
        sub_groups=["bribery", "danger"], role="witness",
        goal="Dat het veilig is", needs=["make_it_stop"], phase="informal",
    )  # fmt: skip
    for said in ("omkoping", "zag of hoorde het", "Dat het veilig is", "er loopt iets"):
        assert said in done.text
    form = window.get(next(link for link in done.links if link.endswith("/sheet")))
    done = window.submit(form, form.form_to("sheet"), goal="", sub_groups=["danger"], needs=[])
    assert "Dat het veilig is" not in json.dumps(exported(running))
    assert "omkoping" not in done.text
    assert "dat het stopt" not in done.text
    wrong = window.submit(
        form, form.form_to("sheet"), main_group="labour_conflict", sub_groups=["danger"]
    )
    assert wrong.status == 422
    assert "Wat er speelt: wat je aankruiste, hoort niet bij het onderwerp." in wrong.text


# consent


@pytest.fixture
def agreed(running: Running, window: Window) -> Answer:
    """Return the page of a case with a consent given today: to talk to the director anonymously."""
    bring_in(running, event("case", case="K", label="Zaak"))
    page = case_page(running, window, "Zaak")
    return window.submit(
        page, box(page, "consent"), step="Praten", partner="De directeur", scope="Geen namen",
        answer="yes",
    )  # fmt: skip


def step(window: Window, page: Answer, **values: str) -> Answer:
    return window.submit(page, box(page, "step"), **values)


def test_oral_consent_is_shown_with_its_validity_and_allows_a_step(
    running: Running, window: Window, agreed: Answer
) -> None:
    assert "Je mag dit nog 14 dagen doen." in agreed.text
    done = step(window, agreed)
    assert "Vastgelegd dat het gedaan is." in done.text
    assert "Stap gedaan" in done.text
    with running.lock.use() as place:
        (made,) = [one for one in register.every(place) if isinstance(one, Step)]
    assert (made.consent, made.partner) == ("K.1", "De directeur")


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"named": "1"}, "De melder vond het goed zonder naam."),
        ({"formal": "1"}, "De melder vond een officiële stap niet goed."),
        ({"partner": "HR"}, "De melder vond het goed met: De directeur."),
        ({"date": "2027-01-04"}, "De toestemming is van"),
    ],
)
def test_step_that_exceeds_its_consent_is_refused_with_advice(
    window: Window, agreed: Answer, values: dict[str, str], said: str
) -> None:
    done = step(window, agreed, **values)
    assert done.status == 422
    assert said.casefold() in done.text.casefold()
    assert "Stap gedaan" not in done.text


def test_step_cannot_use_expired_or_withdrawn_consent(
    running: Running, window: Window, agreed: Answer, clock: Clock
) -> None:
    clock.to("2027-01-20")
    page = case_page(running, window, "Zaak")
    assert "Dit ja is 15 dagen oud." in page.text
    assert "Na 14 dagen geldt een ja niet meer." in step(window, page).text
    again = window.submit(page, box(page, "answer"), answer="withdrawn")
    assert "Doe dit niet, tot de melder ja zegt." in again.text
    assert "ingetrokken. Zet de stap niet." in step(window, again).text


def test_exception_requires_a_yes_to_every_question(
    running: Running, window: Window, agreed: Answer
) -> None:
    answers = dict.fromkeys(
        ("consent_was_sought", "no_other_way", "serious_harm", "moral_distress"), "1"
    )
    page = window.submit(agreed, box(agreed, "exception"), step="112 gebeld", **answers)
    assert page.status == 422
    assert "Vertel je zo weinig mogelijk: een uitzondering mag alleen" in page.text
    assert "112 gebeld" in page.html
    done = window.submit(page, box(page, "exception"), as_small_as_possible="1")
    assert "De uitzondering is vastgelegd." in done.text


def test_completed_step_produces_an_unsent_draft_to_the_reporter(
    running: Running, thread: str, window: Window, reporter: Reporter
) -> None:
    page = opened(running, window)
    case = window.get(next(link for link in page.links if "/case/of/" in link))
    agreed = window.submit(
        case, box(case, "consent"), step="praten", partner="De directeur", answer="yes"
    )  # fmt: skip
    done = step(window, agreed)
    before = len(running.office.peer.items)
    told = window.press(done, "/tell/")
    assert 'data-page="thread"' in told.html
    assert "heb ik gedaan wat we afspraken: praten. Met: De directeur." in told.html
    assert len(running.office.peer.items) == before


# the end of a case


def test_case_can_be_closed_reopened_and_destroyed_after_confirmation(
    running: Running, window: Window
) -> None:
    bring_in(running, event("case", case="K", label="Zeldzaam"), event("contact", case="K"))
    page = case_page(running, window, "Zeldzaam")
    closed = window.submit(page, box(page, "close"), outcome="referred")
    assert "De zaak is gesloten." in closed.text
    close = next(one for one in exported(running) if one["event"] == "close")
    assert (close["aftercare_on"], close["destroy_on"]) == ("2027-02-16", "2028-01-05")
    page = window.submit(closed, box(closed, "reopen"))
    assert "De zaak is weer open." in page.text
    look = window.get(next(link for link in page.links if link.endswith("/destroy")))
    assert "Nog één keer kijken" in look.text
    assert "De zaak is vernietigd." in window.press(look, "destroy").text
    assert {one["event"] for one in exported(running)} == {"statistic", "destruction"}


def test_private_marks_link_two_cases_and_can_be_removed(running: Running, window: Window) -> None:
    bring_in(
        running,
        event("case", case="K", label="Eerste"),
        event("case", case="L", label="Tweede", conflicts_with=["K"]),
    )
    page = case_page(running, window, "Eerste")
    assert "ook de andere kant van deze zaak praat met jou" in page.text
    assert "Wat er gebeurde" in page.text
    assert "Kies bij welke zaak dit hoort." in window.submit(page, box(page, "mark"), other="").text
    other = next(one for one in box(page, "mark").choices["other"] if one)
    joined = window.submit(page, box(page, "mark"), other=other)
    with running.lock.use() as place:
        assert register.case(place, "L").related == {"K"}
    window.submit(joined, next(f for f in joined.forms if ("away", "1", "") in f.buttons))
    with running.lock.use() as place:
        assert register.case(place, "L").related == set()


# corrections


def entry_of(window: Window, page: Answer) -> Answer:
    return window.get(next(link for link in page.links if "/entry/" in link))


SHARED = event("agreement", "2026-01-01", until="2028-12-31", headcount=400, shared_with="Sam")


def sheet_of(window: Window, page: Answer) -> tuple[Answer, Form]:
    sheet = window.get(next(link for link in page.links if link.endswith("/sheet")))
    return sheet, sheet.form_to("sheet")


def test_case_can_be_marked_as_counted_by_the_colleague_only_if_there_is_a_joint_report(
    running: Running, window: Window
) -> None:
    bring_in(running, event("case", case="K", label="Zaak"))
    page = case_page(running, window, "Zaak")
    assert "colleague_counts" not in sheet_of(window, page)[0].html
    bring_in(running, SHARED)
    sheet, form = sheet_of(window, page)
    assert "Alleen jij ziet dit." in sheet.text
    done = window.submit(sheet, form, colleague_counts="1")
    assert "Mijn collega telt deze situatie ja" in done.text
    assert exported(running)[-1] == event("case", case="K", colleague_counts=True)
    sheet, form = sheet_of(window, done)
    done = window.submit(sheet, form, colleague_counts=[])
    assert "Mijn collega telt" not in done.text
    assert not any("colleague_counts" in one for one in exported(running))


@pytest.mark.parametrize(
    ("closing", "told"),
    [
        (event("freeze", first_year=2026, last_year=2026),
         "Het verslag over 2026 is al uitgebracht."),
        (event("joint", first_year=2026, last_year=2026, counsellor="Sam", given=True),
         "Je aantallen over 2026 gaf je al aan Sam."),
    ],
)  # fmt: skip
def test_page_says_if_a_mark_is_too_late_for_the_report(
    running: Running, window: Window, closing: dict[str, object], told: str
) -> None:
    bring_in(running, SHARED, event("case", "2026-03-01", case="K", label="Zaak"), closing)
    page = case_page(running, window, "Zaak")
    sheet, form = sheet_of(window, page)
    assert told in window.submit(sheet, form, colleague_counts="1").text
    sheet, form = sheet_of(window, page)
    assert told not in window.submit(sheet, form, role="witness").text


def test_correcting_an_entry_leaves_no_trace_of_the_wrong_one(
    running: Running, window: Window
) -> None:
    bring_in(
        running, event("employer", recording="full"), event("case", case="K", label="Zaak"),
        event("contact", case="K", minutes=450, notes="Verkeerdwoord"),
    )  # fmt: skip
    page = entry_of(window, case_page(running, window, "Zaak"))
    done = window.submit(page, page.form_with("minutes"), minutes="45", notes="")
    assert "De verbetering is bewaard." in done.text
    (kept,) = contacts(running)
    assert kept == event("contact", case="K", minutes=45)
    running.close()
    thief = Thief(running.office.folder, PASSPHRASE)
    assert thief.knows("Zaak")
    assert not thief.knows("Verkeerdwoord")  # nor in any page of the database file


def test_entry_is_removed_unless_another_depends_on_it(
    running: Running, window: Window, agreed: Answer
) -> None:
    done = step(window, agreed)
    rows = [link for link in done.links if "/entry/" in link]
    consent = window.get(rows[1])
    refused = window.press(consent, "/remove")
    assert refused.status == 422
    assert "deze toestemming is niet vastgelegd" in refused.text.casefold()
    gone = window.press(window.get(rows[0]), "/remove")
    assert "Verwijderd." in gone.text
    assert "Stap gedaan" not in gone.text


def test_signed_answer_is_shown_and_cannot_be_changed_or_removed(
    running: Running, window: Window
) -> None:
    oral = event("consent", case="K", consent="a", step="Praten", scope="Rooster", answer="no")
    bring_in(running, event("employer", recording="full"), event("case", case="K", label="Zaak"),
             oral)  # fmt: skip
    # A form from before the answer was known.
    typed = entry_of(window, case_page(running, window, "Zaak"))
    signed: dict[str, Any] = {**oral, "source": "thread", "message": "ab" * 32}
    with running.lock.use() as place:
        (number,) = (n for n, one in register.numbered(place) if isinstance(one, Consent))
        corrections.change(place, {number: read(signed)})
    page = entry_of(window, case_page(running, window, "Zaak"))
    assert "De melder gaf dit antwoord zelf, in het gesprek." in page.text
    assert "Praten" in page.text
    assert "Rooster" in page.text
    assert not any(one.action.endswith("/remove") for one in page.forms)
    for values in ({"answer": "yes"}, {"date": "2027-01-04"}, {"scope": "Alles"}):
        window.submit(typed, typed.form_with("answer"), **values)
        with running.lock.use() as place, pytest.raises(Refused):
            corrections.correct(place, number, signed | values)
    assert window.press(typed, "/remove").status == 422
    assert signed in exported(running)
    done = window.submit(page, page.form_with("named"), named="1")
    assert "De verbetering is bewaard." in done.text
    assert signed | {"named": True} in exported(running)


def test_removed_entries_are_in_no_page_of_the_database(running: Running, window: Window) -> None:
    bring_in(
        running, event("employer", recording="full"), event("case", case="K", label="Zaak"),
        event("contact", case="K", minutes=45, notes="Verkeerdwoord"),
    )  # fmt: skip
    page = entry_of(window, case_page(running, window, "Zaak"))
    assert "Verwijderd." in window.press(page, "/remove").text
    running.close()
    thief = Thief(running.office.folder, PASSPHRASE)
    assert thief.knows("Zaak")
    assert not thief.knows("Verkeerdwoord")


def test_entry_from_a_reported_year_is_read_only(running: Running, window: Window) -> None:
    bring_in(
        running, event("case", "2026-03-01", case="K", label="Zaak"),
        event("contact", "2026-03-01", case="K", minutes=10),
    )  # fmt: skip
    before = entry_of(window, case_page(running, window, "Zaak"))
    bring_in(running, event("freeze", "2027-01-04", first_year=2026, last_year=2026))
    page = entry_of(window, case_page(running, window, "Zaak"))
    assert "jaarverslag over 2026 is op 4 januari uitgebracht" in page.text
    assert page.forms[1:] == []
    window.submit(before, before.form_with("minutes"), minutes="45")
    window.press(before, "/remove")
    assert contacts(running) == [event("contact", "2026-03-01", case="K", minutes=10)]


def test_contact_entered_twice_on_the_command_line_is_counted_twice(office: Office) -> None:
    for _ in range(2):
        office.run("register", "contact", EMPLOYER, "--minutes", "9", "--record-nothing")
    with office.open() as place:
        assert len([one for one in register.every(place) if isinstance(one, Contact)]) == 2


# employers


def employer_page(running: Running, window: Window, name: str = EMPLOYER) -> Answer:
    listed = window.get(f"{running.home}employers")
    for link in listed.links:
        if "/employers/" in link and f"<h1>{name}</h1>" in (page := window.get(link)).html:
            return page
    raise AssertionError(f"no employer is called {name}")


def test_employer_without_a_site_is_added_once(running: Running, window: Window) -> None:
    page = window.get(f"{running.home}employers")
    added = window.press(page, "employers", employer=" Bakker  Jansen ")
    assert "<h1>Bakker Jansen</h1>" in added.html
    again = window.press(page, "employers", employer="bakker jansen")
    assert "<h1>Bakker Jansen</h1>" in again.html
    assert [one["employer"] for one in exported(running)] == ["Bakker Jansen"]
    assert "Werkgever: vul dit in." in window.press(page, "employers", employer=" ").text


def test_settings_on_the_employer_page_determine_what_is_recorded(
    running: Running, window: Window
) -> None:
    page = employer_page(running, window)
    done = window.submit(
        page, box(page, "employer"), headcount="1.200", recording="full", scope="both",
        contact_person="Hoofd personeelszaken", avoid="Magazijn\nTeamleider",
        discussed_with=["management", "works_council"],
    )  # fmt: skip
    for said in ("1200", "ongewenst gedrag en integriteit", "Magazijn, Teamleider"):
        assert said in done.text
    contact(running, window, notes="Een aantekening")
    assert contacts(running)[0]["notes"] == "Een aantekening"
    emptied = window.submit(done, box(done, "employer"), contact_person="")
    assert "Hoofd personeelszaken" not in json.dumps(exported(running))
    assert "Hoofd personeelszaken" not in emptied.text


def test_report_form_price_and_headcount_are_fixed_for_the_whole_term(
    running: Running, window: Window
) -> None:
    page = employer_page(running, window)
    term = {"date": "2027-01-01", "until": "2028-12-31", "form": "B", "headcount": "320",
            "price": "4.800", "hours": "60"}  # fmt: skip
    small = window.submit(page, box(page, "agreement"), **(term | {"headcount": "249"}))
    assert "vorm B is er vanaf 250 mensen" in small.text
    assert 'value="4.800"' in small.html
    done = window.submit(page, box(page, "agreement"), **term)
    assert "liggen vast tot en met 31 december 2028" in done.text
    late = term | {"date": "2027-01-05", "price": "1", "form": "A"}
    other = window.submit(page, box(page, "agreement"), **late)
    assert other.status == 422
    assert "dit ligt vast tot en met 31 december 2028" in other.text


def test_hours_are_counted_by_kind_and_compared_with_the_agreement(
    running: Running, window: Window
) -> None:
    bring_in(
        running,
        event("agreement", "2027-01-01", hours=60),
        event("contact", minutes=90), event("contact", "2026-12-31", minutes=600),
        event("advice", minutes=30), event("hours", work="travel", minutes=45),
    )  # fmt: skip
    page = employer_page(running, window)
    assert "2,8 uur van de 60 die je afsprak" in page.text
    assert "gesprekken met melders 1,5 uur" in page.text
    assert "reizen 0,8 uur" in page.text


def test_checklist_saves_only_changed_answers(running: Running, window: Window) -> None:
    page = employer_page(running, window)
    done = window.submit(page, box(page, "checklist"), poster="yes", onboarding="no")
    assert "De antwoorden zijn bewaard." in done.text
    window.submit(done, box(done, "checklist"), onboarding="partly")
    kept = [one["items"] for one in exported(running) if one["event"] == "checklist"]
    assert kept == [{"poster": "yes", "onboarding": "no"}, {"onboarding": "partly"}]


# agenda


def test_today_page_lists_overdue_items_first_and_calendar_covers_three_months(
    running: Running, window: Window
) -> None:
    close = {"outcome": "referred", "destroy_on": "2029-01-01"}
    bring_in(
        running,
        event("case", "2026-10-01", case="A", label="Eerste"),
        event("case", "2026-10-01", case="B", label="Tweede"),
        event("case", "2026-10-01", case="C", label="Derde"),
        event("close", "2026-11-01", case="A", aftercare_on="2027-01-10", **close),
        event("close", "2026-11-01", case="B", aftercare_on="2027-01-02", **close),
        event("close", "2026-11-01", case="C", aftercare_on="2027-03-20", **close),
    )
    page = window.get(running.home)
    assert page.text.index("Te laat · 2 januari") < page.text.index("Tweede")
    assert page.text.index("Tweede") < page.text.index("Eerste")
    assert "Derde" not in page.text
    calendar = window.get(next(link for link in page.links if link.endswith("/agenda")))
    assert "Derde" in calendar.text
    case = window.get(next(link for link in calendar.links if "/case/" in link))
    assert "Tweede" in case.text


# other work


def test_advice_and_training_and_certificates_are_recorded_apart_from_cases(
    running: Running, window: Window
) -> None:
    page = window.get(f"{running.home}work")
    window.submit(page, box(page, "advice"), minutes="40", topic="labour_conflict")
    window.submit(page, box(page, "activity"), what="training", people="22", minutes="180")
    wrong = window.submit(page, box(page, "upkeep"), what="peer_supervision", minutes="1.441")
    assert "Minuten: vul een heel getal in" in wrong.text
    done = window.submit(page, box(page, "certificate"), until="2031-01-04")
    assert "Vastgelegd: Je certificaat · vandaag." in done.text
    kinds = [one["event"] for one in exported(running)]
    assert kinds == ["advice", "activity", "certificate"]
    assert "training · 180 minuten" in employer_page(running, window).text
    with running.lock.use() as place:
        assert register.all_cases(place) == []


@pytest.mark.parametrize(
    ("what", "values"),
    [("consent", {"step": "Bijna kwijt"}), ("close", {"outcome": "referred"})],
)
def test_case_form_is_restored_after_unlock(
    running: Running, window: Window, what: str, values: dict[str, str]
) -> None:
    bring_in(running, event("case", case="K", label="Zaak"))
    page = case_page(running, window, "Zaak")
    running.lock.lock()
    asked = window.submit(page, box(page, what), **values)
    again = window.press(asked, "unlock", passphrase="een zin die niemand raadt 1729")
    assert f'<details id="{what}" open>' in again.html
    fields = box(again, what).fields
    assert set(values.items()) <= set(fields)


def test_contact_without_a_case_can_be_found_and_corrected_on_the_page_of_its_employer(
    running: Running, window: Window
) -> None:
    contact(running, window, minutes="15", record_nothing="1")
    page = entry_of(window, employer_page(running, window))
    window.submit(page, page.form_with("minutes"), minutes="20")
    assert contacts(running) == [event("contact", minutes=20, record_nothing=True)]


def test_contact_of_an_earlier_year_can_be_found_on_the_page_of_its_employer(
    running: Running, window: Window
) -> None:
    bring_in(
        running, event("agreement", "2024-01-01", until="2026-12-31", hours=60),
        event("contact", "2025-04-01", minutes=90), event("contact", "2027-01-04", minutes=15),
    )  # fmt: skip
    page = employer_page(running, window)
    assert "90 minuten" not in page.text
    (link,) = [one for one in page.links if "year=" in one]
    earlier = window.get(link)
    assert "Jouw uren in 2025" in earlier.text
    assert "1,5 uur van de 60 die je afsprak." in earlier.text
    assert "15 minuten" not in earlier.text
    contact = window.get([one for one in earlier.links if "/entry/" in one][-1])
    assert ("minutes", "90") in contact.form_with("minutes").fields
    now = window.get(next(one for one in earlier.links if "year=2027" in one))
    assert "15 minuten" in now.text


@pytest.mark.parametrize("year", ["1", "x", "2024", "9" * 30, ""])
def test_employer_page_for_a_year_without_work_shows_the_current_year(
    running: Running, window: Window, year: str
) -> None:
    bring_in(running, event("contact", "2027-01-04", minutes=15))
    page = window.get(f"{employer_page(running, window).path}?year={year}")
    assert page.status == 200
    assert "Jouw uren in 2027" in page.text


def test_agreement_can_be_corrected_until_a_report_of_its_term_is_issued(
    running: Running, window: Window
) -> None:
    bring_in(running, event("agreement", "2026-01-01", form="B", headcount=320, price=4800))
    page = entry_of(window, employer_page(running, window))
    form = page.form_with("headcount")
    assert "De verbetering is bewaard." in window.submit(page, form, headcount="330").text
    bring_in(running, event("freeze", first_year=2026, last_year=2026))
    for values in ({"form": "A"}, {"price": "1"}, {"date": "2026-01-02"}):
        refused = window.submit(page, form, headcount="330", **values)
        assert "is het jaarverslag over 2026 uitgebracht" in refused.text
    assert "is het jaarverslag over 2026 uitgebracht" in window.press(page, "/remove").text
    ended = window.submit(page, form, headcount="330", until="2028-12-31")
    assert "De verbetering is bewaard." in ended.text


def test_agreement_cannot_be_changed_once_counts_were_exported_under_it(
    running: Running, window: Window
) -> None:
    bring_in(
        running, event("agreement", "2026-01-01", form="B", headcount=320, shared_with="De ander"),
        event("joint", first_year=2026, last_year=2026, counsellor="De ander", given=True),
    )  # fmt: skip
    page = entry_of(window, employer_page(running, window))
    emptied = window.submit(page, page.form_with("shared_with"), shared_with="")
    for refused in (emptied, window.press(page, "/remove")):
        assert "aantallen van 2026 uitgewisseld met De ander" in refused.text


def test_employer_cannot_leave_a_group_once_a_report_on_that_group_was_issued(
    running: Running, window: Window
) -> None:
    bring_in(
        running, event("employer", "2026-01-01", group="Concern"),
        event("freeze", first_year=2026, last_year=2026) | {"employer": "Concern"},
    )  # fmt: skip
    page = employer_page(running, window)
    for group in ("", "Ander"):
        refused = window.submit(page, box(page, "employer"), group=group)
        assert "over Concern is al een jaarverslag uitgebracht" in refused.text


# a full disk

TYPED = "Wat ik typte. " * 30
SHORT = "Wat ik typte"


def fill_the_disk(running: Running) -> None:
    """Limit the database's size and fill its free pages."""
    with running.lock.use() as place:
        place.database.run("PRAGMA max_page_count = 1")  # the minimum is the present size
        number = 0
        for title in ("x" * 190, ""):
            with contextlib.suppress(OSError):
                while number < 10_000:
                    number += 1
                    day = datetime.date(2019, 1, 1) + datetime.timedelta(days=number)
                    kept = {"event": "upkeep", "date": day.isoformat(), "what": "training"}
                    more = {"title": title} if title else {}
                    register.bring_in(place, json.dumps(kept | more).encode())
        assert number < 10_000


def empty_the_disk(running: Running) -> None:
    with running.lock.use() as place:
        place.database.run("PRAGMA max_page_count = 1000000")


def form_of(running: Running, window: Window, name: str) -> tuple[Answer, Form]:
    if name == "contact":
        page = window.get(f"{running.home}contact")
        return page, page.form_with("which")
    if name == "employer":
        page = employer_page(running, window)
        return page, box(page, "employer")
    if name == "employers":
        page = window.get(f"{running.home}employers")
        return page, page.form_with("employer")
    if name == "entry":
        page = entry_of(window, employer_page(running, window))
        return page, page.form_with("notes")
    if name == "advice":
        page = window.get(f"{running.home}work")
        return page, box(page, "advice")
    page = case_page(running, window, "Zaak")
    if name == "sheet":
        page = window.get(next(link for link in page.links if link.endswith("/sheet")))
        return page, page.form_with("notes")
    return page, box(page, name)


@pytest.mark.parametrize(
    ("name", "field", "typed"),
    [
        ("contact", "notes", TYPED), ("advice", "notes", TYPED), ("consent", "scope", SHORT),
        ("sheet", "notes", TYPED), ("employer", "notes", TYPED), ("entry", "notes", TYPED),
        ("employers", "employer", SHORT),
    ],
)  # fmt: skip
def test_typed_text_is_kept_on_a_full_disk_and_the_button_works_again(
    running: Running, window: Window, name: str, field: str, typed: str
) -> None:
    bring_in(
        running, event("employer", recording="full"), event("case", case="K", label="Zaak"),
        event("contact", minutes=10, notes="Eerst"),
    )  # fmt: skip
    page, form = form_of(running, window, name)
    fill_the_disk(running)
    refused = window.submit(page, form, **{field: typed})
    assert refused.status == 409
    assert "of de schijf niet vol is" in refused.text
    assert typed.strip() in refused.html
    assert SHORT not in json.dumps(exported(running))
    empty_the_disk(running)
    window.submit(page, form, **{field: typed})
    assert SHORT in json.dumps(exported(running))
