"""The journey in browsers that seal: everything that leaves them is written down and looked at.

The whole server is real, and so is the desk. Between them and the browser stands a relay that
keeps each request, and can lose an answer.
"""

import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Dialog

from dropbox_app.server.config import settings
from tests.support.browsers import Start, browsers, here
from tests.support.drop_box import Counsellor, DropBox
from tests.support.net import Net
from tests.support.ports import free_port
from tests.support.recorder import Passed
from tests.support.relay import Fault, Relay
from tests.support.sealing_person import LANG, SEALING, Reporter, always, leaked, once, site_of
from tests.support.steps import ANSWER, FOLLOW_UP, STORY, come_back, the_only_thread, write_on

BOTH = [pytest.param(name, marks=here(name)) for name in ("chromium", "firefox")]


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Start]:
    with Net(tmp_path_factory.mktemp("net"), {}).running() as net, browsers(net) as starting:
        yield starting


@pytest.fixture
def relay(box: DropBox) -> Iterator[Relay]:
    """Where the site is found: behind it the box, whose settings let browsers seal."""
    box.stop()
    file = box.folder / settings.FILE_NAME
    file.write_text(file.read_text().replace("seal_in_browser = false", "seal_in_browser = true"))
    behind = free_port()
    box.bind = f"127.0.0.1:{behind}"
    with Relay(behind, own=box.port).running() as between:
        box.serve()
        yield between


Meet = Callable[[], Reporter]
# What goes wrong is looked at in one browser, with --long in both.
LONG = os.environ.get("KLANKBORD_LONG") == "1"
in_one_browser = pytest.mark.parametrize("meet", BOTH if LONG else BOTH[:1], indirect=True)


@pytest.fixture(params=BOTH)
def meet(request: pytest.FixtureRequest, start: Start, relay: Relay) -> Iterator[Meet]:
    """Makes reporters, each with a browser that was never here; none of their pages complains."""
    met: list[Reporter] = []

    def one_more() -> Reporter:
        met.append(Reporter(start, str(request.param), relay))
        return met[-1]

    yield one_more
    for reporter in met:
        reporter.context.close()
    assert [complaint for reporter in met for complaint in reporter.complaints] == []


def test_a_whole_conversation_and_nothing_of_it_in_any_request(
    meet: Meet, relay: Relay, box: DropBox, counsellor: Counsellor
) -> None:
    """Report, code, the answer, another message, all taken back; the desk opens what was sealed."""
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
    assert relay.sent("POST", "/api/conversation/messages")
    assert relay.sent("POST", f"/{LANG}/") == []
    assert leaked(relay.seen, code, site_of(box), texts) == []


REPORTS, MESSAGES = "/api/reports", "/api/conversation/messages"


@in_one_browser
@pytest.mark.parametrize("fault", ["refuse", "lose"])
@pytest.mark.parametrize("part", ["/api/site", REPORTS, MESSAGES])
def test_a_report_arrives_once_though_one_request_failed(
    meet: Meet, relay: Relay, counsellor: Counsellor, part: str, fault: Fault
) -> None:
    """What is asked again is the same, byte for byte; else nothing was sent, and the text stays."""
    writer = meet()
    writer.begins("report")
    relay.fault = once(fault, "GET" if part == "/api/site" else "POST", part)
    writer.writes(STORY[LANG])
    if part == "/api/site":
        writer.reads("geen verbinding")
        assert writer.page.input_value("[name=text]") == STORY[LANG]
        writer.page.click("#main-form button.button")
    writer.code()
    counsellor.desk("fetch")
    assert len(counsellor.threads()) == 1
    bodies = {one.body for one in relay.sent("POST", MESSAGES)}
    assert len(bodies) == 1


@in_one_browser
@pytest.mark.parametrize("fault", ["refuse", "lose"])
def test_a_report_that_may_have_arrived_keeps_its_code_until_that_is_known(
    meet: Meet, relay: Relay, counsellor: Counsellor, fault: Fault
) -> None:
    writer = meet()
    writer.begins("report")
    silent = always(fault, "POST", MESSAGES)
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
@pytest.mark.parametrize("fault", ["refuse", "lose"])
def test_what_never_arrived_is_said_and_sent_once(
    meet: Meet, relay: Relay, counsellor: Counsellor, fault: Fault
) -> None:
    """Both tries to open a mailbox fail: no desk sees one, so it is certain, and gets no code."""
    writer = meet()
    writer.begins("report")
    relay.fault = always(fault, "POST", REPORTS)
    writer.writes(STORY[LANG])
    writer.reads("Er is niets verstuurd")
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
@pytest.mark.parametrize("fault", ["refuse", "lose"])
def test_a_message_that_may_have_arrived_cannot_be_changed_and_arrives_once(
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
@pytest.mark.parametrize("fault", ["refuse", "lose"])
def test_all_is_taken_back_though_the_answer_was_lost(
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
def test_two_tabs_in_one_conversation_lose_nothing(
    meet: Meet, relay: Relay, counsellor: Counsellor
) -> None:
    """The second to write has read less: it reads, signs again, and sends once."""
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
def test_a_browser_with_scripts_and_one_without_share_a_conversation(
    meet: Meet, box: DropBox, counsellor: Counsellor
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
    """A second counsellor, who was there from the start."""
    second = Counsellor(tmp_path / "bas")
    box.add(second, box.server("move").stdout, "Bas Jansen")
    box.restart()
    return second


@in_one_browser
def test_a_question_is_answered_and_another_counsellor_chosen(
    meet: Meet, counsellor: Counsellor, bas: Counsellor
) -> None:
    """Each goes to whom the page names; text of others is text, whatever stands in it."""
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
@pytest.mark.parametrize("part", ["/api/conversation", "/api/items/", "/api/site"])
def test_an_answer_without_an_end_is_given_up(meet: Meet, relay: Relay, part: str) -> None:
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
def test_after_20_idle_minutes_the_code_is_asked_for_and_the_text_is_kept(
    meet: Meet, relay: Relay
) -> None:
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
    assert len(relay.sent("POST", MESSAGES)) == 1


@in_one_browser
def test_the_words_of_a_code_are_shown_for_hours_and_not_for_ever(meet: Meet) -> None:
    """Somebody may have to look for paper: the 20 minutes do not run here, four hours do."""
    writer = meet()
    writer.page.clock.install()
    code = writer.tells(STORY[LANG])
    writer.page.clock.fast_forward(3 * 3_600_000)
    assert writer.code() == code
    writer.page.clock.fast_forward(3_600_000 + 6_000)
    writer.page.wait_for_url(f"**/{LANG}/return")
    assert code.split()[0] not in writer.page.content()


@in_one_browser
def test_who_closes_the_conversation_finds_nothing_of_it_by_going_back(meet: Meet) -> None:
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
def test_the_page_with_the_code_is_not_lost_by_accident_and_is_left_at_once(meet: Meet) -> None:
    """Back and a reload leave the words where they are; "Leave quickly" asks nothing."""
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
def test_a_report_that_is_being_written_waits_for_a_look_at_another_page(meet: Meet) -> None:
    """As on the plain page: what has not been sealed yet is no more secret than there."""
    writer = meet()
    writer.begins("report")
    writer.page.fill("[name=text]", STORY[LANG])
    writer.page.evaluate("dispatchEvent(new PageTransitionEvent('pagehide', { persisted: true }))")
    writer.page.evaluate("dispatchEvent(new PageTransitionEvent('pageshow', { persisted: true }))")
    assert writer.page.input_value("[name=text]") == STORY[LANG]
    writer.page.click("#main-form button.button")
    writer.code()


@in_one_browser
def test_the_other_language_takes_no_text_along(meet: Meet, relay: Relay) -> None:
    """The plain form posts it to the server, to show it there: here nothing may leave unsealed."""
    writer = meet()
    writer.begins("report")
    writer.page.fill("[name=text]", STORY[LANG])
    button = writer.page.locator("nav.ways button[name=switch]").first
    button.click()
    writer.reads("gaat niet mee naar de andere taal")
    button.click()
    writer.page.wait_for_url("**/report")
    assert [one for one in relay.seen if one.method == "POST"] == []


@in_one_browser
def test_where_the_worker_is_kept_from_starting_the_plain_form_says_so(
    meet: Meet, relay: Relay
) -> None:
    writer = meet()
    relay.fault = always("refuse", "GET", "/static/worker-")
    writer.page.goto(f"/{LANG}/report")
    writer.reads("Je browser kan je bericht niet zelf op slot doen")
    assert writer.page.locator(SEALING).count() == 0
    writer.writes(STORY[LANG])
    writer.page.wait_for_selector("ol.code li")
    assert relay.sent("POST", "/api/") == []
    assert len(relay.sent("POST", f"/{LANG}/report")) == 1


@in_one_browser
def test_a_press_before_the_self_test_is_done_waits_for_it(meet: Meet, relay: Relay) -> None:
    """If it then cannot be sealed, nothing is posted before the person has read that."""
    writer = meet()
    pressed = threading.Event()

    def held(passed: Passed) -> Fault:
        if "/static/worker-" not in passed.target:
            return ""
        assert pressed.wait(30)
        return "refuse"

    relay.fault = held
    writer.page.goto(f"/{LANG}/report")
    writer.writes(STORY[LANG])
    writer.reads("We kijken")
    pressed.set()
    writer.reads("Je browser kan je bericht niet zelf op slot doen")
    assert [one for one in relay.seen if one.method == "POST"] == []
    assert writer.page.input_value("[name=text]") == STORY[LANG]
