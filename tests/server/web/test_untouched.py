"""No browser translates or corrects code words and the reporter's texts.

A translated code is a lost conversation, and a spelling checker may send text elsewhere. A
counsellor's text may be translated, because some readers know neither language.
"""

import html.parser
from collections.abc import Iterator

from dropbox_app.protocol.encoding import Json
from dropbox_app.server.web.views.info import INFO
from tests.server.web.conftest import Browser, House
from tests.support.plain_browser import Page

OFF = {
    "translate": "no",
    "spellcheck": "false",
    "autocomplete": "off",
    "autocorrect": "off",
    "autocapitalize": "off",
    "writingsuggestions": "false",
}
VOID = ("input", "meta", "link", "br", "circle", "path")
MARK = "Zeldzaam"  # begins every text that a person wrote
# What the counsellor wrote.
THEIRS = {
    f"{MARK}{word}"
    for word in ("antwoord", "stap", "wie", "wat", "titel", "voor", "tegen", "keuze")
}


class Marks(html.parser.HTMLParser):
    """The translatable parts of a page, and its text fields."""

    def __init__(self, page: Page) -> None:
        super().__init__()
        self.fields: list[dict[str, str]] = []
        self.free: list[str] = []  # text that a browser may translate
        self.kept: list[str] = []
        self._open: list[bool] = []
        self.feed(page.html)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attributes}
        if tag == "textarea" or (tag == "input" and values.get("type", "text") == "text"):
            self.fields.append(values)
        if tag not in VOID:
            inherited = bool(self._open) and self._open[-1]
            said = {"no": True, "yes": False}
            self._open.append(said.get(values.get("translate", ""), inherited))

    def handle_startendtag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        """Ignore the parts of the logo."""

    def handle_endtag(self, tag: str) -> None:
        self._open.pop()

    def handle_data(self, data: str) -> None:
        (self.kept if self._open and self._open[-1] else self.free).extend(data.split())


def states(house: House) -> Iterator[Page]:
    """Yield pages that show code words, or text that somebody wrote, in every form."""
    noor = house.counsellors[0]
    browser = house.browser()
    yield browser.post("/en/report", switch="1", text=f"{MARK}verhaal")
    page = browser.tell(f"{MARK}verhaal")
    yield page
    wrong = [*page.code.split()[:6], "fout"]
    yield browser.submit(page, page.form_with("typed"), typed=" ".join(wrong))
    noor.write("reply", {"text": f"{MARK}antwoord"})
    noor.write(
        "consent-request",
        {"step": f"{MARK}stap", "with": f"{MARK}wie", "scope": f"{MARK}wat"},
    )
    option: dict[str, Json] = {"title": f"{MARK}titel", "pro": f"{MARK}voor", "con": f"{MARK}tegen"}
    noor.write("options", {"text": f"{MARK}keuze", "options": [option, option]})
    yield browser.come_back(page.code)
    yield from _forms(house, browser)


def _forms(house: House, browser: Browser) -> Iterator[Page]:
    files = browser.get("/nl/files")
    form = files.form_with("files")
    yield browser.upload(files, form, [], text="")
    yield browser.upload(files, form, [(f"{MARK}naam.txt", b"x")], text=f"{MARK}bij")
    conversation = browser.get("/nl/conversation")
    yield conversation
    yield browser.post("/en/conversation", switch="1", text=f"{MARK}later")
    yield browser.get(next(link for link in conversation.links if "/files/" in link))
    yield browser.post("/nl/counsellor", switch="1", text=f"{MARK}ander")
    house.clock.pass_minutes(30)
    yield browser.post("/nl/conversation", text=f"{MARK}verlopen")
    yield browser.post("/nl/consent", answer="yes", remark=f"{MARK}erbij")
    yield browser.post("/nl/report", {"Origin": "null"}, text=f"{MARK}vreemd")


def test_reporters_text_is_marked_as_not_translatable(house: House) -> None:
    shown, free = set(), set()
    for page in states(house):
        marks = Marks(page)
        free |= {word for word in marks.free if MARK in word}
        shown |= {word for word in marks.kept if MARK in word}
    assert free == THEIRS
    assert len(shown) >= 7  # each text was found on some page


def test_counsellors_text_is_translatable_and_its_page_states_the_privacy_risk(
    house: House,
) -> None:
    pages = [page for page in states(house) if set(Marks(page).free) & THEIRS]
    assert any(set(Marks(page).free) >= THEIRS for page in pages)
    for page in pages:
        price = (
            "de maker van je browser meelezen",
            "the maker of your browser may be able to read",
        )
        assert any(said in page.text for said in price), page.path


def test_code_words_are_never_translatable(house: House) -> None:
    """This includes a sentence that suggests a word."""
    browser = house.browser()
    page = browser.tell("Iets.")
    # Words that no page contains on its own.
    pages = (house.browser().get("/nl/return"), page, browser.get("/en/code"))
    around = {word.strip("?,.") for one in pages for word in Marks(one).free}
    code = [word for word in page.code.split() if word not in around]
    answer = house.browser().come_back(
        " ".join([*page.code.split()[:6], page.code.split()[6] + "q"])
    )
    for shown in (page, browser.get("/nl/code"), browser.get("/en/code"), answer):
        marks = Marks(shown)
        assert not set(code) & {word.strip("?,.") for word in marks.free}, shown.path
        assert set(code) & {word.strip("?,.") for word in marks.kept}, shown.path


def test_every_text_field_is_marked_as_not_translatable(house: House) -> None:
    pages = [*states(house)]
    pages += [house.browser().get(f"/nl/{page}") for page in ("report", "return", *INFO)]
    names = set()
    for page in pages:
        for field in Marks(page).fields:
            names.add(field["name"])
            assert OFF.items() <= field.items(), (page.path, field["name"])
    assert {"text", "code", "remark", "typed"} <= names
