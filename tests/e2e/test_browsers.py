"""The journey in real browsers, with and without scripts, at phone and desktop width.

By default the tests use Chromium. With --long they also use Firefox, and each language in both; CI
uses each browser once, with and without scripts.
"""

import contextlib
import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import playwright.sync_api as playwright
import pytest

from tests.e2e.faults.stories import told
from tests.support.browsers import Person, Start, browsers, here
from tests.support.codes import tells
from tests.support.drop_box import Counsellor, DropBox
from tests.support.net import Net, Strangers
from tests.support.steps import ANSWER, FOLLOW_UP, STORY, the_only_thread

WORDS = {
    "nl": {
        "safety": "Vertel je verhaal",
        "return": "Ik heb al een code",
        "leave": "Snel weg",
        "wrong": "Deze code werkt niet",
        "yes": "Ja, dat is goed",
        "withdraw": "Mijn gesprek wissen",
        "gone": "Je gesprek is gewist",
        "add": "documenten sturen",
        "betray": "verborgen informatie",
        "choose": "Kies je bestanden",
        "other": "Verder met iemand anders",
        "passed": "Je liet Bas Jansen ook lezen wat er toen al in dit gesprek stond.",
        "kept": "Je tekst is er nog",
    },
    "en": {
        "safety": "Tell your story",
        "return": "I have a code",
        "leave": "Leave quickly",
        "wrong": "This code does not work",
        "yes": "Yes, that is fine",
        "withdraw": "Delete my conversation",
        "gone": "Your conversation has been deleted",
        "add": "Send photos or documents",
        "betray": "hidden information",
        "choose": "Choose your files",
        "other": "Continue with someone else",
        "passed": "You also let Bas Jansen read what was already in this conversation",
        "kept": "Your text is still here",
    },
}
MORE = {"nl": "Dag, ik ga met jou verder.", "en": "Hello, I go on with you."}
LATER = {"nl": "Nog één ding.", "en": "One more thing."}
LEAVE_TO = "https://www.wikipedia.org/"
HARMLESS = "The harmless site"
LETTER = "brief van één kant.pdf"
CHOSEN = (
    "foto één.jpg",
    "a-screenshot-with-a-name-that-has-no-place-to-break-" + "x" * 80 + ".png",
)
LONG = os.environ.get("KLANKBORD_LONG") == "1"
JOURNEYS = [("chromium", True, "nl"), ("chromium", False, "en")]
if LONG:  # Firefox without scripts is like Tor Browser at "Safest"
    JOURNEYS += [("firefox", False, "en"), ("firefox", True, "nl")]
IN_CI = (JOURNEYS[0], ("firefox", False, "en"))
# Browsers keep a page alive for "Back" only if scripts are on, so CI tests it with scripts.
KEEPING = JOURNEYS if LONG else JOURNEYS[:1]


def in_a(name: str, *, ci: bool) -> list[pytest.MarkDecorator]:
    """Return the marks of a case in this browser. ``ci``: CI runs it, and not only --long."""
    return [here(name), *([] if ci else [pytest.mark.spare])]


in_browsers = pytest.mark.parametrize(
    ("name", "scripts"),
    [
        pytest.param(name, scripts, marks=in_a(name, ci=scripts), id=f"{name}-scripts={scripts}")
        for name, scripts, _ in KEEPING
    ],
)


@pytest.fixture(scope="module")
def elsewhere() -> Iterator[Strangers]:
    """Yield the harmless site of "leave", as these browsers resolve it."""
    with Strangers().running() as strangers:
        strangers.put("/", f"<title>x</title><h1>{HARMLESS}</h1>")
        yield strangers


@pytest.fixture(scope="module")
def start(elsewhere: Strangers, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Start]:
    net = Net(tmp_path_factory.mktemp("net"), {("www.wikipedia.org", 443): elsewhere.port})
    with net.running(), browsers(net) as start:
        yield start


@pytest.fixture(scope="module")
def left_box(
    tmp_path_factory: pytest.TempPathFactory, mould: tuple[Path, int]
) -> Iterator[DropBox]:
    """Yield one drop box for all tests of leaving; each writes a different report."""
    folder = tmp_path_factory.mktemp("left") / "server"
    shutil.copytree(mould[0] / "server", folder)
    made = DropBox(folder)  # on its own port, because the other boxes here use the template's
    made.server("move", "--origin", made.url)
    made.serve()
    yield made
    made.stop()


@pytest.mark.parametrize(
    ("name", "scripts", "lang"),
    [
        pytest.param(
            *journey,
            marks=in_a(journey[0], ci=journey in IN_CI),
            id="{}-scripts={}-{}".format(*journey),
        )
        for journey in JOURNEYS
    ],
)
def test_complete_journey_works_in_each_browser(
    start: Start,
    elsewhere: Strangers,
    box: DropBox,
    counsellor: Counsellor,
    name: str,
    scripts: bool,
    lang: str,
) -> None:
    """The journey leads from the landing page through files and consent to withdrawal.

    Nothing is wider than the window, and only the harmless site of "leave" is requested from
    others.
    """
    with ExitStack() as persons:

        def person() -> Person:
            somebody = Person(start, name, box.url, scripts=scripts)
            persons.callback(somebody.close)
            return somebody

        writer = person()
        code = _tell(writer, lang)
        counsellor.desk("fetch")
        thread = the_only_thread(counsellor)
        letter = counsellor.folder.parent / LETTER
        letter.write_bytes(os.urandom(200_000))
        counsellor.reply(thread, ANSWER[lang], letter)
        counsellor.desk("ask", thread, *("--step", "S", "--with", "W", "--scope", "only this"))

        later = person()
        _return(later, lang, code)
        chosen = [counsellor.folder.parent / name for name in CHOSEN]
        for path in chosen:
            path.write_bytes(os.urandom(70_000))
        _keep_the_letter(later, letter.read_bytes())
        _send_files(later, lang, chosen)
        _write_on_and_say_yes(later, lang)
        assert later.asked_of_others == writer.asked_of_others == []

        counsellor.desk("fetch")
        messages = counsellor.read(thread)["messages"]
        assert [m["text"] for m in messages if m["text"]] == [
            *(STORY[lang], ANSWER[lang], FOLLOW_UP[lang])
        ]
        assert [m["kind"] for m in messages][-1] == "consent-answer"
        _opened(counsellor, thread, chosen)

        _go_on_with_another(later, box, counsellor.folder.parent, lang)
        _write_after_the_session(later, box, lang, code)
        _leave(later, elsewhere, lang)
        _take_back(later, lang, code)
        assert set(later.asked_of_others) - {LEAVE_TO + "favicon.ico"} == {LEAVE_TO}


def _tell(person: Person, lang: str) -> str:
    page = person.page
    person.go(f"/{lang}/")
    person.page_fits()
    person.follow(page.get_by_role("link", name=WORDS[lang]["safety"]).first)
    assert page.url.endswith(f"/{lang}/safety")
    person.page_fits()
    person.follow(page.locator(f"a[href='/{lang}/report']").first)
    person.write("text", STORY[lang])
    person.page_fits()
    assert not person.cookies
    person.send("text")
    person.page_fits()
    return person.code()


def _return(person: Person, lang: str, code: str) -> None:
    told = WORDS[lang]
    person.go(f"/{lang}/")
    person.follow(person.page.get_by_role("link", name=told["return"]).first)
    person.page_fits()
    person.write("code", " ".join(reversed(code.split())))
    person.send("code")
    assert person.heading == told["wrong"]
    assert not person.cookies
    person.page_fits()
    person.write("code", code)
    person.send("code")
    assert person.page.url.endswith(f"/{lang}/conversation")
    for line in (*STORY[lang].splitlines(), *ANSWER[lang].splitlines()):
        assert line in person.text
    person.page_fits()


def _keep_the_letter(person: Person, letter: bytes) -> None:
    link = person.page.locator("ul.files a").first
    address = person.page.url
    assert person.download(link) == (LETTER, letter)
    assert person.page.url == address


def _send_files(person: Person, lang: str, chosen: list[Path]) -> None:
    """Send files with the button; the warning about metadata comes before the choice."""
    person.follow(person.page.get_by_role("button", name=WORDS[lang]["add"]))
    person.page_fits()
    shown = person.page.locator("main").inner_text()
    assert shown.index(WORDS[lang]["betray"]) < shown.index(WORDS[lang]["choose"])
    person.choose("files", chosen)
    person.send("files")
    assert f"/{lang}/conversation?sent=1" in person.page.url
    for path in chosen:
        assert path.name in person.text
    person.page_fits()


def _opened(counsellor: Counsellor, thread: str, chosen: list[Path]) -> None:
    listed = json.loads(counsellor.desk("files", thread, "--json").stdout)
    sent = {one["name"]: one for one in listed if one["name"] != LETTER}
    assert list(sent) == [path.name for path in chosen]
    for path in chosen:
        saved = counsellor.folder.parent / f"saved {path.name}"
        counsellor.desk("save", thread, sent[path.name]["item"], "--out", saved)
        assert saved.read_bytes() == path.read_bytes()


def _write_on_and_say_yes(person: Person, lang: str) -> None:
    yes = WORDS[lang]["yes"]
    person.write("text", FOLLOW_UP[lang])
    person.send("text")
    assert f"/{lang}/conversation" in person.page.url
    assert FOLLOW_UP[lang] in person.text
    person.tick(person.page.get_by_label(yes))
    person.send("request")
    assert f"/{lang}/conversation" in person.page.url
    assert yes in person.page.locator("article").last.inner_text()
    person.page_fits()


def _go_on_with_another(person: Person, box: DropBox, folder: Path, lang: str) -> None:
    """Change counsellor and forward the conversation: the new counsellor reads it as forwarded."""
    bas = Counsellor(folder / "bas")
    box.add(bas, box.server("move").stdout, "Bas Jansen")
    bas.desk("fetch")
    page = person.page
    person.go(f"/{lang}/conversation")
    person.follow(page.get_by_role("link", name=WORDS[lang]["other"]).last)
    person.page_fits()
    person.tick(page.locator("[name=counsellor]"))
    person.tick(page.locator("[name=along]"))
    person.write("text", MORE[lang])
    person.send("along")
    assert WORDS[lang]["passed"] in person.text
    person.page_fits()
    bas.desk("fetch")
    messages = bas.read(the_only_thread(bas))["messages"]
    assert [(m["text"], m["passed_on"]) for m in messages if m["text"]] == [
        *((text, True) for text in (STORY[lang], ANSWER[lang], FOLLOW_UP[lang])),
        (MORE[lang], False),
    ]
    assert all(m["verified"] for m in messages)


def _write_after_the_session(person: Person, box: DropBox, lang: str, code: str) -> None:
    """The server restarts while somebody writes; one post with the code sends the text."""
    person.write("text", LATER[lang])
    box.restart()
    person.send("text")
    assert person.heading == WORDS[lang]["kept"]
    assert person.page.locator("[name=text]").input_value() == LATER[lang]
    person.page_fits()
    person.write("code", code)
    person.send("code")
    assert f"/{lang}/conversation?sent=1" in person.page.url
    assert LATER[lang] in person.text


def _leave(person: Person, elsewhere: Strangers, lang: str) -> None:
    """Leave: the harmless site gets no referrer, and Back shows nothing."""
    elsewhere.asked.clear()
    person.follow(person.page.get_by_role("link", name=WORDS[lang]["leave"]).first)
    assert person.page.url == LEAVE_TO
    assert person.heading == HARMLESS
    path, headers = elsewhere.asked[0]
    assert (path, headers.get("referer")) == ("/", None)
    assert not person.cookies
    seen = _seen_after_back(person)
    if not person.scripts:  # with scripts, the other site replaced the page
        assert person.page.url.startswith(f"{person.home}/{lang}/conversation")
        assert person.page.locator("[name=code]").input_value() == ""
    shown = person.page.content()
    for text in (STORY[lang], ANSWER[lang], FOLLOW_UP[lang], MORE[lang], LATER[lang]):
        for line in text.splitlines():
            assert line not in seen
            assert line not in shown


@in_browsers
def test_leaving_quickly_hides_everything_and_no_text_is_lost_by_accident(
    start: Start, left_box: DropBox, name: str, scripts: bool
) -> None:
    """This covers leaving before sending and from the code page, by link, and by Escape.

    The browsers keep pages for the Back button, like real ones.
    """
    with ExitStack() as persons:
        for by_key in (False, True) if scripts else (False,):
            somebody = Person(start, name, left_box.url, scripts=scripts)
            persons.callback(somebody.close)
            for path, field in (("report", "text"), ("return", "code")):
                somebody.go("/nl/")
                somebody.go(f"/nl/{path}")
                somebody.write(field, STORY["nl"].splitlines()[0])
                _away(somebody, by_key)
                assert STORY["nl"].splitlines()[0] not in _seen_after_back(somebody)
            code = somebody.report("nl", STORY["nl"])
            _away(somebody, by_key)
            shown = _seen_after_back(somebody)
            assert not tells(shown, code)
            assert not somebody.cookies


def _from_the_code_page(person: Person, box: DropBox) -> None:
    person.report("nl", STORY["nl"])
    person.tick(person.page.locator("[name=kept]"))
    person.send("kept")


def _with_the_code(person: Person, box: DropBox) -> None:
    person.enter("nl", told(box, STORY["nl"]).code)


def _by_writing_on(person: Person, box: DropBox) -> None:
    _with_the_code(person, box)
    person.write("text", LATER["nl"])
    person.send("text")


def _by_a_post_with_the_code(person: Person, box: DropBox) -> None:
    """After the session ended, one post with the code reopens it and sends."""
    code = told(box, STORY["nl"]).code
    person.enter("nl", code)
    _write_after_the_session(person, box, "nl", code)


def _twice(person: Person, box: DropBox) -> None:
    """Open the conversation twice in one tab, so that the history contains it twice."""
    _with_the_code(person, box)
    person.go("/nl/")
    person.go("/nl/conversation")


WAYS = (_from_the_code_page, _with_the_code, _by_writing_on, _by_a_post_with_the_code, _twice)
REACHED = [
    pytest.param(
        *(name, scripts, way),
        marks=in_a(name, ci=scripts),
        id=f"{name}-scripts={scripts}-{way.__name__}",
    )
    for name, scripts, _ in KEEPING
    for way in WAYS
]


@pytest.mark.parametrize(("name", "scripts", "reach"), REACHED)
def test_back_button_after_leaving_shows_no_conversation(
    start: Start,
    left_box: DropBox,
    name: str,
    scripts: bool,
    reach: Callable[[Person, DropBox], None],
) -> None:
    """This applies to the first use of Back and to all later ones."""
    person = Person(start, name, left_box.url, scripts=scripts)
    try:
        reach(person, left_box)
        beginning = STORY["nl"].splitlines()[0]
        assert beginning in person.text
        _away(person, False)
        for _ in range(3):
            assert beginning not in _seen_after_back(person)
        assert not person.cookies
    finally:
        person.close()


def _away(person: Person, by_key: bool) -> None:
    page = person.page
    assert page.locator("#escape").is_visible() == person.scripts
    if not by_key:
        person.follow(page.locator("a.leave"))
    else:
        before = page.url
        for key in ("Escape", "Escape", "Shift", "Escape", "Escape"):
            page.keyboard.press(key)  # twice closes a search; leaving takes three presses in a row
        page.wait_for_timeout(300)
        assert page.url == before
        with page.expect_navigation():
            page.keyboard.press("Escape")
    page.wait_for_url(LEAVE_TO)


def _seen_after_back(person: Person) -> str:
    """Return all text after Back, including fields; Chromium asks before it posts again."""
    with contextlib.suppress(playwright.Error):
        person.page.go_back(wait_until="commit", timeout=5_000)
    page = person.page
    # No event marks the end: a page that was kept alive, or a browser's own page, may not "load".
    page.wait_for_timeout(300)
    fields = [place.input_value() for place in page.locator("textarea").all()]
    return "\n".join([page.locator("body").inner_text(), *fields])


def _take_back(person: Person, lang: str, code: str) -> None:
    """The code shows everything until the conversation is withdrawn."""
    told = WORDS[lang]
    person.enter(lang, code)
    assert person.page.url.endswith(f"/{lang}/conversation")
    assert FOLLOW_UP[lang] in person.text
    person.follow(person.page.get_by_role("link", name=told["withdraw"]))
    person.page_fits()
    person.tick(person.page.locator("[name=sure]"))
    person.send("sure")
    assert person.heading == told["gone"]
    assert not person.cookies
    person.page_fits()
    person.enter(lang, code)
    assert person.heading == told["wrong"]
