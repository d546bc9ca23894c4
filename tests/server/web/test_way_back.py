"""Returning to a conversation: nothing is lost or untrue, and the newest comes first."""

import urllib.parse

import pytest

from dropbox_app.protocol.messages import ANSWERS
from dropbox_app.server.web.i18n import words
from tests.server.web.conftest import House
from tests.server.web.test_before import check_shape
from tests.server.web.test_conversation import ASKED

both = pytest.mark.parametrize("lang", ["nl", "en"])
# Conditional, because the page does not know whether a code was just typed.
COOKIES = {
    "nl": "Heb je net je code ingevuld? Dan houdt je browser cookies tegen",
    "en": "If you have just entered your code, your browser is blocking cookies",
}
IDLE = {"nl": "opnieuw als je 20 minuten niets doet", "en": "after 20 minutes without activity"}


@both
def test_visiting_any_page_keeps_the_code_available(house: House, lang: str) -> None:
    browser = house.browser()
    page = browser.tell("Iets.", lang)
    for path in ("conversation", "consent", "return", "more", "about", "files", "counsellor", ""):
        browser.get(f"/{lang}/{path}")
    assert browser.get(f"/{lang}/conversation").path == f"/{lang}/code"
    again = browser.get(f"/{lang}/code")
    assert again.code == page.code
    check_shape(again)


@both
def test_code_page_links_only_to_leave_quickly_and_the_other_language(
    house: House, lang: str
) -> None:
    browser = house.browser()
    first = browser.tell("Iets.", lang)
    for page in (first, browser.get(f"/{lang}/code")):
        other = "en" if lang == "nl" else "nl"
        inside = {link for link in page.links if link.startswith("/")}
        assert inside <= {f"/{lang}/leave", f"/{other}/code"}


@both
@pytest.mark.parametrize("way", ["stop", "leave"])
def test_back_button_after_closing_shows_that_the_conversation_was_closed(
    house: House, lang: str, way: str
) -> None:
    browser = house.browser()
    inside = browser.come_back(browser.tell("Iets.", lang).code, lang)
    assert inside.path == f"/{lang}/conversation"  # what Back leads to
    browser.request("GET", f"/{lang}/{way}", follow=0)
    back = browser.get(inside.path)
    assert words(lang).say("return.closed") in back.text
    assert back.text.replace(COOKIES[lang], "").count("cookie") == 1  # that the site needs one
    assert COOKIES[lang] in back.text
    assert IDLE[lang] not in back.text
    check_shape(back)


@both
def test_page_says_that_cookies_are_missing_after_a_code_or_message_is_sent(
    house: House, lang: str
) -> None:
    browser = house.browser(cookies=False)
    code = browser.tell("Iets.", lang).code
    assert COOKIES[lang] in browser.come_back(code, lang).text
    asked = browser.post(f"/{lang}/conversation", text="Zonder koekje")
    sent = browser.submit(asked, asked.form_with("text", "code"), code=code)
    assert COOKIES[lang] in sent.text
    assert house.counsellors[0].texts() == ["Iets.", "Zonder koekje"]


@both
def test_idle_session_is_reported_as_ended(house: House, lang: str) -> None:
    browser = house.browser()
    browser.come_back(browser.tell("Iets.", lang).code, lang)
    house.clock.pass_minutes(21)
    text = browser.get(f"/{lang}/conversation").text
    assert IDLE[lang] in text
    assert COOKIES[lang] not in text


def long_conversation(house: House) -> str:
    """Return the code of a conversation with seven messages."""
    code = house.browser().tell("Het begin.").code
    browser = house.browser()
    browser.come_back(code)
    for number in range(3):
        house.counsellors[0].write("reply", {"text": f"Antwoord {number}."})
        browser.write_on(f"Verder {number}.")
    return code


def test_older_messages_are_collapsed_and_the_newest_are_open(house: House) -> None:
    page = house.browser().come_back(long_conversation(house))
    check_shape(page)
    _, _, rest = page.html.partition('<details class="older">')
    old, _, new = rest.partition("</details>\n<article")
    assert "3 oudere berichten" in old
    assert "Het begin." in old
    assert "Verder 0." in old
    assert "Antwoord 1." in new
    assert "Verder 2." in new


def test_pending_question_is_never_collapsed(house: House) -> None:
    code = house.browser().tell("Het begin.").code
    browser = house.browser()
    browser.come_back(code)
    house.counsellors[0].write("consent-request", ASKED)
    for number in range(6):
        browser.write_on(f"Verder {number}.")
    page = house.browser().come_back(code)
    assert 'class="older"' not in page.html
    assert page.form_to("consent", "request")


def test_short_conversation_is_not_collapsed(house: House) -> None:
    page = house.browser().come_back(house.browser().tell("Het begin.").code)
    assert 'class="older"' not in page.html


@both
def test_every_single_choice_question_can_be_cleared(house: House, lang: str) -> None:
    """A selected radio button cannot be cleared, so another one means "no answer"."""
    browser = house.browser()
    form = browser.get(f"/{lang}/report").form_with("text")
    alone = [name for name, (several, _) in ANSWERS.items() if not several]
    assert all("" in form.choices[name] for name in alone)
    assert browser.tell("Iets.", lang, **dict.fromkeys(alone, "")).code
    (message,) = house.counsellors[0].only_thread().genuine()
    assert not message.body.get("answers")


def test_language_of_a_message_is_marked(house: House) -> None:
    """The counsellor writes Dutch here, and an English page marks that for screen readers."""
    code = house.browser().tell("Something.", "en").code
    house.counsellors[0].write("reply", {"text": "Dank je."})
    page = house.browser().come_back(code, "en")
    assert '<p class="text" dir="auto" lang="nl">Dank je.</p>' in page.html
    assert 'lang="en">Something.</p>' in page.html
    check_shape(page)


@both
def test_after_a_message_is_sent_the_page_opens_just_above_that_message(
    house: House, lang: str
) -> None:
    """The page opens at the confirmation, right above the message, without scrolling."""
    browser = house.browser()
    asked = browser.come_back(browser.tell("Het begin.", lang).code, lang)
    fields = dict(asked.form_with("text").fields) | {"text": "Nog iets."}
    body = urllib.parse.urlencode(fields).encode()
    answer = browser.request("POST", f"/{lang}/conversation", body, follow=0)
    assert answer.header("Location") == f"/{lang}/conversation?sent=1#last"
    page = browser.get(f"/{lang}/conversation?sent=1")
    _, _, landed = page.html.partition('id="last"')
    assert "Het begin." not in landed
    assert landed.index(words(lang).say("conversation.sent")) < landed.index("Nog iets.")
    check_shape(page)
