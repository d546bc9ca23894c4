"""The pages that the sealing script shows: valid, accessible, fitting, in dark colours too.

The script fills in each page from a template; here the test does that. The end-to-end tests cover
the text of the pages.
"""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser

from dropbox_app.server.config.languages import PAGE_LANGUAGES
from dropbox_app.server.config.settings import Limits, Reporter
from tests.e2e.test_gallery import INTEROP, fits
from tests.server.web.conftest import House
from tests.support import axe
from tests.support.browsers import chromium, here
from tests.support.plain_browser import Page
from tests.support.showing import showing

__all__ = ["chromium"]

MAIN = re.compile(r"<main.*?</main>", re.DOTALL)
TEMPLATE = re.compile(r'<template id="sealed-([a-z]+)"[^>]*>(.*?)</template>', re.DOTALL)
CLIENT = re.compile(r'<script defer id="sealed".*?</script>', re.DOTALL)
# Templates that replace the page's main part.
WHOLE = ("code", "again", "conversation", "address", "files", "other", "withdraw", "withdrawn")
SAID = "Een zin die het script hier zegt."
LOOKS = [("light", "nl"), ("dark", "en"), ("light", "ar")]
AXES = [*LOOKS[:2], pytest.param(*LOOKS[2], marks=pytest.mark.long)]


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Page]]:
    """Yield each template in each language, with everything in it shown."""
    house = House(
        tmp_path_factory.mktemp("look") / "site",
        ("Noor Visser", "Sam Jansen"),
        reporter=Reporter(seal_in_browser=True),
        languages=PAGE_LANGUAGES,
        limits=Limits(free_bytes=1),
    )
    yield {
        f"{name} {lang}": page
        for _, lang in LOOKS
        for name, page in _filled(house.browser().get(f"/{lang}/report")).items()
    }
    house.close()


def _filled(report: Page) -> dict[str, Page]:
    templates = dict(TEMPLATE.findall(report.html))
    bare = CLIENT.sub("", TEMPLATE.sub("", report.html))
    request = _shown(templates["consent"])
    choice = _shown(templates["option"]).strip()
    options = _shown(templates["options"]).replace(
        '<div data-slot="choices"></div>', f'<div data-slot="choices">{choice}</div>'
    )
    message = _shown(templates["message"]).replace(
        '<div data-slot="request"></div>', f'<div data-slot="request">{request}</div>'
    )
    message = message.replace(
        '<div data-slot="choose"></div>', f'<div data-slot="choose">{options}</div>'
    )
    made = {"report": bare.replace(" hidden></p>", f">{SAID}</p>")}
    for name in WHOLE:
        html = _shown(templates[name])
        html = html.replace(
            '<div data-slot="messages"></div>', f'<div data-slot="messages">{message}</div>'
        )
        before, after = MAIN.split(bare, maxsplit=1)
        made[name] = f'{before}<main id="main" tabindex="-1">{html}</main>{after}'
    headers = [("Content-Type", "text/html; charset=utf-8")]
    return {name: Page(200, "", headers, html.encode()) for name, html in made.items()}


def _shown(html: str) -> str:
    """Return a template with everything in it shown, and every slot filled."""
    html = html.replace(" hidden>", ">")
    html = re.sub(r"<(ul|ol)( [^>]*data-slot[^>]*)></\1>", rf"<\1\2><li>{SAID}</li></\1>", html)
    html = html.replace("<dl></dl>", f"<dl><dt>{SAID}</dt><dd>{SAID}</dd></dl>")
    html = re.sub(
        r'(<ol class="code"[^>]*>).*?(</ol>)', r"\1<li>fles</li><li>vlieg</li>\2", html, flags=re.S
    )
    return re.sub(
        r"<(h2|h3|p|dt|dd|li|span|button)( [^>]*data-s(?:lot|eal)[^>]*)></\1>",
        rf"<\1\2>{SAID}</\1>",
        html,
    )


def test_checks_of_script_pages_cover_every_template(pages: dict[str, Page]) -> None:
    assert {name.split()[0] for name in pages} == {"report", *WHOLE}
    for name, page in pages.items():
        assert "<template" not in page.html, name
        assert " hidden>" not in MAIN.search(page.html)[0], name  # type: ignore[index]  # it has one


def test_script_pages_are_valid_html(pages: dict[str, Page]) -> None:
    if shutil.which("node") is None or not (INTEROP / "node_modules" / "html-validate").is_dir():
        pytest.skip("node or tests/protocol/interop/node_modules is not there")
    sources = {name: page.html for name, page in pages.items()}
    done = subprocess.run(
        ["node", "validate.mjs"],
        cwd=INTEROP, input=json.dumps(sources), capture_output=True, text=True,
        timeout=120, check=True,
    )  # fmt: skip
    assert json.loads(done.stdout) == {}


@here("chromium")
def test_script_pages_fit_a_small_phone_and_doubled_text_size(
    chromium: Browser, pages: dict[str, Page]
) -> None:
    context = chromium.new_context(java_script_enabled=False)
    with showing(context, pages) as shown_by:
        for name in pages:
            fits(shown_by.show(name), name)
        context.close()


@here("chromium")
@pytest.mark.parametrize(("scheme", "lang"), AXES)
def test_axe_finds_no_violations_on_script_pages(
    chromium: Browser, pages: dict[str, Page], scheme: str, lang: str
) -> None:
    context = chromium.new_context(color_scheme=scheme)  # type: ignore[arg-type] # one of two
    found = {}
    with showing(context, pages) as shown_by:
        for name in pages:
            if name.endswith(f" {lang}"):
                shown = shown_by.show(name)
                shown.evaluate("document.querySelectorAll('details').forEach(e => e.open = true)")
                if said := axe.violations(shown):
                    found[name] = said
        context.close()
    assert found == {}
