"""Hostile files, files with identifying data, and checks of the desk's output."""

import contextlib
import io
import json
import shutil
import struct
import subprocess
import zipfile
import zlib
from pathlib import Path

import PIL.Image
import pytest

from dropbox_app.desk.untrusted_files import sandbox
from tests.desk.conftest import Office
from tests.support.fake_server import Reporter


def _there(*command: str) -> bool:
    with contextlib.suppress(OSError):
        return subprocess.run(command, capture_output=True, check=False).returncode == 0
    return False


ROOM = ("bwrap", "--unshare-all", "--unshare-user", "--disable-userns", "--ro-bind", "/", "/")


MAT2 = (sandbox.PYTHON, "-I", "-c", "import libmat2.parser_factory")


NEEDS_PROGRAMS = [
    pytest.mark.skipif(not _there(*ROOM, "/bin/true"), reason="bubblewrap cannot make a room here"),
    pytest.mark.skipif(not _there(*MAT2), reason="mat2 is not installed"),
    pytest.mark.skipif(not shutil.which("exiftool"), reason="exiftool is not installed"),
]


PNG_MARK = b"\x89PNG\r\n\x1a\n"


def chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def png(width: int, height: int, rows: bytes) -> bytes:
    """Return a PNG in RGB with these compressed rows."""
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return PNG_MARK + head + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def huge_png(side: int) -> bytes:
    """Return a valid black square, made of one compressed row repeated ``side`` times."""
    packer = zlib.compressobj(9)
    begin = packer.compress(b"") + packer.flush(zlib.Z_FULL_FLUSH)
    row = packer.compress(bytes(1 + 3 * side)) + packer.flush(zlib.Z_FULL_FLUSH)
    total = side * (1 + 3 * side)
    end = zlib.compressobj(9)
    tail = (end.compress(b"") + end.flush())[2:-4]
    return png(side, side, begin + row * side + tail + struct.pack(">HH", total % 65_521, 1))


def small_png() -> bytes:
    """Return four pixels: red, green; blue, white."""
    rows = b"\0\xff\0\0\0\xff\0" + b"\0\0\0\xff\xff\xff\xff"
    return png(2, 2, zlib.compress(rows))


def jpeg(folder: Path, *tags: str, size: tuple[int, int] = (160, 120)) -> bytes:
    """Return a photo with metadata."""
    path = folder / "photo.jpg"
    PIL.Image.effect_noise(size, 60).convert("RGB").save(path)
    if tags:
        subprocess.run(["exiftool", "-q", "-overwrite_original", *tags, str(path)], check=True)
    made = path.read_bytes()
    path.unlink()
    return made


TAGS = ("-GPSLatitude=52.1", "-GPSLatitudeRef=N", "-GPSLongitude=4.9", "-GPSLongitudeRef=E",
        "-Make=Apfel", "-Model=Fon 12", "-DateTimeOriginal=2026:11:01 10:11:12",
        "-Artist=Sanne Bakker")  # fmt: skip


def pdf(pages: int = 1, extra: bytes = b"") -> bytes:
    """Return a PDF with a line on each page, and ``extra`` in its catalogue."""
    kids = b" ".join(b"%d 0 R" % (3 + 2 * n) for n in range(pages))
    bodies = [
        b"<< /Type /Catalog /Pages 2 0 R " + extra + b" >>",
        b"<< /Type /Pages /Count %d /Kids [%s] >>" % (pages, kids),
    ]
    for n in range(pages):
        drawn = b"0 0 1 rg 100 100 200 %d re f" % (100 + n)
        bodies.append(b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 400 400] /Contents %d 0 R >>"
                      % (4 + 2 * n))  # fmt: skip
        bodies.append(b"<< /Length %d >>\nstream\n%s\nendstream" % (len(drawn), drawn))
    out, places = b"%PDF-1.4\n", []
    for number, body in enumerate(bodies, start=1):
        places.append(len(out))
        out += b"%d 0 obj\n%s\nendobj\n" % (number, body)
    table = b"".join(b"%010d 00000 n \n" % place for place in places)
    start = len(out)
    out += b"xref\n0 %d\n0000000000 65535 f \n%s" % (len(bodies) + 1, table)
    out += b"trailer << /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n" % (
        len(bodies) + 1, start)  # fmt: skip
    return out


def zip_bomb() -> bytes:
    """Return 600 MiB of zeros in half a megabyte."""
    made = io.BytesIO()
    archive = zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED)
    with archive, archive.open("a.txt", "w") as file:
        for _ in range(600):
            file.write(bytes(1024 * 1024))
    return made.getvalue()


def svg(script: str) -> bytes:
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" onload="{script}"><script>{script}</script>'
        '<rect width="9" height="9"/></svg>'
    ).encode()


def pixels(made: bytes) -> tuple[int, int, list[bytes]]:
    """Return the size and rows of a PNG that the desk wrote; it has only header, rows and end."""
    assert made.startswith(PNG_MARK)
    at, packed, names = 8, b"", []
    while at < len(made):
        (length,) = struct.unpack(">I", made[at : at + 4])
        names.append(made[at + 4 : at + 8])
        data = made[at + 8 : at + 8 + length]
        assert chunk(names[-1], data) == made[at : at + 12 + length]
        if names[-1] == b"IHDR":
            width, height = struct.unpack(">II", data[:8])
        packed += data if names[-1] == b"IDAT" else b""
        at += 12 + length
    assert set(names) == {b"IHDR", b"IDAT", b"IEND"}
    rows = zlib.decompress(packed)
    step = 1 + 3 * width
    assert len(rows) == height * step
    return width, height, [rows[y * step + 1 : (y + 1) * step] for y in range(height)]


def sent(office: Office, reporter: Reporter, name: str, kind: str, content: bytes) -> str:
    (item,) = reporter.attach("Zie", (name, kind, content))
    office.fetch_quietly()
    return item


def told(office: Office, thread: str, code: int = 0) -> dict[str, object]:
    (one,) = json.loads(office.run("files", thread, "--json", code=code).stdout)
    assert isinstance(one, dict)
    return one


def inside(monkeypatch: pytest.MonkeyPatch, program: str) -> None:
    """Run another program in the sandbox, as if a file had taken over the first."""
    source = "import sys\nprint('ready', flush=True)\nsys.stdin.buffer.read()\n" + program
    monkeypatch.setattr(sandbox, "child_program", lambda: source)
