"""The code page checks the words that a reporter wrote down, and sends nothing twice."""

import contextlib
import sqlite3
from collections.abc import Sequence

import pytest

from dropbox_app.protocol.retrieval_code import word_list
from dropbox_app.server.reporter import agent
from dropbox_app.server.store.sqlite import DATABASE
from tests.server.web.conftest import SECURE, Browser, House
from tests.server.web.test_before import check_shape
from tests.server.web.test_report import HOSTILE, kept
from tests.support.codes import tells
from tests.support.plain_browser import Page

TEXT = "Er is iets gebeurd."
RIGHT = {"nl": "Alle zeven woorden kloppen.", "en": "All seven words are right."}
both = pytest.mark.parametrize("lang", ["nl", "en"])


def attempt(browser: Browser, page: Page, words: Sequence[str] | str) -> Page:
    """Type these words under "try it now" and press its button; return the response."""
    typed = words if isinstance(words, str) else " ".join(words)
    return browser.submit(page, page.form_with("typed"), typed=typed)


def go_on(browser: Browser, page: Page, **ticked: str) -> Page:
    return browser.submit(page, page.form_with("kept"), **ticked)


def others(code: str, lang: str) -> list[str]:
    """Return list words that are not in the code."""
    return [word for word in word_list(lang) if word not in code.split()]


@both
def test_correctly_retyped_words_are_accepted_in_any_spelling(house: House, lang: str) -> None:
    browser = house.browser()
    page = browser.tell(TEXT, lang)
    words = page.code.split()
    for typed in (
        " ".join(words),
        "\n".join(f"{n}. {word}" for n, word in enumerate(words, 1)),
        "  ".join(words).upper() + " ",
        ", ".join(words),
    ):
        answer = attempt(browser, page, typed)
        assert (answer.status, answer.path) == (200, f"/{lang}/code")
        assert RIGHT[lang] in answer.text
        assert 'role="status"' in answer.html
        assert answer.code == page.code
        check_shape(answer)
    assert house.stored() == 1


@both
def test_retyping_the_words_correctly_counts_as_ticking_the_confirmation(
    house: House, lang: str
) -> None:
    browser = house.browser()
    page = browser.tell(TEXT, lang)
    answer = attempt(browser, page, page.code)
    form = answer.form_with("kept")
    assert dict(form.fields)["kept"] == "y"
    assert browser.submit(answer, form).path == f"/{lang}/conversation"


@both
def test_code_page_says_how_to_return_and_the_slip_does_not(house: House, lang: str) -> None:
    page = house.browser().tell(TEXT, lang)
    main = page.html.partition("<main")[2]
    assert all(origin in main for origin in house.site.settings.origins)
    door = {"nl": "Ik heb al een code", "en": "I have a code"}[lang]
    assert f"“{door}”" in page.text
    printed = page.html.partition('id="code"')[2].partition("</ol>")[0]
    assert not any(origin in printed for origin in house.site.settings.origins)


@both
def test_conversation_links_to_a_separate_address_slip(house: House, lang: str) -> None:
    """The code page has no such link, because leaving that page would lose the words."""
    browser = house.browser()
    page = browser.tell(TEXT, lang)
    assert f"/{lang}/address" not in page.links
    inside = browser.submit(page, page.form_with("kept"), kept="y")
    assert f"/{lang}/address" in inside.links
    slip = browser.get(f"/{lang}/address")
    printed = slip.html.partition('<div class="way">')[2].partition("</div>")[0]
    assert all(origin in printed for origin in house.site.settings.origins)
    assert slip.element("code") is None
    check_shape(slip)


def test_code_page_title_is_the_same_in_every_state(house: House) -> None:
    browser = house.browser()
    page = browser.tell(TEXT)
    wrong = attempt(browser, page, "een twee")
    for state in (page, wrong, go_on(browser, wrong), attempt(browser, wrong, page.code)):
        assert "<title>Bericht</title>" in state.html


@pytest.mark.parametrize(
    ("places", "said"),
    [
        ((3,), "Woord 3 is anders dan in je code."),
        ((1, 7), "De woorden 1 en 7 zijn anders dan in je code."),
        ((2, 4, 5), "De woorden 2, 4 en 5 zijn anders dan in je code."),
    ],
)
def test_each_wrong_word_is_reported_and_the_code_stays_on_the_page(
    house: House, places: tuple[int, ...], said: str
) -> None:
    """The word may be on the list or not; the typed text stays in its field."""
    browser = house.browser()
    page = browser.tell(TEXT)
    wrong = others(page.code, "nl")
    for other in (wrong[:7], [word + "qq" for word in wrong[:7]]):
        typed = page.code.split()
        for place in places:
            typed[place - 1] = other[place - 1]
        answer = attempt(browser, page, typed)
        assert answer.status == 422
        assert answer.text.count(said) == 2  # at the top, and at the field
        assert RIGHT["nl"] not in answer.text
        assert answer.code == page.code
        assert kept(answer, "typed") == " ".join(typed)
        check_shape(answer)


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("", "Typ de zeven woorden van je papier."),
        ("een twee", "Je typte 2 woorden."),
        ("een " * 8, "Je typte 8 woorden."),
    ],
)
def test_page_states_the_number_of_words_typed_if_there_are_too_few_or_too_many(
    house: House, typed: str, said: str
) -> None:
    browser = house.browser()
    page = browser.tell(TEXT)
    answer = attempt(browser, page, typed)
    assert answer.status == 422
    assert said in answer.text
    assert answer.code == page.code
    check_shape(answer)


def test_right_words_in_wrong_order_are_distinguished_from_wrong_words(house: House) -> None:
    browser = house.browser()
    page = browser.tell(TEXT)
    first, second, *rest = page.code.split()
    answer = attempt(browser, page, [second, first, *rest])
    assert answer.status == 422
    assert "andere volgorde" in answer.text
    assert "Woord 1" not in answer.text


def test_checking_the_retyped_words_hashes_no_code_and_does_not_wait_in_the_queue(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    browser = house.browser()
    page = browser.tell(TEXT)

    def stretch(*_: object) -> bytes:
        raise AssertionError("a code was stretched")

    monkeypatch.setattr(agent, "derive_root", stretch)
    assert RIGHT["nl"] in attempt(browser, page, page.code).text
    assert attempt(browser, page, others(page.code, "nl")[:7]).status == 422


def test_reloading_any_response_shows_the_code_and_sends_nothing(house: House) -> None:
    """This covers the report, a correct and a wrong check, and the page itself."""
    browser = house.browser()
    form_page = browser.get("/nl/report")
    form = form_page.form_with("text")
    page = browser.submit(form_page, form, text=TEXT)
    for _ in range(2):
        assert browser.submit(form_page, form, text=TEXT).code == page.code
        assert browser.get("/nl/code").code == page.code
        assert attempt(browser, page, page.code).code == page.code
        assert attempt(browser, page, "een twee").code == page.code
        assert go_on(browser, page).code == page.code
    check_shape(browser.get("/nl/code"))
    assert house.stored() == 1
    assert house.counsellors[0].texts() == [TEXT]


@both
def test_code_page_continues_only_after_the_confirmation_is_ticked(house: House, lang: str) -> None:
    browser = house.browser()
    page = browser.tell(TEXT, lang)
    form = page.form_with("kept")
    assert form.choices == {"kept": ["y"]}
    answer = go_on(browser, page)
    assert answer.status == 422
    assert answer.code == page.code
    assert 'id="kept-problem"' in answer.html
    check_shape(answer)
    inside = go_on(browser, answer, kept="y")
    assert inside.path == f"/{lang}/conversation"
    assert TEXT in inside.text
    assert not tells(inside.text, page.code)


def test_code_words_are_not_shown_again_after_the_confirmation_was_ticked(house: House) -> None:
    browser = house.browser()
    page = browser.tell(TEXT)
    go_on(browser, page, kept="y")
    for answer in (
        browser.get("/nl/code"),
        attempt(browser, page, page.code),
        go_on(browser, page, kept="y"),
    ):
        assert answer.path == "/nl/conversation"
        for word in page.code.split():
            assert f"<li>{word}</li>" not in answer.html


def test_code_page_stays_available_after_the_idle_timeout(house: House) -> None:
    """A reporter looking for a pen has four hours instead of 20 minutes."""
    browser = house.browser()
    page = browser.tell(TEXT)
    house.clock.pass_minutes(3 * 60)
    assert browser.get("/nl/code").code == page.code
    assert RIGHT["nl"] in attempt(browser, page, page.code).text
    house.clock.pass_minutes(61)
    answer = browser.get("/nl/code")
    assert answer.path == "/nl/code"
    assert answer.form_with("code")
    assert not tells(answer.text, page.code)


def test_code_page_still_uses_the_day_of_the_report_after_midnight(house: House) -> None:
    """The clock of these tests starts at noon, so that nothing else reaches midnight."""
    house.clock.pass_minutes(11 * 60)
    browser = house.browser()
    browser.tell(TEXT)
    house.clock.pass_minutes(2 * 60)
    text = browser.get("/nl/code").text
    assert "november" not in text  # of UTC: in the Netherlands it may be the next day already
    assert "Dat doen we niet vóór 1 februari 2027" in text


def test_words_typed_without_cookies_are_kept_in_the_code_field(house: House) -> None:
    """Without a session there are no words to compare with."""
    browser = house.browser(cookies=False)
    page = browser.tell(TEXT)
    answer = attempt(browser, page, page.code)
    assert answer.status == 203
    assert "cookie" in answer.text
    assert kept(answer, "code") == page.code
    check_shape(answer)
    assert TEXT in house.browser().come_back(kept(answer, "code")).text
    assert house.stored() == 1


def test_code_is_not_shown_without_its_session(house: House) -> None:
    page = house.browser().tell(TEXT)
    stranger = house.browser()
    for answer in (stranger.get("/nl/code"), attempt(stranger, page, "een twee")):
        assert answer.form_with("code")
        assert not tells(answer.text, page.code)
    assert not stranger.seen_cookies


def test_code_page_in_the_other_language_shows_the_same_words_and_keeps_typed_text(
    house: House,
) -> None:
    """The link appears only once the browser keeps the cookie; otherwise it would lose the code."""
    browser = house.browser()
    first = browser.tell(TEXT)
    assert "/en/code" not in first.html
    page = attempt(browser, first, "een twee")
    form = page.form_with("typed")
    assert 'formaction="/en/code"' in page.html
    fields = dict(form.fields) | {"switch": "1"}
    english = browser.post("/en/code", None, 5, **fields)
    assert english.status == 200
    assert english.code == first.code
    assert "Now write down this code." in english.text
    assert kept(english, "typed") == "een twee"
    check_shape(english)


@pytest.mark.parametrize("headers", HOSTILE)
def test_post_from_another_page_changes_nothing(house: House, headers: dict[str, str]) -> None:
    browser = house.browser()
    page = browser.tell(TEXT)
    assert browser.post("/nl/code", headers, kept="y", go="1").status == 403
    assert browser.get("/nl/code").code == page.code


def test_cookie_size_never_changes(house: House) -> None:
    browser = house.browser(origin=SECURE)
    page = browser.tell(TEXT)
    attempt(browser, page, page.code)
    attempt(browser, page, "een")
    go_on(browser, page, kept="y")
    assert len({len(cookie.partition(";")[0]) for cookie in browser.seen_cookies}) == 1


def test_chosen_counsellor_is_named_when_the_code_is_shown_again(two: House) -> None:
    sam = two.counsellors[1]
    browser = two.browser()
    browser.tell(TEXT, counsellor=sam.identity.hex)
    text = browser.get("/nl/code").text
    assert "Alleen Sam Jansen kan je bericht openen" in text
    assert "Noor" not in text


def test_code_words_are_numbered_one_per_line_and_not_translated(house: House) -> None:
    page = house.browser().tell(TEXT)
    begin = page.html.index('<ol class="code"')
    block = page.html[begin : page.html.index("</ol>", begin)]
    assert 'translate="no"' in block.split(">")[0]
    assert [line for line in block.splitlines()[1:] if line] == [
        f"<li>{word}</li>" for word in page.code.split()
    ]


def test_reporter_who_does_not_feel_safe_sees_help_first_on_a_page_of_equal_length(
    house: House,
) -> None:
    """The page has the same words in another order, and the answer is not stored."""
    pages = {}
    for safe in ("yes", "no"):
        browser = house.browser()
        form = browser.get("/nl/report")
        pages[safe] = browser.submit(form, form.form_with("text"), text=TEXT, safe=safe)
        check_shape(pages[safe])
    assert pages["yes"].status == pages["no"].status == 200
    assert len(pages["yes"].body) == len(pages["no"].body)
    for safe, first in (("no", True), ("yes", False)):
        before = pages[safe].html.partition('id="code"')[0]
        assert ("0800-0188" in before) == first
        assert 'href="tel:08000188"' in pages[safe].html


def test_safety_answer_exists_only_in_the_sealed_report(
    house: House, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    """The answer is not in other stored data, a length, a header or a log."""
    heads: dict[str, list[tuple[str, int]]] = {}
    rows: dict[str, list[tuple[object, ...]]] = {}
    known: set[str] = set()
    for safe in ("yes", "no", "dont_know"):
        page = house.browser().tell(TEXT, safe=safe)
        heads[safe] = [(name, len(value)) for name, value in page.headers]
        with contextlib.closing(sqlite3.connect(house.folder / DATABASE)) as database:
            found = database.execute(
                "SELECT mailbox, created, last_added, what, n, day, items.size, length(file)"
                " FROM mailboxes JOIN items USING (mailbox) JOIN sealed USING (item)"
            ).fetchall()
        rows[safe] = sorted(row[1:] for row in found if row[0] not in known)
        known |= {row[0] for row in found}
    assert heads["yes"] == heads["no"] == heads["dont_know"]
    assert rows["yes"] == rows["no"] == rows["dont_know"] != []
    assert caplog.records == []
    assert capfd.readouterr() == ("", "")
    plain = [path for path in house.folder.rglob("*") if path.is_file()]
    assert not any(b"dont_know" in path.read_bytes() for path in plain)


@both
def test_new_code_can_be_shown_again_from_the_return_page(house: House, lang: str) -> None:
    browser = house.browser()
    page = browser.tell(TEXT, lang)
    asked = browser.get(f"/{lang}/return")
    check_shape(asked)
    assert f"/{lang}/code" in asked.links
    assert browser.get(f"/{lang}/code").code == page.code
    assert f"/{lang}/code" not in house.browser().get(f"/{lang}/return").links


def test_code_typed_into_the_field_for_the_story_is_not_sent(house: House) -> None:
    code = house.browser().tell(TEXT).code
    browser = house.browser()
    answer = browser.tell(f"Mijn code: {code}")
    assert answer.status == 422
    assert "Dit lijkt een code." in answer.text
    assert "/nl/return" in answer.links
    assert house.stored() == 1
    check_shape(answer)
