"""Continuing with another counsellor, with or without the earlier messages."""

import pytest

from dropbox_app.server.mailboxes.service import Mailboxes
from tests.server.web.conftest import Browser, Counsellor, House
from tests.server.web.test_before import check_shape
from tests.server.web.test_conversation import ASKED
from tests.support.plain_browser import Form, Page


@pytest.fixture
def noor(two: House) -> Counsellor:
    return two.counsellors[0]


@pytest.fixture
def sam(two: House) -> Counsellor:
    return two.counsellors[1]


@pytest.fixture
def running(two: House, noor: Counsellor) -> Browser:
    """Return a reporter whom Noor has answered."""
    browser = two.browser()
    browser.come_back(browser.tell("Het begin.", counsellor=noor.identity.hex).code)
    noor.write("reply", {"text": "Dag, hier Noor."})
    return browser


def turn(browser: Browser, sam: Counsellor, **more: str) -> Page:
    page = browser.get("/nl/counsellor")
    check_shape(page)
    values = {"counsellor": sam.identity.hex, "text": "Dag Sam.", **more}
    return browser.submit(page, page.form_with("along"), **values)


def test_thread_is_forwarded_if_the_reporter_ticks_the_box(
    running: Browser, noor: Counsellor, sam: Counsellor
) -> None:
    """The new counsellor verifies all of it, including the other counsellor's messages."""
    page = turn(running, sam, along="y")
    assert page.status == 200
    assert "Je liet Sam Jansen ook lezen wat er toen al in dit gesprek stond." in page.text
    assert sam.texts() == ["Het begin.", "Dag, hier Noor.", "Dag Sam."]
    passed = [entry.passed_on for entry in sam.only_thread().entries]
    assert passed == [True, True, False]
    assert noor.texts() == ["Het begin.", "Dag, hier Noor."]
    running.write_on("En nu?")
    sam.write("reply", {"text": "Dag, hier Sam."})
    page = running.get("/nl/conversation")
    assert "Dag, hier Sam." in page.text
    assert page.text.count("Je liet Sam Jansen ook lezen") == 1
    assert "in geen enkel bericht wordt genoemd" not in page.text
    check_shape(page)


def test_thread_is_not_forwarded_without_a_tick(running: Browser, sam: Counsellor) -> None:
    page = running.get("/nl/counsellor")
    assert "along" not in [name for name, _ in page.form_with("along").fields]
    assert "Je liet" not in turn(running, sam).text
    assert sam.texts() == ["Dag Sam."]


def test_double_click_sends_the_text_and_forwards_the_thread_only_once(
    running: Browser, sam: Counsellor
) -> None:
    page = running.get("/nl/counsellor")
    form = page.form_with("along")
    for _ in range(2):
        values = {"counsellor": sam.identity.hex, "text": "Dag Sam.", "along": "y"}
        running.submit(page, form, **values)
    assert sam.texts() == ["Het begin.", "Dag, hier Noor.", "Dag Sam."]


def test_thread_is_forwarded_only_once_to_the_same_counsellor(
    running: Browser, noor: Counsellor, sam: Counsellor
) -> None:
    """A forged form asks to forward it with each message, but the counsellor gets it once."""
    turn(running, sam, along="y")
    page = running.get("/nl/counsellor")
    form = page.form_with("along")
    for text in ("Nog iets.", "Nog iets.", "En nog iets."):
        sent = running.submit(page, form, counsellor=sam.identity.hex, text=text, along="y")
        assert sent.status == 200
    passing = [message for message in sam.only_thread().genuine() if message.thread]
    assert len(passing) == 1
    assert sam.texts() == ["Het begin.", "Dag, hier Noor.", "Dag Sam.", "Nog iets.", "En nog iets."]


def test_message_sent_while_the_thread_is_forwarded_is_also_forwarded(
    running: Browser, noor: Counsellor, sam: Counsellor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same person sent it from another page, so the thread is read again."""
    real = Mailboxes.add
    first = iter([True])

    def add(self: Mailboxes, **given: object) -> None:
        if next(first, False):
            running.write_on("Tussendoor.")
        real(self, **given)  # type: ignore[arg-type]  # as it came

    monkeypatch.setattr(Mailboxes, "add", add)
    assert turn(running, sam, along="y").status == 200
    assert sam.texts() == ["Het begin.", "Dag, hier Noor.", "Tussendoor.", "Dag Sam."]


def test_tick_is_kept_through_an_error_a_language_change_and_the_end_of_a_session(
    two: House, running: Browser, sam: Counsellor
) -> None:
    page = running.get("/nl/counsellor")
    wrong = running.submit(page, page.form_with("along"), along="y", counsellor=sam.identity.hex)
    assert wrong.status == 422
    assert ("along", "y") in wrong.form_with("along").fields
    other = running.submit(wrong, wrong.form_with("along"), language(wrong), text="Dag Sam.")
    assert other.path == "/en/counsellor"
    assert ("along", "y") in other.form_with("along").fields
    assert ("text", "Dag Sam.") in other.form_with("along").fields
    code = two.browser().tell("Iets anders.", counsellor=sam.identity.hex).code
    two.restart()
    asked = running.submit(other, other.form_with("along"))
    assert asked.status == 403
    assert ("along", "y") in asked.form_with("code").fields
    assert len(code.split()) == 7


def language(page: Page) -> int:
    """Return the form's button for the other language, which is outside the form."""
    form: Form = page.form_with("along")
    form.buttons.append(("switch", "1", "/en/counsellor"))
    return len(form.buttons) - 1


def test_thread_can_be_forwarded_to_a_successor(
    running: Browser, noor: Counsellor, sam: Counsellor
) -> None:
    """After consent to a handover, the next message can still forward the thread."""
    noor.write("consent-request", ASKED | {"successor": str(sam.identity)})
    page = running.get("/nl/conversation")
    page = running.submit(page, page.form_to("consent", "request"), answer="yes")
    assert "Moet Sam Jansen dat ook lezen? Kies dan" in page.text
    form = running.get("/nl/counsellor").form_with("along")
    assert sam.identity.hex in form.choices["counsellor"]
    turn(running, sam, along="y")
    kinds = [message.kind for message in sam.only_thread().genuine()]
    assert kinds == ["report", "reply", "consent-request", "consent-answer", "message"]


def test_closed_conversation_first_states_that_it_is_closed(
    running: Browser, noor: Counsellor
) -> None:
    said = "Dit gesprek is gesloten op 3 november."
    noor.write("notice", {"status": "closed"})
    page = running.get("/nl/conversation")
    assert said in page.text
    assert page.text.count("Dat doen we niet vóór") == 1
    check_shape(page)
    noor.write("notice", {"status": "reopened"})
    assert said not in running.get("/nl/conversation").text
    noor.write("notice", {"status": "closed"})
    assert said in running.get("/nl/conversation").text
    running.write_on("Toch nog iets.")
    assert said not in running.get("/nl/conversation").text


@pytest.mark.parametrize("lang", ["nl", "en"])
def test_consent_to_the_previous_counsellor_can_still_be_withdrawn(
    running: Browser, noor: Counsellor, sam: Counsellor, lang: str
) -> None:
    """The page explains how; its button leads there, and the answer then has its own form."""
    said = {"nl": "schrijf het aan Noor Visser", "en": "write to Noor Visser. Your"}[lang]
    noor.write("consent-request", ASKED)
    page = running.get("/nl/conversation")
    running.submit(page, page.form_to("consent", "request"), answer="yes")
    turn(running, sam)
    page = running.get(f"/{lang}/conversation")
    check_shape(page)
    assert said in page.text
    assert not [form for form in page.forms if form.action.endswith("/consent")]
    page = running.submit(page, page.form_to("counsellor", "counsellor"))
    check_shape(page)
    form = page.form_with("along")
    assert dict(form.fields)["counsellor"] == noor.identity.hex
    assert str(ASKED["step"]) in dict(form.fields)["text"]
    page = running.submit(page, form)
    assert said not in page.text
    running.submit(page, page.form_to("consent", "request"))
    *_, told, last = noor.only_thread().genuine()
    assert told.text.endswith(str(ASKED["step"]))
    assert (last.kind, last.body["answer"]) == ("consent-answer", "withdrawn")
    assert [m.kind for m in sam.only_thread().genuine()] == ["message"]


def test_consent_to_a_former_counsellor_is_shown_with_a_number_to_call(
    running: Browser, two: House, noor: Counsellor, sam: Counsellor
) -> None:
    noor.write("consent-request", ASKED)
    page = running.get("/nl/conversation")
    running.submit(page, page.form_to("consent", "request"), answer="yes")
    turn(running, sam)
    two.site.retire("noor")
    page = running.get("/nl/conversation")
    check_shape(page)
    assert "Je kunt het hier nu niet veranderen" in page.text
    assert "Bel 030 123 45 67 (ma-vr 9-17)." in page.text


@pytest.mark.parametrize("answer", ["no", "tell-me-more"])
def test_answer_other_than_yes_needs_no_action_after_a_change_of_counsellor(
    running: Browser, noor: Counsellor, sam: Counsellor, answer: str
) -> None:
    noor.write("consent-request", ASKED)
    page = running.get("/nl/conversation")
    running.submit(page, page.form_to("consent", "request"), answer=answer)
    turn(running, sam)
    page = running.get("/nl/conversation")
    assert "Dat ja blijft gelden" not in page.text
    assert not [form for form in page.forms if form.action.endswith("/counsellor")]
