"""The page of the redacted copy: selected, previewed, and only then written."""

import re
from pathlib import Path

import pytest

from tests.desk.conftest import PASSPHRASE
from tests.desk.web.conftest import Running, Window
from tests.desk.web.test_register import bring_in, case_page, event, exported
from tests.support.plain_browser import Form
from tests.support.plain_browser import Page as Answer

CASE = (
    event("employer", recording="full"),
    event("case", case="2027-1", label="Rooster", goal="Dat Jan stopt", notes="Aantekening",
          main_group="labour_conflict"),
    event("contact", case="2027-1", how="telephone", minutes=20, notes="Aantekening"),
)  # fmt: skip
YES = event(
    "consent", case="2027-1", consent="2027-1.1", step="Een afschrift geven", answer="yes",
    source="oral",
)  # fmt: skip

EXCEPTION = event(
    "step", case="2027-1", step="Een afschrift geven", why="Er is gevaar", consent_was_sought=True,
    no_other_way=True, serious_harm=True, moral_distress=True, as_small_as_possible=True,
)  # fmt: skip


@pytest.fixture
def window(running: Running) -> Window:
    return running.at_work()


@pytest.fixture
def asked(running: Running, window: Window) -> Answer:
    bring_in(running, *CASE)
    page = case_page(running, window, "Rooster")
    return window.get(next(link for link in page.links if link.endswith("/copy")))


def pick(asked: Answer, name: str) -> str:
    """Return the selection of a field of the contact."""
    number = picks(asked.form_to("/copy"))[1].partition(".")[0]
    return f"{number}.{name}"


def picks(form: Form) -> list[str]:
    return [value for name, value in form.fields if name == "pick"]


def look(window: Window, asked: Answer, **values: str | list[str]) -> Answer:
    return window.submit(asked, asked.form_to("/copy"), **values)


def save(window: Window, looked: Answer, folder: Path, **values: str) -> Answer:
    form = looked.form_to("/copy")
    return window.submit(looked, form, 0, folder=str(folder), **values)


def test_only_dates_are_preselected_and_nothing_is_written_before_preview(
    window: Window, asked: Answer, tmp_path: Path
) -> None:
    form = asked.form_to("/copy")
    assert picks(form) == ["0.date", pick(asked, "date")]
    looked = look(window, asked, folder=str(tmp_path))
    assert "Begonnen op: 5 januari 2027" in looked.text
    assert "telefoon" not in looked.text
    assert not list(tmp_path.glob("*.txt"))


def test_written_copy_equals_the_preview_without_names_and_notes(
    window: Window, asked: Answer, tmp_path: Path
) -> None:
    chosen = ["0.date", "0.goal", pick(asked, "how"), pick(asked, "notes")]
    looked = look(window, asked, pick=chosen, names="Jan")
    assert "telefoon" in looked.text
    answer = save(window, looked, tmp_path)
    (file,) = tmp_path.glob("*.txt")
    written = file.read_text()
    assert "Dat [weggehaald] stopt" in written
    assert "Jan " not in written
    assert "Aantekening" not in written
    assert "Rooster" not in written
    assert file.name == "2027-01-05.txt"
    assert file.stat().st_mode & 0o077 == 0
    assert "niet op slot" in answer.text


@pytest.mark.parametrize("lang", ["nl", "en"])
def test_copy_of_a_case_contains_no_text_addressed_to_the_counsellor(
    running: Running, window: Window, tmp_path: Path, lang: str
) -> None:
    bring_in(
        running, CASE[0],
        event("case", case="2027-1", label="Rooster", main_group="other", goal="Rust",
              sub_groups=["out_of_scope"], channel="telephone", identity="known",
              relation="employee", role="affected", accused=["colleague"], needs=["information"],
              possible_report=True, retaliation=True),
        event("contact", case="2027-1", how="telephone", channel="telephone", minutes=20,
              with_whom=["reporter"], topic="other", help=["listening"]),
        YES | {"scope": "Alleen het rooster", "named": True, "formal": True},
        event("step", case="2027-1", step="Een afschrift", consent="2027-1.1", named=True),
        event("complaint", case="2027-1", what="formal_complaint", body="De commissie"),
        event("close", case="2027-1", outcome="out_of_scope", referral=["hr"]),
    )  # fmt: skip
    running.page.language = lang
    page = case_page(running, window, "Rooster")
    asked = window.get(next(link for link in page.links if link.endswith("/copy")))
    every = re.findall(r'name="pick" value="([0-9a-z_.]+)"', asked.html)
    assert len(every) > 30
    save(window, look(window, asked, pick=every), tmp_path)
    (file,) = tmp_path.glob("*.txt")
    assert len(file.read_text().splitlines()) > len(every)
    assert not re.findall(r"(?i)\b(?:je|jij|jou|jouw|you|your)\b", file.read_text())


def test_names_to_redact_that_are_not_found_are_reported(window: Window, asked: Answer) -> None:
    looked = look(window, asked, pick=["0.goal"], names="jan jansen\nKarim\nPiet")
    assert "Dat [weggehaald] stopt" in looked.text
    assert "Niet gevonden in dit afschrift: Karim en Piet." in looked.text


def test_copy_changed_since_its_preview_is_shown_again_and_not_written(
    running: Running, window: Window, asked: Answer, tmp_path: Path
) -> None:
    looked = look(window, asked)
    bring_in(running, event("contact", case="2027-1"))
    again = save(window, looked, tmp_path, pick=pick(asked, "how"))
    assert 'data-page="case-copy-look"' in again.html
    assert not list(tmp_path.glob("*.txt"))


def test_copy_for_the_employer_requires_valid_consent(
    running: Running, window: Window, asked: Answer
) -> None:
    refused = look(window, asked, reader="employer")
    assert refused.status == 422
    assert "Vraag de melder of dit afschrift mag" in refused.text
    bring_in(running, YES)
    assert look(window, asked, reader="employer").status == 200
    running.office.clock.to("2027-01-20")
    assert look(window, asked, reader="employer").status == 422
    assert look(window, asked, reader="reporter").status == 200


def test_exception_allows_a_copy_for_the_employer_only_on_the_day_it_is_recorded(
    running: Running, window: Window, asked: Answer
) -> None:
    bring_in(running, EXCEPTION)
    assert look(window, asked, reader="employer").status == 200
    running.office.clock.to("2027-01-06")
    assert look(window, asked, reader="employer").status == 422


def test_choices_made_for_a_copy_are_shown_again_unchanged(window: Window, asked: Answer) -> None:
    looked = look(window, asked, pick=["0.goal"], names="Jan\nPiet")
    form = looked.form_to("/copy")
    again = window.submit(looked, form, 1)
    assert picks(again.form_to("/copy")) == ["0.goal"]
    assert "Jan\nPiet" in again.html.replace("\r", "")


def test_choices_submitted_to_a_locked_desk_are_shown_again_after_unlock(
    running: Running, window: Window, asked: Answer
) -> None:
    (how,) = re.findall(r'value="(\d+\.how)"', asked.html)
    running.lock.lock()
    locked = look(window, asked, pick=["0.goal", how], names="Jan\nPiet", reader="employer")
    assert "Piet" not in locked.html
    again = window.press(locked, "unlock", passphrase=PASSPHRASE)
    assert "De werkplek was vergrendeld." in again.text
    form = again.form_to("/copy")
    assert picks(form) == ["0.goal", how]
    assert ("reader", "employer") in form.fields
    assert "Jan\nPiet" in again.html.replace("\r", "")


def test_making_a_copy_leaves_nothing_in_the_register(
    running: Running, window: Window, asked: Answer, tmp_path: Path
) -> None:
    before = exported(running)
    save(window, look(window, asked), tmp_path)
    assert exported(running) == before
