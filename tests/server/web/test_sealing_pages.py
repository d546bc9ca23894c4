"""The pages that include the client for a browser that seals, and those that do not."""

import html
import importlib.resources
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from dropbox_app.protocol.encoding import sha256_hex
from dropbox_app.server.config.settings import Limits, Reporter
from dropbox_app.server.web.i18n import PAGE_LANGUAGES
from dropbox_app.server.web.padding import PACKED, PLAIN
from dropbox_app.server.web.security_headers import HEADERS, POLICY, SEALING_POLICY
from tests.server.web.conftest import House
from tests.server.web.test_before import STILL
from tests.support.catalogues import placeholders
from tests.support.plain_browser import Page

GZIP = {"Accept-Encoding": "gzip, deflate, br, zstd"}
WITH_CLIENT = ("report", "return")
SCRIPT = re.compile(r'<script defer id="sealed"([^>]*)>')


@pytest.fixture
def sealing(tmp_path: Path) -> Iterator[House]:
    """Yield a site in all languages where browsers seal."""
    made = House(
        tmp_path / "sealing",
        ("Noor Visser", "Sam Jansen"),
        reporter=Reporter(seal_in_browser=True),
        languages=PAGE_LANGUAGES,
        limits=Limits(free_bytes=1),
    )
    yield made
    made.close()


def policy(page: Page) -> str:
    return dict(page.headers)[POLICY]


def has_client(page: Page) -> bool:
    """Return whether a page includes the client; it must include all of it or nothing."""
    marks = ("<template", "data-seal", "sealed-status", SCRIPT.pattern[:20])
    found = {mark in page.html for mark in marks}
    assert len(found) == 1, marks
    return found == {True}


def assets(page: Page) -> dict[str, str]:
    """Return the addresses of the client's files, by the attributes that name them."""
    found = SCRIPT.search(page.html)
    assert found is not None
    return dict(re.findall(r'(src|data-[a-z-]+)="(/static/[^"]+)"', found[1]))


def test_scripts_for_sealing_are_absent_unless_the_setting_enables_them(
    house: House, sealing: House
) -> None:
    for name in STILL:
        page = house.browser().get(f"/nl/{name}")
        assert not has_client(page), name
        assert policy(page) == HEADERS[POLICY], name
    for address in assets(sealing.browser().get("/nl/report")).values():
        assert house.browser().get(address).status == 404


@pytest.mark.parametrize("lang", PAGE_LANGUAGES)
def test_only_the_two_empty_forms_include_the_scripts_for_sealing(
    sealing: House, lang: str
) -> None:
    for name in STILL:
        page = sealing.browser().get(f"/{lang}/{name}")
        assert has_client(page) == (name in WITH_CLIENT), name
        assert policy(page) == (SEALING_POLICY if name in WITH_CLIENT else HEADERS[POLICY]), name


@pytest.mark.parametrize("lang", PAGE_LANGUAGES)
def test_length_reveals_only_that_one_of_the_two_pages_with_scripts_was_opened(
    sealing: House, lang: str
) -> None:
    """Both pages have one length, and all other pages before a session have another."""
    found: dict[bool, set[tuple[int, int]]] = {True: set(), False: set()}
    for name in STILL:
        plain = sealing.browser().get(f"/{lang}/{name}")
        small = sealing.browser().request("GET", f"/{lang}/{name}", headers=GZIP)
        found[name in WITH_CLIENT].add((len(plain.body), len(small.body)))
    assert found[False] == {(PLAIN, PACKED)}
    assert len(found[True]) == 1


def test_responses_to_plain_forms_never_include_the_scripts_for_sealing(sealing: House) -> None:
    """By then the server has seen the typed text, so no page may say that the browser seals."""
    browser = sealing.browser()
    answers = [
        browser.post("/nl/report", text=""),
        browser.post("/nl/report", text="Iets.", counsellor="x"),
        browser.post("/nl/report", text="Iets.", switch="1"),
        browser.post("/nl/return", code="een twee"),
        browser.post("/nl/return", code="fles vlieg boom water koffie appel tafel"),
        browser.post("/nl/return", code="fles", switch="1"),
        browser.tell("Iets.", counsellor=sealing.counsellors[0].identity.hex),
        browser.get("/nl/conversation"),
        browser.get("/nl/return"),
    ]
    for page in answers:
        assert not has_client(page), page.path
        assert policy(page) == HEADERS[POLICY], page.path


def test_policy_allows_only_scripts_of_this_site(sealing: House) -> None:
    rules = dict(one.split(" ", 1) for one in SEALING_POLICY.split("; "))
    assert rules["default-src"] == "'none'"
    assert rules["script-src"].startswith("'self' 'sha256-")
    assert rules["script-src"].count(" ") == 1
    assert rules["worker-src"] == rules["connect-src"] == rules["form-action"] == "'self'"
    assert rules["require-trusted-types-for"] == "'script'"
    assert "unsafe" not in SEALING_POLICY
    assert "http" not in SEALING_POLICY
    page = sealing.browser().get("/nl/report")
    assert page.html.count("<script") == 2
    assert not re.search(r"<[^>]* (on[a-z]+|style)=", page.html)


def test_scripts_for_sealing_are_served_under_their_content_hash(sealing: House) -> None:
    named = assets(sealing.browser().get("/en/return"))
    assert set(named) == {
        "src", "data-worker", "data-words-nl", "data-words-en", "data-not-dealt-nl",
        "data-not-dealt-en",
    }  # fmt: skip
    lists = importlib.resources.files("dropbox_app.protocol") / "words"
    for attribute, address in named.items():
        page = sealing.browser().get(address)
        assert page.status == 200, address
        assert sha256_hex(page.body)[:16] in address
        # This is the worker's policy, which allows it no connections.
        assert policy(page) == HEADERS[POLICY], address
        kind = dict(page.headers)["Content-Type"].partition(";")[0]
        assert kind == ("text/plain" if address.endswith(".txt") else "text/javascript")
        if address.endswith(".txt"):
            source = attribute.removeprefix("data-").removeprefix("words-").replace("-", "_")
            assert page.body == (lists / f"{source}.txt").read_bytes()


@pytest.mark.parametrize("lang", PAGE_LANGUAGES)
def test_page_includes_the_scripts_sentences_in_every_language(sealing: House, lang: str) -> None:
    """Each sentence keeps its placeholders, and has every plural form."""
    said = _sentences(sealing, lang)
    nl = _sentences(sealing, "nl")
    assert {key for key, _ in said} == {key for key, _ in nl}
    for (key, _), text in said.items():
        wanted = next(other for (name, _), other in nl.items() if name == key)
        assert placeholders(text) == placeholders(wanted), key
    forms = {plural for key, plural in said if key == "errors.code_count"}
    assert len(forms) == {"nl": 2, "en": 2, "pl": 3, "uk": 3, "ar": 6}[lang]


def _sentences(house: House, lang: str) -> dict[tuple[str, str], str]:
    page = house.browser().get(f"/{lang}/report").html
    rows = re.findall(r'<li data-key="([^"]+)"(?: data-plural="([a-z]+)")?>([^<]*)</li>', page)
    found = {(key, plural): html.unescape(text) for key, plural, text in rows}
    assert len(found) == len(rows) > 80, "none is there twice"
    return found


def test_script_forms_cannot_be_submitted_without_the_script(sealing: House) -> None:
    """If the script fails, a click must not put seven words into an address or a plain request."""
    page = sealing.browser().get("/nl/return").html
    templates = re.findall(r"<template.*?</template>", page, re.DOTALL)
    forms = [form for one in templates for form in re.findall(r"<form[^>]*>", one)]
    assert len(forms) >= 6
    for form in forms:
        assert 'method="dialog"' in form
        assert "action" not in form


@pytest.mark.parametrize("name", WITH_CLIENT)
def test_page_is_identical_for_everybody_and_has_a_fixed_length(sealing: House, name: str) -> None:
    pages = [sealing.browser().get(f"/nl/{name}") for _ in range(2)]
    assert pages[0].body == pages[1].body
    assert len({len(sealing.browser().get(f"/{lang}/{name}").body) for lang in ("nl", "en")}) == 1
