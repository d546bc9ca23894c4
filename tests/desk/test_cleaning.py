"""A file's hidden contents are described in words and removed."""

import io
import struct
import zipfile
from pathlib import Path

import pytest

from dropbox_app.desk.untrusted_files import metadata, sandbox, types
from dropbox_app.desk.untrusted_files.sandbox import Unseen
from tests.desk.conftest import Office
from tests.support.fake_server import Reporter
from tests.support.hostile_files import (
    NEEDS_PROGRAMS,
    TAGS,
    huge_png,
    inside,
    jpeg,
    pdf,
    sent,
    told,
    zip_bomb,
)

pytestmark = NEEDS_PROGRAMS


def test_photo_metadata_is_described_and_removed_from_the_copy(
    office: Office, reporter: Reporter, thread: str, tmp_path: Path
) -> None:
    photo = jpeg(tmp_path, *TAGS)
    item = sent(office, reporter, "foto.jpg", "image/jpeg", photo)
    said = str(told(office, thread)["holds"])
    for word in ("a place", "a device name", "the moment it was made", "the name of a person"):
        assert word in said
    assert said in office.run("files", thread).stdout
    result = office.run("save", thread, item, "--out", str(tmp_path), "--clean")
    assert "Removed: a place" in result.output
    copy = (tmp_path / "foto.cleaned.jpg").read_bytes()
    assert copy.startswith(b"\xff\xd8\xff")
    for trace in (b"Apfel", b"Fon 12", b"Sanne", b"2026:11", b"Exif"):
        assert trace in photo
        assert trace not in copy
    assert [*tmp_path.glob("foto*")] == [tmp_path / "foto.cleaned.jpg"]
    office.run("save", thread, item, "--out", str(tmp_path))  # still saved as it arrived
    assert (tmp_path / "foto.jpg").read_bytes() == photo


def test_zip_bomb_is_not_unpacked(
    office: Office, reporter: Reporter, thread: str, tmp_path: Path
) -> None:
    item = sent(office, reporter, "b.zip", "application/zip", zip_bomb())
    assert "not looked into" in str(told(office, thread)["holds"])
    office.run("save", thread, item, "--out", str(tmp_path / "x"), "--clean", code=1)
    assert not (tmp_path / "x").exists()
    # As an Office document too, which mat2 would unpack, and as a picture.
    for kind, content in ((types.DOCX, zip_bomb()), (types.PNG, huge_png(50_000))):
        with pytest.raises(Unseen):
            metadata.clean(kind, [content], len(content))


def test_cleaned_document_is_checked_again(tmp_path: Path) -> None:
    made = pdf(1).replace(b"trailer <<", b"trailer << /Info << /Author (Sanne Bakker) >>")
    held = metadata.look(types.PDF, [made], len(made))
    assert "the name of a person or company" in held.words
    copy, taken = metadata.clean(types.PDF, [made], len(made))
    assert taken == held
    assert b"Sanne" not in copy
    assert "the name of a person or company" not in metadata.look(types.PDF, [copy], 1).words


def test_copy_that_still_contains_metadata_is_not_released(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    photo = jpeg(tmp_path, *TAGS)
    true_look = metadata.look
    inside_clean = (
        "notes = b'[]'\nsys.stdout.buffer.write(notes + b'\\n')\n"
        f"sys.stdout.buffer.write({photo!r})"
    )
    original = sandbox.child_program()
    inside(monkeypatch, inside_clean)

    def look(*arguments: object) -> metadata.Metadata:
        monkeypatch.setattr(sandbox, "child_program", lambda: original)
        return true_look(*arguments)  # type: ignore[arg-type] # passed on

    monkeypatch.setattr(metadata, "look", look)
    with pytest.raises(Unseen, match=r"a place.*stayed"):
        metadata.clean(types.JPEG, [photo], len(photo))


def test_file_type_unknown_to_mat2_is_not_cleaned(
    office: Office, reporter: Reporter, thread: str, tmp_path: Path
) -> None:
    item = sent(office, reporter, "x.bmp", "image/bmp", b"BM" + struct.pack("<IHHI", 70, 0, 0, 54))
    result = office.run("save", thread, item, "--out", str(tmp_path / "x"), "--clean", code=1)
    assert "mat2 does not know this kind of file" in result.output
    assert not (tmp_path / "x").exists()


def test_reply_sends_cleaned_copies_or_nothing(
    office: Office, reporter: Reporter, thread: str, tmp_path: Path
) -> None:
    photo, text = tmp_path / "kantoor.jpg", tmp_path / "answer.txt"
    photo.write_bytes(made := jpeg(tmp_path, *TAGS))
    text.write_text("Zie foto")
    reply = ("reply", thread, "--text-file", str(text), "--clean", "--file", str(photo))
    assert "removed: a place" in office.run(*reply).output
    (got,) = reporter.received().values()
    assert b"Apfel" not in got
    assert photo.read_bytes() == made
    unknown = tmp_path / "x.bin"
    unknown.write_bytes(bytes(range(256)))
    result = office.run(*reply, "--file", str(unknown), code=1)
    assert "Nothing was sent" in result.output
    assert len(reporter.received()) == 1


def word_document(author: str) -> bytes:
    """Return the smallest document that a word processor accepts, with an author."""
    package = "http://schemas.openxmlformats.org/package/2006/"
    kinds = "application/vnd.openxmlformats-"
    office = "http://schemas.openxmlformats.org/officeDocument/2006/relationships/officeDocument"
    main = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
    parts = {
        "[Content_Types].xml": f'<Types xmlns="{package}content-types">'
        f'<Default Extension="rels" ContentType="{kinds}package.relationships+xml"/>'
        '<Default Extension="xml" ContentType="application/xml"/>'
        '<Override PartName="/word/document.xml" '
        f'ContentType="{kinds}officedocument.wordprocessingml.document.main+xml"/>'
        '<Override PartName="/docProps/core.xml" '
        f'ContentType="{kinds}package.core-properties+xml"/></Types>',
        "_rels/.rels": f'<Relationships xmlns="{package}relationships">'
        f'<Relationship Id="rId1" Type="{office}" Target="word/document.xml"/></Relationships>',
        "word/document.xml": f'<w:document xmlns:w="{main}"><w:body><w:p/></w:body></w:document>',
        "docProps/core.xml": f'<cp:coreProperties xmlns:cp="{package}metadata/core-properties" '
        'xmlns:dc="http://purl.org/dc/elements/1.1/">'
        f"<dc:creator>{author}</dc:creator></cp:coreProperties>",
    }
    first = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>'
    return zipped({name: (first + text).encode() for name, text in parts.items()})


def zipped(members: dict[str, bytes]) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return made.getvalue()


def test_author_of_word_document_is_named_and_removed(
    office: Office, reporter: Reporter, thread: str, tmp_path: Path
) -> None:
    item = sent(office, reporter, "brief.docx", "application/msword", word_document("Jan de Boer"))
    assert "the name of a person or company" in str(told(office, thread)["holds"])
    office.run("save", thread, item, "--out", str(tmp_path), "--clean")
    with zipfile.ZipFile(tmp_path / "brief.cleaned.docx") as copy:
        assert not any(b"Jan de Boer" in copy.read(name) for name in copy.namelist())
        assert "word/document.xml" in copy.namelist()


def test_photo_in_a_zip_is_inspected(
    office: Office, reporter: Reporter, thread: str, tmp_path: Path
) -> None:
    packed = zipped({"foto.jpg": jpeg(tmp_path, *TAGS)})
    sent(office, reporter, "fotos.zip", "application/zip", packed)
    assert "a place" in str(told(office, thread)["holds"])


def test_encrypted_zip_is_reported_as_locked(
    office: Office, reporter: Reporter, thread: str
) -> None:
    """The zip encryption flag reveals it, and its sender is not blamed for damage."""
    packed = bytearray(zipped({"a.txt": b"x" * 30}))
    packed[6] |= 1  # in the header of the member
    packed[packed.index(b"PK\x01\x02") + 8] |= 1  # in the directory
    sent(office, reporter, "a.zip", "application/zip", bytes(packed))
    holds = str(told(office, thread)["holds"])
    assert "locked with a password" in holds
    assert "damaged" not in holds
