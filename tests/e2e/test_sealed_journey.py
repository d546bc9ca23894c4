"""The journey in browsers that seal: all their requests are recorded and checked.

Server and desk are real. A relay between the server and the browser records each request, and can
drop a response.
"""

import contextlib
import os
import shutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Dialog

from dropbox_app.server.config import settings
from tests.support.browsers import Start, browsers, here
from tests.support.codes import hashed_cheaply
from tests.support.drop_box import Counsellor, DropBox
from tests.support.net import Net
from tests.support.ports import free_port
from tests.support.recorder import Passed
from tests.support.relay import Fault, Lie, Relay
from tests.support.sealing_person import (
    LANG,
    SEALING,
    Reporter,
    Step,
    always,
    each_once,
    leaked,
    once,
    refused_or_lost,
    site_of,
)
from tests.support.steps import ANSWER, FOLLOW_UP, STORY, come_back, the_only_thread, write_on

BOTH = [pytest.param(name, marks=here(name)) for name in ("chromium", "firefox")]


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Start]:
    with Net(tmp_path_factory.mktemp("net"), {}).running() as net, browsers(net) as starting:
        yield starting


@pytest.fixture
def box(tmp_path: Path, mould: tuple[Path, int]) -> Iterator[DropBox]:
    """Yield a drop box that serves only with ``relay``, so that it is started once."""
    shutil.copytree(mould[0] / "server", tmp_path / "server")
    made = DropBox(tmp_path / "server", port=mould[1])
    yield made
    made.stop()


@pytest.fixture
def usual_codes() -> None:
    """Let codes be hashed at the usual cost in this test, and not at once."""


@pytest.fixture
def relay(request: pytest.FixtureRequest, box: DropBox) -> Iterator[Relay]:
    """Yield a relay in front of the box, whose settings let browsers seal.

    Browser, server and test hash codes at once, except with ``usual_codes``: in a browser it would
    take a second each time.
    """
    box.stop()
    file = box.folder / settings.FILE_NAME
    file.write_text(file.read_text().replace("seal_in_browser = false", "seal_in_browser = true"))
    behind = free_port()
    box.bind = f"127.0.0.1:{behind}"
    box.cheap_codes = "usual_codes" not in request.fixturenames
    with (
        hashed_cheaply() if box.cheap_codes else contextlib.nullcontext(),
        Relay(behind, own=box.port, cheap_codes=box.cheap_codes).running() as between,
    ):
        box.serve()
        yield between
        box.stop()


Meet = Callable[[], Reporter]
# By default all of these tests use Chromium, and with --long both. CI runs in Firefox what no
# request may reveal, and what differs between browsers.
LONG = os.environ.get("KLANKBORD_LONG") == "1"
in_one_browser = pytest.mark.parametrize("meet", BOTH if LONG else BOTH[:1], indirect=True)


@pytest.fixture(params=BOTH if LONG else BOTH[:1])
def meet(request: pytest.FixtureRequest, start: Start, relay: Relay) -> Iterator[Meet]:
    """Yield a function that makes reporters with new browsers; no page may report an error."""
    met: list[Reporter] = []

    def one_more() -> Reporter:
        met.append(Reporter(start, str(request.param), relay))
        return met[-1]

    yield one_more
    for reporter in met:
        reporter.context.close()
    assert [complaint for reporter in met for complaint in reporter.complaints] == []


@pytest.mark.usefixtures("usual_codes")
def test_no_request_in_a_conversation_reveals_the_code_or_any_text(
    meet: Meet, relay: Relay, box: DropBox, counsellor: Counsellor
) -> None:
    """Report, code, answer, another message, withdrawal; the desk opens what was sealed."""
    writer = meet()
    code = writer.tells(STORY[LANG])
    writer.page.fill("[name=typed]", code.upper())
    writer.page.click("[data-seal=try] button")
    writer.reads("Alle zeven woorden kloppen")
    writer.goes_on()
    assert writer.messages == [STORY[LANG]]
    assert writer.goes_to == "Dit gaat naar Els de Vries."
    assert writer.page.locator("nav.ways [lang=en], footer a").count() == 0
    counsellor.desk("fetch")
    thread = the_only_thread(counsellor)
    counsellor.reply(thread, ANSWER[LANG])

    later = meet()
    later.returns(code)
    assert ANSWER[LANG] in later.messages
    later.says(FOLLOW_UP[LANG], "Je bericht is verstuurd")
    assert later.messages[-1] == FOLLOW_UP[LANG]
    counsellor.desk("fetch")
    said = [message["text"] for message in counsellor.read(thread)["messages"]]
    assert said == [STORY[LANG], ANSWER[LANG], FOLLOW_UP[LANG]]

    later.withdraws()
    counsellor.desk("fetch")
    later.finds_nothing_with(code)

    texts = [STORY[LANG], ANSWER[LANG], FOLLOW_UP[LANG]]
    assert relay.sent("POST", REPORTS)
    assert relay.sent("POST", MESSAGES)
    assert relay.sent("POST", f"/{LANG}/") == []
    assert leaked(relay.seen, code, site_of(box), texts) == []


REPORTS, MESSAGES = "/api/reports", "/api/conversation/messages"


@in_one_browser
@pytest.mark.parametrize("steps", refused_or_lost([("GET", "/api/site"), ("POST", REPORTS)]))
def test_report_arrives_exactly_once_even_if_requests_fail(
    meet: Meet, relay: Relay, counsellor: Counsellor, steps: list[Step]
) -> None:
    """A repeated request has the same bytes; if nothing was sent, the text stays."""
    writer = meet()
    writer.begins("report")
    relay.fault = always(*steps[0])  # Firefox repeats a request that got no answer
    writer.writes(STORY[LANG])
    writer.reads("geen verbinding")
    relay.fault = each_once(*steps[1:])
    assert relay.sent("POST", REPORTS) == []
    assert writer.page.input_value("[name=text]") == STORY[LANG]
    writer.page.click("#main-form button.button")
    writer.code()
    counsellor.desk("fetch")
    assert len(counsellor.threads()) == 1
    bodies = [one.body for one in relay.sent("POST", REPORTS)]
    assert bodies == bodies[:1] * (2 if steps[1][0] == "refuse" else 1)


@in_one_browser
@pytest.mark.parametrize("fault", ["refuse", "lose"] if LONG else ["lose"])
def test_report_with_unknown_outcome_keeps_its_code(
    meet: Meet, relay: Relay, counsellor: Counsellor, fault: Fault
) -> None:
    writer = meet()
    writer.begins("report")
    silent = always(fault, "POST", REPORTS)
    relay.fault = lambda one: silent(one) or always("lose", "GET", "/api/conversation")(one)
    writer.writes(STORY[LANG])
    code = writer.code()
    writer.reads("niet zeker of je bericht is aangekomen")
    assert "Schrijf deze code op" in writer.page.locator("h1").inner_text()
    relay.fault = always("", "", "")
    writer.page.click("button[data-seal=retry]")
    writer.reads("Je bericht is aangekomen")
    assert writer.code() == code
    counsellor.desk("fetch")
    assert len(counsellor.threads()) == 1
    later = meet()
    later.returns(code)
    assert later.messages == [STORY[LANG]]


@in_one_browser
def test_unsent_report_is_reported_as_such_and_can_be_sent_again(
    meet: Meet, relay: Relay, counsellor: Counsellor
) -> None:
    """The server refuses the report: nothing can have arrived, so no code is shown."""
    writer = meet()
    writer.begins("report")
    refused = Lie(403, {"error": "no new reports", "refused": "other"}, passed_on=False)
    relay.fault = always(refused, "POST", REPORTS)
    writer.writes(STORY[LANG])
    writer.reads("Er is nu niemand die je bericht kan lezen. Het is niet verstuurd.")
    assert writer.page.locator("ol.code").count() == 0
    assert writer.page.input_value("[name=text]") == STORY[LANG]
    relay.fault = always("", "", "")
    writer.writes("Iets anders.")
    code = writer.code()
    counsellor.desk("fetch")
    assert len(counsellor.threads()) == 1
    later = meet()
    later.returns(code)
    assert later.messages == ["Iets anders."]


@in_one_browser
@pytest.mark.parametrize("fault", ["refuse", "lose"] if LONG else ["refuse"])
def test_message_with_unknown_outcome_cannot_be_changed_and_arrives_once(
    meet: Meet, relay: Relay, counsellor: Counsellor, fault: Fault
) -> None:
    writer = meet()
    writer.tells(STORY[LANG])
    writer.goes_on()
    silent = always(fault, "POST", MESSAGES)
    relay.fault = lambda one: silent(one) or always("lose", "GET", "/api/conversation")(one)
    writer.says(FOLLOW_UP[LANG], "Tot dan kun je je tekst niet veranderen")
    field = writer.page.locator("[data-seal=message] [name=text]")
    assert field.get_attribute("readonly") is not None
    assert writer.page.locator("[data-seal=message] button[type=submit]").is_disabled()
    relay.fault = always("", "", "")
    writer.page.click("button[data-seal=retry]")
    writer.reads("Je bericht is verstuurd")
    assert writer.messages == [STORY[LANG], FOLLOW_UP[LANG]]
    counsellor.desk("fetch")
    read = counsellor.read(the_only_thread(counsellor))
    assert [message["text"] for message in read["messages"]] == [STORY[LANG], FOLLOW_UP[LANG]]


@in_one_browser
@pytest.mark.parametrize("fault", ["refuse", "lose"] if LONG else ["lose"])
def test_withdrawal_succeeds_even_if_a_request_fails(
    meet: Meet, relay: Relay, counsellor: Counsellor, fault: Fault
) -> None:
    writer = meet()
    code = writer.tells(STORY[LANG])
    writer.goes_on()
    relay.fault = once(fault, "POST", "/api/conversation/withdrawal")
    writer.withdraws()
    later = meet()
    later.finds_nothing_with(code)


@in_one_browser
def test_two_tabs_can_write_in_one_conversation(
    meet: Meet, relay: Relay, counsellor: Counsellor
) -> None:
    """The second tab is out of date, so it reads again, signs again, and sends once."""
    one, other = meet(), meet()
    code = one.tells(STORY[LANG])
    one.goes_on()
    other.returns(code)
    one.says("Van de een.", "Je bericht is verstuurd")
    other.says("Van de ander.", "Je bericht is verstuurd")
    assert other.messages == [STORY[LANG], "Van de een.", "Van de ander."]
    counsellor.desk("fetch")
    read = counsellor.read(the_only_thread(counsellor))
    assert [message["text"] for message in read["messages"]] == other.messages


@in_one_browser
def test_browsers_with_and_without_scripts_share_a_conversation(
    meet: Meet, relay: Relay, box: DropBox, counsellor: Counsellor
) -> None:
    writer = meet()
    code = writer.tells(STORY[LANG])
    writer.goes_on()
    plain = box.browser()
    page = come_back(plain, LANG, code)
    assert STORY[LANG].splitlines()[0] in page.text
    write_on(plain, page, "Zonder script.")
    writer.says("Met script.", "Je bericht is verstuurd")
    assert writer.messages == [STORY[LANG], "Zonder script.", "Met script."]
    counsellor.desk("fetch")
    read = counsellor.read(the_only_thread(counsellor))
    assert [message["text"] for message in read["messages"]] == writer.messages


HOSTILE = '<img src=x onerror="document.title=1"><script>document.title=1</script> {name} "&amp;'


@pytest.fixture
def bas(tmp_path: Path, box: DropBox, relay: Relay) -> Counsellor:
    """Return a second counsellor, on the site from the start."""
    second = Counsellor(tmp_path / "bas")
    box.add(second, box.server("move").stdout, "Bas Jansen")
    box.restart()
    return second


@in_one_browser
def test_consent_can_be_given_and_a_message_sent_to_another_counsellor(
    meet: Meet, counsellor: Counsellor, bas: Counsellor
) -> None:
    """Each message goes to the counsellor whom the page names; hostile text is shown as text."""
    writer = meet()
    writer.begins("report")
    writer.page.fill("[name=text]", STORY[LANG])
    writer.page.get_by_label("Els de Vries").check()
    writer.page.get_by_text("Zeven korte vragen").click()
    writer.page.check("[name=topics][value=bullying]")
    writer.page.check("[name=safe][value=no]")
    writer.page.click("#main-form button.button")
    code = writer.code()
    assert writer.page.locator("[data-slot=unsafe]").is_visible()
    writer.goes_on()
    counsellor.desk("fetch")
    thread = the_only_thread(counsellor)
    counsellor.reply(thread, HOSTILE)
    counsellor.desk("ask", thread, *("--step", HOSTILE, "--with", "W", "--scope", "Alleen dit"))

    later = meet()
    later.returns(code)
    assert later.messages[1] == HOSTILE
    assert later.page.locator("article img, article script").count() == 0
    later.page.locator("[data-seal=consent] [value=yes]").check()
    later.page.fill("[data-seal=consent] [name=remark]", "Wel rustig aan.")
    later.page.click("[data-seal=consent] button")
    later.reads("Je bericht is verstuurd")
    assert "Ja, dat is goed" in later.shown
    later.page.click("[data-seal=other]")
    later.page.get_by_label("Bas Jansen").check()
    later.page.fill("[data-seal=other] [name=text]", "Ik ga met jou verder.")
    later.page.click("[data-seal=other] button[type=submit]")
    later.reads("Je bericht is verstuurd")
    assert later.goes_to == "Dit gaat naar Bas Jansen."
    counsellor.desk("fetch")
    assert counsellor.read(thread)["messages"][-1]["text"] != "Ik ga met jou verder."
    bas.desk("fetch")
    assert bas.read(the_only_thread(bas))["messages"][-1]["text"] == "Ik ga met jou verder."


@in_one_browser
@pytest.mark.parametrize(
    "part", ["/api/items", "/api/site", *(["/api/conversation"] if LONG else [])]
)
def test_endless_response_is_aborted(meet: Meet, relay: Relay, part: str) -> None:
    writer = meet()
    code = writer.tells(STORY[LANG])
    writer.goes_on()
    later = meet()
    later.begins("return")
    relay.fault = always("flood", "GET", part)
    later.enters(code)
    later.reads("geen verbinding")
    assert later.page.input_value("[name=code]") == code
    relay.fault = always("", "", "")
    later.page.click("[data-seal=return] button.button")
    later.page.wait_for_selector("[data-seal=message]")
    assert later.messages == [STORY[LANG]]


@in_one_browser
def test_idle_page_asks_for_the_code_and_keeps_the_text(meet: Meet, relay: Relay) -> None:
    writer = meet()
    writer.page.clock.install()
    code = writer.tells(STORY[LANG])
    writer.goes_on()
    writer.page.fill("[data-seal=message] [name=text]", "Nog niet af")
    writer.page.clock.fast_forward(20 * 60_000 + 6_000)
    writer.reads("Vul je code opnieuw in")
    assert STORY[LANG].splitlines()[0] not in writer.page.content()
    writer.enters(code)
    writer.page.wait_for_selector("[data-seal=message]")
    assert writer.page.input_value("[data-seal=message] [name=text]") == "Nog niet af"
    assert [len(relay.sent("POST", part)) for part in (REPORTS, MESSAGES)] == [1, 0]


@in_one_browser
def test_code_stays_on_screen_for_four_hours(meet: Meet) -> None:
    """A reporter may have to look for paper: the limit is four hours here, not 20 minutes."""
    writer = meet()
    writer.page.clock.install()
    code = writer.tells(STORY[LANG])
    writer.page.clock.fast_forward(3 * 3_600_000)
    assert writer.code() == code
    writer.page.clock.fast_forward(3_600_000 + 6_000)
    writer.page.wait_for_url(f"**/{LANG}/return")
    assert code.split()[0] not in writer.page.content()


@in_one_browser
def test_back_button_shows_no_part_of_a_closed_conversation(meet: Meet) -> None:
    writer = meet()
    writer.tells(STORY[LANG])
    writer.goes_on()
    writer.page.click("[data-seal=stop]")
    writer.page.wait_for_url(f"**/{LANG}/return")
    writer.page.go_back()
    writer.page.wait_for_load_state()
    assert STORY[LANG].splitlines()[0] not in writer.page.content()
    kept = "[localStorage.length, sessionStorage.length, document.cookie]"
    assert writer.page.evaluate(kept) == [0, 0, ""]


@in_one_browser
def test_leaving_the_code_page_asks_for_confirmation_except_with_leave_quickly(meet: Meet) -> None:
    """Back and a reload keep the words on the page; "Leave quickly" does not ask."""
    writer = meet()
    asked: list[str] = []

    def stay(dialog: Dialog) -> None:
        asked.append(dialog.type)
        dialog.dismiss()

    writer.page.on("dialog", stay)
    code = writer.tells(STORY[LANG])
    writer.page.evaluate("history.back()")
    assert writer.code() == code
    writer.page.evaluate("location.reload()")
    writer.page.wait_for_function("() => document.querySelectorAll('ol.code li').length === 7")
    assert asked == ["beforeunload"]
    assert writer.code() == code
    with writer.page.expect_request("https://www.wikipedia.org/"):
        writer.page.click("a.leave")
    assert asked == ["beforeunload"]


@in_one_browser
def test_unsent_report_is_kept_when_the_reporter_leaves_the_page_and_returns(meet: Meet) -> None:
    """The plain page does the same: unsealed text needs no more protection here than there."""
    writer = meet()
    writer.begins("report")
    writer.page.fill("[name=text]", STORY[LANG])
    writer.page.evaluate("dispatchEvent(new PageTransitionEvent('pagehide', { persisted: true }))")
    writer.page.evaluate("dispatchEvent(new PageTransitionEvent('pageshow', { persisted: true }))")
    assert writer.page.input_value("[name=text]") == STORY[LANG]
    writer.page.click("#main-form button.button")
    writer.code()


@in_one_browser
def test_switching_language_sends_no_text(meet: Meet, relay: Relay) -> None:
    """The plain form sends the text to the server and back; here nothing may be sent unsealed."""
    writer = meet()
    writer.begins("report")
    writer.page.fill("[name=text]", STORY[LANG])
    button = writer.page.locator("nav.ways button[name=switch]").first
    button.click()
    writer.reads("Je raakt je tekst kwijt als je een andere taal kiest")
    button.click()
    writer.page.wait_for_url("**/report")
    assert [one for one in relay.seen if one.method == "POST"] == []


@in_one_browser
def test_plain_form_is_used_if_the_worker_does_not_start(meet: Meet, relay: Relay) -> None:
    writer = meet()
    relay.fault = always("refuse", "GET", "/static/worker-")
    writer.page.goto(f"/{LANG}/report")
    writer.reads("Je browser doet je bericht nu niet zelf op slot")
    assert writer.page.locator(SEALING).count() == 0
    writer.writes(STORY[LANG])
    writer.page.wait_for_selector("ol.code li")
    assert relay.sent("POST", "/api/") == []
    assert len(relay.sent("POST", f"/{LANG}/report")) == 1


@in_one_browser
def test_message_is_not_sent_before_the_self_test_ends(meet: Meet, relay: Relay) -> None:
    """If the self-test fails, nothing is posted before the reporter has read about it."""
    writer = meet()
    pressed = threading.Event()

    def held(passed: Passed) -> Fault:
        if "/static/worker-" not in passed.target:
            return ""
        assert pressed.wait(30)
        return "refuse"

    relay.fault = held
    # Firefox may hold the page's load event back until the worker's script has arrived.
    writer.page.goto(f"/{LANG}/report", wait_until="domcontentloaded")
    writer.writes(STORY[LANG])
    writer.reads("We kijken")
    pressed.set()
    writer.reads("Je browser doet je bericht nu niet zelf op slot")
    assert [one for one in relay.seen if one.method == "POST"] == []
    assert writer.page.input_value("[name=text]") == STORY[LANG]
