"""File names and types: sanitised, detected by content, and never trusted."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dropbox_app.desk.untrusted_files import types
from dropbox_app.desk.untrusted_files.inspect import MAX_NAME, inspect, safe_name
from dropbox_app.protocol.encoding import Json
from dropbox_app.protocol.messages import lay_out, parse
from tests.support.file_names import assert_only_a_name, names
from tests.vectors.world import ANNA, counsellor_fields

NAMES = {
    "../../etc/passwd": "_._etc_passwd",
    "/etc/shadow": "_etc_shadow",
    "..\\..\\boot.ini": "_.._boot.ini",
    "": "file",
    "...": "file",
    "_ ._": "file",
    "_" * 120 + "a._": "file",
    "_" * 104 + " ." + "_" * 30: "file",
    "x" * 104 + " ." + "y" * 30: "x" * 104 + "." + "y" * 14,
    ".bashrc": "bashrc",
    "-rf.txt": "rf.txt",
    "-.bash_profile": "bash_profile",
    "~.-. .ssh": "ssh",
    "nul.txt": "_nul.txt",
    "nul .txt": "_nul.txt",
    "-com\u00b9.log": "_com\u00b9.log",
    "foto\u202egpj.exe": "fotogpj.exe",
    "een\x00twee\n.txt": "eentwee.txt",
    "a:b|c?.pdf": "a_b_c_.pdf",
    "😀 foto.png": "😀 foto.png",
}


@pytest.mark.parametrize("name", NAMES)
def test_hostile_file_name_is_sanitised(name: str) -> None:
    assert safe_name(name) == NAMES[name]


@given(names())
def test_sanitised_name_contains_no_path_and_hides_nothing(name: str) -> None:
    """After any removal, no forbidden character is left at the beginning or the end."""
    safe = safe_name(name)
    assert 0 < len(safe.encode()) <= MAX_NAME
    assert_only_a_name(safe)
    assert safe_name(safe) == safe


def test_long_name_keeps_its_extension() -> None:
    assert safe_name("é" * 300 + ".jpeg").endswith("é.jpeg")
    assert len(safe_name("é" * 300 + ".jpeg").encode()) <= MAX_NAME


# file types


KINDS = {
    ("foto.jpg", "image/jpeg", b"\xff\xd8\xff\xe0rest"): ("image/jpeg", ""),
    ("foto.jpg", "image/jpeg", b"MZ\x90\0" + bytes(60)): (
        "application/x-executable", "called a JPEG picture"),
    ("foto.jpg", "image/jpeg", b"<html><script>alert(1)</script>"): (
        "text/html", "but it is a web page"),
    ("factuur.pdf.exe", "application/pdf", b"MZ" + bytes(60)): (
        "application/x-executable", "called a PDF document"),
    ("t.svg", "image/svg+xml", b'<svg onload="x()"><script>x()</script></svg>'): (
        "image/svg+xml", "It holds a script."),
    ("d.pdf", "application/pdf", b"%PDF-1.4 /OpenAction << /S /JavaScript /JS (x) >>"): (
        "application/pdf", "It holds a script."),
    ("d.docx", "application/octet-stream",
     b"PK\3\4" + bytes(26) + b"[Content_Types].xml word/document.xml word/vbaProject.bin"): (
        "application/vnd.openxmlformats-officedocument.wordprocessingml.document", "macros"),
    ("doe.bat", "text/plain", b"del c:\\*"): ("text/plain", "do not open it"),
    ("notitie.txt", "text/plain", "Één regel".encode()): ("text/plain", ""),
    ("leeg.txt", "text/plain", b""): ("application/octet-stream", ""),
    ("zomaar.jpg", "image/jpeg", bytes(range(1, 200))): (
        "application/octet-stream", "it looks like none"),
    ("p.gif", "image/gif", b"GIF89a" + bytes(900) + b"PK\5\6" + bytes(18)): (
        "image/gif", "also be taken for a zip archive"),
    ("p.jpg", "image/jpeg", b"\xff\xd8\xff" + b"%PDF-1.4" + bytes(99)): (
        "image/jpeg", "also be taken for a PDF document"),
    ("fo\u202egpj.exe", "image/jpeg", b"MZ" + bytes(60)): (
        "application/x-executable", "signs that cannot be seen"),
}  # fmt: skip


@pytest.mark.parametrize("case", KINDS, ids=lambda case: f"{case[0]!a} {case[2][:6]!r}")
def test_file_type_is_detected_from_content_and_a_mismatch_is_reported(
    case: tuple[str, str, bytes],
) -> None:
    name, declared, content = case
    kind, said = KINDS[case]
    for step in (1, 7, 65_536):  # wherever the pieces are cut
        cut = (content[at : at + step] for at in range(0, len(content), step))
        found = inspect(cut, name, declared)
        assert found.kind.mime == kind
        warnings = " ".join(found.warnings)
        assert (said in warnings) if said else (warnings == "")


@given(st.binary(max_size=5_000), st.text(max_size=40))
def test_inspection_never_fails(content: bytes, name: str) -> None:
    for start in (b"", b"PK\3\4", b"RIFF", b"\0\0\0\x20ftyp", b"%PDF-", b"\xff\xfe<\0"):
        assert inspect([start + content], name, "image/png").sentence


@pytest.mark.parametrize("kind", types.KINDS, ids=lambda kind: kind.word)
def test_every_file_type_can_be_named_in_a_message(kind: types.Kind) -> None:
    named: Json = {"sha256": "ab" * 32, "name": "x", "type": kind.declared, "size": 1}
    read = parse(lay_out(counsellor_fields(1, attachments=[named]), ANNA))
    assert [file.type for file in read.attachments] == [kind.declared]
