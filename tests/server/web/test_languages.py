"""Additional page languages: off unless configured, and marked as drafts."""

import re
from pathlib import Path

import pytest

from dropbox_app.protocol.retrieval_code import word_list
from dropbox_app.server.config import check, loader, settings
from dropbox_app.server.config.languages import DRAFTS, PAGE_LANGUAGES
from dropbox_app.server.errors import SettingsError
from dropbox_app.server.web.i18n import words
from dropbox_app.server.web.padding import PACKED, PLAIN
from tests.server.web.conftest import START, House
from tests.server.web.test_before import STILL

GZIP = {"Accept-Encoding": "gzip"}


@pytest.fixture(scope="module")
def wide(tmp_path_factory: pytest.TempPathFactory) -> House:
    return House(tmp_path_factory.mktemp("wide") / "site", languages=PAGE_LANGUAGES)


@pytest.mark.parametrize("lang", DRAFTS)
def test_language_not_configured_for_a_site_does_not_exist(house: House, lang: str) -> None:
    assert f"/{lang}/" not in house.browser().get("/").links
    assert f"/{lang}/" not in house.browser().get("/nl/").links
    for path in ("", "report", "nothing"):
        page = house.browser().get(f"/{lang}/{path}")
        assert page.status == 404
        assert '<html lang="nl">' in page.html


@pytest.mark.parametrize("lang", PAGE_LANGUAGES)
def test_each_page_links_to_itself_in_every_language_of_the_site(wide: House, lang: str) -> None:
    assert f"/{lang}/" in wide.browser().get("/").links
    for path in ("", "safety", "help"):
        links = wide.browser().get(f"/{lang}/{path}").links
        assert {f"/{one}/{path}" for one in PAGE_LANGUAGES if one != lang} <= set(links)


@pytest.mark.parametrize("lang", DRAFTS)
def test_code_on_pages_in_an_additional_language_is_english_and_the_page_says_so(
    wide: House, lang: str
) -> None:
    page = wide.browser().tell("Coś się stało.", lang)
    assert page.code is not None
    assert set(page.code.split()) <= set(word_list("en"))
    assert words(lang).say("code.language") in page.text
    assert re.search('<ol class="code" id="code" dir="ltr" lang="en"', page.html)
    assert wide.browser().come_back(page.code, lang).status == 200
    for known in ("nl", "en"):
        told = wide.browser().tell("Iets.", known).text
        assert words(known).say("code.language") not in told


@pytest.mark.parametrize("lang", PAGE_LANGUAGES)
def test_only_an_unreviewed_translation_is_marked_as_such(wide: House, lang: str) -> None:
    page = wide.browser().get(f"/{lang}/")
    assert (words(lang).say("frame.draft") in page.text) == (lang in DRAFTS)


@pytest.mark.parametrize("lang", DRAFTS)
def test_law_and_referral_texts_are_marked_as_english(wide: House, lang: str) -> None:
    for path in ("exceptions", "privacy"):
        assert '<div lang="en" dir="ltr"><' in wide.browser().get(f"/{lang}/{path}").html
    assert '<span lang="en" dir="ltr">' in wide.browser().get(f"/{lang}/help").html


@pytest.mark.parametrize("lang", DRAFTS)
def test_message_records_the_language_of_its_page(wide: House, lang: str) -> None:
    wide.browser().tell("Coś.", lang)
    found = wide.counsellors[0].threads().values()
    assert lang in {
        entry.message.lang for thread in found for entry in thread.entries if entry.message
    }


@pytest.mark.parametrize(("headers", "length"), [(GZIP, PACKED), ({}, PLAIN)])
def test_pages_have_the_same_length_in_all_languages_of_a_site(
    wide: House, headers: dict[str, str], length: int
) -> None:
    """This holds with and without gzip, although other letters take two bytes."""
    found = {
        f"/{lang}/{path}": len(
            wide.browser().request("GET", f"/{lang}/{path}", headers=headers).body
        )
        for lang in PAGE_LANGUAGES
        for path in STILL
    }
    assert {path: size for path, size in found.items() if size != length} == {}


@pytest.mark.parametrize("lang", DRAFTS)
def test_code_and_error_pages_have_equal_length_in_each_language(wide: House, lang: str) -> None:
    """Somebody who does not feel safe gets as many bytes as others."""
    pages = [wide.browser().tell("Coś.", lang, safe=safe) for safe in ("", "yes", "no")]
    pages.append(wide.browser().post(f"/{lang}/report", text=""))
    pages.append(wide.browser().post(f"/{lang}/return", code="een twee"))
    assert [len(page.body) for page in pages] == [PLAIN] * len(pages)


def test_operator_is_told_which_translation_is_unreviewed(
    wide: House, house: House, tmp_path: Path
) -> None:
    def notes(one: House) -> str:
        return "\n".join(check.stale_texts(loader.read(one.folder).sites[0], START))

    assert f"languages: not yet read by a native speaker: {', '.join(DRAFTS)}" in notes(wide)
    assert "native speaker" not in notes(house)


@pytest.mark.parametrize(
    "wrong", ['"pl"', '["nl"]', '["nl", "en", "xx"]', '["nl", "en", "en"]', '["nl", "en", 3]', "[]"]
)
def test_invalid_list_of_languages_is_reported(house: House, wrong: str) -> None:
    path = house.folder / settings.FILE_NAME
    text = re.sub(r"(?m)^languages = .*$", f"languages = {wrong}", path.read_text())
    with pytest.raises(SettingsError, match="languages must be a list"):
        settings.parse(text, path)
