"""Sealing browsers and false responses: nothing is lost, doubled or sent to others."""

import json
import threading
from collections.abc import Callable

from playwright.sync_api import expect

from dropbox_app.server.config import settings
from tests.e2e.test_sealed_journey import (
    MESSAGES,
    REPORTS,
    Meet,
    bas,
    box,
    in_one_browser,
    meet,
    relay,
    start,
)
from tests.support.drop_box import Counsellor, DropBox
from tests.support.recorder import Passed
from tests.support.relay import Fault, Lie, Relay
from tests.support.sealing_person import LANG, Reporter, always
from tests.support.steps import STORY, come_back, the_only_thread

__all__ = ["bas", "box", "meet", "relay", "start"]  # fixtures

CONVERSATION = "/api/conversation"
BUSY = Lie(503, {"error": "busy"})  # a proxy's response: the message may already have been stored
REFUSED = Lie(503, {"error": "busy", "refused": "other"}, passed_on=False)
TWO_WORDS = "Tekst een."


def nothing_known(fault: Fault = "refuse", place: str = MESSAGES) -> Callable[[Passed], Fault]:
    """Return a rule that makes messages fail while the browser cannot ask what arrived."""
    silent, deaf = always(fault, "POST", place), always("lose", "GET", CONVERSATION)
    return lambda one: silent(one) or deaf(one)


def retries(reporter: Reporter) -> None:
    """Press "Check now", and wait until the check is done."""
    reporter.page.click("button[data-seal=retry]")
    reporter.page.locator("button[data-seal=retry]:enabled").wait_for()


@in_one_browser
def test_report_stored_before_an_error_keeps_its_code_and_arrives_once(
    meet: Meet, relay: Relay, counsellor: Counsellor
) -> None:
    writer = meet()
    writer.begins("report")
    relay.fault = always(BUSY, "POST", REPORTS)
    writer.writes(STORY[LANG])
    writer.code()
    counsellor.desk("fetch")
    assert len(counsellor.threads()) == 1


@in_one_browser
def test_refusal_after_unknown_outcome_keeps_the_code_and_the_button(
    meet: Meet, relay: Relay, counsellor: Counsellor
) -> None:
    """The first attempt may still arrive, so the refusal of the second one proves nothing."""
    writer = meet()
    writer.begins("report")
    relay.fault = nothing_known(place=REPORTS)
    writer.writes(STORY[LANG])
    code = writer.code()
    writer.reads("niet zeker of je bericht is aangekomen")
    relay.fault = always(REFUSED, "POST", REPORTS)
    retries(writer)
    writer.reads("niet zeker of je bericht is aangekomen")
    assert writer.code() == code
    relay.fault = always("", "", "")
    writer.page.click("button[data-seal=retry]")
    writer.reads("Je bericht is aangekomen")
    writer.goes_on()
    counsellor.desk("fetch")
    assert len(counsellor.threads()) == 1


@in_one_browser
def test_refusal_after_unknown_outcome_keeps_the_message_locked(
    meet: Meet, relay: Relay, counsellor: Counsellor
) -> None:
    writer = meet()
    writer.tells(STORY[LANG])
    writer.goes_on()
    relay.fault = nothing_known("lose")
    writer.says(TWO_WORDS, "Tot dan kun je je tekst niet veranderen")
    deaf = always("lose", "GET", CONVERSATION)
    relay.fault = lambda one: always(REFUSED, "POST", MESSAGES)(one) or deaf(one)
    retries(writer)
    field = writer.page.locator("[data-seal=message] [name=text]")
    assert field.get_attribute("readonly") is not None
    relay.fault = always("", "", "")
    writer.page.click("button[data-seal=retry]")
    writer.reads("Je bericht is verstuurd")
    counsellor.desk("fetch")
    read = counsellor.read(the_only_thread(counsellor))
    assert [message["text"] for message in read["messages"]] == [STORY[LANG], TWO_WORDS]


@in_one_browser
def test_refused_report_can_be_changed_and_sent_again(
    meet: Meet, relay: Relay, counsellor: Counsellor
) -> None:
    """The server itself refuses the first attempt: nothing arrived, and the page is as before."""
    writer = meet()
    writer.begins("report")
    ways = writer.page.locator("footer a").count()
    relay.fault = always(REFUSED, "POST", REPORTS)
    writer.writes(STORY[LANG])
    writer.reads("erg druk")
    assert writer.page.input_value("[name=text]") == STORY[LANG]
    assert writer.page.locator("footer a").count() == ways > 0
    relay.fault = always("", "", "")
    writer.writes(TWO_WORDS)
    writer.code()
    counsellor.desk("fetch")
    read = counsellor.read(the_only_thread(counsellor))
    assert [message["text"] for message in read["messages"]] == [TWO_WORDS]


@in_one_browser
def test_refused_message_is_kept_and_the_page_says_what_is_full(meet: Meet, relay: Relay) -> None:
    writer = meet()
    writer.tells(STORY[LANG])
    writer.goes_on()
    site_full: dict[str, object] = {"error": "full", "refused": "other"}
    for said, sentence in (
        (site_full, "geen ruimte voor nieuwe berichten"),
        (site_full | {"full": "mailbox"}, "In dit gesprek is geen ruimte meer"),
    ):
        relay.fault = always(Lie(507, said, passed_on=False), "POST", MESSAGES)
        writer.page.fill("[data-seal=message] [name=text]", TWO_WORDS)
        writer.page.click("[data-seal=message] button[type=submit]")
        writer.reads(sentence)
        assert writer.page.input_value("[data-seal=message] [name=text]") == TWO_WORDS


@in_one_browser
def test_page_never_claims_that_a_report_was_erased_if_the_site_no_longer_seals_messages(
    meet: Meet, relay: Relay, box: DropBox
) -> None:
    writer = meet()
    code = writer.tells(STORY[LANG])
    writer.goes_on()
    box.stop()
    file = box.folder / settings.FILE_NAME
    file.write_text(file.read_text().replace("seal_in_browser = true", "seal_in_browser = false"))
    box.serve()
    writer.page.click("[data-seal=withdraw]")
    writer.page.check("[name=sure]")
    writer.page.click("[data-seal=withdraw-sure] button[type=submit]")
    writer.reads("geen verbinding")
    assert STORY[LANG].splitlines()[0] in come_back(box.browser(), LANG, code).text


@in_one_browser
def test_server_cannot_undo_a_change_of_counsellor(
    meet: Meet, relay: Relay, counsellor: Counsellor, bas: Counsellor
) -> None:
    """The server confirms a message to Bas but drops it. Nothing more can be sent, even to Els."""
    writer = meet()
    writer.begins("report")
    writer.page.get_by_label("Els de Vries").check()
    writer.writes(STORY[LANG])
    writer.code()
    writer.goes_on()
    dropped = always(Lie(200, {}, passed_on=False), "POST", MESSAGES)
    deaf = always("refuse", "GET", CONVERSATION)
    relay.fault = lambda one: (
        dropped(one) or (deaf(one) if relay.sent("POST", f"{MESSAGES}?n=2") else "")
    )
    writer.page.click("[data-seal=other]")
    writer.page.get_by_label("Bas Jansen").check()
    writer.page.fill("[data-seal=other] [name=text]", "Ik ga met Bas verder.")
    writer.page.click("[data-seal=other] button[type=submit]")
    writer.reads("Je bericht is verstuurd")
    assert writer.page.locator("[data-seal=message]").is_hidden()
    assert writer.page.locator("[data-seal=other]").count() == 0
    relay.fault = always("", "", "")
    writer.page.click("button[data-seal=retry]")
    writer.reads("Een eerder bericht van jou ontbreekt hier")
    assert writer.page.locator("[data-seal=message]").is_hidden()
    # A withdrawal does not arrive either, and the page says so.
    writer.page.click("[data-seal=withdraw]")
    assert writer.page.locator("[data-slot=told]").is_hidden()
    assert "Els de Vries" in writer.page.locator("[data-slot=untold]").inner_text()


@in_one_browser
def test_missing_newest_message_is_still_reported_after_an_idle_lock(
    meet: Meet, relay: Relay
) -> None:
    """The code is typed again on the same page, and the server omits the message sent from it."""
    writer = meet()
    writer.page.clock.install()
    code = writer.tells(STORY[LANG])
    writer.goes_on()
    writer.says(TWO_WORDS, "Je bericht is verstuurd")
    # The server's list; below, only its report is passed on.
    token = relay.sent("GET", CONVERSATION)[-1].header("Authorization")[0]
    listed = json.loads(relay.ask(CONVERSATION, token))
    listed["items"] = [one for one in listed["items"] if one["n"] == 1]
    writer.page.clock.fast_forward(20 * 60_000 + 6_000)
    writer.reads("Vul je code opnieuw in")
    relay.fault = always(Lie(200, listed), "GET", CONVERSATION)
    writer.enters(code)
    writer.reads("Een eerder bericht van jou ontbreekt hier")


@in_one_browser
def test_code_and_text_are_removed_from_forms_that_are_no_longer_shown(meet: Meet) -> None:
    writer = meet()
    writer.begins("report")
    form = writer.page.evaluate_handle("document.querySelector('#main-form')")
    writer.writes(STORY[LANG])
    code = writer.code()
    text = "form => [...form.querySelectorAll('textarea')].map(field => field.value).join('')"
    assert form.evaluate(text) == ""
    later = meet()
    later.begins("return")
    form = later.page.evaluate_handle("document.querySelector('#main-form')")
    later.enters(code)
    later.page.wait_for_selector("[data-seal=message]")
    assert form.evaluate(text) == ""


@in_one_browser
def test_page_asks_for_confirmation_before_it_is_left_while_a_report_is_being_sent(
    meet: Meet, relay: Relay
) -> None:
    writer = meet()
    seen: list[object] = []
    held = threading.Event()

    def look(passed: Passed) -> Fault:
        if REPORTS in passed.target:
            held.wait(30)
        return ""

    writer.begins("report")
    relay.fault = look
    with writer.page.expect_request(f"**{REPORTS}/*"):
        writer.writes(STORY[LANG])
    seen.append(writer.page.locator("footer a, a.mark[href]").count())
    asks = "() => !dispatchEvent(new Event('beforeunload', { cancelable: true }))"
    seen.append(writer.page.evaluate(asks))
    held.set()
    writer.code()
    assert seen == [0, True]


@in_one_browser
def test_double_submission_sends_a_message_only_once(
    meet: Meet, relay: Relay, counsellor: Counsellor
) -> None:
    writer = meet()
    writer.tells(STORY[LANG])
    writer.goes_on()
    writer.page.fill("[data-seal=message] [name=text]", TWO_WORDS)
    twice = "form => { for (const _ of [1, 2]) form.dispatchEvent(new SubmitEvent('submit')) }"
    writer.page.locator("[data-seal=message]").evaluate(twice)
    writer.reads("Je bericht is verstuurd")
    assert len(relay.sent("POST", f"{MESSAGES}?n=2")) == 1
    assert writer.messages == [STORY[LANG], TWO_WORDS]


@in_one_browser
def test_page_says_that_it_does_not_seal_messages_if_its_script_fails_to_load(
    meet: Meet, relay: Relay
) -> None:
    writer = meet()
    relay.fault = always("refuse", "GET", "/static/client-")
    for place in ("report", "return"):
        writer.page.goto(f"/{LANG}/{place}")
        writer.reads("Je browser doet je bericht nu niet zelf op slot")


@in_one_browser
def test_typed_text_is_kept_if_the_conversation_ended_during_an_idle_lock(
    meet: Meet, box: DropBox, relay: Relay
) -> None:
    writer, other = meet(), meet()
    writer.page.clock.install()
    code = writer.tells(STORY[LANG])
    writer.goes_on()
    writer.page.fill("[data-seal=message] [name=text]", TWO_WORDS)
    writer.page.clock.fast_forward(20 * 60_000 + 6_000)
    writer.reads("Vul je code opnieuw in")
    other.returns(code)
    other.withdraws()
    writer.enters(code)
    writer.page.wait_for_selector("main > textarea")
    assert writer.page.input_value("main > textarea") == TWO_WORDS


@in_one_browser
def test_remark_on_a_request_is_kept_without_an_answer_and_through_an_idle_lock(
    meet: Meet, counsellor: Counsellor
) -> None:
    writer = meet()
    code = writer.tells(STORY[LANG])
    counsellor.desk("fetch")
    thread = the_only_thread(counsellor)
    counsellor.desk("ask", thread, *("--step", "S", "--with", "W", "--scope", "Alles"))
    later = meet()
    later.page.clock.install()
    later.returns(code)
    later.page.fill("[data-seal=consent] [name=remark]", TWO_WORDS)
    later.page.set_viewport_size({"width": 320, "height": 640})
    later.page.click("[data-seal=consent] button[type=submit]")
    expect(later.page.get_by_text("Kies een antwoord.")).to_be_in_viewport()
    later.page.clock.fast_forward(20 * 60_000 + 6_000)
    later.reads("Vul je code opnieuw in")
    later.enters(code)
    later.page.wait_for_selector("[data-seal=message]")
    assert later.page.input_value("[data-seal=consent] [name=remark]") == TWO_WORDS


@in_one_browser
def test_unknown_outcome_of_a_message_to_another_counsellor_can_be_checked(
    meet: Meet, relay: Relay, bas: Counsellor, counsellor: Counsellor
) -> None:
    """The page then shows the conversation, with a button that works once at a time."""
    writer = meet()
    writer.begins("report")
    writer.page.get_by_label("Els de Vries").check()
    writer.writes(STORY[LANG])
    writer.code()
    writer.goes_on()
    relay.fault = nothing_known()
    writer.page.click("[data-seal=other]")
    writer.page.get_by_label("Bas Jansen").check()
    writer.page.fill("[data-seal=other] [name=text]", TWO_WORDS)
    writer.page.click("[data-seal=other] button[type=submit]")
    writer.reads("Tot dan kun je je tekst niet veranderen")
    relay.fault = always("", "", "")
    retry = "button => { for (const _ of [1, 2, 3]) button.click() }"
    before = len(relay.sent("POST", MESSAGES))
    writer.page.locator("button[data-seal=retry]").evaluate(retry)
    writer.reads("Je bericht is verstuurd")
    assert len(relay.sent("POST", MESSAGES)) == before + 1
    assert writer.goes_to == "Dit gaat naar Bas Jansen."


RECORD_ASKS = """{
    const post = Worker.prototype.postMessage;
    window.asked = [];
    Worker.prototype.postMessage = function (message) {
        window.asked.push(message.ask);
        return post.call(this, message);
    };
}"""


@in_one_browser
def test_keys_of_a_wrong_code_are_wiped(meet: Meet) -> None:
    """This holds even if the conversation cannot be fetched: only shown ones keep their keys."""
    writer = meet()
    writer.page.add_init_script(RECORD_ASKS)
    code = writer.tells(STORY[LANG])
    wrong = " ".join(reversed(code.split()))
    writer.begins("return")
    writer.enters(wrong)
    writer.reads("Bij deze code hoort geen gesprek")
    assert writer.page.evaluate("asked.slice(-2)") == ["enter", "wipe"]
    writer.relay.fault = always("refuse", "GET", CONVERSATION)
    writer.enters(code)
    writer.reads("geen verbinding")
    assert writer.page.evaluate("asked.slice(-2)") == ["enter", "wipe"]


@in_one_browser
def test_code_is_drawn_while_the_report_is_written_and_forgotten_by_an_idle_page(
    meet: Meet, relay: Relay
) -> None:
    """No request shows when somebody begins to type. The text stays, and gets a new code."""
    writer = meet()
    writer.page.clock.install()
    writer.page.add_init_script(RECORD_ASKS)
    writer.begins("report")
    before = len(relay.seen)
    writer.page.fill("[name=text]", STORY[LANG])
    writer.page.fill("[name=text]", STORY[LANG] + TWO_WORDS)
    assert writer.page.evaluate("asked.filter(ask => ask === 'prepare')") == ["prepare"]
    writer.page.clock.fast_forward(20 * 60_000 + 6_000)
    assert writer.page.evaluate("asked.slice(-1)") == ["wipe"]
    assert len(relay.seen) == before
    writer.page.click("#main-form button.button")
    later = meet()
    later.returns(writer.code())
    assert later.messages == [STORY[LANG] + TWO_WORDS]


@in_one_browser
def test_answer_to_a_request_can_be_sent_again_after_a_refusal(
    meet: Meet, relay: Relay, counsellor: Counsellor
) -> None:
    writer = meet()
    code = writer.tells(STORY[LANG])
    counsellor.desk("fetch")
    thread = the_only_thread(counsellor)
    counsellor.desk("ask", thread, *("--step", "S", "--with", "W", "--scope", "Alles"))
    later = meet()
    later.returns(code)
    later.page.locator("[data-seal=consent] [value=yes]").check()
    later.page.fill("[data-seal=consent] [name=remark]", TWO_WORDS)
    relay.fault = always(REFUSED, "POST", MESSAGES)
    later.page.click("[data-seal=consent] button")
    later.reads("erg druk")
    assert later.page.input_value("[data-seal=consent] [name=remark]") == TWO_WORDS
    assert later.page.locator("[data-seal=consent] [value=yes]").is_checked()
    relay.fault = always("", "", "")
    later.page.click("[data-seal=consent] button")
    later.reads("Je bericht is verstuurd")
    assert "Ja, dat is goed" in later.shown
    counsellor.desk("fetch")
    assert TWO_WORDS in [one["text"] for one in counsellor.read(thread)["messages"]]
