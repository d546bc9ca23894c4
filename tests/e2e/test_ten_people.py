"""Ten personas, each on a small phone: help is two clicks away and on the screen."""

import pytest
from playwright.sync_api import Browser, expect

from dropbox_app.protocol.retrieval_code import LANGUAGES
from dropbox_app.server.config.settings import OtherContact
from tests.server.web.conftest import House
from tests.support.browsers import chromium, here
from tests.support.plain_browser import Page
from tests.support.showing import showing
from tests.support.ten_people import OTHER, PEOPLE

pytestmark = [here("chromium"), pytest.mark.long]
__all__ = ["chromium"]
PATHS = ("", "what", "help", "safety", "report", "return")


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Page]:
    """Return the site's pages by path; the conversation belongs to a returning reporter."""
    house = House(tmp_path_factory.mktemp("site") / "x", other_contact=OtherContact(*OTHER))
    noor = house.counsellors[0]
    noor.languages = ("nl", "pl")
    house.site.update(noor.identity, noor.card(), house.clock.today())
    found: dict[str, Page] = {}
    for lang in LANGUAGES:
        found |= {f"{lang}/{path}": house.browser().get(f"/{lang}/{path}") for path in PATHS}
        code = house.browser().tell("Iets.", lang).code
        found[f"{lang}/conversation"] = house.browser().come_back(code, lang)
    house.close()
    return found


@pytest.mark.parametrize("lang", LANGUAGES)
@pytest.mark.parametrize("who", PEOPLE)
def test_each_persona_finds_help_on_a_small_phone(
    pages: dict[str, Page], chromium: Browser, who: str, lang: str
) -> None:
    """The pages have only links and no script; a link to a section scrolls to that section."""
    person = PEOPLE[who]
    phone = {"width": 320, "height": 640}
    context = chromium.new_context(viewport=phone, java_script_enabled=False)  # type: ignore[arg-type] # a dict will do
    with showing(context, pages) as shown:
        page = shown.show(f"{lang}/")
        for link in person.links:
            page.locator(f'main a[href="/{lang}/{link}"]').first.click()
            page.wait_for_url(f"**/{lang}/{link}")
            page.wait_for_load_state("load")
        if person.has_code:
            page = shown.show(f"{lang}/conversation")
        if person.links and "#" in person.links[-1]:
            part = person.links[-1].partition("#")[2]
            expect(page.locator(f"#{part}")).to_be_in_viewport()
        closed = page.locator("main details:not([open]) > summary")
        while closed.count():
            closed.first.click()
        expect(page.get_by_text(person.said(lang)).first).to_be_visible()
        for number in person.numbers:
            expect(page.locator(f'main a[href="tel:{number}"]').first).to_be_visible()
    context.close()
