"""A file on the page: its type, a view in the browser, a clean copy, and the original."""

import json
import os
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page

from dropbox_app.desk.web import frame_page
from tests.desk.conftest import PASSPHRASE
from tests.desk.web.conftest import Running, Window
from tests.support.browsers import BOTH, Start, browsers
from tests.support.fake_server import Reporter
from tests.support.hostile_files import TAGS, jpeg, pdf, small_png
from tests.support.net import Net
from tests.support.processes import until


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Start]:
    with Net(tmp_path_factory.mktemp("net"), {}).running() as net, browsers(net) as starting:
        yield starting


@pytest.fixture
def window(running: Running, reporter: Reporter) -> Window:
    """Return a counsellor's window with the report fetched."""
    made = running.at_work()
    running.fetch(made)
    return made


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "kept"
    made.mkdir()
    return made


def path_of(running: Running, reporter: Reporter, name: str, kind: str, content: bytes) -> str:
    """Send and fetch a file; return the address of its page. The desk is open."""
    (item,) = reporter.attach("Zie", (name, kind, content))
    running.fetching.start()
    until(lambda: not running.fetching.under_way, "the fetch did not end")
    with running.lock.use() as place:
        site = place.one().state.site
    thread = running.page.handles.of(site, reporter.mailbox)
    return f"{running.home}t/{thread}/f/{running.page.files.of(thread, item)}"


def test_file_is_described_in_dutch_with_its_warnings(
    running: Running, reporter: Reporter, window: Window
) -> None:
    act = b"/OpenAction << /S /JavaScript /JS (x) >>"
    shown = window.get(path_of(running, reporter, "a.jpg", "image/jpeg", pdf(1, act)))
    assert 'data-page="file"' in shown.html
    assert "Een PDF-document (PDF)." in shown.text
    assert "Het is iets anders dan de naam of de afzender zegt." in shown.text
    assert "Er zit een script in." in shown.text


def test_conversation_links_to_each_of_its_files(
    running: Running, reporter: Reporter, window: Window
) -> None:
    path = path_of(running, reporter, "../foto.png", "image/png", small_png())
    thread = path.split("/t/")[1].split("/")[0]
    links = [link for link in window.get(window.get(path).links[-1]).links if "/f/" in link]
    assert [link for link in links if f"/t/{thread}/f/" in link] == links
    assert 'data-page="file"' in window.get(links[-1]).html


@pytest.mark.parametrize("kind", ["image/heic", "text/html"])
def test_file_that_cannot_be_shown_can_be_saved(
    running: Running, reporter: Reporter, window: Window, folder: Path, kind: str
) -> None:
    content = {"image/heic": b"\0\0\0\x14ftypheic" + bytes(40), "text/html": b"<html><script>"}
    path = path_of(running, reporter, "x", kind, content[kind])
    shown = window.get(path)
    assert "kun je hier niet bekijken" in shown.text
    assert 'id="viewer"' not in shown.html
    fetched = window.request("GET", f"{path}/content", headers={"Sec-Fetch-Dest": "empty"})
    assert fetched.status == 409
    assert content[kind] not in fetched.body
    saved = window.press(shown, "save", folder=str(folder), sure="1")
    assert "Bewaard als" in saved.text
    assert (folder / "x").read_bytes() == content[kind]
    assert stat.S_IMODE((folder / "x").stat().st_mode) == 0o600
    assert (folder / "x").stat().st_mtime % 86_400 == 0


def test_file_bytes_are_served_only_to_the_page_itself(
    running: Running, reporter: Reporter, window: Window
) -> None:
    path = path_of(running, reporter, "p.png", "image/png", small_png()) + "/content"
    for dest in ("document", "iframe", "image", "script", "style", "object", "embed"):
        refused = window.request("GET", path, headers={"Sec-Fetch-Dest": dest})
        assert refused.status == 403, dest
        assert small_png() not in refused.body
    given = window.request("GET", path, headers={"Sec-Fetch-Dest": "empty"})
    assert given.body == small_png()
    headers = {name.lower(): value for name, value in given.headers}
    assert headers["content-type"] == "application/octet-stream"
    assert headers["content-disposition"] == "attachment"
    assert headers["content-security-policy"] == "default-src 'none'; sandbox"
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["cache-control"] == "no-store"


def test_frame_has_its_own_policy_and_contains_no_desk_data(
    running: Running, window: Window
) -> None:
    given = window.request("GET", f"{running.home}frame", headers={"Sec-Fetch-Dest": "iframe"})
    assert dict(given.headers)["Content-Security-Policy"] == frame_page.built().policy
    assert given.body == frame_page.built().html


def test_file_altered_on_the_disk_of_the_desk_is_neither_shown_nor_served(
    running: Running, reporter: Reporter, window: Window
) -> None:
    path = path_of(running, reporter, "p.png", "image/png", small_png())
    for body in running.office.folder.rglob("*.body"):
        body.write_bytes(body.read_bytes()[:-1] + b"x")
    shown = window.get(path)
    assert "op deze computer veranderd" in shown.text
    assert 'id="viewer"' not in shown.html
    fetched = window.request("GET", f"{path}/content", headers={"Sec-Fetch-Dest": "empty"})
    assert fetched.status == 409
    assert not fetched.body.startswith(b"\x89PNG")


@pytest.mark.parametrize("given", ["", "relative", "/no/such/folder"])
def test_page_asks_again_for_a_missing_folder(
    running: Running, reporter: Reporter, window: Window, given: str
) -> None:
    path = path_of(running, reporter, "p.png", "image/png", small_png())
    told = window.press(window.get(path), "save", folder=given)
    assert told.status == 409
    assert "map is er niet" in told.text


COPIES = {
    "a PNG said to be a JPEG": {"form": "jpeg", "width": "2", "height": "2"},
    "another form": {"form": "svg", "width": "2", "height": "2"},
    "no size": {"form": "png"},
    "a size below nothing": {"form": "png", "width": "-2", "height": "2"},
}


@pytest.mark.parametrize("case", COPIES)
def test_malformed_clean_copy_of_a_file_is_not_written(
    running: Running, reporter: Reporter, window: Window, folder: Path, case: str
) -> None:
    path = path_of(running, reporter, "p.png", "image/png", small_png())
    fields = "".join(
        f'--x\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
        for name, value in {**COPIES[case], "folder": str(folder)}.items()
    )
    head = '--x\r\nContent-Disposition: form-data; name="page"; filename="page"\r\n\r\n'
    body = fields.encode() + head.encode() + small_png() + b"\r\n--x--\r\n"
    kind = {"Content-Type": "multipart/form-data; boundary=x", "Origin": running.url}
    answer = json.loads(window.request("POST", f"{path}/copy", body, kind).body)
    assert answer["kept"] is False
    assert answer["said"].startswith("Dit kan zo niet. Er is niets verstuurd of veranderd.")
    assert [*folder.iterdir()] == []


def test_harmful_file_is_saved_only_after_a_warning(
    running: Running, reporter: Reporter, window: Window, folder: Path
) -> None:
    path = path_of(running, reporter, "spel.exe", "application/x-msdownload", b"MZ" + bytes(99))
    told = window.press(window.get(path), "save", folder=str(folder))
    assert "Zet eerst het vinkje" in told.text
    assert [*folder.iterdir()] == []
    window.press(told, "save", folder=str(folder), sure="1")
    assert [kept.name for kept in folder.iterdir()] == ["spel.exe"]


def test_conversation_is_saved_in_a_new_folder_and_skipped_files_are_named(
    running: Running, reporter: Reporter, window: Window, folder: Path
) -> None:
    path_of(running, reporter, "spel.exe", "application/x-msdownload", b"MZ" + bytes(99))
    thread = path_of(running, reporter, "p.png", "image/png", small_png()).rpartition("/f/")[0]
    told = window.press(window.get(f"{thread}/save/"), "save", folder=str(folder))
    (made,) = folder.iterdir()
    assert sorted(one.name for one in made.iterdir()) == [
        "001.txt", "002.txt", "003-02-p.png", "003.txt",
    ]  # fmt: skip
    assert "Het gaat over mijn chef." in (made / "001.txt").read_text()
    assert "spel.exe" in told.text
    window.press(told, "save", folder=str(folder), others="1")
    assert len([*folder.rglob("*spel.exe")]) == 1
    assert stat.S_IMODE(made.stat().st_mode) == 0o700


# in browsers


@pytest.fixture(params=BOTH)
def page(request: pytest.FixtureRequest, start: Start, running: Running) -> Iterator[Page]:
    """Yield a browser page in which the desk was opened with the link."""
    context = start(str(request.param), True).new_context()
    made = context.new_page()
    made.set_default_timeout(60_000)
    made.goto(running.gate.link.address(running.url))
    made.fill("[name=passphrase]", PASSPHRASE)
    made.click("main button[type=submit]")
    made.wait_for_selector("[data-page=today]")
    yield made
    context.close()


@pytest.mark.skipif(not shutil.which("exiftool"), reason="exiftool is not installed")
def test_photo_is_shown_and_its_clean_copy_has_no_location(
    running: Running, reporter: Reporter, page: Page, folder: Path, tmp_path: Path
) -> None:
    photo = jpeg(tmp_path, *TAGS)
    name = f"foto van {'x' * 80}.jpg"
    path = path_of(running, reporter, name, "image/jpeg", photo)
    page.goto(running.url + path)
    page.click("#show")
    page.locator("#said", has_text="Pagina 1 van 1.").wait_for()
    assert page.locator("#pages canvas").count() == 1
    assert not page.locator("#show, #more").first.is_visible()
    assert not page.locator("#more").is_visible()
    page.fill("#copy-folder", str(folder))
    page.click("#copy button")
    page.locator("#copy-said", has_text="De schone kopie staat in").wait_for()
    (kept,) = folder.iterdir()
    assert kept.name == f"{Path(name).stem}.cleaned.jpg"
    assert kept.read_bytes().startswith(b"\xff\xd8\xff")
    for mark in (b"Apfel", b"Sanne", b"2026:11", b"Exif"):
        assert mark in photo
        assert mark not in kept.read_bytes()
    assert (stat.S_IMODE(kept.stat().st_mode), kept.stat().st_mtime % 86_400) == (0o600, 0)
    for width in (1280, 320):
        page.set_viewport_size({"width": width, "height": 800})
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        if shots := os.environ.get("KLANKBORD_SHOTS"):
            page.screenshot(path=f"{shots}/file-{width}.png", full_page=True)


def test_document_is_shown_ten_pages_at_a_time_and_saved_as_images(
    running: Running, reporter: Reporter, page: Page, folder: Path
) -> None:
    content = pdf(12).replace(b"trailer <<", b"trailer << /Info << /Author (Sanne) >>")
    path = path_of(running, reporter, "a.pdf", "application/pdf", content)
    page.goto(running.url + path)
    page.click("#show")
    page.locator("#said", has_text="Pagina 10 van 12.").wait_for()
    assert page.locator("#pages canvas").count() == 10
    page.click("#more")
    page.locator("#said", has_text="Pagina 12 van 12.").wait_for()
    assert page.locator("#pages canvas").count() == 12
    page.fill("#copy-folder", str(folder))
    page.click("#copy button")
    page.locator("#copy-said", has_text="De schone kopie staat in").wait_for()
    made = (folder / "a.cleaned.pdf").read_bytes()
    assert made.startswith(b"%PDF-")
    assert b"Sanne" not in made
    assert made.count(b"/DCTDecode") == 12
