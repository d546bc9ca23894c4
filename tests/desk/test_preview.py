"""A preview shows pixels, whatever the file was made for."""

import io
import sys
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from dropbox_app.desk.untrusted_files import metadata, preview, types
from dropbox_app.desk.untrusted_files.sandbox import Unseen
from dropbox_app.protocol.errors import FormatError
from tests.desk.conftest import Office
from tests.support.fake_server import Reporter
from tests.support.hostile_files import (
    NEEDS_PROGRAMS,
    huge_png,
    jpeg,
    pages_of,
    pdf,
    pixels,
    png,
    sent,
    small_png,
    svg,
    told,
    zip_bomb,
)

pytestmark = NEEDS_PROGRAMS


def test_a_picture_is_shown_pixel_by_pixel() -> None:
    (made,), rest = pages_of(small_png())
    assert pixels(made) == (2, 2, [b"\xff\0\0\0\xff\0", b"\0\0\xff\xff\xff\xff"])
    assert rest == ""


def test_a_photo_is_shown_upright_and_small_enough(tmp_path: Path) -> None:
    (made,), _ = pages_of(jpeg(tmp_path, "-Orientation#=6"))
    assert pixels(made)[:2] == (120, 160)
    large = png(4_000, 10, zlib.compress(bytes(10 * (1 + 12_000))))
    (made,), _ = pages_of(large)
    assert pixels(made)[:2] == (2_000, 5)


def test_a_document_is_shown_page_by_page_and_not_without_end() -> None:
    made, rest = pages_of(pdf(3))
    assert [pixels(page)[:2] for page in made] == [(2_000, 2_000)] * 3
    assert len(set(made)) == 3
    assert rest == ""


def test_only_the_first_pages_of_a_long_document_are_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preview, "MOST_PAGES", 2)
    made, rest = pages_of(pdf(4))
    assert len(made) == 2
    assert "more pages" in rest


def test_a_preview_is_written_where_asked_and_only_there(
    office: Office, reporter: Reporter, thread: str, tmp_path: Path
) -> None:
    item = sent(office, reporter, "../x.png", "image/png", small_png())
    out = tmp_path / "look"
    told_of = office.run("preview", thread, item[:8], "--out", str(out)).output
    assert "1 page in" in told_of
    (page,) = out.iterdir()
    assert page.name == "page-001.png"
    assert pixels(page.read_bytes())[:2] == (2, 2)
    assert (page.stat().st_mode & 0o777, page.stat().st_mtime % 86_400) == (0o600, 0)
    assert out.stat().st_mode & 0o777 == 0o700
    again = office.run("preview", thread, item, "--out", str(out), code=1)
    assert "there already" in again.output
    assert [*out.iterdir()] == [page]


@pytest.fixture(scope="module")
def black_square() -> bytes:
    return huge_png(50_000)


def test_a_picture_that_unpacks_to_gigabytes_is_left_closed(
    office: Office, reporter: Reporter, thread: str, tmp_path: Path, black_square: bytes
) -> None:
    item = sent(office, reporter, "b.png", "image/png", black_square)
    result = office.run("preview", thread, item, "--out", str(tmp_path / "look"), code=1)
    assert "too large for this computer's memory" in result.output
    assert not (tmp_path / "look").exists()
    shown = told(office, thread)
    assert shown["is"] == "a PNG picture"
    assert "not looked into" in str(shown["holds"])


def test_a_zip_bomb_is_never_unpacked_here(
    office: Office, reporter: Reporter, thread: str, tmp_path: Path
) -> None:
    item = sent(office, reporter, "b.zip", "application/zip", zip_bomb())
    result = office.run("preview", thread, item, "--out", str(tmp_path / "look"), code=1)
    assert "a preview shows PDF documents and common pictures only" in result.output
    assert "not looked into" in str(told(office, thread)["holds"])
    office.run("save", thread, item, "--out", str(tmp_path / "x"), "--clean", code=1)
    assert not (tmp_path / "x").exists()
    # As an Office document too, which mat2 would unpack.
    with pytest.raises(Unseen):
        metadata.look(types.DOCX, [zip_bomb()], 600_000)


def test_a_document_with_a_script_is_shown_and_does_nothing(
    office: Office, reporter: Reporter, thread: str, tmp_path: Path
) -> None:
    mark = tmp_path / "done"
    act = b"/OpenAction << /S /JavaScript /JS (app.launchURL\\('file:///x'\\)) >> /AA << /O << "
    act += b"/S /Launch /F (/usr/bin/touch) /Win << /P (%s) >> >> >>" % str(mark).encode()
    item = sent(office, reporter, "d.pdf", "application/pdf", pdf(1, act))
    result = office.run("preview", thread, item, "--out", str(tmp_path / "look"))
    assert "It holds a script." in result.output
    assert "It can ask to start a program." in result.output
    assert len([*(tmp_path / "look").iterdir()]) == 1
    assert not mark.exists()


@pytest.mark.parametrize("called", ["t.svg", "t.png"])
def test_a_drawing_with_a_script_is_not_shown(
    office: Office, reporter: Reporter, thread: str, tmp_path: Path, called: str
) -> None:
    item = sent(office, reporter, called, "image/png", svg("alert(1)"))
    result = office.run("preview", thread, item, "--out", str(tmp_path / "look"), code=1)
    assert "a drawing (SVG)" in result.output
    assert not (tmp_path / "look").exists()
    assert "It holds a script." in str(told(office, thread)["warnings"])


def test_a_file_that_is_two_things_is_shown_as_the_first_and_said_to_be_both(
    office: Office, reporter: Reporter, thread: str, tmp_path: Path
) -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("META-INF/MANIFEST.MF", "Main-Class: Evil")
    both = small_png() + packed.getvalue()
    item = sent(office, reporter, "p.png", "image/png", both)
    result = office.run("preview", thread, item, "--out", str(tmp_path / "look"))
    assert "also be taken for a zip archive" in result.output
    (page,) = (tmp_path / "look").iterdir()
    assert b"MANIFEST" not in page.read_bytes()
    assert pixels(page.read_bytes())[:2] == (2, 2)


def test_broken_pictures_are_refused_or_shown_and_nothing_else(tmp_path: Path) -> None:
    whole = jpeg(tmp_path)
    broken = [whole[: len(whole) // 2], whole[:20], b"\xff\xd8\xff" + bytes(5_000),
              whole.replace(b"\xff\xc0", b"\xff\xc9"), small_png()[:-30], b"GIF89a",
              b"RIFF\0\0\0\0WEBP", b"%PDF-1.7\n", pdf()[:300], b"II*\0" + b"\xff" * 400,
              b"BM" + bytes(60)]  # fmt: skip
    for content in broken:
        try:
            made, _ = pages_of(content)
        except Unseen:
            continue
        assert all(pixels(page) for page in made)


def test_a_file_that_is_not_as_signed_never_reaches_its_end_in_there(tmp_path: Path) -> None:
    def unsound() -> Iterator[bytes]:
        yield small_png()
        raise FormatError("what follows the content is no padding")

    with pytest.raises(FormatError):
        preview.render(types.PNG, unsound(), 100, lambda *_: pytest.fail("a page was shown"))


def test_the_desks_own_process_never_decodes(
    office: Office, reporter: Reporter, thread: str, tmp_path: Path
) -> None:
    """Whatever decodes is in another process: none of it is loaded here after all of the above."""
    item = sent(office, reporter, "p.png", "image/png", small_png())
    office.run("preview", thread, item, "--out", str(tmp_path / "look"))
    assert not {"PIL", "libmat2", "gi", "dropbox_app.desk.untrusted_files.sandbox_child"} & set(
        sys.modules
    )
