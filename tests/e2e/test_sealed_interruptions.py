"""One request of a sealing browser's journey fails; the person does what the page then says."""

import contextlib
import random
from collections.abc import Callable

import pytest
from playwright.sync_api import Error
from playwright.sync_api import TimeoutError as Late

from tests.e2e.test_sealed_journey import LONG, Meet, box, in_one_browser, meet, relay, start
from tests.support.chance import seed
from tests.support.drop_box import Counsellor
from tests.support.recorder import Passed
from tests.support.relay import Fault, Relay
from tests.support.sealing_person import LANG, Reporter
from tests.support.steps import FOLLOW_UP, STORY, the_only_thread

__all__ = ["box", "meet", "relay", "start"]  # fixtures

REQUESTS = 29  # at least so many make up the journey
TRIES = 4
PATIENCE = 12_000  # milliseconds; the pages try again by themselves for less than that
RETRY = "main button[data-seal=retry]:visible:enabled"
SENT = "main :text('Je bericht is verstuurd'):not(article *)"
ERASED = "main :text('Je gesprek is gewist')"
CHANCE = random.Random(seed())  # noqa: S311 - the choice of requests, no secrets
CASES: list[tuple[int, Fault]] = [(n, f) for n in range(REQUESTS) for f in ("refuse", "lose")]


class Nth:
    """A rule with this fault for the request with this number; all others pass."""

    def __init__(self, number: int, fault: Fault) -> None:
        self.number, self.fault = number, fault
        self.target = ""
        self.seen = 0

    def __call__(self, passed: Passed) -> Fault:
        self.seen += 1
        if self.seen != self.number + 1:
            return ""
        self.target = f"{passed.method} {passed.target}"
        return self.fault


def begins(writer: Reporter, path: str) -> None:
    """Open a page that seals; load it again if it did not come."""
    for _ in range(TRIES):
        try:
            return writer.begins(path)
        except Error:
            continue
    raise AssertionError(f"{path} could not be opened")


def does(writer: Reporter, press: Callable[[], None], done: str) -> None:
    """Press; if it is not done after a while, press the button that the page then offers."""
    for _ in range(TRIES):
        retry = writer.page.locator(RETRY)
        retry.first.click() if retry.count() else press()
        with contextlib.suppress(Late):
            return writer.page.locator(done).first.wait_for(timeout=PATIENCE)
    raise AssertionError(f"not done: {writer.shown}")


@in_one_browser
@pytest.mark.parametrize(("number", "fault"), CASES if LONG else CHANCE.sample(CASES, 2))
def test_any_single_failed_request_loses_nothing_and_sends_nothing_twice(
    meet: Meet, relay: Relay, counsellor: Counsellor, number: int, fault: Fault
) -> None:
    """Report, code, conversation, return, message, withdrawal."""
    relay.fault = nth = Nth(number, fault)
    writer = meet()
    begins(writer, "report")
    submit = "#main-form button.button"
    writer.page.fill("[name=text]", STORY[LANG])
    does(writer, lambda: writer.page.click(submit), "ol.code li")
    code = writer.code()
    does(writer, lambda: None, f"main:not(:has({RETRY}))")  # the report is known to have arrived
    writer.page.check("[data-seal=kept] [name=kept]")
    does(
        writer, lambda: writer.page.click("[data-seal=kept] button"), "[data-seal=message]:visible"
    )

    later = meet()
    begins(later, "return")
    later.page.fill("[name=code]", code)
    enter = "[data-seal=return] button.button"
    does(later, lambda: later.page.click(enter), "[data-seal=message]:visible")
    later.page.fill("[data-seal=message] [name=text]", FOLLOW_UP[LANG])
    does(later, lambda: later.page.click("[data-seal=message] button[type=submit]"), SENT)
    does(later, lambda: None, "[data-slot=messages] article:nth-child(2)")  # it may say "later"
    # Not as they look, because the request that failed may have been for the style sheet.
    shown = later.page.locator("article [data-slot=text]").all_text_contents()
    assert shown == [STORY[LANG], FOLLOW_UP[LANG]]
    relay.fault = lambda _: ""  # the desk's requests are no part of the journey
    counsellor.desk("fetch")
    relay.fault = nth
    read = counsellor.read(the_only_thread(counsellor))
    assert [message["text"] for message in read["messages"]] == shown

    later.page.click("[data-seal=withdraw]")
    later.page.check("[name=sure]")
    sure = "[data-seal=withdraw-sure] button[type=submit]"
    does(later, lambda: later.page.click(sure), ERASED)
    relay.fault = lambda _: ""
    later.finds_nothing_with(code)
    assert nth.target, f"the journey has only {nth.seen} requests"
