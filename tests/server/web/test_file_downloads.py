"""Free space for files, messages about files, and downloads of a counsellor's file."""

import sqlite3
from pathlib import Path

import pytest

from dropbox_app.protocol import writing
from dropbox_app.protocol.attachment import AttachmentSealer
from dropbox_app.protocol.encoding import sha256_hex
from dropbox_app.protocol.keys import Recipient
from dropbox_app.protocol.messages import Attachment
from dropbox_app.server.config.settings import Limits
from dropbox_app.server.errors import SiteFull
from dropbox_app.server.store.blobs import StagedFile
from dropbox_app.server.store.sqlite import DATABASE, SqliteStore
from tests.server.web.conftest import SITE, Browser, Counsellor, House
from tests.server.web.test_before import check_shape
from tests.server.web.test_files import nothing_kept, received, send
from tests.server.web.test_report import kept
from tests.support.server_folder import file

SMALL = [("a.jpg", b"herkenbaar" * 1000)]
LARGE = bytes(range(256)) * 8_000  # 2 MB: not in the database


@pytest.fixture
def reporter(house: House) -> Browser:
    """Return a reporter who has reported and come back."""
    browser = house.browser()
    browser.come_back(browser.tell("Het begin.").code)
    return browser


def seal(content: bytes, recipients: list[Recipient]) -> bytes:
    parts: list[bytes] = []
    sealer = AttachmentSealer(parts.append, recipients)
    sealer.update(content)
    sealer.finish()
    return b"".join(parts)


def reply_with(noor: Counsellor, content: bytes, name: str = "brief.pdf") -> str:
    """Send a file back as a desk does; return its item id."""
    thread = noor.only_thread()
    assert thread.reporter is not None
    day = noor.house.clock.today()
    (card,) = noor.house.site.open_cards(day)
    key = card.sealing_key(day)
    assert key is not None
    sealed = seal(content, [thread.reporter.recipient, key])
    item = sha256_hex(sealed)
    boxes = noor.house.mailboxes
    with boxes.stage() as staged:
        staged.write(sealed)
        boxes.put_file(identity=noor.identity, mailbox=thread.mailbox, item=item, staged=staged)
    draft = writing.from_counsellor(
        noor.signing, site=SITE, day=day, lang="nl", kind="reply", body={"text": "Voor jou."},
        thread=thread, cards=[card],
        attachments=[Attachment(item, name, "application/pdf", len(content))],
    )  # fmt: skip
    boxes.reply(
        identity=noor.identity, mailbox=thread.mailbox, n=draft.n, to=draft.to, sealed=draft.seal()
    )
    return item


# free space


def test_running_upload_is_refused_below_the_free_space_minimum(
    reporter: Browser, house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The page was rendered while there was space."""
    page = reporter.get("/nl/files")
    floor = house.site.settings.limits.free_bytes
    monkeypatch.setattr(SqliteStore, "free", lambda self: 2 * floor - 1)
    answer = reporter.upload(page, page.form_with("files"), SMALL, text="Blijf.")
    assert answer.status == 503
    assert "We kunnen nu geen bestanden aannemen." in answer.text
    assert kept(answer) == "Blijf."
    nothing_kept(house)


def test_text_is_still_accepted_when_files_no_longer_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At the limit of the disk, site or conversation, files stop first and text continues."""
    for limits, free in (
        (Limits(free_bytes=2**30), 2**31 - 1),
        (Limits(free_bytes=1, site_bytes=400_000), 2**40),
        (Limits(free_bytes=1, mailbox_bytes=60_000), 2**40),
    ):
        house = House(tmp_path / str(free + limits.site_bytes), limits=limits)
        monkeypatch.setattr(SqliteStore, "free", lambda self, free=free: free)
        browser = house.browser()
        browser.come_back(browser.tell("Begin.").code)
        while True:
            page = browser.get("/nl/files")
            if not any("files" in form.names() for form in page.forms):
                break
            page = send(browser, SMALL, "Blijf.")
            if page.status != 200:
                break
        assert kept(page) == ("Blijf." if page.status != 200 else "")
        before = len(list(house.counsellors[0].only_thread().genuine()))
        browser.write_on("Woorden.")
        assert len(list(house.counsellors[0].only_thread().genuine())) == before + 1
        house.close()


def test_page_offers_no_file_upload_if_no_file_can_be_accepted(
    reporter: Browser, house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    floor = house.site.settings.limits.free_bytes
    with monkeypatch.context() as patched:
        patched.setattr(SqliteStore, "free", lambda self: 2 * floor - 1)
        page = reporter.get("/nl/files")
    assert "We kunnen nu geen bestanden aannemen." in page.text
    assert "Schrijven kan wel." in page.text
    assert all("files" not in form.names() for form in page.forms)
    check_shape(page)
    assert reporter.submit(page, page.form_with("text"), text="Zo.").path.endswith("sent=1")


@pytest.mark.parametrize("after", [1, 3_000_000])
def test_upload_that_fills_the_disk_leaves_nothing_behind(
    reporter: Browser, house: House, monkeypatch: pytest.MonkeyPatch, after: int
) -> None:
    write = StagedFile.write

    def full(self: StagedFile, data: bytes) -> None:
        if self.size + len(data) > after:
            raise SiteFull("the disk is full")
        write(self, data)

    monkeypatch.setattr(StagedFile, "write", full)
    page = send(reporter, [("a", b"x"), ("b", bytes(5_000_000))], "Blijf.")
    assert page.status == 503
    assert kept(page) == "Blijf."
    nothing_kept(house)


def test_free_disk_space_is_checked_again_during_an_upload(
    reporter: Browser, house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks: list[int] = []

    def shrinking(self: SqliteStore) -> int:
        looks.append(1)
        return 2**40 if len(looks) < 4 else 1

    page = reporter.get("/nl/files")
    monkeypatch.setattr(SqliteStore, "free", shrinking)
    files = [("a", bytes(60_000_000))]
    page = reporter.upload(page, page.form_with("files"), files, text="Blijf.")
    assert page.status == 503
    assert kept(page) == "Blijf."
    nothing_kept(house)


# messages in the conversation


def test_typed_text_is_carried_to_the_files_page_and_the_other_language(
    reporter: Browser, noor: Counsellor
) -> None:
    page = reporter.get("/nl/conversation")
    form = page.form_with("text")
    to_files = next(n for n, button in enumerate(form.buttons) if button[2] == "/nl/files")
    page = reporter.submit(page, form, to_files, text="Onderweg.")
    assert kept(page) == "Onderweg."
    check_shape(page)
    assert "verborgen informatie, zoals een naam of een plaats" in page.text
    assert "ook niet met je code" in page.text
    page = reporter.post("/en/files", switch="1", text=kept(page))
    assert kept(page) == "Onderweg."
    assert "hidden information, such as a name or a place" in page.text
    check_shape(page)
    page = reporter.upload(page, page.form_with("files"), SMALL)
    assert "Onderweg." in page.text
    assert len(received(noor)) == 1


def test_switching_language_does_not_send_the_files(reporter: Browser) -> None:
    page = reporter.get("/nl/files")
    (button,) = (part for part in page.html.split("<button") if 'name="switch"' in part)
    assert 'formenctype="application/x-www-form-urlencoded"' in button


@pytest.mark.parametrize("content", [b"kort", LARGE])
def test_reporter_is_told_whether_their_own_file_is_intact(
    reporter: Browser, house: House, content: bytes
) -> None:
    page = send(reporter, [("mijn.jpg", content)])
    (link,) = (link for link in page.links if "/files/" in link)
    page = reporter.get(link)
    assert "staat hier nog precies zoals het is opgeslagen" in page.text
    check_shape(page)
    assert content not in page.body
    item = link.rpartition("/")[2]
    alter(house, item)
    assert "Dit bestand is veranderd sinds jij het stuurde." in reporter.get(link).text
    with house.store.writing():
        house.store.remove_items([item])
    assert "Dit bestand staat hier niet meer." in reporter.get(link).text
    page = reporter.get("/nl/conversation")
    assert "mijn.jpg" in page.text
    assert "Dit bestand staat hier niet meer." in page.text
    assert link not in page.links


def alter(house: House, item: str) -> None:
    """Flip one bit in the middle of a stored file."""
    path = house.folder / "files" / item
    if path.exists():
        raw = bytearray(path.read_bytes())
        raw[len(raw) // 2] ^= 1
        path.write_bytes(raw)
        return
    opened = house.store.read(item)
    assert opened is not None
    raw = bytearray(opened)
    raw[len(raw) // 2] ^= 1
    with sqlite3.connect(house.folder / DATABASE) as database:
        database.execute("UPDATE sealed SET file = ? WHERE item = ?", (bytes(raw), item))
    database.close()


def test_file_that_no_message_names_is_reported_and_not_sent(
    reporter: Browser, house: House, noor: Counsellor
) -> None:
    send(reporter, SMALL)
    assert "in geen enkel bericht wordt genoemd" not in reporter.get("/nl/conversation").text
    mailbox = noor.only_thread().mailbox
    (info,) = (i for i in house.store.items(mailbox) if i.what == "message" and i.n == 2)
    sealed = file(1)
    added = type(info)(sha256_hex(sealed), "attachment", info.author, 2, info.day, len(sealed))
    with house.store.writing():
        house.store.add_item(mailbox, added, sealed)
    assert "in geen enkel bericht wordt genoemd" in reporter.get("/nl/conversation").text
    assert reporter.get(f"/nl/files/{added.id}").status == 404


# downloads


@pytest.mark.parametrize("content", [b"", b"x", LARGE, bytes(65_536), bytes(200_000)])
def test_counsellors_file_is_served_byte_for_byte_as_a_download(
    reporter: Browser, house: House, noor: Counsellor, content: bytes
) -> None:
    item = reply_with(noor, content)
    page = reporter.get("/nl/conversation")
    assert f"/nl/files/{item}" in page.links
    check_shape(page)
    given = reporter.get(f"/nl/files/{item}")
    assert (given.status, given.body) == (200, content)
    assert given.header("Content-Type") == "application/octet-stream"
    assert given.header("Content-Length") == str(len(content))
    assert given.header("X-Content-Type-Options") == "nosniff"
    assert given.header("Cache-Control") == "no-store"
    wanted = "attachment; filename=\"brief.pdf\"; filename*=UTF-8''brief.pdf"
    assert given.header("Content-Disposition") == wanted
    stranger = house.browser()
    assert stranger.get(f"/nl/files/{item}").form_with("code")
    stranger.come_back(stranger.tell("Een ander.").code)
    assert stranger.get(f"/nl/files/{item}").status == 404


@pytest.mark.parametrize(
    ("name", "plain", "quoted"),
    [
        ("één.pdf", "__n.pdf", "%C3%A9%C3%A9n.pdf"),
        ('a"; filename=b.exe', "a_; filename=b.exe", "a_%3B%20filename%3Db.exe"),
        ("../../x.sh", "x.sh", "x.sh"),
        ("foto\u202egpj.exe", "fotogpj.exe", "fotogpj.exe"),
        ("", "bestand zonder naam", "bestand%20zonder%20naam"),
        (".htaccess", "htaccess", "htaccess"),
        ("\U0001f600.png", "_.png", "%F0%9F%98%80.png"),
    ],
)
def test_counsellors_file_name_is_sanitised(
    reporter: Browser, noor: Counsellor, name: str, plain: str, quoted: str
) -> None:
    given = reporter.get(f"/nl/files/{reply_with(noor, b'x', name)}")
    wanted = f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quoted}"
    assert given.header("Content-Disposition") == wanted


@pytest.mark.parametrize("content", [b"kort", LARGE])
def test_no_part_of_an_altered_file_is_sent(
    reporter: Browser, house: House, noor: Counsellor, content: bytes
) -> None:
    item = reply_with(noor, content)
    alter(house, item)
    page = reporter.get(f"/nl/files/{item}")
    assert page.status == 409
    assert "Daarom laten we het niet zien." in page.text
    assert page.header("Content-Disposition") is None
    assert content[:4] not in page.body
    check_shape(page)


def test_file_whose_size_differs_from_the_signed_one_is_not_sent(
    reporter: Browser, noor: Counsellor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file's hash and seal are valid, but the signed size differs."""
    real = Attachment.__init__

    def smaller(self: Attachment, sha256: str, name: str, kind: str, size: int) -> None:
        real(self, sha256, name, kind, size - (size == 5000))

    content = bytes(range(1, 251)) * 20
    with monkeypatch.context() as patched:
        patched.setattr(Attachment, "__init__", smaller)
        item = reply_with(noor, content)
    assert reporter.get(f"/nl/files/{item}").status == 409


def test_missing_file_of_a_counsellor_is_reported(
    reporter: Browser, house: House, noor: Counsellor
) -> None:
    item = reply_with(noor, LARGE)
    (house.folder / "files" / item).unlink()
    assert reporter.get(f"/nl/files/{item}").status == 410
    with house.store.writing():
        house.store.remove_items([item])
    page = reporter.get("/nl/conversation")
    assert "brief.pdf (2 MB) Dit bestand staat hier niet meer." in page.text
