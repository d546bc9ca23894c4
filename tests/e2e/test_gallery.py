"""Every page in every state and language is complete, valid, accessible and fits its window.

tests/support/gallery.py lists them; here independent programs check them, and a real browser shows
them. With --long each page and state fits its window in every language, in CI in Dutch, Ukrainian
and Arabic. axe then checks each in Dutch, in light colours, and once in another language, because a
colour scheme or a language changes the same things on every page. By default the browser shows
every third state, and axe checks half of those in light colours in Dutch and the others in dark
colours in English.
"""

import html.parser
import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from playwright.sync_api import Browser
from playwright.sync_api import Page as Shown

from dropbox_app.server.config.languages import ALWAYS, DRAFTS, PAGE_LANGUAGES
from tests.server.web.test_before import check_shape
from tests.support import axe
from tests.support.browsers import chromium, here
from tests.support.gallery import gallery
from tests.support.plain_browser import Page
from tests.support.showing import showing

__all__ = ["chromium"]

INTEROP = Path(__file__).resolve().parents[1] / "protocol" / "interop"
LONG = os.environ.get("KLANKBORD_LONG") == "1"
LOOKS = [("light", "nl"), ("dark", "en")]
LANGUAGES = PAGE_LANGUAGES if LONG else ALWAYS
OTHERS = ("en", *DRAFTS)
if LONG:
    LOOKS = [("light", "nl"), *((scheme, lang) for lang in OTHERS for scheme in ("light", "dark"))]
# The reader's own setting: 200 per cent is 32 px instead of 16, times the style sheet's factor.
TWICE = "document.documentElement.style.fontSize = '225%'"
WIDE = "document.documentElement.scrollWidth"
UNFILLED = re.compile(r"\{[a-z_]+\}")  # a name in a sentence that nobody filled in
# Finds any link, button or fold alone on its line that is too low for a finger.
LOW = """[...document.querySelectorAll('main a, main button, main summary')].filter(e => {
    const own = e.innerText.trim(), block = (e.closest('p, li, div') || e).innerText.trim();
    return own && own === block && e.getBoundingClientRect().height < 47.5;
}).map(e => e.outerHTML.slice(0, 80))"""
# Finds any content that is cut off without being wider than the page.
CUT = """[...document.querySelectorAll('body *')].filter(e => {
    const r = e.getBoundingClientRect();
    return r.width && (r.right > innerWidth + 1 || r.left < -1) && !e.closest('.skip, .away');
}).map(e => e.outerHTML.slice(0, 80))"""


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Page]:
    """Return the pages by name and language."""
    folder = tmp_path_factory.mktemp("gallery")
    return {
        f"{name} {lang}": page for lang in LANGUAGES for name, page in gallery(folder, lang).items()
    }


class Errors(html.parser.HTMLParser):
    """A page's errors, as stated in text and as exposed to a screen reader."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.problems: set[str] = set()  # ids of sentences next to a field
        self.pointed_at: set[str] = set()  # ids that a field marked as wrong refers to
        self.links: set[str] = set()  # targets of the links in the summary
        self.invalid: set[str] = set()
        self.announced = 0
        self._summary = 0
        self.feed(source)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attributes}
        if values.get("class") == "problem":
            self.problems.add(values["id"])
        if values.get("aria-invalid") == "true":
            self.invalid.add(values.get("id", tag))
            self.pointed_at |= set(values["aria-describedby"].split())
        if values.get("role") in ("alert", "status"):
            self.announced += 1
        if tag == "a" and self.announced and values["href"].startswith("#"):
            self.links.add(values["href"][1:])


def test_every_page_is_complete_and_every_error_is_tied_to_its_field(
    pages: dict[str, Page],
) -> None:
    wrong = set()
    for name, page in pages.items():
        check_shape(page)
        assert not UNFILLED.findall(page.text), name
        found = Errors(page.html)
        assert found.problems <= found.pointed_at, name
        assert len(found.invalid) == len(found.problems), name
        if found.problems:
            wrong.add(name)
            assert found.announced, name
            # The summary links to each field by the id of the sentence without its ending.
            assert {p.removesuffix("-problem") for p in found.problems} <= found.links, name
        if page.status == 422 and "no such code" not in name:
            assert found.announced, name
    assert len(wrong) >= 24


def test_every_page_is_valid_html(pages: dict[str, Page]) -> None:
    """html-validate checks the pages independently; a planted fault proves that it does."""
    if shutil.which("node") is None or not (INTEROP / "node_modules" / "html-validate").is_dir():
        pytest.skip("node or tests/protocol/interop/node_modules is not there")
    sources = {name: page.html for name, page in pages.items()}
    landing = pages["landing nl"].html
    planted = {
        "a div in a p": landing.replace("<h1>", "<p><div><h1>", 1),
        "an id twice": landing.replace("<h1>", '<h1 id="main">', 1),
        "no label": pages["return nl"].html.replace('<label for="code">', "<p>", 1),
    }
    done = subprocess.run(
        ["node", "validate.mjs"],
        cwd=INTEROP, input=json.dumps(sources | planted), capture_output=True, text=True,
        timeout=120, check=True,
    )  # fmt: skip
    found = json.loads(done.stdout)
    assert {name: said for name, said in found.items() if name not in planted} == {}
    assert set(found) == set(planted)


def fits(page: Shown, name: str) -> None:
    for width in (1280, 320):
        page.set_viewport_size({"width": width, "height": 700})
        wide, cut, low = page.evaluate(f"[{WIDE}, {CUT}, {LOW}]")
        assert (wide <= width, cut, low) == (True, [], []), (name, width)
    wide, cut = page.evaluate(f"() => {{ {TWICE}; return [{WIDE}, {CUT}]; }}")
    assert (wide <= 320, cut) == (True, []), (name, "200 %")


@here("chromium")
@pytest.mark.parametrize(
    "lang",
    [
        "nl",
        *(pytest.param(lang, marks=pytest.mark.long) for lang in ("uk", "ar")),
        *(pytest.param(lang, marks=[pytest.mark.long, pytest.mark.spare]) for lang in ("en", "pl")),
    ],
)
def test_every_page_fits_a_small_phone_and_doubled_text_size(
    chromium: Browser, pages: dict[str, Page], lang: str
) -> None:
    """Scripts are off, as in Tor Browser at "Safest", and only the style sheet is requested.

    The pages are in Dutch, which has longer words than English; with --long in every language.
    """
    context = chromium.new_context(java_script_enabled=False)
    names = {f"{state} {lang}" for state in states(pages)} & set(pages)
    with showing(context, pages) as gallery_of:
        for name in names:
            fits(gallery_of.show(name), name)
        assert {path for path in gallery_of.asked if not path.startswith("static/")} == names
        context.close()


@here("chromium")
@pytest.mark.parametrize(
    "name", [f"{page} {lang}" for page in ("landing", "safety") for lang in ALWAYS]
)
def test_next_step_is_on_the_first_screen_of_a_small_phone(
    chromium: Browser, pages: dict[str, Page], name: str
) -> None:
    """The main advice comes before that step, even in a wide typeface and with two languages."""
    phone = {"width": 320, "height": 640}
    context = chromium.new_context(viewport=phone, java_script_enabled=False)  # type: ignore[arg-type] # a dict will do
    with showing(context, pages) as gallery_of:
        shown = gallery_of.show(name)
        shown.wait_for_load_state("load")
        place = shown.locator("main a.button").last.bounding_box()
        assert place
        assert place["y"] + place["height"] <= phone["height"]
        context.close()


@here("chromium")
@pytest.mark.parametrize(("scheme", "lang"), LOOKS)
def test_axe_finds_no_violations_on_any_page_in_any_state(
    chromium: Browser, pages: dict[str, Page], scheme: str, lang: str
) -> None:
    context = chromium.new_context(color_scheme=scheme)  # type: ignore[arg-type] # one of two
    pale = pages[f"landing {lang}"].html.replace('class="lead"', 'style="opacity: 0.4"', 1)
    planted = Page(200, "", [("Content-Type", "text/html; charset=utf-8")], pale.encode())
    found = {}
    with showing(context, pages | {"planted": planted}) as gallery_of:
        assert axe.violations(gallery_of.show("planted"))
        for name in seen_in(pages, scheme, lang):
            shown = gallery_of.show(name)
            shown.evaluate("document.querySelectorAll('details').forEach(e => e.open = true)")
            if said := axe.violations(shown):
                found[name] = said
        context.close()
    assert found == {}


def states(pages: dict[str, Page]) -> list[str]:
    """Return the states that the browser shows: with --long all of them."""
    return sorted({name.rpartition(" ")[0] for name in pages})[:: 1 if LONG else 3]


def seen_in(pages: dict[str, Page], scheme: str, lang: str) -> list[str]:
    """Return the pages that axe checks in this colour scheme and language."""
    if LONG and lang == "nl":
        return [name for name in pages if name.endswith(" nl")]
    shown = states(pages)
    if LONG:  # each in one of the other languages
        shown = shown[OTHERS.index(lang) :: len(OTHERS)]
    half = {state for number, state in enumerate(shown) if number % 2 == (scheme == "dark")}
    # A page that exists in only one language is checked in that language.
    single = {state for state in shown if not {f"{state} {one}" for one in ALWAYS} <= set(pages)}
    return [f"{state} {lang}" for state in shown if state in half | single
            if f"{state} {lang}" in pages]  # fmt: skip
