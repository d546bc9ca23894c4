"""The page says before a withdrawal whether a counsellor is told, and keeps to what it said."""

from dropbox_app.protocol.retrieval_code import derive_root, read_typed, reporter_keys
from tests.server.web.conftest import Browser, House
from tests.support.plain_browser import Page
from tests.support.server_folder import message

TOLD = "Noor Visser ziet alleen dat jij het gesprek hebt gewist."
UNTOLD = "Noor Visser krijgt geen bericht, en kan alleen zien dat het gesprek weg is."


def about_to_withdraw(house: House) -> tuple[Browser, Page, str]:
    """Return a reporter, the page that says that Noor Visser is told, and the code."""
    browser = house.browser()
    code = browser.tell("Het begin.").code
    browser.come_back(code)
    page = browser.get("/nl/withdraw")
    assert TOLD in page.text
    return browser, page, code


def take_next_number(house: House, code: str) -> None:
    """Store an item that nobody can open as the reporter's second message, as a token allows."""
    keys = reporter_keys(derive_root(read_typed(code), house.site.settings.site))
    wanted = house.counsellors[0].identity
    house.mailboxes.add(access=keys.access, n=2, to=(wanted,), sealed=message(1))


def check_is_asked_again(page: Page) -> None:
    assert page.status == 409
    assert "Er is nog niets gewist." in page.text
    assert TOLD not in page.text
    assert UNTOLD in page.text


def test_nothing_is_removed_until_the_page_has_said_that_no_message_is_possible(
    house: House,
) -> None:
    browser, page, code = about_to_withdraw(house)
    take_next_number(house, code)
    page = browser.submit(page, page.form_with("sure"), sure="y")
    check_is_asked_again(page)
    assert house.stored() == 1
    page = browser.submit(page, page.form_with("sure"), sure="y")
    assert "gewist" in page.text
    assert house.stored() == 0


def test_box_is_asked_for_again_after_the_page_has_said_that_no_message_is_possible(
    house: House,
) -> None:
    browser, page, code = about_to_withdraw(house)
    take_next_number(house, code)
    page = browser.submit(page, page.form_with("sure"), sure="y")
    page = browser.submit(page, page.form_with("sure"))
    assert UNTOLD in page.text
    assert house.stored() == 1


def test_nothing_is_removed_if_the_counsellor_left_after_the_page_said_that_she_is_told(
    house: House,
) -> None:
    browser, page, _ = about_to_withdraw(house)
    house.site.retire("noor")
    page = browser.submit(page, page.form_with("sure"), sure="y")
    assert "Er is nog niets gewist." in page.text
    assert "krijgt geen bericht" in page.text
    assert house.stored() == 1
    browser.submit(page, page.form_with("sure"), sure="y")
    assert house.stored() == 0
