"""Ten personas: each finds suitable help from the first page in two clicks, without a script.

With --long a real browser does the same on a small phone: tests/e2e/test_ten_people.py.
"""

from pathlib import Path

import pytest

from dropbox_app.protocol.retrieval_code import LANGUAGES
from dropbox_app.server.config.settings import OtherContact
from tests.server.web.conftest import House
from tests.support.plain_browser import Page
from tests.support.ten_people import OTHER, PEOPLE, Person


def test_ten_personas_need_at_most_two_clicks_to_find_help() -> None:
    assert len(PEOPLE) == 10
    assert all(len(person.links) <= 2 for person in PEOPLE.values())


@pytest.mark.parametrize("lang", LANGUAGES)
@pytest.mark.parametrize("who", PEOPLE)
def test_each_persona_finds_help_in_two_clicks(tmp_path: Path, who: str, lang: str) -> None:
    house = House(tmp_path / "site", other_contact=OtherContact(*OTHER))
    house.counsellors[0].languages = ("nl", "pl")
    noor = house.counsellors[0]
    house.site.update(noor.identity, noor.card(), house.clock.today())
    person = PEOPLE[who]
    code = house.browser().tell("Iets.", lang).code if person.has_code else ""
    browser = house.browser()
    page = browser.get(f"/{lang}/")
    for link in person.links:
        assert f"/{lang}/{link}" in page.links
        page = browser.get(f"/{lang}/{link.partition('#')[0]}")
    if code:
        page = browser.submit(page, page.form_with("code"), code=code)
    check(page, person, lang)
    house.close()


def check(page: Page, person: Person, lang: str) -> None:
    """Check that the page has the help that this person needs."""
    text = page.text.replace("\u2060", "").replace("\u00a0", " ").replace("\u00ad", "")
    assert person.said(lang) in text
    for number in person.numbers:
        assert f'href="tel:{number}"' in page.html
