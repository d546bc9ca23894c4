"""Files in the conversation are accepted sealed and served complete, or not at all."""

import os
import random
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from werkzeug.exceptions import UnsupportedMediaType
from werkzeug.test import EnvironBuilder

from dropbox_app.protocol import age
from dropbox_app.protocol.attachment import contents
from dropbox_app.protocol.encoding import sha256_hex
from dropbox_app.protocol.errors import NoMatch
from dropbox_app.protocol.messages import Attachment
from dropbox_app.protocol.padding import attachment_size
from dropbox_app.protocol.retrieval_code import derive_root, read_typed, reporter_keys
from dropbox_app.server.config.settings import Limits
from dropbox_app.server.errors import OutOfStep
from dropbox_app.server.mailboxes.service import Mailboxes
from dropbox_app.server.web.request_class import PlainRequest
from tests.server.web.conftest import SITE, Browser, Counsellor, House
from tests.server.web.test_before import check_shape
from tests.server.web.test_report import kept
from tests.support.chance import seed
from tests.support.plain_browser import MULTIPART, Page, multipart

LIMIT = 50_000


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    made = House(tmp_path / "site", limits=Limits(free_bytes=1, file=LIMIT))
    yield made
    made.close()


@pytest.fixture
def reporter(house: House) -> Browser:
    """Return a reporter who has reported and come back."""
    browser = house.browser()
    browser.come_back(browser.tell("Het begin.").code)
    return browser


def send(browser: Browser, files: list[tuple[str, bytes]], text: str = "Zie dit.") -> Page:
    page = browser.get("/nl/files")
    return browser.upload(page, page.form_with("files"), files, text=text)


def received(noor: Counsellor) -> list[tuple[Attachment, bytes]]:
    """Return every file that a genuine message names, opened by its hash and key."""
    found = []
    for message in noor.only_thread().genuine():
        for attachment in message.attachments:
            opened = noor.house.mailboxes.item_for(noor.identity, attachment.sha256)
            assert opened is not None
            with opened.file as file:
                sealed = file.read()
            assert sha256_hex(sealed) == attachment.sha256
            plain = age.open_sealed(sealed, noor.seeds)
            found.append((attachment, b"".join(contents([plain], attachment.size))))
    return found


def nothing_kept(house: House, messages: int = 1) -> None:
    """Check that no file was stored and no message or item added."""
    (mailbox,) = house.store.mailboxes()
    assert [item.what for item in house.store.items(mailbox)] == ["message"] * messages
    assert list((house.folder / "files").iterdir()) == []


# sending


def test_files_arrive_with_their_message_byte_for_byte(
    reporter: Browser, noor: Counsellor, house: House
) -> None:
    files = [("foto één.jpg", os.urandom(3000)), ("leeg.txt", b""), ("b.pdf", os.urandom(LIMIT))]
    page = send(reporter, files, "Zie dit.\nEn dat.")
    assert page.path == "/nl/conversation?sent=1"
    check_shape(page)
    for said in ("Zie dit.", "foto één.jpg (2,9 kB)", "leeg.txt (0 bytes)", "b.pdf (48,8 kB)"):
        assert said in page.text
    assert [(a.name, content) for a, content in received(noor)] == files
    assert [m.text for m in noor.only_thread().genuine()][-1] == "Zie dit.\nEn dat."


def test_message_may_consist_of_files_without_text_or_text_without_files(
    reporter: Browser, noor: Counsellor
) -> None:
    send(reporter, [("a.png", b"x")], "")
    send(reporter, [], "Alleen woorden.")
    assert [m.text for m in noor.only_thread().genuine()] == ["Het begin.", "", "Alleen woorden."]
    page = send(reporter, [], "")
    assert page.status == 422
    assert "Kies een bestand, of schrijf iets." in page.text
    check_shape(page)


@pytest.mark.parametrize("size", [0, 1, LIMIT - 1, LIMIT])
def test_file_of_any_size_up_to_the_limit_is_accepted(
    reporter: Browser, noor: Counsellor, size: int
) -> None:
    content = bytes(range(256)) * (size // 256) + bytes(size % 256)
    assert send(reporter, [("a", content)]).status == 200
    ((attachment, got),) = received(noor)
    assert (attachment.size, got) == (size, content)


def test_file_one_byte_over_the_limit_is_named_and_the_text_kept(
    reporter: Browser, house: House
) -> None:
    files = [("goed.png", b"x"), ("te groot.png", bytes(LIMIT + 1)), ("ook.png", b"y")]
    page = send(reporter, files, "Blijf hier.")
    assert page.status == 413
    assert (
        "Dit bestand is te groot: te groot.png. Een bestand mag hoogstens 48,8 kB zijn."
        in page.text
    )
    assert "Je browser onthoudt niet welke bestanden je had gekozen." in page.text
    assert kept(page) == "Blijf hier."
    check_shape(page)
    nothing_kept(house)


def test_maximum_number_of_files_is_accepted_and_one_more_is_refused(
    reporter: Browser, noor: Counsellor, house: House
) -> None:
    eleven = [(f"{n}.txt", b"%d" % n) for n in range(11)]
    page = send(reporter, eleven, "Blijf hier.")
    assert page.status == 413
    assert "Je kunt er 10 tegelijk sturen" in page.text
    assert kept(page) == "Blijf hier."
    nothing_kept(house)
    assert send(reporter, eleven[:10]).status == 200
    assert [content for _, content in received(noor)] == [b"%d" % n for n in range(10)]


@pytest.mark.parametrize(
    ("given", "signed"),
    [
        ("../../etc/passwd", "passwd"),
        ("C:\\\\Mijn map\\\\foto.jpg", "foto.jpg"),
        ("a\0b.txt", "ab.txt"),
        ("foto\u202egpj.exe", "fotogpj.exe"),
        ("x" * 300 + ".docx", "x" * 250 + ".docx"),
        ("é" * 300, "é" * 127),
        ("👩‍👧 vakantie 🏝️.png", "👩‍👧 vakantie 🏝️.png"),
        ("..", "bestand zonder naam"),
        ("\u200d\u202e", "bestand zonder naam"),
        ('zeg "hallo".txt', 'zeg "hallo".txt'),
        ("<script>.svg", "<script>.svg"),
        ("regel\neen.txt", "regel%0Aeen.txt"),
    ],
)
def test_file_name_is_reduced_to_one_safe_line(
    reporter: Browser, noor: Counsellor, given: str, signed: str
) -> None:
    page = send(reporter, [(given, b"inhoud")])
    assert page.status == 200
    check_shape(page)
    ((attachment, content),) = received(noor)
    assert (attachment.name, content) == (signed, b"inhoud")


def test_nonempty_file_without_a_name_is_accepted(reporter: Browser, noor: Counsellor) -> None:
    assert send(reporter, [("", b"inhoud"), ("", b"")]).status == 200
    assert [(a.name, c) for a, c in received(noor)] == [("bestand zonder naam", b"inhoud")]


def test_files_of_random_sizes_round_trip_and_are_stored_padded(
    tmp_path: Path, long_run: bool
) -> None:
    """The stored lengths are padded by Padmé and reveal nothing else."""
    chance = random.Random(seed())  # noqa: S311 - chooses sizes, keeps no secret
    sizes = [int(2 ** chance.uniform(0, 21)) for _ in range(1000 if long_run else 60)]
    house = House(tmp_path / "site", limits=Limits(free_bytes=1))
    browser, noor = house.browser(), house.counsellors[0]
    browser.come_back(browser.tell("Begin.").code)
    hashes = []
    for start in range(0, len(sizes), 10):
        files = [(str(size), chance.randbytes(size)) for size in sizes[start : start + 10]]
        assert send(browser, files, f"{start}").path.endswith("sent=1")
        hashes += [sha256_hex(content) for _, content in files]
    got = received(noor)
    assert [attachment.size for attachment, _ in got] == sizes
    assert [sha256_hex(content) for _, content in got] == hashes
    lengths = {item.id: item.size for item in house.store.items(house.store.mailboxes()[0])}
    for attachment, _ in got:
        padded = attachment_size(attachment.size)
        assert lengths[attachment.sha256] == age.sealed_length(padded, 1)
    house.close()


def test_file_can_be_opened_by_the_addressees_but_not_with_the_code(tmp_path: Path) -> None:
    """Anyone who finds the seven words does not get the files (SPEC section 4)."""
    house = House(tmp_path / "site", ("Noor Visser", "Sam Jansen"), limits=Limits(free_bytes=1))
    noor, sam = house.counsellors
    browser = house.browser()
    page = browser.tell("Begin.", counsellor=noor.identity.hex)
    browser.come_back(page.code)
    send(browser, [("a", b"geheim")])
    ((attachment, _),) = received(noor)
    sealed = house.mailboxes.item(noor.only_thread().mailbox, attachment.sha256)
    assert sealed is not None
    own = reporter_keys(derive_root(read_typed(page.code), SITE)).reply
    for seeds in ([own], sam.seeds):
        with pytest.raises(NoMatch):
            age.open_sealed(sealed, seeds)
    house.close()


# refused before any byte is stored


@pytest.fixture
def no_staging(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return a list that records each time storage for a sealed file is opened."""
    made: list[int] = []
    stage = Mailboxes.stage

    def counted(self: Mailboxes) -> object:
        made.append(1)
        return stage(self)

    monkeypatch.setattr(Mailboxes, "stage", counted)
    return made


FILES = [("a.jpg", b"herkenbaar" * 1000)]


def test_post_with_a_wrong_token_stores_nothing_and_keeps_the_text_in_the_form(
    reporter: Browser, house: House, no_staging: list[int]
) -> None:
    for fields in ([("csrf_token", "fout"), ("text", "Blijf.")], [("text", "Blijf.")]):
        body = multipart(fields, FILES)
        page = reporter.request("POST", "/nl/files", body, {"Content-Type": MULTIPART})
        assert page.status == 403
        assert kept(page) == "Blijf."
        assert "Daarna kies je je bestanden opnieuw." in page.text
        check_shape(page)
    nothing_kept(house)
    assert no_staging == []


def test_form_token_sent_after_the_files_is_ignored(
    reporter: Browser, house: House, no_staging: list[int]
) -> None:
    page = reporter.get("/nl/files")
    token = dict(page.form_with("files").fields)["csrf_token"]
    head = multipart([("text", "Blijf.")], FILES, end=False)
    tail = multipart([("csrf_token", token)], [("b.jpg", b"x")])
    page = reporter.request("POST", "/nl/files", head + b"\r\n" + tail, {"Content-Type": MULTIPART})
    assert page.status == 403
    assert kept(page) == "Blijf."
    nothing_kept(house)
    assert no_staging == []


def test_expired_session_stores_no_file_and_typing_the_code_leads_back_to_the_files_page(
    reporter: Browser, house: House, noor: Counsellor, no_staging: list[int]
) -> None:
    code = house.browser().tell("Een ander.").code
    page = reporter.get("/nl/files")
    house.clock.pass_minutes(21)
    page = reporter.upload(page, page.form_with("files"), FILES, text="Blijf.")
    assert page.status == 403
    assert kept(page) == "Blijf."
    assert no_staging == []
    page = reporter.submit(page, page.form_with("code"), code=code)
    assert page.path == "/nl/files"
    assert kept(page) == "Blijf."
    page = reporter.upload(page, page.form_with("files"), FILES)
    assert "Blijf." in page.text
    assert no_staging == [1]


ELSEWHERE = ({"Origin": "https://evil.example"}, {"Sec-Fetch-Site": "none"})


@pytest.mark.parametrize("headers", ELSEWHERE)
def test_cross_site_post_is_not_read(
    reporter: Browser, house: House, headers: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def read(*_: object) -> None:
        raise AssertionError("the form was read")

    page = reporter.get("/nl/files")
    fields = page.form_with("files").fields
    monkeypatch.setattr(PlainRequest, "make_form_data_parser", read)
    body = multipart(fields, FILES)
    page = reporter.request("POST", "/nl/files", body, {"Content-Type": MULTIPART} | headers)
    assert page.status == 403
    nothing_kept(house)


def test_files_are_accepted_on_no_other_page(reporter: Browser, house: House) -> None:
    for path in ("report", "conversation", "return", "consent", "counsellor", "withdraw"):
        body = multipart([("text", "x")], FILES)
        page = reporter.request("POST", f"/nl/{path}", body, {"Content-Type": MULTIPART})
        assert page.status == 415
    assert all("files" not in form.names() for form in reporter.get("/nl/report").forms)
    nothing_kept(house)


def test_overlong_text_is_refused_before_files_are_kept(
    reporter: Browser, house: House, no_staging: list[int]
) -> None:
    page = send(reporter, FILES, "x" * 60_001)
    assert page.status == 422
    assert kept(page) == "x" * 60_001
    nothing_kept(house)
    assert no_staging == []


def test_errors_link_only_to_existing_fields(tmp_path: Path) -> None:
    """The message limit was reached while files were chosen."""
    house = House(tmp_path / "site", limits=Limits(free_bytes=1, messages=10))
    try:
        reporter = house.browser()
        reporter.come_back(reporter.tell("Het begin.").code)
        page = reporter.get("/nl/files")
        for number in range(4):
            reporter.write_on(f"Nummer {number}.")
        page = reporter.upload(page, page.form_with("files"), FILES, text="Zie dit.")
        assert page.status == 409
        check_shape(page)
        assert page.element("files") is None
        assert "Zie dit." in page.html
    finally:
        house.close()


# the only entry point


def test_file_form_creates_no_temporary_file(
    reporter: Browser, noor: Counsellor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """This covers the files page, every other page, and the request's own ``files``."""

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a temporary file was opened")

    for name in ("TemporaryFile", "SpooledTemporaryFile", "NamedTemporaryFile", "mkstemp"):
        monkeypatch.setattr(tempfile, name, refuse)
    assert send(reporter, FILES * 2).status == 200
    assert send(reporter, [("a.jpg", b"x" * 2**20)]).status == 413
    assert [content for _, content in received(noor)] == [FILES[0][1]] * 2
    body = multipart([("text", "Blijf.")], [("a.jpg", b"x" * 400_000)])
    for path in ("/nl/report", "/nl/return", "/nl/conversation", "/nl/withdraw"):
        assert reporter.request("POST", path, body, {"Content-Type": MULTIPART}).status == 415


@pytest.mark.parametrize("kind", [MULTIPART, "multipart/mixed; boundary=x", "Multipart/Form-Data"])
@pytest.mark.parametrize("name", ["form", "files", "values"])
def test_werkzeug_form_parser_is_disabled(kind: str, name: str) -> None:
    """werkzeug's own parser would write each file to disk in plaintext."""
    body = multipart([("text", "Blijf.")], [("a.jpg", b"x" * 400_000)])
    given = EnvironBuilder(method="POST", data=body, content_type=kind).get_request(PlainRequest)
    with pytest.raises(UnsupportedMediaType):
        getattr(given, name)
    with pytest.raises(UnsupportedMediaType):
        given.get_data(parse_form_data=True)


@pytest.mark.parametrize("cut", [1, 30, 5000])
def test_interrupted_form_sends_nothing(reporter: Browser, house: House, cut: int) -> None:
    page = reporter.get("/nl/files")
    fields = [f for f in page.form_with("files").fields if f[0] not in ("files", "text")]
    body = multipart([*fields, ("text", "Blijf.")], FILES)[: -cut - 2]
    page = reporter.request("POST", "/nl/files", body, {"Content-Type": MULTIPART})
    assert page.status == 400
    assert "Het versturen is mislukt." in page.text
    assert kept(page) == "Blijf."
    nothing_kept(house)


# sent once, together, and to the intended addressees


def test_message_that_arrives_during_an_upload_causes_no_second_upload(
    reporter: Browser, noor: Counsellor, monkeypatch: pytest.MonkeyPatch, no_staging: list[int]
) -> None:
    add = Mailboxes.add
    tries: list[int] = []

    def late(self: Mailboxes, **given: object) -> None:
        tries.append(1)
        if len(tries) < 3:
            raise OutOfStep(1)
        add(self, **given)  # type: ignore[arg-type]  # passed on as it came

    monkeypatch.setattr(Mailboxes, "add", late)
    assert send(reporter, FILES).status == 200
    assert [content for _, content in received(noor)] == [FILES[0][1]]
    assert (len(tries), len(no_staging)) == (3, 1)


def test_repeated_form_is_sent_once_and_a_repeated_file_name_means_a_new_file(
    reporter: Browser, noor: Counsellor
) -> None:
    page = reporter.get("/nl/files")
    for _ in range(2):
        assert reporter.upload(page, page.form_with("files"), FILES, text="x").status == 200
    assert len(received(noor)) == 1
    other = [("a.jpg", b"o" * len(FILES[0][1]))]
    assert send(reporter, other, "x").status == 200
    assert [content for _, content in received(noor)] == [FILES[0][1], other[0][1]]


def test_addressees_may_not_change_during_an_upload(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    house = House(tmp_path / "site", ("Noor Visser", "Sam Jansen"), limits=Limits(free_bytes=1))
    noor, sam = house.counsellors
    browser = house.browser()
    browser.come_back(browser.tell("Begin.", counsellor=noor.identity.hex).code)
    page = browser.get("/nl/files")
    stage = Mailboxes.stage

    def turned(self: Mailboxes) -> object:
        other = house.browser()
        other.cookies = dict(browser.cookies)
        choice = other.get("/nl/counsellor")
        form = choice.form_with("counsellor")
        other.submit(choice, form, counsellor=sam.identity.hex, text="Naar Sam.")
        return stage(self)

    monkeypatch.setattr(Mailboxes, "stage", turned)
    page = browser.upload(page, page.form_with("files"), FILES, text="Blijf.")
    assert page.status == 409
    assert "je bericht gaat nu naar iemand anders" in page.text
    assert kept(page) == "Blijf."
    nothing_kept(house, messages=2)
    house.close()
