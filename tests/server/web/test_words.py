"""The catalogues: complete, consistent in all languages, with exactly the used keys."""

import datetime
import re
from collections.abc import Mapping
from pathlib import Path

import pytest
from babel.messages.catalog import Message

import dropbox_app.server.web
from dropbox_app.protocol.messages import ANSWERS, CONSENT_ANSWERS, NOTICE_STATUS
from dropbox_app.server.web.i18n import PAGE_LANGUAGES, MissingWord, words
from tests.support.catalogues import catalogue_in, placeholders, texts

SERVER = Path(dropbox_app.server.web.__file__).parent
KEY = re.compile(r"[a-z]+(\.[a-z0-9_-]+)+")
# Keys that are composed of a prefix and a value.
MADE = {
    *(f"{name}.{value}" for name, (_, values) in ANSWERS.items() for value in values),
    *(f"report.{name}" for name in ANSWERS),
    *(f"consent.{answer}" for answer in CONSENT_ANSWERS),
    *(f"notice.{status}" for status in NOTICE_STATUS),
    *(f"{key}_hours" for key in ("closed.call", "contact.phone", "person.phone")),
    *(f"person.{kind}" for kind in ("internal", "external")),
    *(f"person.scope.{scope}" for scope in ("unwanted_behaviour", "integrity", "both")),
    *(
        f"error.{status}.{part}"
        for status in (400, 403, 404, 405, 413, 415, 421, 500, 503)
        for part in ("title", "body")
    ),
}


def catalogue(lang: str) -> Mapping[str, Message]:
    return catalogue_in(SERVER, lang)


def used() -> set[str]:
    """Return every key that a template or a module names."""
    known = set(catalogue("nl"))
    found = set(MADE)
    for path in [*(SERVER / "templates").glob("*.html"), *SERVER.rglob("*.py")]:
        literals = re.findall(r'"([a-z0-9_.-]+)"', path.read_text())
        prefixes = {key.split(".")[0] for key in known}
        found |= {one for one in literals if KEY.fullmatch(one) and one.split(".")[0] in prefixes}
    return found - {name for name in found if name.endswith((".html", ".css"))}


FORMS = {"nl": 2, "en": 2, "pl": 3, "uk": 3, "ar": 6}  # the plural forms of each language


@pytest.mark.parametrize("lang", PAGE_LANGUAGES)
def test_all_languages_have_the_same_keys_and_every_key_has_text(lang: str) -> None:
    messages = catalogue(lang)
    assert list(messages) == list(catalogue("nl"))
    for message in messages.values():
        assert all(text.strip() for text in texts(message)), message.id
        assert not message.fuzzy, message.id
        assert len(texts(message)) == (1 if isinstance(message.id, str) else FORMS[lang])


@pytest.mark.parametrize("lang", PAGE_LANGUAGES)
def test_placeholders_match_in_all_languages_and_plural_forms(lang: str) -> None:
    nl, other = catalogue("nl"), catalogue(lang)
    for key in nl:
        for text in texts(other[key]):
            assert placeholders(text) == placeholders(texts(nl[key])[0]), key


@pytest.mark.parametrize("lang", PAGE_LANGUAGES)
def test_telephone_numbers_and_figures_match_in_all_languages(lang: str) -> None:
    """Templates turn them into links, and no term or number may differ."""
    nl, other = catalogue("nl"), catalogue(lang)
    for key in nl:
        wanted = set(re.findall(r"[0-9][0-9.,\u00a0 -]*[0-9]|[0-9]", texts(nl[key])[0]))
        for text in texts(other[key]):
            found = set(re.findall(r"[0-9][0-9.,\u00a0 -]*[0-9]|[0-9]", text))
            bare = {re.sub(r"[., \u00a0]", "", one) for one in wanted}
            assert {re.sub(r"[., \u00a0]", "", one) for one in found} == bare, key


def test_every_text_key_is_used_and_every_used_key_exists() -> None:
    known = set(catalogue("nl"))
    assert used() - known == set()
    assert known - used() == set()


def test_missing_text_key_is_a_fault_and_is_never_shown() -> None:
    for lang in PAGE_LANGUAGES:
        with pytest.raises(MissingWord):
            words(lang).say("landing.nothing")
        with pytest.raises(MissingWord):
            words(lang).count("landing.nothing", 2)


def test_no_text_has_an_exclamation_mark_or_a_forbidden_claim() -> None:
    """No text promises an official report or a right that a counsellor does not have."""
    for lang in PAGE_LANGUAGES:
        for key, message in catalogue(lang).items():
            for text in texts(message):
                assert "!" not in text, key
                # The name of a public body that contains such a word.
                said = text.replace("Huis voor Klokkenluiders", "")
                assert not re.search("verschoningsrecht|whistleblow|klokkenluid", said, re.I), key
                if key != "crisis.suicide":  # 113 itself promises this
                    assert not re.search("anoniem|anonymous|anonim|анонім|مجهول", text, re.I), key
                assert not re.search("versleuteld|encrypt|szyfr|шифр|تشفير|مشفر", text, re.I), key


def test_texts_with_numbers_have_the_right_plural() -> None:
    assert "1 werkdag." in words("nl").count("code.when", 1, days=1)
    assert "2 werkdagen." in words("nl").count("code.when", 2, days=2)
    assert "1 working day." in words("en").count("code.when", 1, days=1)


def test_names_are_joined_by_the_rules_of_the_language() -> None:
    assert words("nl").listed(["A", "B", "C"]) == "A, B en C"
    assert words("en").listed(["A", "B"], "word.or") == "A or B"
    assert words("ar").listed(["A", "B", "C"]) == "A، B وC"
    assert words("ar").listed(["A", "B"], "word.or") == "A أو B"
    assert words("ar").listed(["A"]) == "A"


def test_arabic_dual_is_followed_by_its_number_in_parentheses() -> None:
    assert "يومي عمل (2)" in words("ar").count("landing.time", 2, days=2)
    assert "3 أيام عمل" in words("ar").count("landing.time", 3, days=3)


def test_numbers_are_formatted_by_the_rules_of_the_language() -> None:
    assert "12.000 tekens" in words("nl").count("errors.text_long", 12_000, over=12_000)
    assert "12,000 characters" in words("en").count("errors.text_long", 12_000, over=12_000)


def test_dates_are_written_with_the_name_of_the_month() -> None:
    today = datetime.date(2026, 11, 3)
    nl, en = words("nl"), words("en")
    assert nl.date(today, today) == "3\u00a0november"
    assert en.date(today - datetime.timedelta(1), today) == "2\u00a0November"
    assert nl.date(datetime.date(2026, 3, 1), today) == "1\u00a0maart"
    assert en.date(datetime.date(2026, 3, 1), today) == "1\u00a0March"
    assert nl.date(datetime.date(2027, 3, 1), today) == "1\u00a0maart 2027"
