"""A week entered in one sitting: how the next entry is prefilled, and what can be corrected."""

import json

import pytest

from dropbox_app.desk.actions import register
from dropbox_app.desk.annual import counting, gather
from dropbox_app.desk.register.events import Contact
from dropbox_app.desk.web.i18n import words
from tests.desk.conftest import PASSPHRASE, Office
from tests.desk.web.conftest import Running, Window
from tests.desk.web.test_register import (
    EMPLOYER,
    box,
    bring_in,
    case_page,
    contact,
    contacts,
    employer_page,
    event,
)
from tests.support.plain_browser import Page as Answer

OTHER = "Bakkerij"


@pytest.fixture
def window(running: Running) -> Window:
    """Return a window of a desk with two employers, so that none is preselected."""
    made = running.at_work()
    bring_in(running, event("employer", "2026-12-01") | {"employer": OTHER})
    return made


def shown(page: Answer, *names: str) -> dict[str, str]:
    """Return the values that the form of a contact shows."""
    fields = dict(page.form_with("which").fields)
    return {name: fields.get(name, "") for name in names}


# the next contact


def test_next_contact_form_is_prefilled_with_date_and_employer(
    running: Running, window: Window
) -> None:
    page = contact(running, window, employer=EMPLOYER, date="2027-01-02", minutes="20", notes="Een")
    given = ("employer", "date", "minutes", "notes")
    wanted = {"employer": EMPLOYER, "date": "2027-01-02", "minutes": "", "notes": ""}
    assert shown(page, *given) == wanted
    window.submit(page, page.form_with("which"), minutes="5")
    assert [one["date"] for one in contacts(running)] == ["2027-01-02"] * 2


def test_prefilled_values_appear_once_and_never_in_the_url(
    running: Running, window: Window
) -> None:
    page = contact(running, window, employer=EMPLOYER, date="2027-01-02")
    assert "2027" not in page.path
    assert "Voorbeeld" not in page.path
    fresh = {"employer": "", "date": "2027-01-05"}
    assert shown(window.get(f"{running.home}contact"), *fresh) == fresh


def test_locking_clears_prefilled_values(running: Running, window: Window) -> None:
    running.page.offer("contact", employer=EMPLOYER, date="2027-01-02")
    running.lock.lock()
    running.lock.unlock(PASSPHRASE)
    fresh = {"employer": "", "date": "2027-01-05"}
    assert shown(window.get(f"{running.home}contact"), *fresh) == fresh


def test_contact_added_from_a_case_does_not_prefill_the_next_contact_form(
    running: Running, window: Window
) -> None:
    bring_in(running, event("case", case="K", label="Zaak"))
    page = case_page(running, window, "Zaak")
    asked = window.get(next(link for link in page.links if "/contact?case=" in link))
    window.submit(asked, asked.form_with("which"), date="2027-01-02")
    assert shown(window.get(f"{running.home}contact"), "date") == {"date": "2027-01-05"}


# the questions


def test_fields_named_how_and_channel_have_no_choice_in_common(
    running: Running, window: Window
) -> None:
    page = window.get(f"{running.home}contact")
    for told in (words("nl"), words("en")):
        form = page.form_with("which")
        how, channel = (
            {told.say(f"choice.{name}.{one}") for one in form.choices[name] if one}
            for name in ("how", "channel")
        )
        assert how.isdisjoint(channel)


def test_channel_is_hidden_for_existing_case(running: Running, window: Window) -> None:
    html = window.get(f"{running.home}contact").html
    part = html.split('<div class="unless-old">')[1].split("</fieldset>")[0]
    assert 'name="channel"' in part
    style = window.get(f"{running.home}static/style.css").html
    assert ".contact:has([name=which][value=old]:checked) .unless-old" in style


@pytest.mark.parametrize("lang", ["nl", "en"])
def test_contact_form_explains_how_to_record_anonymous_callers(
    running: Running, window: Window, lang: str
) -> None:
    running.page.language = lang
    said = {"nl": "Belt iemand anoniem?", "en": "If a caller gives no name"}
    assert said[lang] in window.get(f"{running.home}contact").text


@pytest.mark.parametrize("level", ["none", "minimal", "full"])
def test_employer_page_describes_what_is_recorded(
    running: Running, window: Window, level: str
) -> None:
    bring_in(running, event("employer", recording=level))
    text = employer_page(running, window).text
    kept = {"none": "alleen de dag, de minuten, het onderwerp", "full": "alles wat je invult",
            "minimal": "geen verhaal en geen aantekening"}  # fmt: skip
    assert f"je bewaart hier {kept[level]}" in text


# the list of cases


@pytest.mark.usefixtures("thread")
def test_case_list_shows_the_beginning_of_the_report(running: Running, window: Window) -> None:
    page = window.get(f"{running.home}cases")
    assert "Het gaat over mijn chef." in page.text
    bring_in(running, event("case", case="2027-1", label="Chef"))
    page = window.get(f"{running.home}cases")
    assert page.text.index("Chef") < page.text.index("Het gaat over mijn chef.")


def test_case_list_shows_number_of_contacts(running: Running, window: Window) -> None:
    bring_in(running, event("case", case="K", label="Zaak"), *[event("contact", case="K")] * 1,
             event("contact", "2027-01-04", case="K"))  # fmt: skip
    assert "2 contacten" in window.get(f"{running.home}cases").text
    assert "Het gaat over mijn chef." not in window.get(f"{running.home}cases").text


# contacts that turn out to belong to a case


def entry(running: Running, window: Window) -> Answer:
    page = employer_page(running, window)
    return window.get(next(link for link in page.links if "/entry/" in link))


def situations(running: Running) -> list[tuple[int, str]]:
    with running.lock.use() as place:
        found = counting.situations(gather.cases(register.every(place), EMPLOYER))
        return [(one.year, one.group) for one in found]


@pytest.fixture
def alone(running: Running, window: Window) -> Answer:
    """Return the page of a contact without a case; there is one case."""
    bring_in(
        running, event("case", "2027-01-02", case="K", label="Rooster", main_group="integrity"),
        event("contact", topic="other", minutes=25, help=["listening"], again=True),
    )  # fmt: skip
    return entry(running, window)


def test_contact_can_be_moved_into_existing_case(
    running: Running, window: Window, alone: Answer
) -> None:
    form = alone.form_to("/case")
    (chosen,) = [one for one in form.choices["case"] if one]
    done = window.submit(alone, form, case=chosen)
    assert 'data-page="case"' in done.html
    assert "Het contact staat nu in deze zaak." in done.text
    assert "25 minuten" in done.text
    kept = event("contact", case="K", topic="other", minutes=25, help=["listening"])
    assert contacts(running) == [kept]
    assert situations(running) == [(2027, "integrity")]


def test_contact_can_be_moved_into_new_case(
    running: Running, window: Window, alone: Answer
) -> None:
    form = alone.form_to("/case")
    done = window.submit(alone, form, which="new", new_case="Balie")
    assert "<h1>Balie</h1>" in done.html
    (kept,) = contacts(running)
    assert kept["case"] == "2027-1"
    assert situations(running) == [(2027, "integrity"), (2027, "other")]


def test_invalid_choice_of_case_changes_nothing(
    running: Running, window: Window, alone: Answer
) -> None:
    before = contacts(running)
    for values in ({"case": ""}, {"which": "new", "new_case": "x" * 300}):
        refused = window.submit(alone, alone.form_to("/case"), **values)
        assert refused.status == 422
        assert 'role="alert"' in refused.html
    assert contacts(running) == before


def test_case_typed_for_a_contact_is_shown_again_after_unlock(
    running: Running, window: Window, alone: Answer
) -> None:
    running.lock.lock()
    asked = window.submit(alone, alone.form_to("/case"), which="new", new_case="Bijna kwijt")
    again = window.press(asked, "unlock", passphrase=PASSPHRASE)
    assert 'data-page="entry"' in again.html
    typed = again.form_to("/case").fields
    assert {("which", "new"), ("new_case", "Bijna kwijt")} <= set(typed)
    assert ("minutes", "25") in again.form_with("minutes").fields
    done = window.submit(again, again.form_to("/case"))
    assert "<h1>Bijna kwijt</h1>" in done.html


def test_contact_from_a_reported_year_cannot_be_moved(
    running: Running, window: Window, alone: Answer
) -> None:
    running.office.clock.to("2028-01-05")
    bring_in(running, event("freeze", "2028-01-05", first_year=2027, last_year=2027))
    refused = window.submit(alone, alone.form_to("/case"), which="new", new_case="Balie")
    assert "uitgebracht" in refused.text
    assert [one.get("case") for one in contacts(running)] == [None]
    with running.lock.use() as place:
        assert len(register.all_cases(place)) == 1


def test_contact_to_be_kept_without_details_cannot_be_added_to_a_case(
    running: Running, window: Window
) -> None:
    bring_in(running, event("contact", minutes=5, record_nothing=True))
    page = entry(running, window)
    assert "Je kunt het daarom niet in een zaak zetten." in page.text
    assert not any(one.action.split("#")[0].endswith("/case") for one in page.forms)
    target = page.path.partition("#")[0] + "/case"
    refused = window.request("POST", target, b"which=new&new_case=Balie")
    assert refused.status == 422
    assert contacts(running) == [event("contact", minutes=5, record_nothing=True)]


def test_commands_can_list_contacts_and_move_one_into_a_case(office: Office) -> None:
    lines = [event("case", case="K", label="Rooster"), event("contact", minutes=25),
             event("contact", minutes=5, record_nothing=True)]  # fmt: skip
    office.run("register", "import", "-", given="".join(json.dumps(one) + "\n" for one in lines))
    (listed,) = office.json("register", "contacts")
    number = str(listed["number"])
    assert listed["minutes"] == 25
    assert "25 minutes" in office.run("register", "contacts").stdout
    for wrong in ((), ("K", "--new-case", "x")):
        office.run("register", "into-case", number, *wrong, code=2)
    assert "case K" in office.run("register", "into-case", number, "Rooster").stdout
    with office.open() as place:
        kept = [one for one in register.every(place) if isinstance(one, Contact) and one.case]
    assert [(one.case, one.minutes) for one in kept] == [("K", 25)]
    assert "no contacts" in office.run("register", "contacts").stdout
    assert "not in the register" in office.run("register", "into-case", number, "K", code=1).stderr


# other work


def test_form_for_other_work_stays_open_with_date_and_employer_filled_in(
    running: Running, window: Window
) -> None:
    page = window.get(f"{running.home}work")
    done = window.submit(
        page, box(page, "activity"), employer=OTHER, date="2027-01-02", what="training",
        title="Aanspreken", minutes="180", people="22",
    )  # fmt: skip
    where = "Training, voorlichting, gesprek met de directie · Bakkerij · 2\u00a0januari"
    assert f"Vastgelegd: {where} · training · Aanspreken · 180 minuten · 22 deelnemers." in (
        done.html.replace("&nbsp;", "\u00a0")
    )
    assert '<details id="activity" open>' in done.html
    assert done.html.count("<details id=") - done.html.count(" open>") == 5
    fields = dict(box(done, "activity").fields)
    assert (fields["employer"], fields["date"]) == (OTHER, "2027-01-02")
    assert (fields["title"], fields["people"]) == ("", "")
    assert dict(box(done, "advice").fields)["date"] == "2027-01-05"


@pytest.mark.parametrize("kind", ["advice", "activity", "hours", "upkeep"])
def test_minutes_of_other_work_can_be_chosen_or_typed(
    running: Running, window: Window, kind: str
) -> None:
    page = window.get(f"{running.home}work")
    form = box(page, kind)
    assert {"30", "120", "240"} < set(form.choices["minutes"])
    window.submit(page, form, employer=EMPLOYER, minutes="120")
    page = window.get(f"{running.home}work")
    window.submit(page, box(page, kind), employer=EMPLOYER, other_minutes="75")
    with running.lock.use() as place:
        made = [one for one in register.every(place) if one.kind == kind]
    assert [getattr(one, "minutes", None) for one in made] == [120, 75]
