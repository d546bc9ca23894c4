"""The page of the conversation: its contents and actions, without losing any typed text."""

import concurrent.futures
import datetime
import re
import zoneinfo
from collections.abc import Callable

import pytest

from dropbox_app.protocol import age, messages
from dropbox_app.protocol.encoding import Json
from dropbox_app.protocol.keys import SigningKey
from dropbox_app.server.errors import SiteFull
from dropbox_app.server.mailboxes.service import Mailboxes
from tests.server.web.conftest import Browser, Counsellor, House
from tests.server.web.test_before import check_shape
from tests.server.web.test_report import kept
from tests.support.plain_browser import Page

ASKED: dict[str, Json] = {
    "step": "Ik bel de bedrijfsarts",
    "with": "De bedrijfsarts",
    "scope": "Dat iemand zich niet veilig voelt",
}


@pytest.fixture
def reporter(house: House) -> Browser:
    """Return a reporter who has reported and come back."""
    browser = house.browser()
    browser.come_back(browser.tell("Het begin.").code)
    return browser


def test_new_conversation_says_that_there_is_no_answer_yet(reporter: Browser) -> None:
    page = reporter.get("/nl/conversation")
    assert "Het begin." in page.text
    assert "Jij, 3 november" in page.text
    assert "Er is nog geen antwoord. Dat betekent niet dat je bericht weg is." in page.text
    assert "Gestuurd aan Noor Visser" in page.text
    check_shape(page)


def test_answer_is_shown_with_the_name_of_the_counsellor_and_the_day(
    house: House, reporter: Browser, noor: Counsellor
) -> None:
    code = house.browser().tell("Iets anders.").code
    thread = next(t for t in noor.threads().values() if "Iets anders." in str(t.entries))
    noor.write("reply", {"text": "Dank je."}, thread)
    for days in (0, 1, 1):
        house.clock.pass_days(days)
        page = house.browser().come_back(code)
        assert "Noor Visser, 3 november" in page.text
        assert "Dank je." in page.text
    assert "Dank je." not in reporter.get("/nl/conversation").text


def test_html_in_a_message_is_shown_as_text(reporter: Browser, noor: Counsellor) -> None:
    noor.write("reply", {"text": "Dank je.\n\n<script>alert(1)</script> \u202e"})
    page = reporter.get("/nl/conversation")
    assert "Noor Visser, 3 november" in page.text
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page.html
    assert "Er is nog geen antwoord" not in page.text
    check_shape(page)


def test_follow_up_arrives_and_reloading_does_not_send_it_again(
    reporter: Browser, noor: Counsellor
) -> None:
    page = reporter.write_on("En nog iets.")
    assert page.path == "/nl/conversation?sent=1"
    assert "Je bericht is verstuurd." in page.text
    reporter.get(page.path)
    assert noor.texts() == ["Het begin.", "En nog iets."]


def test_double_click_sends_the_message_once(reporter: Browser, noor: Counsellor) -> None:
    page = reporter.get("/nl/conversation")
    for _ in range(2):
        reporter.submit(page, page.form_with("text"), text="En nog iets.")
    assert noor.texts() == ["Het begin.", "En nog iets."]
    noor.write("reply", {"text": "Zeg je dat nog eens?"})
    reporter.submit(page, page.form_with("text"), text="En nog iets.")
    assert len(noor.texts()) == 4


def test_every_notice_is_shown_as_a_sentence(reporter: Browser, noor: Counsellor) -> None:
    for status, sentence in (
        ("received", "heeft je bericht ontvangen"),
        ("read", "heeft je bericht gelezen"),
        ("closed", "heeft dit gesprek gesloten"),
        ("reopened", "heeft dit gesprek weer geopend"),
    ):
        noor.write("notice", {"status": status})
        assert f"Noor Visser {sentence}" in reporter.get("/nl/conversation").text


def test_options_are_listed(reporter: Browser, noor: Counsellor) -> None:
    options: list[Json] = [
        {"title": "Praten", "pro": "Dichtbij", "con": "Spannend"},
        {"title": "Wachten", "pro": "", "con": ""},
    ]
    noor.write("options", {"text": "Dit kan.", "options": options})
    page = reporter.get("/nl/conversation")
    for said in ("Dit kan.", "Praten", "Voor: Dichtbij", "Tegen: Spannend", "Wat past bij jou?"):
        assert said in page.text
    assert page.text.count("Voor:") == 1
    check_shape(page)


def test_chosen_option_is_sent_as_a_message(reporter: Browser, noor: Counsellor) -> None:
    options: list[Json] = [
        {"title": title, "pro": "", "con": ""} for title in ("Praten", "Wachten")
    ]
    noor.write("options", {"text": "Dit kan.", "options": options})
    page = reporter.get("/nl/conversation")
    form = page.form_with("text")
    assert form.choices["text"] == ["Ik kies: Praten", "Ik kies: Wachten"]
    sent = reporter.submit(page, form, text="Ik kies: Wachten")
    assert "Je bericht is verstuurd." in sent.text
    assert noor.texts()[-1] == "Ik kies: Wachten"
    check_shape(sent)


def test_question_is_collapsed_after_the_reporter_asked_for_more_information(
    reporter: Browser, noor: Counsellor
) -> None:
    """After an answer, the page must not look as if nothing had been sent."""
    noor.write("consent-request", ASKED)
    page = reporter.get("/nl/conversation")
    assert "Noor Visser vraagt je iets" in page.text
    reporter.submit(page, page.form_to("consent", "request"), answer="tell-me-more")
    page = reporter.get("/nl/conversation")
    assert "Noor Visser vraagt je iets" not in page.text
    assert "<details><summary>Ik wil iets anders antwoorden</summary>" in page.html
    assert page.form_to("consent", "request").choices["answer"] == ["yes", "no", "tell-me-more"]


def test_conversation_offers_no_change_of_counsellor_if_there_is_only_one(
    reporter: Browser,
) -> None:
    assert "/nl/counsellor" not in reporter.get("/nl/conversation").links


@pytest.mark.parametrize("answer", ["yes", "no", "tell-me-more"])
def test_consent_request_can_be_answered(reporter: Browser, noor: Counsellor, answer: str) -> None:
    noor.write("consent-request", ASKED)
    page = reporter.get("/nl/conversation")
    check_shape(page)
    for said in (*ASKED.values(), "Noor Visser vraagt of dit goed is"):
        assert str(said) in page.text
    form = page.form_to("consent", "request")
    assert form.choices["answer"] == ["yes", "no", "tell-me-more"]
    assert "answer" not in dict(form.fields)
    sent = reporter.submit(page, form, answer=answer, remark="Liever op papier.")
    assert "Jouw antwoord op de vraag van Noor Visser" in sent.text
    given = list(noor.only_thread().genuine())[-1]
    assert given.kind == "consent-answer"
    request = next(m for m in noor.only_thread().genuine() if m.kind == "consent-request")
    assert given.body == {
        "request": request.digest,
        "answer": answer,
        "text": "Liever op papier.",
    }


def test_consent_can_be_withdrawn_and_given_again(reporter: Browser, noor: Counsellor) -> None:
    noor.write("consent-request", ASKED)
    for answer in ("yes", "withdrawn", "yes"):
        page = reporter.get("/nl/conversation")
        form = page.form_to("consent", "request")
        if answer == "withdrawn":
            assert dict(form.fields)["answer"] == "withdrawn"
            reporter.submit(page, form)
        else:
            reporter.submit(page, form, answer=answer)
    thread = noor.only_thread()
    request = next(m for m in thread.genuine() if m.kind == "consent-request")
    assert [m.body["answer"] for m in thread.answers(request.digest)] == ["yes", "withdrawn", "yes"]


def test_answer_form_appears_only_next_to_its_question(reporter: Browser, noor: Counsellor) -> None:
    """Nobody should consent to a step, person and scope that the page does not show."""
    noor.write("consent-request", ASKED | {"step": "Iets anders"})
    noor.write("consent-request", ASKED)
    digest = list(noor.only_thread().genuine())[-1].digest
    page = reporter.get("/nl/conversation")
    form = next(f for f in page.forms if ("request", digest) in f.fields)
    asked = reporter.submit(page, form, remark="Hm.")
    assert asked.status == 422
    assert "Je gesprek" in asked.text
    assert "Je tekst is er nog" not in asked.text
    for said in (*ASKED.values(), "Wat Noor Visser wil doen"):
        assert str(said) in asked.text
    assert f"#answer-{digest[:12]}" in asked.links
    assert asked.text.count("Kies een antwoord.") == 2  # above, and in the one form it is about
    check_shape(asked)
    form = next(f for f in asked.forms if ("request", digest) in f.fields)
    assert ("remark", "Hm.") in form.fields
    assert sum(("remark", "Hm.") in f.fields for f in asked.forms) == 1
    reporter.submit(asked, form, answer="no")
    newest = list(noor.only_thread().genuine())[-1].body
    assert newest == {"request": digest, "answer": "no", "text": "Hm."}
    page = reporter.get("/nl/conversation")
    form = next(f for f in page.forms if ("request", digest) in f.fields)
    assert "<details open>" in reporter.submit(page, form).html  # "another answer", nothing chosen


def test_refused_answer_stays_in_its_form(
    reporter: Browser, noor: Counsellor, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise SiteFull("x")

    noor.write("consent-request", ASKED)
    page = reporter.get("/nl/conversation")
    form = page.form_to("consent", "request")
    long = reporter.submit(page, form, answer="no", remark="x" * 60_001)
    assert long.status == 422
    assert "1 teken te lang" in long.text
    check_shape(long)
    monkeypatch.setattr(Mailboxes, "add", refuse)
    full = reporter.submit(page, form, answer="no", remark="Hm.")
    assert full.status == 503
    for answer, remark in ((long, "x" * 60_001), (full, "Hm.")):
        fields = answer.form_to("consent", "request").fields
        assert {("answer", "no"), ("remark", remark)} <= set(fields)
        assert str(ASKED["step"]) in answer.text


def test_remark_on_a_question_that_is_no_longer_open_is_not_lost(
    reporter: Browser, noor: Counsellor
) -> None:
    """The question was answered in another window, or no longer exists."""
    noor.write("consent-request", ASKED)
    page = reporter.get("/nl/conversation")
    form = page.form_to("consent", "request")
    reporter.submit(page, form, answer="yes")
    for values in ({}, {"request": "00" * 32, "answer": "yes"}):
        answer = reporter.submit(page, form, remark="Hm.", **values)
        assert answer.status == 422
        assert kept(answer) == "Hm."
        check_shape(answer)


def test_unasked_question_cannot_be_answered(reporter: Browser, noor: Counsellor) -> None:
    page = reporter.get("/nl/conversation")
    token = dict(page.form_with("csrf_token").fields)["csrf_token"]
    for request in ("", "00" * 32, "x"):
        answer = reporter.post("/nl/consent", csrf_token=token, request=request, answer="yes")
        assert answer.status == 422
    noor.write("consent-request", ASKED)
    digest = list(noor.only_thread().genuine())[-1].digest
    back = reporter.post("/nl/consent", csrf_token=token, request=digest, answer="withdrawn")
    assert back.status == 422
    assert len(noor.texts()) == 2


def test_accepted_handover_redirects_the_next_message(two: House) -> None:
    noor, sam = two.counsellors
    browser = two.browser()
    browser.come_back(browser.tell("Het begin.", counsellor=noor.identity.hex).code)
    noor.write("consent-request", ASKED | {"successor": str(sam.identity)})
    page = browser.get("/nl/conversation")
    assert "Dan gaat je volgende bericht naar Sam Jansen." in page.text
    after = browser.submit(page, page.form_to("consent", "request"), answer="yes")
    assert "Je zei ja. Je volgende bericht gaat naar" in after.text
    assert sam.threads() == {}
    browser.write_on("Dag Sam.")
    assert sam.texts() == ["Dag Sam."]
    assert "Dag Sam." not in " ".join(noor.texts())
    assert "Je zei ja. Je volgende bericht gaat naar" not in browser.get("/nl/conversation").text
    browser.write_on("Nog iets.")
    assert sam.texts() == ["Dag Sam.", "Nog iets."]


def test_handover_withdrawn_in_time_changes_nothing(two: House) -> None:
    noor, sam = two.counsellors
    browser = two.browser()
    browser.come_back(browser.tell("Het begin.", counsellor=noor.identity.hex).code)
    noor.write("consent-request", ASKED | {"successor": str(sam.identity)})
    page = browser.get("/nl/conversation")
    page = browser.submit(page, page.form_to("consent", "request"), answer="yes")
    browser.submit(page, page.form_to("consent", "request"))
    browser.write_on("Toch bij jou.")
    assert "Toch bij jou." in noor.texts()
    assert sam.threads() == {}


def test_reporter_can_change_counsellor_at_any_time(two: House) -> None:
    noor, sam = two.counsellors
    browser = two.browser()
    browser.come_back(browser.tell("Het begin.", counsellor=noor.identity.hex).code)
    page = browser.get("/nl/counsellor")
    check_shape(page)
    form = page.form_with("text")
    assert form.choices["counsellor"] == [sam.identity.hex]
    nothing = browser.submit(page, form, text="Dag Sam.")
    assert nothing.status == 422
    assert kept(nothing) == "Dag Sam."
    check_shape(nothing)
    sent = browser.submit(
        nothing, nothing.form_with("text"), counsellor=sam.identity.hex, text="Dag Sam."
    )
    assert "Dit gaat naar Sam Jansen." in sent.text
    assert sam.texts() == ["Dag Sam."]
    assert noor.texts() == ["Het begin."]


def _turned(two: House) -> tuple[Browser, str]:
    """Return a reporter who told Noor something and changed to Sam before Noor fetched."""
    noor, sam = two.counsellors
    browser = two.browser()
    code = browser.tell("Het begin.", counsellor=noor.identity.hex).code
    browser.come_back(code)
    page = browser.get("/nl/counsellor")
    browser.submit(page, page.form_with("text"), counsellor=sam.identity.hex, text="Dag Sam.")
    return browser, code


def test_effects_of_a_change_of_counsellor_are_explained(two: House) -> None:
    """The former counsellor can still fetch the message; the new one sees that there was one."""
    noor, _ = two.counsellors
    browser, _ = _turned(two)
    page = browser.get("/nl/counsellor")
    assert "De vorige kan nog lezen wat je al stuurde." in page.text
    assert "Dat stopt alleen als je je gesprek wist" in page.text
    assert "Die persoon ziet dat je hier eerder schreef, en aan wie" in page.text
    assert "/nl/withdraw" in page.links
    check_shape(page)
    assert noor.texts() == ["Het begin."]  # it is as the page says


def test_counsellors_who_may_still_have_messages_are_named_before_a_withdrawal(two: House) -> None:
    browser, _ = _turned(two)
    page = browser.get("/nl/withdraw")
    for said in (
        "Sam Jansen ziet alleen dat jij het gesprek hebt gewist.",
        "Noor Visser krijgt geen bericht, en kan alleen zien dat het gesprek weg is.",
        "Wat al is opgehaald, kunnen Sam Jansen en Noor Visser nog hebben.",
        "Alleen Sam Jansen en Noor Visser, en wie jouw code heeft, kunnen dat dan nog openen",
    ):
        assert said in page.text
    two.site.retire("noor")
    text = browser.get("/nl/withdraw").text
    assert "kunnen Sam Jansen en een vertrouwenspersoon die hier niet meer staat nog" in text
    browser.submit(page, page.form_with("sure"), sure="y")
    assert two.counsellors[0].threads() == {}


def test_message_of_a_former_counsellor_is_marked(two: House) -> None:
    """A desk that was stolen after the change cannot pose as a current counsellor."""
    noor, sam = two.counsellors
    browser = two.browser()
    browser.come_back(browser.tell("Het begin.", counsellor=noor.identity.hex).code)
    noor.write("reply", {"text": "Dag."})
    assert "gekozen" not in browser.get("/nl/conversation").text
    page = browser.get("/nl/counsellor")
    browser.submit(page, page.form_with("text"), counsellor=sam.identity.hex, text="Dag Sam.")
    sam.write("reply", {"text": "Welkom."})
    text = browser.get("/nl/conversation").text
    assert "Noor Visser, 3 november (je schrijft nu met iemand anders)" in text
    assert text.count("je schrijft nu met iemand anders") == 1
    assert "Sam Jansen, 3 november Welkom." in text


def test_page_is_correct_after_a_handover_back_to_a_former_counsellor(
    two: House,
) -> None:
    """A former counsellor has seen the earlier messages."""
    noor, sam = two.counsellors
    browser, _ = _turned(two)
    sam.write("consent-request", ASKED | {"successor": str(noor.identity)})
    page = browser.get("/nl/conversation")
    told = "Wat hier al staat, gaat niet mee."
    assert told in page.text
    assert "eerder hier schreef" not in page.text
    after = browser.submit(page, page.form_to("consent", "request"), answer="yes")
    assert told in after.text
    assert "wat je eerder schreef" not in after.text


def test_with_only_one_counsellor_no_change_of_counsellor_is_offered(reporter: Browser) -> None:
    page = reporter.get("/nl/counsellor")
    assert "Er is nu niemand anders" in page.text
    assert "Kies met wie je verder wilt" not in page.text
    assert not page.forms


def test_chosen_counsellor_with_expired_card_is_named(two: House) -> None:
    """A chosen counsellor with an expired card gets nothing, and the reporter is told."""
    noor, sam = two.counsellors
    browser = two.browser()
    code = browser.tell("Het begin.", counsellor=noor.identity.hex).code
    two.clock.pass_days(100)
    two.site.update(sam.identity, sam.card(), two.clock.today())
    two.clock.pass_days(60)
    page = browser.come_back(code)
    assert "Aan Noor Visser kun je nu niet schrijven." in page.text
    assert "Je kunt zelf wel lezen. En je kunt verder met iemand anders." in page.text
    other = browser.get("/nl/counsellor")
    browser.submit(other, other.form_with("text"), counsellor=sam.identity.hex, text="Dag Sam.")
    assert sam.texts() == ["Dag Sam."]


def test_reporter_can_withdraw_everything(
    house: House, reporter: Browser, noor: Counsellor
) -> None:
    code = house.browser().tell("Blijft staan.").code
    page = reporter.get("/nl/withdraw")
    check_shape(page)
    assert "Wat al is opgehaald, kan Noor Visser nog hebben." in page.text
    unsure = reporter.submit(page, page.form_with("csrf_token"))
    assert unsure.status == 422
    assert house.stored() == 2
    check_shape(unsure)
    gone = reporter.submit(unsure, unsure.form_with("sure"), sure="y")
    assert gone.path == "/nl/withdrawn"
    assert not reporter.cookies
    kinds = [m.kind for thread in noor.threads().values() for m in thread.genuine()]
    assert sorted(kinds) == ["report", "withdrawal"]
    assert "Blijft staan." in house.browser().come_back(code).text


def test_report_can_be_withdrawn_without_any_reachable_counsellor(house: House) -> None:
    browser = house.browser()
    code = browser.tell("Het begin.").code
    house.clock.pass_days(160)
    browser.come_back(code)
    page = browser.get("/nl/withdraw")
    assert "Noor Visser krijgt geen bericht, en kan alleen zien" in page.text
    assert "teruggetrokken" not in page.text.split("Let op")[0]
    browser.submit(page, page.form_with("sure"), sure="y")
    assert house.stored() == 0


def test_concurrent_messages_from_two_sessions_both_arrive(house: House, noor: Counsellor) -> None:
    code = house.browser().tell("Begin").code
    sessions = []
    for _ in range(3):
        browser = house.browser()
        sessions.append((browser, browser.come_back(code)))

    def write(number: int) -> int:
        browser, page = sessions[number % 3]
        return browser.submit(page, page.form_with("text"), text=f"bericht {number}").status

    with concurrent.futures.ThreadPoolExecutor(3) as pool:
        assert set(pool.map(write, range(12))) == {200}
    assert sorted(noor.texts()) == sorted(["Begin", *(f"bericht {n}" for n in range(12))])


# after the session ended


def test_post_after_the_session_ended_keeps_the_text_and_one_more_post_sends_it(
    house: House, noor: Counsellor
) -> None:
    for end in (house.restart, lambda: house.clock.pass_minutes(30)):
        browser = house.browser()
        code = browser.tell("Begin").code
        page = browser.come_back(code)
        end()
        asked = browser.submit(page, page.form_with("text"), text="Niet kwijt\n\nraken")
        assert kept(asked) == "Niet kwijt\n\nraken"
        check_shape(asked)
        form = asked.form_with("text", "code")
        wrong = browser.submit(asked, form, code="aap noot")
        assert kept(wrong) == "Niet kwijt\n\nraken"
        assert "Je typte 2 woorden." in wrong.text
        empty = browser.submit(wrong, wrong.form_with("text", "code"), code="")
        assert "Vul je code in." in empty.text
        sent = browser.submit(empty, empty.form_with("text", "code"), code=code)
        assert sent.path == "/nl/conversation?sent=1"
        assert "Niet kwijt" in sent.text
    assert sorted(len(t.entries) for t in noor.threads().values()) == [2, 2]


def test_without_cookies_a_form_that_includes_the_code_is_still_sent(
    house: House, noor: Counsellor
) -> None:
    browser = house.browser(cookies=False)
    code = browser.tell("Begin").code
    asked = browser.post("/nl/conversation", text="Zonder koekje")
    sent = browser.submit(asked, asked.form_with("text", "code"), code=code)
    assert "cookie" in sent.text
    assert noor.texts() == ["Begin", "Zonder koekje"]


def test_language_button_keeps_the_text_inside_and_outside_a_session(
    house: House, reporter: Browser
) -> None:
    for path in ("conversation", "counsellor"):
        page = reporter.post(f"/en/{path}", switch="1", text="Half geschreven")
        assert page.status == 200
        if path == "conversation":
            assert kept(page) == "Half geschreven"
            assert "Your conversation" in page.text
    outside = house.browser().post("/en/conversation", switch="1", text="Half geschreven")
    assert kept(outside) == "Half geschreven"
    assert outside.form_with("code")
    assert "Your text is still here" in outside.text


def test_text_of_one_conversation_is_never_sent_to_another(house: House) -> None:
    """If an old page meets another code's session, the page asks which conversation is meant."""
    browser = house.browser()
    first = browser.tell("Het eerste.").code
    second = browser.tell("Het tweede.").code
    page = browser.come_back(first)
    browser.come_back(second)
    asked = browser.submit(page, page.form_with("text"), text="Voor het eerste")
    assert asked.status == 403
    assert kept(asked) == "Voor het eerste"
    assert "ander gesprek" in asked.text
    sent = browser.submit(asked, asked.form_with("text", "code"), code=first)
    assert "Het eerste." in sent.text
    assert "Voor het eerste" in sent.text
    assert "Voor het eerste" not in browser.come_back(second).text


@pytest.mark.parametrize("path", ["conversation", "consent", "counsellor", "withdraw"])
def test_request_without_the_token_has_no_effect(
    house: House, reporter: Browser, noor: Counsellor, path: str
) -> None:
    noor.write("consent-request", ASKED)
    digest = list(noor.only_thread().genuine())[-1].digest
    fields = {
        "text": "Van een ander",
        "request": digest,
        "answer": "yes",
        "sure": "y",
        "counsellor": noor.identity.hex,
    }
    before = len(noor.texts())
    for token in (None, "", "x" * 40):
        given = fields | ({"csrf_token": token} if token is not None else {})
        page = reporter.post(f"/nl/{path}", None, 5, **given)
        assert page.status == 403
        assert page.form_with("code")
        check_shape(page)
    assert len(noor.texts()) == before
    assert house.stored() == 1


@pytest.mark.parametrize("path", ["conversation", "consent", "counsellor", "withdraw"])
def test_page_asks_for_the_code_if_there_is_no_session(house: House, path: str) -> None:
    page = house.browser().get(f"/nl/{path}")
    assert page.status == 203
    assert page.form_with("code")
    assert not page.header("Set-Cookie")
    check_shape(page)


def test_withdrawal_and_consent_answer_survive_the_end_of_a_session(
    house: House, noor: Counsellor
) -> None:
    browser = house.browser()
    code = browser.tell("Begin").code
    browser.come_back(code)
    noor.write("consent-request", ASKED)
    page = browser.get("/nl/conversation")
    house.restart()
    asked = browser.submit(page, page.form_to("consent", "request"), answer="yes", remark="Vooruit")
    assert kept(asked, "remark") == "Vooruit"
    assert "Je antwoord is er nog: Ja, dat is goed." in asked.text
    browser.submit(asked, asked.form_with("code"), code=code)
    assert list(noor.only_thread().genuine())[-1].body["answer"] == "yes"
    page = browser.get("/nl/withdraw")
    house.restart()
    asked = browser.submit(page, page.form_with("sure"), sure="y")
    gone = browser.submit(asked, asked.form_with("code"), code=code)
    assert gone.path == "/nl/withdrawn"
    assert house.browser().come_back(code).status == 422


@pytest.mark.parametrize("remark", ["Hm.", ""])
def test_reporter_who_signs_in_again_is_told_that_no_answer_was_chosen(
    house: House, noor: Counsellor, remark: str
) -> None:
    browser = house.browser()
    code = browser.tell("Begin").code
    browser.come_back(code)
    noor.write("consent-request", ASKED)
    page = browser.get("/nl/conversation")
    house.restart()
    asked = browser.submit(page, page.form_to("consent", "request"), remark=remark)
    assert "Je koos nog geen antwoord." in asked.text
    assert "meteen" not in asked.text
    assert ("Je tekst is er nog" in asked.text) == bool(remark)
    form = asked.form_with("code")
    assert "answer" not in form.names()
    check_shape(asked)
    asked = browser.submit(asked, form, code=code)
    assert asked.status == 422
    assert str(ASKED["scope"]) in asked.text
    assert ("remark", remark) in asked.form_to("consent", "request").fields
    check_shape(asked)
    browser.submit(asked, asked.form_to("consent", "request"), answer="no")
    assert list(noor.only_thread().genuine())[-1].body["answer"] == "no"


def test_unexpected_fault_keeps_the_text_and_says_that_the_outcome_is_unknown(
    reporter: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("of ours")

    page = reporter.get("/nl/conversation")
    with monkeypatch.context() as broken:
        broken.setattr(Mailboxes, "add", fail)
        answer = reporter.submit(page, page.form_with("text"), text="Niet kwijt")
    assert answer.status == 500
    assert kept(answer) == "Niet kwijt"
    assert "We weten niet zeker of dit is verstuurd." in answer.text
    check_shape(answer)


def test_empty_or_overlong_follow_up_is_kept(reporter: Browser) -> None:
    page = reporter.write_on("  \n ")
    assert page.status == 422
    assert "Schrijf eerst wat je wilt vertellen." in page.text
    check_shape(page)
    page = reporter.write_on("x" * 60_001)
    assert page.status == 422
    assert kept(page) == "x" * 60_001


def test_text_for_a_withdrawn_conversation_is_kept_for_a_new_report(house: House) -> None:
    """Another session withdrew the conversation, and text added to it would be lost too."""
    reporter, other = house.browser(), house.browser()
    code = reporter.tell("Het begin.").code
    reporter.come_back(code)
    other.come_back(code)
    page = reporter.get("/nl/conversation")
    confirm = other.get("/nl/withdraw")
    other.submit(confirm, confirm.form_with("sure"), sure="y")
    answer = reporter.submit(page, page.form_with("text"), text="Te laat")
    assert answer.status == 410
    assert kept(answer) == "Te laat"
    assert reporter.submit(answer, answer.form_with("text")).code


# what a thread may look like


def test_unverified_message_is_reported_and_never_shown(
    house: House, reporter: Browser, noor: Counsellor
) -> None:
    """The message is sealed under the counsellor's name, but signed with another key."""
    thread = noor.only_thread()
    (own,) = thread.genuine()
    forger = SigningKey.generate()
    fields: dict[str, Json] = {
        "v": 1,
        "site": thread.site,
        "mailbox": thread.mailbox,
        "by": str(noor.identity),
        "to": [str(noor.identity)],
        "n": 1,
        "seen": [],
        "day": "2026-11-03",
        "lang": "nl",
        "kind": "reply",
        "text": "Geloof mij maar",
        "attachments": [],
    }
    assert own.reporter is not None
    recipients = (own.reporter.recipient, noor.seeds[0].recipient())
    sealed = age.seal(messages.lay_out(fields, forger), recipients)
    house.mailboxes.reply(
        identity=noor.identity,
        mailbox=thread.mailbox,
        n=1,
        to=(noor.identity,),
        sealed=sealed,
    )
    page = reporter.get("/nl/conversation")
    assert "Geloof mij maar" not in page.text
    assert "Dit bericht kunnen we niet controleren." in page.text
    check_shape(page)


def test_missing_message_between_two_others_is_reported(
    house: House, reporter: Browser, noor: Counsellor
) -> None:
    for text in ("een", "twee", "drie"):
        noor.write("reply", {"text": text})
    conversation = next(
        entry for entry in noor.only_thread().entries if entry.message and entry.message.n == 2
    )
    with house.store.writing():
        house.store.remove_items([conversation.item])
    page = reporter.get("/nl/conversation")
    assert "Er ontbreekt 1 bericht van Noor Visser." in page.text


def test_missing_newest_message_is_reported_without_blaming_anybody(
    house: House, reporter: Browser, noor: Counsellor
) -> None:
    """Only one author claims that it existed."""
    for text in ("een", "twee"):
        noor.write("reply", {"text": text})
    reporter.write_on("Dank je.")
    newest = next(e for e in noor.only_thread().entries if e.message and e.message.text == "twee")
    with house.store.writing():
        house.store.remove_items([newest.item])
    text = reporter.get("/nl/conversation").text
    said = "Noor Visser schreef ook een nieuwer bericht. Dat staat hier (nog) niet."
    assert said in text
    assert "Er is een nieuwer bericht" not in text


def test_purged_message_is_described_as_removed(
    house: House, reporter: Browser, noor: Counsellor
) -> None:
    noor.write("reply", {"text": "een"})
    noor.write("reply", {"text": "twee"})
    first = next(e for e in noor.only_thread().entries if e.message and e.message.text == "een")
    with house.store.writing():
        house.store.remove_items([first.item])
    page = reporter.get("/nl/conversation")
    assert "Oudere berichten van Noor Visser zijn gewist." in page.text
    assert "ontbreekt" not in page.text


def test_approaching_expiry_is_announced(house: House, noor: Counsellor) -> None:
    code = house.browser().tell("Begin").code
    noor.threads()
    house.clock.pass_days(80)
    noor.threads()
    page = house.browser().come_back(code)
    assert "Dan wissen we dit gesprek na 31 januari." in page.text


def test_item_exists_until_its_deletion_day_ends_in_amsterdam_time(
    house: House, noor: Counsellor
) -> None:
    """Days are in UTC, and midnight in Amsterdam is one or two hours earlier."""
    code = house.browser().tell("Begin").code
    noor.threads()
    house.clock.pass_days(80)
    noor.threads()
    house.clock.pass_days(9)
    house.clock.pass_minutes(10 * 60 + 59)
    amsterdam = zoneinfo.ZoneInfo("Europe/Amsterdam")
    local = datetime.datetime.fromtimestamp(house.clock.now(), amsterdam)
    assert (local.day, local.hour, local.minute) == (31, 23, 59)
    page = house.browser().come_back(code)
    assert page.path == "/nl/conversation"
    assert "Dan wissen we dit gesprek na 31 januari." in page.text


@pytest.mark.parametrize(
    ("written", "shown"),
    [("2026-11-02T23:59+01:00", "2 november"), ("2026-11-03T00:59+01:00", "2 november"),
     ("2026-11-03T01:00+01:00", "3 november")],
)  # fmt: skip
def test_message_shows_the_signed_day_in_local_time(house: House, written: str, shown: str) -> None:
    """Late in the evening this is the day in Amsterdam; after midnight the UTC day is shown."""
    house.clock.seconds = datetime.datetime.fromisoformat(written).timestamp()
    browser = house.browser()
    page = browser.tell("Begin")
    browser.submit(page, page.form_with("kept"), kept="y")
    text = browser.get("/nl/conversation").text.replace("\u00a0", " ")
    assert f"Jij, {shown}" in text
    assert "vandaag" not in text.lower()


def test_displayed_deletion_day_never_becomes_earlier(house: House, noor: Counsellor) -> None:
    """Unfetched items stay longer, but only until a fetch, so that is not promised."""
    browser = house.browser()
    first = browser.tell("Begin")
    assert "Dat doen we niet vóór 1 februari 2027." in first.text
    said = "Dan wissen we dit gesprek. Dat doen we niet vóór 1 februari 2027."
    browser.submit(first, first.form_with("kept"), kept="y")
    assert said in browser.get("/nl/conversation").text
    noor.threads()
    assert said in browser.get("/nl/conversation").text
    house.clock.pass_days(10)
    page = browser.come_back(first.code)
    assert said in page.text
    browser.write_on("Nog iets.")
    assert "Dat doen we niet vóór 11 februari 2027" in browser.get("/nl/conversation").text


def test_deletion_day_is_never_in_the_past(house: House) -> None:
    """The item stays as long as nobody fetches it."""
    code = house.browser().tell("Begin").code
    house.clock.pass_days(100)
    page = house.browser().come_back(code)
    assert "Dat doen we niet vóór 11 februari." in page.text


def test_counsellor_without_a_card_is_shown_without_a_name(
    house: House, reporter: Browser, noor: Counsellor
) -> None:
    noor.write("reply", {"text": "Nog net."})
    house.site.retire("noor")
    page = reporter.get("/nl/conversation")
    assert "Een vertrouwenspersoon die hier niet meer staat, 3 november" in page.text
    assert "niemand die een nieuw bericht van je kan lezen" in page.text
    check_shape(page)


def test_no_session_page_has_a_code_in_a_url(reporter: Browser) -> None:
    pages: list[Callable[[], Page]] = [
        lambda: reporter.get("/nl/conversation"),
        lambda: reporter.get("/nl/counsellor"),
        lambda: reporter.get("/nl/withdraw"),
    ]
    for page in pages:
        for link in page().links:
            assert re.fullmatch(r"/[a-z/]*(#[a-z-]+)?|#[a-z0-9-]+|tel:[0-9+]+", link), link


@pytest.mark.parametrize("sign", "\f\v", ids=["page break of a PDF", "line break of Word"])
def test_pasted_line_separator_becomes_a_line_break(
    house: House, noor: Counsellor, sign: str
) -> None:
    browser = house.browser()
    browser.come_back(browser.tell(f"pagina 1{sign}pagina 2").code)
    browser.write_on(f"regel 1{sign}regel 2")
    assert noor.texts() == ["pagina 1\npagina 2", "regel 1\nregel 2"]
