"""What runs inside the sandbox, by the system's own Python: never imported by the desk.

Called as ``python3 -I -c SOURCE JOB ENDING BYTES SECONDS``. It says ``ready``, takes a file from
standard input, and answers on standard output: pictures as plain PPM, one after another, else one
JSON line (and for ``clean`` what follows it is the cleaned file). What it answers may come from a
program that the file has taken over: the desk believes its form only.
"""

import ctypes
import errno
import importlib
import json
import mimetypes
import os
import resource
import shutil
import subprocess
import sys
import zipfile
from typing import Any

assert sys.platform == "linux"  # noqa: S101 - bubblewrap is Linux's; types of other systems end here

UNREADABLE, TOO_LARGE, LOCKED, NO_PROGRAM, NOT_KNOWN, FULL = 20, 21, 22, 23, 24, 25

MOST_PAGES = 50
LONGEST_SIDE = 2_000  # pixels of a picture that goes out
MOST_PIXELS = 64_000_000  # of a picture that comes in; a JPEG is read at a fraction of its size
MOST_PIXELS_JPEG = 300_000_000
MOST_NOTES = 500  # details of metadata
_KEYCTL = {"x86_64": 250, "aarch64": 219, "riscv64": 219}
_JOIN = 1  # KEYCTL_JOIN_SESSION_KEYRING
_OPEN_XML = "application/vnd.openxmlformats-officedocument."
_OPEN_DOCUMENT = "application/vnd.oasis.opendocument."
_OFFICE = {
    ".docx": _OPEN_XML + "wordprocessingml.document",
    ".xlsx": _OPEN_XML + "spreadsheetml.sheet",
    ".pptx": _OPEN_XML + "presentationml.presentation",
    ".odt": _OPEN_DOCUMENT + "text",
    ".ods": _OPEN_DOCUMENT + "spreadsheet",
    ".odp": _OPEN_DOCUMENT + "presentation",
    ".epub": "application/epub+zip",
}
_FOLDER = "/tmp"  # noqa: S108 - the sandbox's own, in memory
_FORMATS = {
    ".png": "PNG",
    ".jpg": "JPEG",
    ".gif": "GIF",
    ".webp": "WEBP",
    ".bmp": "BMP",
    ".tif": "TIFF",
}


def main() -> int:
    """Limit this process and all that it starts, take the file, do the job."""
    job, ending, size, seconds = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
    leave_keyring()
    for what, most in (
        (resource.RLIMIT_AS, size),
        (resource.RLIMIT_CPU, seconds),
        (resource.RLIMIT_FSIZE, size),
        (resource.RLIMIT_NPROC, 64),
        (resource.RLIMIT_NOFILE, 256),
        (resource.RLIMIT_CORE, 0),
    ):
        resource.setrlimit(what, (most, most))
    sys.stdout.buffer.write(b"ready\n")
    sys.stdout.buffer.flush()
    path = os.path.join(_FOLDER, "file" + ending)
    try:
        with open(path, "xb") as file:
            shutil.copyfileobj(sys.stdin.buffer, file, 65_536)
    except OSError:
        return FULL
    try:
        return {"picture": picture, "pdf": pdf, "show": show, "clean": clean}[job](path)
    except ImportError:
        return NO_PROGRAM


def leave_keyring() -> None:
    """Take an empty keyring: the kernel's keys of whoever is logged in come along by themselves.

    No library that is always there has this call, only the kernel, by a number.
    """
    number = _KEYCTL.get(os.uname().machine)
    if number is None:
        return
    done = ctypes.CDLL(None, use_errno=True).syscall(number, _JOIN, None)
    if done < 0 and ctypes.get_errno() not in (errno.ENOSYS, errno.EPERM):  # there are none
        raise OSError(ctypes.get_errno(), "no keyring of its own")


def picture(path: str) -> int:
    """The pixels of a picture, upright, on white, not too many of them."""
    images: Any = importlib.import_module("PIL.Image")
    images.MAX_IMAGE_PIXELS = None  # counted below, before anything is decoded
    wanted = _FORMATS[os.path.splitext(path)[1]]
    try:
        opened = images.open(path, formats=[wanted])
        for number in range(MOST_PAGES if wanted == "TIFF" else 1):
            if number and number >= opened.n_frames:
                break
            opened.seek(number)
            width, height = opened.size
            if width * height > (MOST_PIXELS_JPEG if wanted == "JPEG" else MOST_PIXELS):
                return TOO_LARGE
            pixels = _plain(images, opened)
            head = b"P6\n%d %d\n255\n" % pixels.size
            sys.stdout.buffer.write(head + pixels.tobytes())
    except MemoryError:
        return TOO_LARGE
    except (OSError, ValueError, SyntaxError, EOFError):
        return UNREADABLE
    return 0


def _plain(images: Any, opened: Any) -> Any:  # noqa: ANN401 - of a package that is only in there
    if opened.format == "JPEG":
        opened.draft("RGB", (LONGEST_SIDE, LONGEST_SIDE))
    made = opened
    if made.mode.startswith("I") or made.mode == "F":
        made = made.convert("I").point(lambda value: value * (1 / 256)).convert("L")
    clear = "A" in made.mode or "transparency" in made.info
    made = made.convert("RGBA" if clear else "RGB")
    made.thumbnail((LONGEST_SIDE, LONGEST_SIDE))
    if clear:
        white = images.new("RGBA", made.size, "white")
        made = images.alpha_composite(white, made).convert("RGB")
    turned = {3: 180, 6: 270, 8: 90}.get(opened.getexif().get(274, 1))
    return made.rotate(turned, expand=True) if turned else made


def pdf(path: str) -> int:
    """The pixels of the first pages of a PDF, and of one more if there are more."""
    program = shutil.which("pdftoppm")
    if program is None:
        return NO_PROGRAM
    side = str(LONGEST_SIDE)
    command = [program, "-q", "-l", str(MOST_PAGES + 1), "-scale-to", side, path]
    code = subprocess.run(  # noqa: S603 - its name and ours for the file, and no shell
        command, stdin=subprocess.DEVNULL, check=False
    ).returncode
    if code == 0:
        return 0
    with open(path, "rb") as file:
        return LOCKED if b"/Encrypt" in file.read() else UNREADABLE


def show(path: str) -> int:
    """What metadata a file holds, as one JSON line of pairs."""
    if _locked(path):
        return LOCKED
    parser = _parser(path)
    if parser is None:
        return NOT_KNOWN
    try:
        _answer(_notes(parser.get_meta()))
    except (ValueError, RuntimeError, KeyError):
        return UNREADABLE
    except OSError:
        return FULL
    return 0


def clean(path: str) -> int:
    """What metadata a file holds, then the file without it."""
    if _locked(path):
        return LOCKED
    parser = _parser(path)
    if parser is None:
        return NOT_KNOWN
    try:
        found = _notes(parser.get_meta())
        done = parser.remove_all()
    except (ValueError, RuntimeError, KeyError):
        return UNREADABLE
    except OSError:
        return FULL
    if not done:
        return UNREADABLE
    _answer(found)
    with open(parser.output_filename, "rb") as file:
        shutil.copyfileobj(file, sys.stdout.buffer, 65_536)
    return 0


def _parser(path: str) -> Any:  # noqa: ANN401 - of a package that is only in there
    factory: Any = importlib.import_module("libmat2.parser_factory")
    of_mat2 = factory.get_parser

    def get_parser(name: str) -> Any:  # noqa: ANN401 - as above
        """As mat2's own, which also calls it for what is inside an archive or a document."""
        parser, kind = of_mat2(name)
        if parser is not None:
            parser.sandbox = False  # this is one already, and a second one cannot be made in it
        return parser, kind

    factory.get_parser = get_parser
    for ending, kind in _OFFICE.items():  # a system may not have Debian's list of them
        mimetypes.add_type(kind, ending)
    return get_parser(path)[0]


def _locked(path: str) -> bool:
    """Whether a zip, or an office document, has a member that is locked with a password."""
    try:
        with zipfile.ZipFile(path) as archive:
            return any(entry.flag_bits & 1 for entry in archive.infolist())
    except (zipfile.BadZipFile, OSError, ValueError):
        return False


def _notes(found: "dict[str, Any]", before: str = "") -> "list[list[str]]":
    notes = []
    for key, value in found.items():
        if isinstance(value, dict):
            notes += _notes(value, f"{before}{key}: ")
        else:
            notes.append([f"{before}{key}"[:200], str(value)[:200]])
    return notes[:MOST_NOTES]


def _answer(notes: "list[list[str]]") -> None:
    sys.stdout.buffer.write(json.dumps(notes).encode() + b"\n")


if __name__ == "__main__":
    sys.exit(main())
