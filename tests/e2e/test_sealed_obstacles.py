"""Sealing browsers when something stays in the way: what the page says then, and what it keeps."""

import http.client
import json
import threading
from pathlib import Path

from playwright.sync_api import Dialog

from dropbox_app.protocol import age
from dropbox_app.protocol.keys import Seed
from tests.e2e.test_sealed_files import WHOLE, choose, send, some_files
from tests.e2e.test_sealed_journey import (
    MESSAGES,
    REPORTS,
    Meet,
    box,
    in_one_browser,
    meet,
    relay,
    start,
)
from tests.e2e.test_sealed_lies import CONVERSATION, REFUSED, TWO_WORDS, nothing_known, retries
from tests.support.drop_box import Counsellor
from tests.support.recorder import Passed
from tests.support.relay import Fault, Lie, Relay
from tests.support.sealing_person import LANG, PLAIN, SEALING, always, once
from tests.support.steps import STORY, the_only_thread

__all__ = ["box", "meet", "relay", "start"]  # fixtures

SEALS_ITSELF = "Je browser doet zelf op slot wat je schrijft"
FULL = Lie(507, {"error": "full", "refused": "other"}, passed_on=False)
FIRST_LINE = STORY[LANG].splitlines()[0]
TYPED = "[data-seal=message] [name=text]"
VALUES = "[...document.querySelectorAll('textarea')].map(field => field.value).join('')"


def unreadable_item(relay: Relay, n: int) -> None:
    """Store an item that nobody can open as the reporter's message ``n``, as a token allows."""
    token = relay.sent("GET", CONVERSATION)[-1].header("Authorization")[0]
    to = relay.sent("POST", REPORTS)[-1].target.partition("to=")[2]
    strangers = [Seed(bytes([one]) * 32).recipient() for one in (1, 2)]
    sealed = age.seal(b" " * 8192, strangers)
    connection = http.client.HTTPConnection("127.0.0.1", relay.own, timeout=60)
    headers = {"Authorization": token, "Content-Type": "application/octet-stream"}
    connection.request("POST", f"{MESSAGES}?n={n}&to={to}", sealed, headers)
    assert connection.getresponse().status == 200
    connection.close()


@in_one_browser
def test_conversation_can_be_withdrawn_even_if_an_unreadable_item_has_the_next_number(
    meet: Meet, relay: Relay
) -> None:
    """No withdrawal can be signed then, so the page first says that nobody will be told."""
    writer = meet()
    code = writer.tells(STORY[LANG])
    writer.goes_on()
    unreadable_item(relay, 2)
    writer.says(TWO_WORDS, "Een eerder bericht van jou ontbreekt hier")
    assert writer.page.input_value(TYPED) == TWO_WORDS
    writer.page.click("[data-seal=withdraw]")
    writer.page.check("[name=sure]")
    writer.page.click("[data-seal=withdraw-sure] button[type=submit]")
    writer.reads("Er is nog niets gewist")
    assert writer.page.locator("[data-slot=told]").is_hidden()
    assert "Els de Vries" in writer.page.locator("[data-slot=untold]").inner_text()
    writer.page.check("[name=sure]")
    writer.page.click("[data-seal=withdraw-sure] button[type=submit]")
    writer.reads("Je gesprek is gewist")
    meet().finds_nothing_with(code)


@in_one_browser
def test_report_that_can_no_longer_be_sent_can_still_be_copied(meet: Meet, relay: Relay) -> None:
    """The result of the first attempt is unknown, and from then on the site is full."""
    writer = meet()
    writer.begins("report")
    relay.fault = nothing_known(place=REPORTS)
    writer.writes(STORY[LANG])
    writer.code()
    relay.fault = always(FULL, "POST", REPORTS)
    retries(writer)
    writer.reads("niet zeker of je bericht is aangekomen")
    assert writer.page.evaluate(VALUES) == STORY[LANG]
    relay.fault = always("", "", "")
    writer.page.click("button[data-seal=retry]")
    writer.reads("Je bericht is aangekomen")
    assert writer.page.evaluate(VALUES) == ""


@in_one_browser
def test_page_does_not_say_that_a_report_was_received_until_this_is_known(
    meet: Meet, relay: Relay
) -> None:
    writer = meet()
    writer.begins("report")
    relay.fault = nothing_known(place=REPORTS)
    writer.writes(STORY[LANG])
    writer.code()
    opened = "for (const one of document.querySelectorAll('main details')) one.open = true"
    writer.page.evaluate(opened)
    assert "is ontvangen" not in writer.shown
    relay.fault = always("", "", "")
    writer.page.click("button[data-seal=retry]")
    writer.reads("Je bericht is aangekomen")
    assert "is ontvangen" in writer.shown


@in_one_browser
def test_words_can_be_compared_until_the_conversation_is_shown(meet: Meet, relay: Relay) -> None:
    """Going on fails at first, so the page with the code stays, with all that belongs to it."""
    writer = meet()
    code = writer.tells(STORY[LANG])
    relay.fault = always("refuse", "GET", CONVERSATION)
    writer.page.check("[data-seal=kept] [name=kept]")
    writer.page.click("[data-seal=kept] button")
    writer.reads("geen verbinding")
    assert writer.code() == code
    writer.page.fill("[name=typed]", code)
    writer.page.click("[data-seal=try] button")
    writer.reads("Alle zeven woorden kloppen")
    asks = "() => !dispatchEvent(new Event('beforeunload', { cancelable: true }))"
    assert writer.page.evaluate(asks)
    relay.fault = always("", "", "")
    writer.page.click("[data-seal=kept] button")
    writer.page.wait_for_selector("[data-seal=message]")
    assert not writer.page.evaluate(asks)


@in_one_browser
def test_page_says_that_a_message_was_sent_even_if_the_list_then_has_no_such_day(
    meet: Meet, relay: Relay, counsellor: Counsellor
) -> None:
    writer = meet()
    writer.tells(STORY[LANG])
    writer.goes_on()
    token = relay.sent("GET", CONVERSATION)[-1].header("Authorization")[0]
    listed = json.loads(relay.ask(CONVERSATION, token))
    relay.fault = always(Lie(200, listed | {"day": "2026-13-45"}), "GET", CONVERSATION)
    writer.says(TWO_WORDS, "Je bericht is verstuurd")
    assert "niet verstuurd" not in writer.shown


@in_one_browser
def test_json_of_something_in_front_of_the_server_is_no_receipt(meet: Meet, relay: Relay) -> None:
    """For example the JSON of a page that asks to log in to a network."""
    writer = meet()
    writer.begins("report")
    relay.fault = always(Lie(200, {"login": "please"}, passed_on=False), "POST", REPORTS)
    writer.writes(STORY[LANG])
    writer.code()
    writer.reads("niet zeker of je bericht is aangekomen")


@in_one_browser
def test_file_is_called_lost_only_if_the_server_itself_says_so(
    meet: Meet, relay: Relay, counsellor: Counsellor, tmp_path: Path
) -> None:
    code = meet().tells(STORY[LANG])
    counsellor.desk("fetch")
    file = tmp_path / "brief.txt"
    file.write_bytes(b"Beste collega")
    counsellor.reply(the_only_thread(counsellor), "Kijk.", file)
    reader = meet()
    reader.returns(code)
    nothing = Lie(404, {"error": "there is nothing here"}, passed_on=False)
    relay.fault = always(nothing, "GET", WHOLE)
    reader.page.click("article .files button")
    reader.reads("De verbinding is weg")
    gone = Lie(404, {"error": "no such item", "refused": "gone"}, passed_on=False)
    relay.fault = always(gone, "GET", WHOLE)
    reader.reads("Dit bestand staat hier niet meer")


@in_one_browser
def test_page_says_that_the_site_is_busy_if_a_conversation_cannot_be_read_because_of_that(
    meet: Meet, relay: Relay
) -> None:
    code = meet().tells(STORY[LANG])
    reader = meet()
    reader.begins("return")
    relay.fault = always(Lie(503, {"error": "busy"}, passed_on=False), "GET", CONVERSATION)
    reader.enters(code)
    reader.reads("Het is nu erg druk")
    assert "geen verbinding" not in reader.shown


@in_one_browser
def test_page_says_why_nothing_is_sent_while_a_file_is_on_its_way(
    meet: Meet, relay: Relay, counsellor: Counsellor, tmp_path: Path
) -> None:
    relay.cheap_codes = False
    code = meet().tells(STORY[LANG])
    counsellor.desk("fetch")
    file = tmp_path / "brief.txt"
    file.write_bytes(b"Beste collega")
    counsellor.reply(the_only_thread(counsellor), "Kijk.", file)
    reader = meet()
    reader.returns(code)
    relay.fault = always("refuse", "GET", WHOLE)
    reader.page.click("article .files button")
    reader.reads("De verbinding is weg")
    reader.says(TWO_WORDS, "Er is nog een bestand onderweg. Je bericht is niet verstuurd.")
    assert reader.page.input_value(TYPED) == TWO_WORDS
    relay.fault = always("", "", "")
    reader.reads("Het bestand is geopend")
    reader.says(TWO_WORDS, "Je bericht is verstuurd")


@in_one_browser
def test_page_for_files_can_be_left_after_its_message_was_refused(meet: Meet, relay: Relay) -> None:
    writer = meet()
    writer.tells(STORY[LANG])
    writer.goes_on()
    choose(writer, some_files()[:1])
    relay.fault = always(REFUSED, "POST", MESSAGES)
    send(writer)
    writer.reads("erg druk")
    writer.page.click("[data-seal=back]")
    writer.page.wait_for_selector("[data-seal=message]")
    assert writer.page.input_value(TYPED) == "Zie de bijlagen."


@in_one_browser
def test_code_in_the_field_of_an_idle_page_is_removed(meet: Meet) -> None:
    writer = meet()
    writer.page.clock.install()
    code = writer.tells(STORY[LANG])
    writer.goes_on()
    for _ in range(2):
        writer.page.clock.fast_forward(20 * 60_000 + 6_000)
        writer.reads("Vul je code opnieuw in")
        assert writer.page.input_value("[name=code]") == ""
        writer.page.fill("[name=code]", code)
    writer.page.click("[data-seal=return] button.button")
    writer.page.wait_for_selector("[data-seal=message]")


@in_one_browser
def test_page_that_was_busy_when_it_became_idle_locks_as_soon_as_it_can(
    meet: Meet, relay: Relay
) -> None:
    writer = meet()
    writer.page.clock.install()
    writer.tells(STORY[LANG])
    writer.goes_on()
    held = threading.Event()

    def hold(passed: Passed) -> Fault:
        if passed.method == "POST" and MESSAGES in passed.target:
            held.wait(30)
        return ""

    relay.fault = hold
    # Only the clock by which the page is idle goes on, not the one that ends a request.
    later = "() => { const now = Date.now; Date.now = () => now() + 20 * 60000 + 6000 }"
    writer.page.fill(TYPED, TWO_WORDS)
    with writer.page.expect_request(f"**{MESSAGES}*"):
        writer.page.click("[data-seal=message] button[type=submit]")
    writer.page.evaluate(later)
    writer.page.clock.fast_forward(6_000)
    held.set()
    writer.reads("Je bericht is verstuurd")
    writer.page.clock.fast_forward(6_000)
    writer.reads("Vul je code opnieuw in")
    assert FIRST_LINE not in writer.page.content()


@in_one_browser
def test_history_of_the_browser_does_not_keep_what_was_ticked_in_a_report(meet: Meet) -> None:
    writer = meet()
    writer.begins("report")
    writer.page.on("dialog", Dialog.accept)
    writer.page.fill("[name=text]", TWO_WORDS)
    writer.page.click("details.more summary")
    writer.page.locator("[name=topics]").first.check()
    writer.page.locator("[name=safe]").first.check()
    writer.page.goto(f"/{LANG}/privacy")
    writer.page.go_back()
    writer.page.wait_for_load_state()
    assert writer.page.locator(":checked:not(option)").count() == 0
    assert writer.page.input_value("[name=text]") == ""


@in_one_browser
def test_one_lost_request_for_a_word_list_does_not_make_the_page_plain(
    meet: Meet, relay: Relay
) -> None:
    """The page would ask for the plain text, and say that this browser cannot seal."""
    writer = meet()
    writer.page.goto(f"/{LANG}/report")
    address = writer.page.get_attribute("#sealed", "data-not-dealt-en")
    assert address is not None
    sealing, plain = writer.page.locator(SEALING), writer.page.locator("main", has_text=PLAIN)
    for _ in range(8):  # on a busy machine the browser may seem too slow at first
        relay.fault = once("lose", "GET", address)
        writer.page.goto(f"/{LANG}/report")
        sealing.or_(plain).first.wait_for()
        if sealing.count():
            break
    assert sealing.count() == 1


@in_one_browser
def test_page_still_says_who_can_read_when_it_shows_an_error(meet: Meet) -> None:
    writer = meet()
    for way, error in (
        ("report", "Schrijf eerst wat je wilt vertellen."),
        ("return", "Vul je code in."),
    ):
        writer.begins(way)
        writer.page.click("#main-form button.button")
        writer.reads(error)
        writer.reads(SEALS_ITSELF)
