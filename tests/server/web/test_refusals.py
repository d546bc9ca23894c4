"""Every refusal: one table in the code, the same in the reference and in responses.

After a change of the table, run ``python -m tests.server.web.test_refusals`` in the checkout's
folder to update the reference's table.
"""

import importlib
import json
import pkgutil
import time
from http import HTTPStatus
from pathlib import Path

import pytest

import dropbox_app.server
from dropbox_app.protocol.errors import KlankbordError, TooLong
from dropbox_app.server.config.languages import ALWAYS as LANGUAGES
from dropbox_app.server.config.site import Site
from dropbox_app.server.errors import Gone, OutOfStep, StoreBusy, StoreError, StoreUnsure
from dropbox_app.server.mailboxes.service import Mailboxes
from dropbox_app.server.reporter.agent import ReporterAgent
from dropbox_app.server.reporter.kdf_limiter import ARRIVED, PATIENCE
from dropbox_app.server.web import uploads
from dropbox_app.server.web.error_pages import PAGES, REFUSALS, Refusal
from dropbox_app.server.web.i18n import words
from dropbox_app.server.web.uploads import FileTooLarge
from tests.server.web.conftest import House
from tests.server.web.test_before import check_shape
from tests.server.web.test_desk_api import Desk
from tests.server.web.test_files import nothing_kept
from tests.server.web.test_report import kept
from tests.server.web.test_words import catalogue
from tests.support.server_folder import AServer

# Errors in a form, and the text shown after its session ended; these are not exceptions.
PROBLEMS = {
    "errors.text_missing": 422,
    "errors.wanted_missing": 422,
    "errors.wanted_closed": 422,
    "errors.choice": 422,
    "errors.code_missing": 422,
    "errors.code_count": 422,
    "errors.code_letter": 422,
    "errors.text_is_code": 422,
    "errors.code_word": 422,
    "errors.code_word_near": 422,
    "errors.code_wrong": 422,
    "errors.typed_missing": 422,
    "errors.typed_wrong": 422,
    "errors.typed_order": 422,
    "errors.confirm_code": 422,
    "errors.answer_missing": 422,
    "errors.confirm_missing": 422,
    "errors.not_asked": 422,
    "errors.busy_read": 503,
    "errors.not_yours": 503,
    "errors.expired": 403,
    "errors.other_session": 403,
    "errors.origin": 403,
    "errors.unsent": 500,
    "again.unsure": 500,
    "files.none": 422,
    "files.lost": 410,
    "files.altered_theirs": 409,
    "files.altered": 200,
    "files.nobody": 200,
}
HEADINGS = {"errors.title", "errors.kept", "errors.unsent_yet"}
# Texts of the files pages if nothing is refused.
ABOUT_FILES = {
    "files.open", "files.title", "files.first_title", "files.hidden", "files.shows", "files.name",
    "files.rather", "files.who", "files.text", "files.choose",
    "files.choose_again", "files.slow", "files.send", "files.words_can", "files.unnamed",
    "files.download", "files.check", "files.whole", "files.unnamed_here", "files.limits",
}  # fmt: skip
# Exceptions that no request can cause, or that are converted before anybody sees them.
INSIDE = {
    "BackupError", "BackupFull", "BadRelease", "UpgradeError",
    "TooSlow",
    "AgeError", "CodeError", "ContentError", "FormatError", "HeaderFailure", "HmacFailure",
    "KeyFormatError",
    "MessageError", "NoMatch", "PayloadFailure", "Refused", "ServerError", "SettingsError",
    "StoreError", "UnknownLetter", "UnknownWord", "WrongClock", "WrongPassphrase",
    "WrongWordCount",
    "KlankbordError", "MissingWord", "Wrong", "_Wrong", "MailError", "MailUnsure", "NoAnswer",
    "NoFile", "Unseen", "_Failed",
}  # fmt: skip
ON_PAGES = [row for row in REFUSALS if row.page and row.key]
WITH_FILES = [row for row in REFUSALS if row.page]
OVER_API = [row for row in REFUSALS if row.api]


def made(row: Refusal) -> KlankbordError:
    if row.kind is TooLong:
        return TooLong(60_003, 60_000)
    if row.kind is FileTooLarge:
        return FileTooLarge("foto.jpg")
    return OutOfStep(7) if row.kind is OutOfStep else row.kind("of a test")


def table() -> str:
    """Return the reference's table, from REFUSALS, PAGES, PROBLEMS and the catalogues."""
    said = {lang: words(lang).catalogue.gettext for lang in LANGUAGES}
    lines = ["| what | page | Dutch | English | API |", "|---|---|---|---|---|"]

    def add(what: str, page: object, key: str, api: object) -> None:
        texts = [said[lang](key).replace("|", "\\|") if key else "" for lang in ("nl", "en")]
        lines.append(f"| {what} | {page or ''} | {texts[0]} | {texts[1]} | {api or ''} |")

    for row in REFUSALS:
        name = row.kind.__name__
        if row.key or not row.files:
            add(name, row.page, row.key, row.api)
        if row.files:
            add(f"{name}, with files" if row.key else name, row.page, row.files, None)
    for key, status in PROBLEMS.items():
        part, _, what = key.partition(".")
        add(f"{'files' if part == 'files' else 'form'}: {what}", status, key, None)
    for code in PAGES:
        add(HTTPStatus(code).phrase, code, f"error.{code}.body", code)
    add("no HTTP", "400, by itself", "", "400")
    return "\n".join(lines) + "\n"


def exceptions() -> set[str]:
    """Return the names of all exception classes of the server and the shared protocol."""
    for module in pkgutil.walk_packages(dropbox_app.server.__path__, "dropbox_app.server."):
        importlib.import_module(module.name)
    found, left = set(), [Exception]
    while left:
        for kind in left.pop().__subclasses__():
            left.append(kind)
            if kind.__module__.startswith(("dropbox_app.server", "dropbox_app.protocol")):
                found.add(kind.__name__)
    return found


def test_table_of_refusals_lists_every_exception_and_sentence() -> None:
    there = exceptions()
    assert {"Busy", "FilesBroken", "StoreError", "CardError"} <= there  # of four modules
    listed = {row.kind.__name__ for row in REFUSALS}
    assert there == listed | INSIDE
    assert listed & INSIDE == set()
    for part, other in (("errors.", HEADINGS), ("files.", ABOUT_FILES)):
        sentences = {key for key in catalogue("nl") if key.startswith(part)}
        said = {*PROBLEMS, *(key for row in REFUSALS for key in (row.key, row.files))}
        refusing = {key for key in said if key.startswith(part)}
        assert sentences == refusing | other
        assert refusing & other == set()


def _sentence(lang: str, row: Refusal, key: str) -> str:
    told = words(lang)
    if row.kind is TooLong:
        return told.count(key, 3, over=3)
    if key == "files.many":
        return told.count(key, 10, count=10)
    named = {"name": "foto.jpg", "size": told.size(100 * 2**20)} if key == "files.large" else {}
    return told.say(key, **named)


@pytest.mark.parametrize("lang", LANGUAGES)
@pytest.mark.parametrize("row", ON_PAGES, ids=lambda row: row.kind.__name__)
def test_page_shows_the_sentence_from_the_table_of_refusals_and_keeps_the_text(
    house: House, monkeypatch: pytest.MonkeyPatch, row: Refusal, lang: str
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise made(row)

    browser, stranger = house.browser(), house.browser()
    browser.come_back(browser.tell("Begin.").code)
    page = browser.get(f"/{lang}/conversation")
    monkeypatch.setattr(Mailboxes, "add", refuse)
    monkeypatch.setattr(Mailboxes, "submit", refuse)
    answers = [browser.submit(page, page.form_with("text"), text="Niet\n\nkwijt.")]
    if row.kind is not Gone:
        answers.append(stranger.tell("Niet\n\nkwijt.", lang, safe="no"))
        assert kept(answers[-1], "safe") == "no"
        assert not stranger.seen_cookies
    for answer in answers:
        assert answer.status == row.page
        assert _sentence(lang, row, row.key) in answer.text
        assert kept(answer) == "Niet\n\nkwijt."
        check_shape(answer)


@pytest.mark.parametrize("lang", LANGUAGES)
@pytest.mark.parametrize("row", WITH_FILES, ids=lambda row: row.kind.__name__)
def test_files_page_keeps_the_text_but_no_file_after_a_refusal(
    house: House, monkeypatch: pytest.MonkeyPatch, row: Refusal, lang: str
) -> None:
    """A file may be refused before its first byte arrives, or after all of them have."""

    def write(*_: object, **__: object) -> None:
        raise made(row)

    def room_for_files(*given: object, **more: object) -> None:
        if given[-1]:  # else the page only asks whether there is room at all
            raise made(row)

    browser = house.browser()
    code = browser.tell("Begin.").code
    for place, refuse in ((Mailboxes, room_for_files), (ReporterAgent, write)):
        if place is ReporterAgent and row.kind.__module__ == uploads.__name__:
            continue  # known before anything is written
        browser.come_back(code)
        page = browser.get(f"/{lang}/files")
        with monkeypatch.context() as patched:
            patched.setattr(place, refuse.__name__, refuse)
            form = page.form_with("files")
            answer = browser.upload(page, form, [("a", b"x")], text="Niet\n\nkwijt.")
        assert answer.status == row.page
        assert _sentence(lang, row, row.files or row.key) in answer.text
        assert kept(answer) == "Niet\n\nkwijt."
        check_shape(answer)
        nothing_kept(house)


@pytest.mark.parametrize("row", OVER_API, ids=lambda row: row.kind.__name__)
def test_desk_gets_the_status_code_from_the_table_of_refusals(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, row: Refusal
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise made(row)

    server = AServer(tmp_path / "server")
    monkeypatch.setattr(Mailboxes, "listed", refuse)
    answer = Desk(server).ask("GET", "/api/desk/mailboxes")
    server.store.close()
    assert answer.status_code == row.api
    wanted = {"n": 7} if row.kind is OutOfStep else {"error": "of a test"}
    assert answer.get_json() == wanted


def test_every_api_failure_outside_the_table_of_refusals_is_returned_as_json(
    house: House, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Examples: a wrong method, a wrong host, and an internal fault, which logs one line."""

    def fail(*_: object, **__: object) -> None:
        raise StoreError("herkenbaar")

    browser = house.browser()
    found = [
        browser.request("OPTIONS", "/api/site"),
        browser.request("GET", "/api/site", headers={"Host": "evil.example"}),
    ]
    monkeypatch.setattr(Site, "cards", fail)
    found.append(browser.get("/api/site"))
    assert [page.status for page in found] == [405, 421, 500]
    for page in found:
        assert page.header("Content-Type") == "application/json"
        assert json.loads(page.body) == {"error": HTTPStatus(page.status).phrase.lower()}
    said = capsys.readouterr()
    assert "herkenbaar" not in said.out + said.err


# Cases that generated requests found; each was once a bug.


@pytest.mark.parametrize("path", ["/nl", "/en", "/nl/", "/nl/herkenbaar", "/nl/report/herkenbaar"])
def test_cross_site_post_without_a_form_is_an_ordinary_refusal(house: House, path: str) -> None:
    page = house.browser().post(path, {"Origin": "null"}, text="Iets.")
    assert page.status == 403
    assert "herkenbaar" not in page.html
    check_shape(page)


def test_incomplete_post_is_refused(house: House) -> None:
    """A connection that breaks inside a text leaves no partial report."""
    body = b"text=Een+half+verha"
    client = house.app.test_client()
    form = {"Host": "127.0.0.1:8000", "Content-Type": "application/x-www-form-urlencoded"}
    for length in ("900", "1"):
        answer = client.open(
            "/nl/report", method="POST", data=body, headers={**form, "Content-Length": length},
            environ_overrides={"wsgi.input_terminated": True, "CONTENT_LENGTH": length},
        )  # fmt: skip
        assert answer.status_code == 400
    assert house.stored() == 0


def test_form_with_too_many_fields_is_refused(house: House) -> None:
    """The server once returned ten megabytes of hidden fields after seconds of work."""
    for path in ("report", "conversation", "return", "consent", "counsellor", "withdraw"):
        page = house.browser().request("POST", f"/nl/{path}", b"text=x" + b"&a=b" * 100_000)
        assert page.status == 400
        assert len(page.body) < 20_000


def test_only_known_fields_are_shown_again_and_only_the_first_of_duplicates(house: House) -> None:
    body = b"text=een&text=twee&counsellor=x&counsellor=y&zomaar=iets&remark=r&csrf_token=t"
    page = house.browser().request("POST", "/nl/counsellor", body)
    assert page.status == 403
    form = page.form_with("text", "code")
    assert sorted(form.fields) == [
        ("code", ""), ("counsellor", "x"), ("remark", "r"), ("text", "een"),
    ]  # fmt: skip
    check_shape(page)


def test_response_never_repeats_a_url_without_a_path(house: House) -> None:
    """For ``GET http://host?query``, werkzeug would redirect to a URL with both."""
    client = house.app.test_client()
    environ = {"PATH_INFO": "", "RAW_URI": "http://127.0.0.1:8000?herkenbaar"}
    answer = client.get(
        "/?herkenbaar", environ_overrides=environ, headers={"Host": "127.0.0.1:8000"}
    )
    assert answer.status_code == 400
    assert "Location" not in answer.headers
    assert b"herkenbaar" not in answer.data


@pytest.mark.parametrize("lang", LANGUAGES)
def test_page_reports_a_store_too_busy_to_read_and_keeps_typed_text(
    house: House, monkeypatch: pytest.MonkeyPatch, lang: str
) -> None:
    def busy(*_: object, **__: object) -> None:
        raise StoreBusy("busy")

    browser = house.browser()
    code = browser.tell("Begin.").code
    browser.come_back(code)
    page = browser.get(f"/{lang}/conversation")
    told = words(lang)
    with monkeypatch.context() as broken:
        broken.setattr(Mailboxes, "conversation", busy)
        assert browser.get(f"/{lang}/conversation").status == 503
        back = browser.post(f"/{lang}/return", code=code)
        assert kept(back, "code") == code
        assert told.say("errors.busy_read") in back.text
        written = browser.submit(page, page.form_with("text"), text="Niet kwijt.")
        assert (written.status, kept(written)) == (503, "Niet kwijt.")
        assert told.say("errors.busy") in written.text
        check_shape(written)
    # The session goes on: the code is not asked for again.
    sent = browser.submit(written, written.form_with("text"))
    assert "Niet kwijt." in sent.text


@pytest.mark.parametrize("lang", LANGUAGES)
def test_page_never_says_that_nothing_was_sent_if_storing_is_uncertain(
    house: House, monkeypatch: pytest.MonkeyPatch, lang: str
) -> None:
    """The report or message may be stored, so no page may say that it was not sent."""
    browser = house.browser()
    browser.come_back(browser.tell("Begin.").code)
    page = browser.get(f"/{lang}/conversation")
    real = Mailboxes.add

    def unsure(self: Mailboxes, **given: object) -> None:
        real(self, **given)  # type: ignore[arg-type] # passed on as they came
        raise StoreUnsure("the connection was lost while it was being stored")

    told = words(lang)
    with monkeypatch.context() as broken:
        broken.setattr(Mailboxes, "add", unsure)
        written = browser.submit(page, page.form_with("text"), text="Misschien bewaard.")
    assert (written.status, kept(written)) == (503, "Misschien bewaard.")
    assert told.say("errors.busy_read") in written.text
    assert told.say("errors.busy") not in written.text
    assert "Misschien bewaard." in browser.get(f"/{lang}/conversation").text


WRITTEN = {
    "conversation": {"text": "Niet kwijt."},
    "counsellor": {"text": "Niet kwijt."},
    "consent": {"answer": "yes", "remark": "Niet kwijt."},
    "withdraw": {"sure": "y"},
}


@pytest.mark.parametrize("place", WRITTEN)
def test_post_that_waited_too_long_can_be_repeated_in_the_same_session(
    two: House, place: str
) -> None:
    """Pressing the same button again suffices, without typing text or code again."""
    noor, sam = two.counsellors
    browser = two.browser()
    browser.come_back(browser.tell("Begin.", counsellor=noor.identity.hex).code)
    noor.write("consent-request", {"step": "a", "with": "b", "scope": "c"})
    page = browser.get("/nl/conversation" if place == "consent" else f"/nl/{place}")
    values = WRITTEN[place]
    if place == "counsellor":
        values = values | {"counsellor": sam.identity.hex}
    inner = "request" if place == "consent" else "sure" if place == "withdraw" else "text"
    turned = ARRIVED.set(time.monotonic() - PATIENCE - 1)
    try:
        told = browser.submit(page, page.form_to(place, inner), **values)
    finally:
        ARRIVED.reset(turned)
    check_shape(told)
    assert told.status == 503
    assert "code" not in told.form_with("csrf_token").names()
    done = browser.submit(told, told.form_with("csrf_token"))
    assert done.status == 200
    assert done.path == ("/nl/withdrawn" if place == "withdraw" else "/nl/conversation?sent=1")
    if place != "withdraw":
        assert "Niet kwijt." in done.text


def test_post_that_waited_too_long_without_a_session_asks_for_the_code(
    house: House,
) -> None:
    browser = house.browser()
    code = browser.tell("Begin.").code
    browser.come_back(code)
    page = browser.get("/nl/conversation")
    house.restart()
    turned = ARRIVED.set(time.monotonic() - PATIENCE - 1)
    try:
        told = browser.submit(page, page.form_with("text"), text="Niet kwijt.")
    finally:
        ARRIVED.reset(turned)
    assert told.status == 503
    sent = browser.submit(told, told.form_with("text", "code"), code=code)
    assert "Niet kwijt." in sent.text
