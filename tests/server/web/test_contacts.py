"""Counsellors' own telephone numbers: shown with names wherever a page suggests calling."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from dropbox_app.server.config.settings import Own
from tests.server.web.conftest import Browser, House
from tests.server.web.test_availability import away, over, retired, silent
from tests.server.web.test_before import ADDRESSES, check_shape
from tests.server.web.test_conversation import ASKED

OWN = (Own("noor", "06 11 22 33 44", "ma en do 9-12"), Own("sam", "06-55667788"))
NOORS = "Noor Visser, 06 11 22 33 44 (ma en do 9-12)"
SITES = "030 123 45 67"
both = pytest.mark.parametrize("lang", ["nl", "en"])


@pytest.fixture
def three(tmp_path: Path) -> Iterator[House]:
    """Yield a site with two counsellors who have their own number and one who uses the site's."""
    names = ("Noor Visser", "Sam Jansen", "Maria Fernández")
    made = House(tmp_path / "site", names, telephones=OWN)
    yield made
    made.close()


def inside(house: House, lang: str, which: int = 0) -> Browser:
    """Return the browser of somebody who wrote to one of them and came back."""
    code = house.browser().tell("Iets.", counsellor=house.counsellors[which].identity.hex).code
    browser = house.browser()
    browser.come_back(code, lang)
    return browser


@both
def test_counsellor_choice_shows_telephone_and_hours(three: House, lang: str) -> None:
    page = three.browser().get(f"/{lang}/")
    check_shape(page)
    said = {"nl": "Telefoon", "en": "Telephone"}[lang]
    _, *each = page.html.split('<p class="name"')
    shown = {one.partition("</")[0].rpartition(">")[2]: one for one in each}
    for name, number in (
        ("Noor Visser", "06 11 22 33 44 (ma en do 9-12)"),
        ("Sam Jansen", "06-55667788"),
    ):
        plain = re.sub("</?a[^>]*>", "", shown[name])
        assert f"{said}: {number}" in plain.replace("\u00a0", " ").replace("\u2060", "")
        dialled = re.sub("[^0-9]", "", number.partition(" (")[0])
        assert f'href="tel:{dialled}"' in shown[name]
    assert said not in shown["Maria Fernández"]
    assert SITES in page.text


@both
@pytest.mark.parametrize("path", ["conversation", "counsellor", "withdraw", "files"])
def test_conversation_shows_its_counsellors_telephone(three: House, path: str, lang: str) -> None:
    for which, number in ((0, NOORS), (1, "Sam Jansen, 06-55667788"), (2, SITES)):
        page = inside(three, lang, which).get(f"/{lang}/{path}")
        check_shape(page)
        assert number in page.text
        assert [n for n in (NOORS, SITES, "06-55667788") if n in page.text] == [
            number.removeprefix("Sam Jansen, ")
        ]


@both
def test_code_page_shows_the_telephone(three: House, lang: str) -> None:
    chosen = three.counsellors[0].identity.hex
    assert NOORS in three.browser().tell("Iets.", lang, counsellor=chosen).text


@both
@pytest.mark.parametrize("state", [over, away, silent])
def test_unreachable_or_silent_counsellor_can_be_called(
    three: House, state: Callable[[House], None], lang: str
) -> None:
    chosen = three.counsellors[0].identity.hex
    code = three.browser().tell("Iets.", counsellor=chosen).code
    state(three)
    page = three.browser().come_back(code, lang)
    assert NOORS in page.text
    assert SITES not in page.text


def stands(house: House, lang: str, gone: Callable[[House], None]) -> str:
    """Return the text below a consent to a former counsellor, after a change of counsellor."""
    first, other = house.counsellors[:2]
    code = house.browser().tell("Iets.", counsellor=first.identity.hex).code
    browser = house.browser()
    browser.come_back(code)
    first.write("consent-request", ASKED)
    page = browser.get("/nl/conversation")
    browser.submit(page, page.form_to("consent", "request"), answer="yes")
    page = browser.get("/nl/counsellor")
    browser.submit(page, page.form_with("along"), counsellor=other.identity.hex, text="Dag.")
    gone(house)
    page = house.browser().come_back(code, lang)
    check_shape(page)
    said = {"nl": "hier nu niet veranderen", "en": "You cannot change your answer here now"}[lang]
    _, found, rest = page.text.partition(said)
    assert found
    return rest.partition("Dag.")[0]  # up to the next message


@both
def test_only_the_number_of_the_former_counsellor_who_asked_the_question_is_shown(
    three: House, lang: str
) -> None:
    text = stands(three, lang, over)
    assert NOORS in text
    assert SITES not in text
    assert "06-55667788" not in text


@both
def test_site_number_is_shown_if_there_is_none_for_the_counsellor_who_asked_the_question(
    three: House, lang: str
) -> None:
    text = stands(three, lang, retired)
    assert SITES in text
    assert "06-55667788" not in text


@both
def test_no_number_is_shown_if_neither_the_site_nor_the_counsellor_who_asked_has_one(
    tmp_path: Path, lang: str
) -> None:
    names = ("Noor Visser", "Sam Jansen")
    house = House(tmp_path / "site", names, phone="", hours="", telephones=OWN[1:])
    text = stands(house, lang, over)
    assert not re.search(r"\bBel\b|\bCall\b|06-55667788", text)
    house.close()


def test_retired_counsellors_number_is_not_shown(three: House) -> None:
    browser = inside(three, "nl")
    retired(three)
    for page in (browser.get("/nl/conversation"), browser.get("/nl/")):
        assert "06 11 22" not in page.text
        assert SITES in page.text


def test_without_a_site_number_every_page_shows_the_counsellors_numbers(
    tmp_path: Path,
) -> None:
    house = House(tmp_path / "site", phone="", hours="", telephones=OWN[:1])
    for address in ADDRESSES:
        if address != "/":
            assert NOORS in house.browser().get(address).text, address
    assert f"Bel dan {NOORS.partition(' (')[0]}" in house.browser().get("/nl/").text
    house.close()


def test_telephone_number_does_not_wrap(three: House) -> None:
    page = three.browser().get("/nl/")
    for whole in ("06\u00a011\u00a022\u00a033\u00a044", "9-\u206012", "06-\u206055667788"):
        assert whole in page.html
