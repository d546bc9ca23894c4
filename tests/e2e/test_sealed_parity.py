"""A reporter finds the same words and controls with and without scripts.

Two browsers visit one site where browsers seal: one without scripts, the other sealing. Each line
of text and each control of a page must be on both, except those that a test names with the reason.
"""

import datetime
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from playwright.sync_api import Page

from tests.e2e.test_sealed_journey import bas, box, in_one_browser, meet, relay, start
from tests.support.browsers import Start
from tests.support.drop_box import Counsellor
from tests.support.relay import Relay
from tests.support.sealing_person import LANG, Reporter, open_sealing
from tests.support.steps import ANSWER, FOLLOW_UP, STORY, the_only_thread

__all__ = ["bas", "box", "in_one_browser", "meet", "relay", "start"]

Meet = Callable[[], Reporter]
WHO_CAN_READ = "^Je browser "
OPTIONS = """
text = "Dit kun je doen."
[[options]]
title = "Samen praten"
pro = "Het is snel."
con = "Het is spannend."
[[options]]
title = "Niets doen"
pro = "Rust."
con = ""
"""
SEEN = """() => {
  const all = (what) => [...document.querySelectorAll(what)].filter((one) => one.checkVisibility());
  const text = (one) => one?.textContent ?? "";
  for (const one of document.querySelectorAll("main details")) one.open = true;
  for (const one of document.querySelectorAll("ol.code li")) one.textContent = "word";
  const pressed = all("main :is(a, button, summary)").map((one) => `press ${text(one)}`);
  const fields = all("main :is(input, textarea)").filter(({ type }) => type !== "hidden");
  const filled = fields.map((one) => `${one.type} ${text(one.labels[0])}`);
  const words = document.querySelector("main").innerText.split("\\n");
  return { controls: [...pressed, ...filled], words };
}"""


def seen_on(page: Page) -> set[str]:
    """Return the lines of text and the controls of a page, with everything unfolded."""
    found = page.evaluate(SEEN)
    lines = (*found["words"], *(f"[{control}]" for control in found["controls"]))
    return {" ".join(line.replace("\u2060", "").split()) for line in lines} - {""}


@dataclass
class Pair:
    """A browser without scripts and one that seals."""

    plain: Page
    sealing: Page
    code: str = ""
    differences: list[str] = field(default_factory=list)

    def same(self, where: str, *, plain: str = "^$", sealing: str = "^$") -> None:
        """Compare both pages, except lines that match a pattern for one of them."""
        here, there = seen_on(self.plain), seen_on(self.sealing)
        for name, lines, allowed in (
            ("plain", here - there, plain),
            ("sealing", there - here, sealing),
        ):
            self.differences += [
                f"{where}, only {name}: {line}"
                for line in sorted(lines)
                if not re.search(WHO_CAN_READ, line) and not re.search(allowed, line)
            ]

    def tells(self, *pages: Page) -> None:
        """Send a report to Els from each page, and keep the code of the plain one."""
        for page in pages:
            page.get_by_label("Els de Vries").check()
            page.fill("[name=text]", STORY[LANG])
            page.click("#main-form button.button")
            page.wait_for_selector("ol.code li")
        self.code = " ".join(self.plain.locator("ol.code li").all_inner_texts())

    def goes_on(self, *pages: Page) -> None:
        for page in pages:
            page.check("[name=kept]")
            page.click("form:has([name=kept]) button[name=go]")
            page.wait_for_selector("#write-title")

    def opens(self) -> None:
        """Open the conversation of the plain report in both browsers, with what is new in it."""
        self.plain.goto(f"/{LANG}/conversation")
        open_sealing(self.sealing, f"/{LANG}/return")
        self.types(self.sealing, self.code)
        for page in (self.plain, self.sealing):
            page.wait_for_selector("#write-title")

    def types(self, page: Page, code: str) -> None:
        page.fill("[name=code]", code)
        page.click("#main-form button.button")

    def presses(self, words: str) -> None:
        for page in (self.plain, self.sealing):
            page.locator("main :is(a, button)").get_by_text(words, exact=True).first.click()
            page.wait_for_timeout(0)

    def back(self) -> None:
        self.presses("Terug naar je gesprek")
        for page in (self.plain, self.sealing):
            page.wait_for_selector("#write-title")


@pytest.fixture
def pair(meet: Meet, start: Start, relay: Relay, bas: Counsellor) -> Iterator[Pair]:
    """Yield both browsers on the page for a report; in the end no difference may be left."""
    assert bas
    context = start("chromium", True).new_context(base_url=relay.url, java_script_enabled=False)
    context.set_default_timeout(30_000)
    both = Pair(context.new_page(), meet().page)
    both.plain.goto(f"/{LANG}/report")
    open_sealing(both.sealing, f"/{LANG}/report")
    yield both
    context.close()


@in_one_browser
def test_pages_of_a_new_report_are_the_same_with_and_without_scripts(pair: Pair) -> None:
    pair.same("report")
    pair.tells(pair.plain, pair.sealing)
    pair.same("code")
    pair.goes_on(pair.plain, pair.sealing)
    pair.same("after the report")
    pair.opens()
    pair.same("nothing new")
    pair.plain.context.clear_cookies()
    pair.plain.goto(f"/{LANG}/return")
    open_sealing(pair.sealing, f"/{LANG}/return")
    pair.same("return")
    for page in (pair.plain, pair.sealing):
        pair.types(page, "fles vlieg boom water koffie appel tafel")
    pair.sealing.get_by_text("Bij deze code hoort geen gesprek").wait_for()
    # The sealing page stays as it is, and says the same in one line.
    plain = "(Deze code werkt niet|Kijk hier nog even naar|Kijk rustig|Lukt het niet|Bij deze code)"
    pair.same(
        "wrong code", plain=plain, sealing="^(Terug naar je gesprek|Bij deze code|Code kwijt)"
    )
    assert not pair.differences, "\n".join(pair.differences)


def answers(pair: Pair, step: str, answer: str) -> None:
    """Answer a request on the plain page."""
    form = pair.plain.locator("article", has_text=step).locator("form").first
    form.locator(f"[value={answer}]").check()
    form.locator("button").click()
    pair.plain.get_by_text("Je bericht is verstuurd").wait_for()


@in_one_browser
def test_pages_of_a_conversation_are_the_same_with_and_without_scripts(
    pair: Pair, counsellor: Counsellor, tmp_path: Path
) -> None:
    pair.tells(pair.plain)
    pair.goes_on(pair.plain)
    counsellor.desk("fetch")
    thread = the_only_thread(counsellor)
    paper = tmp_path / "verslag.txt"
    paper.write_text("Wat ik deed.\n" * 200)
    counsellor.desk("notice", thread, "received")
    counsellor.reply(thread, ANSWER[LANG], paper)
    (tmp_path / "options.toml").write_text(OPTIONS)
    counsellor.desk("options", thread, "--file", tmp_path / "options.toml")
    for step in ("Stap een", "Stap twee", "Stap drie"):
        counsellor.desk("ask", thread, *("--step", step, "--with", "Je chef", "--scope", "Alles"))
    pair.opens()
    pair.same("questions")
    for step, answer in (("een", "yes"), ("twee", "no"), ("drie", "tell-me-more")):
        answers(pair, f"Stap {step}", answer)
    pair.plain.click("button:text('Foto\u2019s of documenten sturen')")
    pair.plain.set_input_files("#files", paper)
    pair.plain.fill("[name=text]", FOLLOW_UP[LANG])
    pair.plain.click("#main-form button.button")
    pair.plain.get_by_text("Je bericht is verstuurd").wait_for()
    pair.opens()
    pair.same("answered")

    pair.presses("Foto\u2019s of documenten sturen")
    pair.same("files")
    pair.back()
    pair.presses("Bewaar het adres van deze site")
    # A link to another page would end the keys.
    pair.same("address", plain="Naar het begin|Vertel je verhaal", sealing="Terug naar je gesprek")
    pair.opens()
    pair.presses("Mijn gesprek wissen")
    pair.same("withdraw")
    pair.opens()
    counsellor.desk("notice", thread, "closed")
    until = datetime.datetime.now(datetime.UTC).date() + datetime.timedelta(days=30)
    counsellor.desk("away", "--until", until.isoformat())
    pair.opens()
    pair.same("closed, and away")
    assert "is afwezig tot en met" in pair.plain.locator("main").inner_text()

    pair.presses("Verder met iemand anders")
    pair.same("another counsellor")
    pair.plain.get_by_label("Bas Jansen").check()
    pair.plain.get_by_label("Laat deze persoon ook lezen").check()
    pair.plain.fill("[name=text]", FOLLOW_UP[LANG])
    pair.plain.click("#main-form button.button")
    pair.plain.get_by_text("Je bericht is verstuurd").wait_for()
    pair.opens()
    pair.same("with another counsellor")
    assert "Dat ja blijft gelden" in pair.plain.locator("main").inner_text()

    pair.sealing.click("[data-seal=withdraw]")
    pair.sealing.check("[name=sure]")
    pair.sealing.click("#main-form button.button")
    pair.sealing.get_by_text("Je gesprek is gewist").wait_for()
    pair.plain.goto(f"/{LANG}/withdrawn")
    pair.same("withdrawn")
    assert not pair.differences, "\n".join(pair.differences)
