"""One working day on the page in a real browser, by keyboard alone and by mouse alone.

The day: a report by somebody who does not feel safe, an answered consent request, an answer
promised for tomorrow, a telephone call about which nothing may be recorded, advice to a director,
the agreed step, and a training. Finally the lid is closed. No page shows an id.
"""

import datetime
import re
from collections.abc import Iterator
from typing import Protocol

import pytest
from playwright.sync_api import Browser, Locator, Page, expect, sync_playwright

from dropbox_app.desk.actions import register
from dropbox_app.desk.register.events import Activity, Advice, Case, Contact, Step
from tests.desk.conftest import PASSPHRASE, Office
from tests.desk.web.conftest import Running
from tests.support.browsers import CHROMIUM, PROGRAMS, here
from tests.support.fake_server import Clock, Reporter

pytestmark = [here("chromium"), pytest.mark.long]

MOST_TABS = 150  # to reach one element of a page
MOST_CHOICES = 20
ID = re.compile(r"[0-9a-f]{8}")
STEP = {"step": "Praten met de directeur", "with": "De directeur", "scope": "Geen naam."}


class Hands(Protocol):
    """How a person operates the elements of a page."""

    def press(self, what: Locator) -> None:
        """Follow a link, press a button, or unfold an element."""

    def tick(self, what: Locator) -> None:
        """Tick a box or a radio button."""

    def write(self, where: Locator, text: str) -> None:
        """Replace the contents of a field."""

    def choose(self, where: Locator, name: str) -> None:
        """Choose an item of a list."""


class Keyboard:
    """Tab and arrow keys, Enter and, on a button, the space bar; the mouse is not touched."""

    def __init__(self, page: Page) -> None:
        self._keys = page.keyboard

    def press(self, what: Locator) -> None:
        self._reach(what)
        button = what.evaluate("(one) => one.matches('button')")
        self._keys.press("Space" if button else "Enter")

    def tick(self, what: Locator) -> None:
        if what.get_attribute("type") == "checkbox":
            self._reach(what)
            self._keys.press("Space")
        else:  # Tab reaches one button of the group, and the arrow keys the others
            self._reach(what.locator("xpath=ancestor::fieldset").locator("input[type=radio]"))
            for _ in range(MOST_CHOICES):
                if _has_focus(what):
                    break
                self._keys.press("ArrowDown")
            if not what.is_checked():  # Tab reached the first of a group in which none is selected
                self._keys.press("Space")
        expect(what).to_be_checked()

    def write(self, where: Locator, text: str) -> None:
        self._reach(where)
        self._keys.press("Control+A")
        self._keys.insert_text(text)

    def choose(self, where: Locator, name: str) -> None:
        self._reach(where)
        self._keys.type(name)

    def _reach(self, what: Locator) -> None:
        for _ in range(MOST_TABS):
            if _has_focus(what):
                return
            self._keys.press("Tab")
        raise AssertionError(f"{what} is not reached by Tab")


class Mouse:
    """The mouse, with keys only for text. A list is the browser's own and counts as clicked."""

    def __init__(self, page: Page) -> None:
        self._keys = page.keyboard

    def press(self, what: Locator) -> None:
        what.click()

    def tick(self, what: Locator) -> None:
        what.locator("xpath=ancestor::label").click()
        expect(what).to_be_checked()

    def write(self, where: Locator, text: str) -> None:
        where.click(click_count=3)
        self._keys.insert_text(text)

    def choose(self, where: Locator, name: str) -> None:
        where.click()
        where.select_option(label=name)


def _has_focus(what: Locator) -> bool:
    return bool(what.evaluate_all("all => all.some((one) => one === document.activeElement)"))


@pytest.fixture
def page() -> Iterator[Page]:
    with sync_playwright() as playwright:
        browser: Browser = playwright.chromium.launch(
            executable_path=PROGRAMS["chromium"], args=CHROMIUM
        )
        made = browser.new_page()
        made.set_default_timeout(30_000)
        yield made
        browser.close()


@pytest.fixture
def morning(
    running: Running, office: Office, clock: Clock, reporter: Reporter, thread: str
) -> tuple[Running, Reporter, Reporter]:
    """Return a desk in the morning: a consent request was answered, and two people have written.

    One report is from yesterday; the other is from today, by somebody who does not feel safe.
    """
    office.run("ask", thread, *(part for key, said in STEP.items() for part in (f"--{key}", said)))
    office.run("label", thread, "Roosters")
    (asked,) = (one for one in reporter.thread().genuine() if one.kind == "consent-request")
    reporter.send("consent-answer", {"request": asked.digest, "answer": "yes", "text": ""})
    today = clock.day
    clock.day -= datetime.timedelta(days=1)
    Reporter(office.peer, office.identity).report("Mag mijn rooster zomaar anders?")
    clock.day = today
    other = Reporter(office.peer, office.identity)
    other.report("Ik durf niet naar huis.", safe="no")
    return running, reporter, other


@pytest.mark.parametrize("kind", [Keyboard, Mouse])
def test_every_daily_task_can_be_done_with_only_the_keyboard_or_only_the_mouse(
    morning: tuple[Running, Reporter, Reporter], page: Page, kind: type[Keyboard | Mouse]
) -> None:
    running, first, unsafe = morning
    hands: Hands = kind(page)
    page.goto(running.gate.link.address(running.url))
    _at(page, "unlock")
    hands.write(page.locator("#passphrase"), PASSPHRASE)
    hands.press(page.locator("main button.button"))
    _at(page, "today")
    hands.press(page.locator("form[action$=fetch] button"))
    _at(page, "fetch")
    running.wait_for_fetch()
    _way(page, hands, "Vandaag", "today")
    rows = page.locator("[aria-labelledby=mine] .row")
    expect(rows.nth(0)).to_contain_text("De melder voelt zich niet veilig")
    expect(rows.nth(1)).to_contain_text("Antwoord op je vraag: ja")
    expect(rows.nth(1)).to_contain_text("Roosters")  # the counsellor's own name for it
    expect(rows.nth(2)).to_contain_text("Antwoord verwacht uiterlijk 6 januari")
    for row in rows.all():
        expect(row).to_contain_text("Voorbeeld BV")
    _answer(page, hands, rows.nth(0).locator("a"))
    _record_the_case(page, hands)
    _call_of_which_nothing_is_kept(page, hands)
    _advice_and_training(page, hands)
    _the_step(page, hands)
    _way(page, hands, "Vandaag", "today")
    expect(rows).to_have_count(1)  # the other two wait for their reporters
    expect(page.locator("[aria-labelledby=theirs] .row")).to_have_count(2)
    hands.press(page.locator("header form button"))
    _at(page, "unlock")
    assert not running.lock.is_open
    assert any("Wat vind je" in text for text in unsafe.texts())
    _is_recorded(running, first)


def _at(page: Page, name: str) -> None:
    page.wait_for_selector(f"body[data-page={name}]")
    page.wait_for_load_state("load")
    assert not ID.search(page.inner_text("body")), name


def _done(page: Page) -> None:
    page.wait_for_selector("main [role=status]")
    page.wait_for_load_state("load")


def _way(page: Page, hands: Hands, name: str, to: str) -> None:
    hands.press(page.locator(".ways a", has_text=name))
    _at(page, to)


def _answer(page: Page, hands: Hands, row: Locator) -> None:
    """Insert a snippet, change two sentences, and send."""
    hands.press(row)
    _at(page, "thread")
    hands.choose(page.locator("#snippet"), "Eerste antwoord: luisteren")
    hands.press(page.locator("button[name=insert]"))
    expect(page.locator("#text")).not_to_have_value("")
    page.wait_for_load_state("load")
    said = page.locator("#text").input_value().split("\n\n")
    hands.write(page.locator("#text"), "\n\n".join([*said[:1], "Ben je nu veilig?", said[-1]]))
    hands.press(page.locator(".write button.button"))
    _done(page)


def _record_the_case(page: Page, hands: Hands) -> None:
    hands.press(page.get_by_role("link", name="De zaak bij dit gesprek"))
    _at(page, "case")
    hands.press(page.get_by_role("link", name="Vul de zaak aan"))
    _at(page, "case-sheet")
    hands.tick(page.locator("[name=main_group]").nth(1))
    hands.press(page.locator("main form button.button"))
    _at(page, "case")


def _call_of_which_nothing_is_kept(page: Page, hands: Hands) -> None:
    _way(page, hands, "Nieuw contact", "contact")
    hands.choose(page.locator("#employer"), "Voorbeeld BV")
    hands.write(page.locator("#other_minutes"), "45")
    hands.tick(page.locator("[name=record_nothing]"))
    hands.press(page.locator("form.contact button.button"))
    _done(page)


def _advice_and_training(page: Page, hands: Hands) -> None:
    """Record advice to a director without a case, and a training of 22 people and 3 hours."""
    for kind, choice, fields in (
        ("advice", "", {"other_minutes": "30"}),
        ("activity", "training", {"other_minutes": "180", "people": "22", "title": "Training"}),
    ):
        _way(page, hands, "Meer", "more")
        hands.press(page.get_by_role("link", name="Ander werk"))
        _at(page, "work")
        form = page.locator(f"#{kind}")
        hands.press(form.locator("summary"))
        hands.choose(form.locator("[name=employer]"), "Voorbeeld BV")
        if choice:
            hands.tick(form.locator(f"[name=what][value={choice}]"))
        for name, text in fields.items():
            hands.write(form.locator(f"[name={name}]"), text)
        hands.press(form.locator("button.button"))
        _done(page)


def _the_step(page: Page, hands: Hands) -> None:
    """Record that the step agreed on this morning was taken, and tell the reporter."""
    _way(page, hands, "Vandaag", "today")
    hands.press(page.locator(".row a", has_text="Roosters"))
    _at(page, "thread")
    hands.press(page.get_by_role("link", name="De zaak bij dit gesprek"))
    _at(page, "case")
    for agreed in STEP.values():
        expect(page.locator("[aria-labelledby=consents] article")).to_contain_text(agreed)
    hands.press(page.locator("#step-1 summary"))
    hands.press(page.locator("#step-1 button.button"))
    _done(page)
    hands.press(page.locator("form[action*=tell] button"))
    _at(page, "thread")
    expect(page.locator("#text")).not_to_have_value("")
    hands.press(page.locator(".write button.button"))
    _done(page)


def _is_recorded(running: Running, first: Reporter) -> None:
    """Check that the register contains the day and that the reporter was told."""
    assert len(first.texts()) > 2
    running.lock.unlock(PASSPHRASE)
    with running.lock.use() as place:
        events = register.every(place)
    calls = [one for one in events if isinstance(one, Contact) and one.record_nothing]
    assert [one.minutes for one in calls] == [45]
    advice = [one for one in events if isinstance(one, Advice)]
    assert [one.minutes for one in advice] == [30]
    trained = [one for one in events if isinstance(one, Activity)]
    assert [(one.people, one.minutes) for one in trained] == [(22, 180)]
    steps = [one for one in events if isinstance(one, Step)]
    assert [one.step for one in steps] == [STEP["step"]]
    assert [one.main_group for one in events if isinstance(one, Case) and one.main_group]
