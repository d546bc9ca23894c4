"""The steps that people take in the end-to-end tests."""

from tests.support.drop_box import Counsellor, DropBox
from tests.support.plain_browser import Page, PlainBrowser

STORY = {
    "nl": 'Mijn leidinggevende kleineert mij elke dag.\nIk weet niet wat ik moet doen: "help" 🙁',
    "en": 'My manager belittles me every day.\nI do not know what to do: "help" 🙁',
}
ANSWER = {
    "nl": "Dank je wel dat je schrijft.\nWil je er samen naar kijken?",
    "en": "Thank you for writing.\nShall we look at it together?",
}
FOLLOW_UP = {"nl": "Ja, graag. Morgen?", "en": "Yes, please. Tomorrow?"}


def tell(browser: PlainBrowser, lang: str, text: str, **answers: str | list[str]) -> Page:
    """Write a report; return the response, which should be the code page."""
    page = browser.get(f"/{lang}/report")
    form = page.form_with("text")
    for name, values in form.choices.items():
        if name == "counsellor":
            answers.setdefault(name, values[0])
    return browser.submit(page, form, 0, text=text, **answers)


def come_back(browser: PlainBrowser, lang: str, code: str) -> Page:
    """Type the code on the return page; return the response, which should be the conversation."""
    page = browser.get(f"/{lang}/return")
    return browser.submit(page, page.form_with("code"), code=code)


def write_on(browser: PlainBrowser, page: Page, text: str) -> Page:
    """Write a follow-up in the conversation; return the response."""
    return browser.submit(page, page.form_with("text"), text=text)


def the_only_thread(counsellor: Counsellor) -> str:
    threads = counsellor.threads()
    assert len(threads) == 1, threads
    return str(threads[0]["id"])


def report_and_code(box: DropBox, lang: str, text: str) -> str:
    page = tell(box.browser(), lang, text)
    assert page.status == 200, page.text
    return page.code
