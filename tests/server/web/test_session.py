"""The one cookie has a fixed size, belongs to one site, expires, and contains nothing readable."""

import base64
import re

import pytest

from tests.server.web.conftest import ONION, ORIGIN, SECURE, House


def cookie_of(house: House, **options: str) -> tuple[str, str]:
    """Return the value and attributes of the cookie that a report sets."""
    browser = house.browser(**options)  # type: ignore[arg-type]  # only origin is given
    browser.tell("Iets.")
    name_and_value, _, attributes = browser.seen_cookies[-1].partition("; ")
    return name_and_value, attributes


def test_cookie_has_its_security_attributes_and_no_expiry_time(house: House) -> None:
    named, attributes = cookie_of(house)
    assert named.startswith("s=")
    assert attributes == "Path=/; HttpOnly; SameSite=Strict"


@pytest.mark.parametrize(
    ("origin", "name", "secure"),
    [(ORIGIN, "s=", False), (ONION, "s=", False), (SECURE, "__Host-s=", True)],
)
def test_cookie_is_secure_under_https(house: House, origin: str, name: str, secure: bool) -> None:
    named, attributes = cookie_of(house, origin=origin)
    assert named.startswith(name)
    assert attributes.endswith("; Secure") is secure


def test_cookie_always_has_the_same_size(house: House) -> None:
    """The size does not depend on the words or the page."""
    sizes = set()
    for lang in ("nl", "en", "nl", "en"):
        browser = house.browser()
        code = browser.tell("Iets.", lang).code
        browser.get(f"/{lang}/conversation")
        house.clock.pass_minutes(7)
        browser.get(f"/{lang}/conversation")
        browser.come_back(code, lang)
        sizes |= {len(cookie.partition(";")[0]) for cookie in browser.seen_cookies}
    assert len(sizes) == 1


def test_nothing_in_the_cookie_is_readable(house: House) -> None:
    """The cookie contains neither the code nor a time in any simple encoding."""
    browser = house.browser()
    code = browser.tell("Iets.").code
    raw = base64.urlsafe_b64decode(browser.cookies["s"])
    for word in code.split():
        assert word.encode() not in raw
    assert int(house.clock.now()).to_bytes(4, "big") not in raw
    assert not re.search(rb"[\x20-\x7e]{16,}", raw)


def test_foreign_altered_or_forged_cookie_opens_no_session(
    house: House, tmp_path_factory: pytest.TempPathFactory
) -> None:
    browser = house.browser()
    code = browser.tell("Iets.").code
    browser.come_back(code)
    good = browser.cookies["s"]
    assert "Iets." in browser.get("/nl/conversation").text
    raw = bytearray(base64.urlsafe_b64decode(good))
    raw[100] ^= 1
    for value in (
        base64.urlsafe_b64encode(bytes(raw)).decode(),
        good[:-4],
        good + "AAAA",
        "x",
        "",
        "é",
        base64.urlsafe_b64encode(bytes(400)).decode(),
    ):
        browser.cookies["s"] = value
        page = browser.get("/nl/conversation")
        assert "Iets." not in page.text
        assert page.form_with("code")
    other = House(tmp_path_factory.mktemp("other") / "site")
    stranger = other.browser()
    stranger.tell("Elders.")
    browser.cookies["s"] = stranger.cookies["s"]
    assert browser.get("/nl/conversation").form_with("code")
    other.close()


def test_session_ends_after_twenty_idle_minutes_and_activity_extends_it(house: House) -> None:
    browser = house.browser()
    browser.come_back(browser.tell("Iets.").code)
    for _ in range(5):
        house.clock.pass_minutes(19)
        assert "Iets." in browser.get("/nl/conversation").text
    house.clock.pass_minutes(21)
    page = browser.get("/nl/conversation")
    assert "Iets." not in page.text
    assert page.form_with("code")


def test_session_always_ends_after_four_hours(house: House) -> None:
    browser = house.browser()
    browser.come_back(browser.tell("Iets.").code)
    for _ in range(23):
        house.clock.pass_minutes(10)
        assert "Iets." in browser.get("/nl/conversation").text
    house.clock.pass_minutes(11)
    assert browser.get("/nl/conversation").form_with("code")


def test_only_the_four_hour_limit_applies_on_the_code_page(house: House) -> None:
    slow, slower = house.browser(), house.browser()
    slow.tell("Langzaam.")
    slower.tell("Te langzaam.")
    house.clock.pass_minutes(3 * 60 + 59)
    assert slow.get("/nl/conversation").path == "/nl/code"
    house.clock.pass_minutes(2)
    assert slower.get("/nl/conversation").form_with("code")


def test_code_words_are_removed_from_the_cookie_after_the_code_page(house: House) -> None:
    """A browser that continued and posts the report again gets its conversation."""
    browser = house.browser()
    page = browser.tell("Iets.")
    browser.submit(page, page.form_with("kept"), kept="y")
    for _ in range(2):
        again = browser.tell("Iets.")
        assert again.path == "/nl/conversation?again=1"
        assert "Dit bericht was al verstuurd." in again.text
        assert again.element("code") is None
    assert house.stored() == 1
    assert browser.tell("Iets anders.").code
    assert house.stored() == 2


def test_withdrawn_report_can_be_sent_again(house: House) -> None:
    """The withdrawal was in this window, or in another one while this cookie still has the mark."""
    browser, other = house.browser(), house.browser()
    other.come_back(browser.tell("Iets.").code)
    browser.get("/nl/conversation")
    page = other.get("/nl/withdraw")
    other.submit(page, page.form_with("sure"), sure="y")
    assert browser.tell("Iets.").code


def test_setting_the_clock_back_ends_a_session(house: House) -> None:
    browser = house.browser()
    browser.come_back(browser.tell("Iets.").code)
    house.clock.pass_minutes(-60)
    assert browser.get("/nl/conversation").form_with("code")


def test_server_restart_ends_a_session_but_loses_no_text(house: House) -> None:
    browser = house.browser()
    code = browser.tell("Iets.").code
    house.restart()
    page = browser.get("/nl/conversation")
    assert browser.submit(page, page.form_with("code"), code=code).path == "/nl/conversation"


def test_leaving_first_ends_the_session_and_then_redirects(house: House) -> None:
    for way, target in (("leave", "https://www.wikipedia.org/"), ("stop", "/nl/")):
        browser = house.browser()
        browser.come_back(browser.tell("Iets.").code)
        gone = browser.request("GET", f"/nl/{way}", follow=0)
        assert gone.status == 303
        assert gone.header("Location") == target
        assert not browser.cookies
        assert gone.body == b""
        assert browser.get("/nl/conversation").form_with("code")


def test_report_posted_again_after_leaving_is_a_new_report(house: House) -> None:
    """As SECURITY.md promises, a reporter who resends because no code arrived gets a code."""
    browser = house.browser()
    page = browser.get("/nl/report")
    first = browser.submit(page, page.form_with("text"), text="Iets.")
    browser.request("GET", "/nl/leave", follow=0)
    again = browser.submit(page, page.form_with("text"), text="Iets.")
    assert len(again.code.split()) == 7
    assert again.code != first.code
    assert house.stored() == 2
