"""Expired cards, absent counsellors, silent desks, and retired cards.

Each state is real, made by the card or the clock. The pages are then correct in both languages,
another counsellor is offered if there is one, and no typed text is lost.
"""

from collections.abc import Callable

import pytest

from dropbox_app.protocol import card as cards
from dropbox_app.server.config.site import CARDS
from tests.server.web.conftest import START, Browser, Counsellor, House
from tests.server.web.test_before import check_shape
from tests.server.web.test_conversation import ASKED
from tests.server.web.test_report import kept
from tests.support.plain_browser import Page

TEXT = "Iets nieuws."
CALL = {"nl": "Bel 030 123 45 67 (ma-vr 9-17).", "en": "Call 030 123 45 67 (ma-vr 9-17)."}


def over(house: House) -> None:
    """Let the first counsellor's last key expire; the others make new cards and fetch."""
    house.clock.pass_days(100)
    for other in house.counsellors[1:]:
        house.site.update(other.identity, other.card(), house.clock.today())
    house.clock.pass_days(60)
    for other in house.counsellors[1:]:
        other.threads()


def away(house: House) -> None:
    noor, *others = house.counsellors
    stand_in = others[0].identity if others else None
    card = noor.card(away=cards.Away(START.replace(day=20), stand_in))
    house.site.update(noor.identity, card, house.clock.today())


def silent(house: House) -> None:
    house.clock.pass_days(14)
    for other in house.counsellors[1:]:
        other.threads()


def retired(house: House) -> None:
    house.site.retire("noor")


STATES: dict[str, Callable[[House], None]] = {
    "over": over,
    "away": away,
    "silent": silent,
    "retired": retired,
}
SAID = {
    ("over", "nl"): "Aan Noor Visser kun je nu niet schrijven.",
    ("over", "en"): "You cannot write to Noor Visser at the moment.",
    ("away", "nl"): "Noor Visser is afwezig tot en met 20 november.",
    ("away", "en"): "Noor Visser is away up to and including 20 November.",
    ("silent", "nl"): "Noor Visser heeft al minstens 4 doordeweekse dagen niet gekeken.",
    ("silent", "en"): "Noor Visser has not checked for messages for at least 4 weekdays.",
    ("retired", "nl"): "Een vertrouwenspersoon aan wie je schreef, staat hier niet meer",
    ("retired", "en"): "A counsellor you wrote to is no longer listed here",
}
OTHERS = {
    "nl": ("Je kunt ook iemand anders kiezen.", "Wil je eerder antwoord? Kies Sam Jansen."),
    "en": ("You can also choose someone else.", "Need an answer sooner? Choose Sam Jansen."),
}
STILL_OPEN = ("away", "silent")
both = pytest.mark.parametrize("lang", ["nl", "en"])
every = pytest.mark.parametrize("state", STATES)


def begun(house: House, text: str = "Het begin.") -> str:
    """Return the code of a conversation with Noor, who has not fetched it yet."""
    return house.browser().tell(text, counsellor=house.counsellors[0].identity.hex).code


def at(house: House, path: str, lang: str) -> Page:
    page = house.browser().get(f"/{lang}/{path}")
    check_shape(page)
    return page


# before a session


@both
@every
def test_landing_page_mentions_an_absence_and_offers_other_counsellors(
    two: House, state: str, lang: str
) -> None:
    STATES[state](two)
    page = at(two, "", lang)
    assert f"/{lang}/safety" in page.links
    if state == "retired":
        assert "Noor" not in page.text
    else:
        assert SAID[state, lang] in page.text
        assert any(offer in page.text for offer in OTHERS[lang])


@both
@every
def test_absence_of_the_only_counsellor_is_mentioned_without_an_alternative(
    house: House, state: str, lang: str
) -> None:
    STATES[state](house)
    page = at(house, "", lang)
    assert f"/{lang}/return" in page.links
    assert (f"/{lang}/safety" in page.links) == (state in STILL_OPEN)
    here = {"nl": "Je hoeft je naam niet te noemen", "en": "You do not have to give your name"}[
        lang
    ]
    assert (here in page.text) == (state in STILL_OPEN)
    assert not any(offer in page.text for offer in OTHERS[lang])
    if state == "retired":
        assert "Noor" not in page.text
    else:
        assert SAID[state, lang] in page.text
    report = at(house, "report", lang)
    about = at(house, "about", lang)
    if state in STILL_OPEN:
        assert SAID[state, lang] in report.text
        assert SAID[state, lang] in about.text
    else:
        assert not report.forms
        for shut in (page, report, about, at(house, "safety", lang)):
            assert CALL[lang] in shut.text


@both
@pytest.mark.parametrize("state", STILL_OPEN)
def test_form_mentions_each_counsellors_absence(two: House, state: str, lang: str) -> None:
    STATES[state](two)
    text = at(two, "report", lang).text
    assert SAID[state, lang] in text
    assert any(offer in text for offer in OTHERS[lang])


@both
def test_code_page_promises_no_quick_answer_from_an_absent_counsellor(
    house: House, lang: str
) -> None:
    usual = {"nl": "Kom terug na", "en": "Come back after"}[lang]
    assert usual in house.browser().tell(TEXT, lang).text
    away(house)
    page = house.browser().tell(TEXT, lang)
    check_shape(page)
    assert SAID["away", lang] in page.text
    assert usual not in page.text


def test_stand_in_is_named_only_while_available(two: House) -> None:
    """A stand-in who is also absent, silent or retired is not recommended."""
    noor, sam = two.counsellors
    stands_in = OTHERS["nl"][1]
    until = START.replace(day=28)
    card = noor.card(away=cards.Away(until, sam.identity))
    two.site.update(noor.identity, card, START)
    assert stands_in in at(two, "", "nl").text
    two.site.update(sam.identity, sam.card(away=cards.Away(START, None)), START)
    assert stands_in not in at(two, "", "nl").text
    assert OTHERS["nl"][0] in at(two, "", "nl").text
    two.clock.pass_days(1)
    assert stands_in in at(two, "", "nl").text
    two.clock.pass_days(14)
    assert stands_in not in at(two, "", "nl").text
    sam.threads()
    assert stands_in in at(two, "", "nl").text
    two.site.retire("sam")
    assert "Sam" not in at(two, "", "nl").text


@both
def test_site_whose_last_counsellor_left_is_not_described_as_not_yet_open(
    house: House, lang: str
) -> None:
    """Anyone with a code can still return and read."""
    code = begun(house)
    retired(house)
    page = at(house, "", lang)
    assert {"nl": "nog niet open", "en": "not open yet"}[lang] not in page.text
    assert f"/{lang}/return" in page.links
    assert "Het begin." in house.browser().come_back(code, lang).text


def test_site_whose_only_card_is_broken_is_not_described_as_not_yet_open(house: House) -> None:
    (house.folder / CARDS / "noor.card").write_bytes(b"broken\n")
    page = at(house, "", "nl")
    assert "nog niet open" not in page.text
    assert "Je kunt hier nu niet schrijven" in page.text


def test_remaining_counsellor_is_not_described_as_the_only_one(two: House) -> None:
    over(two)
    text = at(two, "", "nl").text
    assert "Schrijf dan niet hier." in text
    assert "heeft maar één" not in text


# in a running conversation


@both
@every
def test_conversation_mentions_an_absence_and_links_to_the_others(
    two: House, state: str, lang: str
) -> None:
    code = begun(two)
    STATES[state](two)
    browser = two.browser()
    page = browser.come_back(code, lang)
    check_shape(page)
    assert "Het begin." in page.text
    assert SAID[state, lang] in page.text
    assert page.links.count(f"/{lang}/counsellor") >= 2  # always one at the end; here it is offered
    assert any("text" in form.names() for form in page.forms) == (state in STILL_OPEN)
    other = browser.get(f"/{lang}/counsellor")
    check_shape(other)
    sent = browser.submit(
        other, other.form_with("text"), counsellor=two.counsellors[1].identity.hex, text=TEXT
    )
    check_shape(sent)
    assert SAID[state, lang] not in sent.text
    assert two.counsellors[1].texts() == [TEXT]


@both
@every
def test_conversation_without_other_counsellors_shows_the_telephone_number(
    house: House, state: str, lang: str
) -> None:
    code = begun(house)
    STATES[state](house)
    browser = house.browser()
    page = browser.come_back(code, lang)
    check_shape(page)
    assert SAID[state, lang] in page.text
    assert page.links.count(f"/{lang}/counsellor") == 0
    assert (CALL[lang] in page.text) == (state not in STILL_OPEN)
    other = browser.get(f"/{lang}/counsellor")
    check_shape(other)
    assert CALL[lang] in other.text
    assert not other.forms


@both
@every
def test_reporter_waiting_for_an_absent_counsellor_is_not_promised_the_usual_response_time(
    house: House, state: str, lang: str
) -> None:
    usual = {"nl": "Je krijgt meestal", "en": "An answer usually comes"}[lang]
    code = begun(house)
    assert usual in house.browser().come_back(code, lang).text
    STATES[state](house)
    text = house.browser().come_back(code, lang).text
    assert usual not in text
    assert {"nl": "nog geen antwoord", "en": "no answer yet"}[lang] in text


def test_page_does_not_claim_that_a_retired_counsellor_reads_messages(two: House) -> None:
    code = begun(two)
    retired(two)
    browser = two.browser()
    browser.come_back(code)
    assert "nog lezen wat je al stuurde" not in browser.get("/nl/counsellor").text


@both
def test_question_from_an_unreachable_counsellor_has_no_answer_buttons(
    two: House, lang: str
) -> None:
    """The remark in a form that was being sent is kept."""
    noor = two.counsellors[0]
    code = begun(two)
    noor.write("consent-request", ASKED)
    browser = two.browser()
    page = browser.come_back(code, lang)
    retired(two)
    answer = browser.submit(
        page, page.form_to("consent", "request"), answer="yes", remark="Mijn opmerking."
    )
    assert answer.status == 503
    assert kept(answer) == "Mijn opmerking."
    check_shape(answer)
    page = browser.get(f"/{lang}/conversation")
    assert not any("request" in form.names() for form in page.forms)
    said = {
        "nl": "Je kunt nu geen antwoord geven of veranderen",
        "en": "You cannot give or change an answer now",
    }
    assert said[lang] in page.text
    check_shape(page)


# no typed word is lost


ENDS = pytest.mark.parametrize("end", [over, retired])


@both
@ENDS
def test_report_to_an_unreachable_counsellor_is_not_sent_to_another(
    two: House, end: Callable[[House], None], lang: str
) -> None:
    """With one counsellor left, the form still asks: the report may be about that counsellor."""
    noor, sam = two.counsellors
    browser = two.browser()
    page = browser.get(f"/{lang}/report")
    end(two)
    form = page.form_with("text")
    page = browser.submit(page, form, text=TEXT, counsellor=noor.identity.hex, safe="no")
    assert page.status == 422
    check_shape(page)
    assert (kept(page), kept(page, "safe")) == (TEXT, "no")
    assert page.form_with("text").choices["counsellor"] == [sam.identity.hex]
    # The language button and a second press without a choice do not choose either.
    page = browser.submit(page, page.form_with("text"), 0)
    assert page.status == 422
    assert page.form_with("text").choices["counsellor"] == [sam.identity.hex]
    assert not two.stored()
    browser.submit(page, page.form_with("text"), counsellor=sam.identity.hex)
    assert sam.texts() == [TEXT]


def test_form_that_names_one_counsellor_sends_the_report_to_no_other(house: House) -> None:
    """The form names Noor, but only Sam is available when it is sent."""
    browser = house.browser()
    page = browser.get("/nl/report")
    assert "Je schrijft aan Noor Visser." in page.text
    retired(house)
    sam = house.welcome("Sam Jansen")
    page = browser.submit(page, page.form_with("text"), text=TEXT)
    assert page.status == 422
    check_shape(page)
    assert kept(page) == TEXT
    assert not house.stored()
    page = browser.submit(page, page.form_with("text"), counsellor=sam.identity.hex)
    assert page.status == 200
    assert sam.texts() == [TEXT]


def written(house: House, lang: str) -> tuple[Browser, Page]:
    """Write a follow-up, send it after Noor's card was retired; return browser and response."""
    browser = house.browser()
    page = browser.come_back(begun(house), lang)
    retired(house)
    return browser, browser.submit(page, page.form_with("text"), text=TEXT)


@both
def test_follow_up_is_kept_while_choosing_another_counsellor(two: House, lang: str) -> None:
    browser, page = written(two, lang)
    assert page.status == 503
    check_shape(page)
    assert kept(page) == TEXT
    said = {"nl": "Je kunt verder met iemand anders.", "en": "You can continue with someone else."}
    assert said[lang] in page.text
    # A link above the text would lose the text, so only the link that every page has is there.
    assert page.links.count(f"/{lang}/counsellor") == 1
    other = browser.submit(page, page.form_to("counsellor", "text"))
    assert other.path == f"/{lang}/counsellor"
    assert other.status == 200
    assert kept(other) == TEXT
    sam = two.counsellors[1]
    browser.submit(other, other.form_with("text"), counsellor=sam.identity.hex)
    assert sam.texts() == [TEXT]


@both
def test_follow_up_is_kept_in_its_form_if_no_counsellor_is_left(house: House, lang: str) -> None:
    browser, page = written(house, lang)
    other = {"nl": "en", "en": "nl"}[lang]
    assert page.status == 503
    check_shape(page)
    assert kept(page) == TEXT
    assert CALL[lang] in page.text
    assert f'formaction="/{other}/conversation"' in page.html  # the language button sends it too
    token = dict(page.form_with("text").fields)["csrf_token"]
    changed = browser.post(f"/{other}/conversation", csrf_token=token, text=TEXT, switch="1")
    assert changed.status == 200
    assert kept(changed) == TEXT
    sam = house.welcome("Sam Jansen")
    # Once a counsellor is available again, the text goes with the form.
    page = browser.submit(page, page.form_with("text"))
    page = browser.submit(page, page.form_to("counsellor", "text"))
    browser.submit(page, page.form_with("text"), counsellor=sam.identity.hex)
    assert sam.texts() == [TEXT]


@both
def test_text_is_kept_if_the_chosen_counsellor_has_just_retired(two: House, lang: str) -> None:
    noor, sam = two.counsellors
    browser = two.browser()
    browser.come_back(begun(two), lang)
    page = browser.get(f"/{lang}/counsellor")
    two.site.retire("sam")
    page = browser.submit(page, page.form_with("text"), text=TEXT, counsellor=sam.identity.hex)
    assert page.status == 422
    check_shape(page)
    assert kept(page) == TEXT
    assert CALL[lang] in page.text
    back = browser.submit(page, page.form_to("conversation", "text"))
    assert back.status == 200
    assert kept(back) == TEXT
    browser.submit(back, back.form_with("text"))
    assert noor.texts() == ["Het begin.", TEXT]


def test_expired_session_with_expired_card_loses_no_text(two: House) -> None:
    code = begun(two)
    browser = two.browser()
    page = browser.come_back(code)
    over(two)
    page = browser.submit(page, page.form_with("text"), text=TEXT)
    assert page.status == 403
    assert kept(page) == TEXT
    page = browser.submit(page, page.form_with("text", "code"), code=code)
    assert page.status == 503
    assert kept(page) == TEXT
    other = browser.submit(page, page.form_to("counsellor", "text"))
    sam: Counsellor = two.counsellors[1]
    browser.submit(other, other.form_with("text"), counsellor=sam.identity.hex)
    assert sam.texts() == [TEXT]
