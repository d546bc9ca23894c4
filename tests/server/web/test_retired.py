"""A retired site: no new conversations; existing ones continue until they expire."""

import datetime
from pathlib import Path

import pytest
from click.testing import CliRunner

from dropbox_app.server.cli import common, main
from tests.server.web.conftest import House
from tests.server.web.test_report import kept

CLOSED = {"nl": "Deze site is gesloten", "en": "This site is closed"}
TEXT = "Ik wil iets vertellen."


def _retire(house: House, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr(common, "today", house.clock.today)
    done = CliRunner().invoke(main.main, ["--dir", str(house.folder), "site", "retire", "."])
    assert done.exit_code == 0, done.output
    return done.stdout


@pytest.mark.parametrize("lang", ["nl", "en"])
def test_every_page_says_that_the_site_is_closed_and_none_links_to_the_form(
    house: House, monkeypatch: pytest.MonkeyPatch, lang: str
) -> None:
    browser = house.browser()
    assert CLOSED[lang] not in browser.get(f"/{lang}/").text
    _retire(house, monkeypatch)
    for path in ("", "safety", "report", "about"):
        page = browser.get(f"/{lang}/{path}")
        assert CLOSED[lang] in page.text, path
        assert "030 123 45 67" in page.text, path
        assert not any(name == "text" for form in page.forms for name, _ in form.fields), path
    landing = browser.get(f"/{lang}/")
    # A reporter with a code can still write, so the page may not say that nobody can.
    cannot = {"nl": "kun je nu niet schrijven", "en": "You cannot write to"}[lang]
    assert cannot not in landing.text
    assert "Noor Visser" in landing.text
    assert f"/{lang}/return" in landing.links
    assert f"/{lang}/report" not in landing.links


def test_report_sent_after_the_site_was_closed_is_refused_and_its_text_kept(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    browser = house.browser()
    form = browser.get("/nl/report")
    _retire(house, monkeypatch)
    page = browser.submit(form, form.form_with("text"), 0, text=TEXT)
    assert page.status == 503
    assert "Je kunt hier geen nieuw gesprek meer beginnen" in page.text
    assert kept(page) == TEXT
    assert house.stored() == 0


def test_existing_conversations_continue_after_the_site_is_closed(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    browser = house.browser()
    browser.come_back(browser.tell(TEXT).code)
    assert "1 conversation is left" in _retire(house, monkeypatch)
    page = browser.get("/nl/conversation")
    assert page.status == 200
    token = dict(page.form_with("text").fields)["csrf_token"]
    browser.post("/nl/conversation", csrf_token=token, text="En nog iets.")
    counsellor = house.counsellors[0]
    assert counsellor.texts() == [TEXT, "En nog iets."]
    house.clock.pass_days(200)
    said = CliRunner().invoke(main.main, ["--dir", str(house.folder), "purge"])
    assert "WrongClock" not in said.output
    again = _retire(house, monkeypatch)
    assert "no conversation is left" in again
    assert "may be removed" in again


def test_retirement_date_is_the_date_of_the_first_retire_command(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    _retire(house, monkeypatch)
    day = house.clock.today()
    house.clock.pass_days(3)
    assert f"since {day}" in _retire(house, monkeypatch)
    listed = CliRunner().invoke(main.main, ["--dir", str(house.folder), "site", "list"])
    assert f"retired on {day}" in listed.stdout
    assert isinstance(day, datetime.date)
    assert Path(house.folder / "ended").read_text() == f"{day}\n"


@pytest.mark.parametrize("lang", ["nl", "en"])
def test_expired_card_is_still_reported(
    house: House, monkeypatch: pytest.MonkeyPatch, lang: str
) -> None:
    _retire(house, monkeypatch)
    house.clock.pass_days(170)
    text = house.browser().get(f"/{lang}/").text
    said = {"nl": "Aan Noor Visser kun je nu niet schrijven.", "en": "You cannot write to Noor"}
    assert said[lang] in text
    read = {"nl": "Dan kun je nog wel lezen.", "en": "you can still read messages."}
    assert read[lang] in text
