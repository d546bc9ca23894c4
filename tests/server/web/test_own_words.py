"""A counsellor's own words on the card: quoted, and shown only as text."""

import re
from pathlib import Path

import pytest

from dropbox_app.protocol.card import MAX_REGISTER_NUMBER, MAX_SENTENCE
from dropbox_app.server.config.languages import PAGE_LANGUAGES
from tests.server.web.conftest import Counsellor, House

NL, EN = "Je mag ook eerst alleen iets vragen.", "You can also ask a question first."
PAGES = ("", "about")
HOSTILE = '</q><script>alert(1)</script>"><a href=x>&amp;\u05d0\u05d1\u05d2 klik'


@pytest.fixture
def speaking(noor: Counsellor) -> Counsellor:
    noor.register_number, noor.sentence = "LVV 1234", {"nl": NL, "en": EN}
    noor.renew()
    return noor


@pytest.mark.parametrize("path", PAGES)
def test_each_page_quotes_the_counsellors_sentence_in_the_language_of_the_page(
    house: House, speaking: Counsellor, path: str
) -> None:
    for lang, said in (("nl", NL), ("en", EN)):
        page = house.browser().get(f"/{lang}/{path}")
        assert f'<p dir="auto"><q>{said}</q></p>' in page.html
    page = house.browser().get(f"/nl/{path}")
    assert "Registernummer: LVV 1234 (hier niet nagekeken)" in page.text
    says_more = "Deze site heeft dat nummer niet nagekeken." in page.text
    assert says_more == (path == "about")


def test_counsellors_sentence_in_another_language_is_labelled(
    house: House, noor: Counsellor
) -> None:
    noor.sentence = {"nl": NL}
    noor.renew()
    page = house.browser().get("/en/")
    assert f'<p dir="auto" lang="nl"><q>{NL}</q></p>' in page.html


@pytest.mark.parametrize("path", PAGES)
def test_page_shows_no_optional_fields_that_a_card_lacks(house: House, path: str) -> None:
    page = house.browser().get(f"/nl/{path}")
    assert "<q>" not in page.html
    assert "egisternummer" not in page.text
    assert page.html.count("Aan wie schrijf je?") == (path == "")


@pytest.mark.parametrize("path", PAGES)
def test_hostile_words_of_a_counsellor_are_shown_as_text(
    house: House, noor: Counsellor, path: str
) -> None:
    noor.sentence, noor.register_number = {"nl": HOSTILE}, "<b>9</b> \u05d0\u05d1"
    noor.renew()
    page = house.browser().get(f"/nl/{path}")
    assert HOSTILE in page.text
    # Each keeps its own text direction and reorders nothing around it.
    assert re.search(r'<p dir="auto"><q>[^<]*</q></p>', page.html)
    assert re.search(r"Registernummer: <bdi>[^<]*</bdi>", page.html)


def test_longest_register_number_and_sentence_do_not_change_page_length(tmp_path: Path) -> None:
    house = House(tmp_path / "site", ("Noor Visser", "Sam Jansen"), languages=PAGE_LANGUAGES)
    gzip = {"Accept-Encoding": "gzip"}
    ways = [(lang, path, headers) for lang in PAGE_LANGUAGES for path in PAGES
            for headers in ({}, gzip)]  # fmt: skip

    def lengths() -> list[int]:
        made = [house.browser().request("GET", f"/{lang}/{path}", headers=headers)
                for lang, path, headers in ways]  # fmt: skip
        return [len(page.body) for page in made]

    before = lengths()
    for one in house.counsellors:
        one.register_number = "9" * MAX_REGISTER_NUMBER
        one.sentence = dict.fromkeys(PAGE_LANGUAGES, ("\u0457 " * MAX_SENTENCE)[: MAX_SENTENCE - 1])
        one.renew()
    assert lengths() == before
    assert max(before) <= 16 * 1024
    house.close()
