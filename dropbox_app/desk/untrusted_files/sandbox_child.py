"""The program inside the sandbox, for the system's own Python. The desk never imports this module.

The desk calls the program as ``python3 -I -c SOURCE JOB ENDING BYTES SECONDS``. The program prints
``ready``, reads a file from standard input, and writes to standard output: one JSON line, and for
``clean`` the cleaned file after it. A file that has taken over the program may have written the
output, so the desk trusts only the form of the output.
"""

import ctypes
import errno
import importlib
import json
import mimetypes
import os
import resource
import shutil
import sys
import zipfile
from typing import Any

assert sys.platform == "linux"  # noqa: S101 - bubblewrap exists only on Linux; type checks for other systems end here

UNREADABLE, LOCKED, NO_PROGRAM, NOT_KNOWN, FULL = 20, 21, 22, 23, 24

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


def main() -> int:
    """Limit this process and its children, read the file, do the job."""
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
        return {"show": show, "clean": clean}[job](path)
    except ImportError:
        return NO_PROGRAM


def leave_keyring() -> None:
    """Join an empty keyring, because the kernel passes on the user's keys.

    No library that is always available offers this system call, so it is called by its number.
    """
    number = _KEYCTL.get(os.uname().machine)
    if number is None:
        return
    done = ctypes.CDLL(None, use_errno=True).syscall(number, _JOIN, None)
    if done < 0 and ctypes.get_errno() not in (errno.ENOSYS, errno.EPERM):  # no keyrings exist
        raise OSError(ctypes.get_errno(), "no keyring of its own")


def show(path: str) -> int:
    """Write the metadata of a file as one JSON line of pairs."""
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
    """Write the metadata of a file, then the file without it."""
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


def _parser(path: str) -> Any:  # noqa: ANN401 - from a package that exists only in the sandbox
    factory: Any = importlib.import_module("libmat2.parser_factory")
    of_mat2 = factory.get_parser

    def get_parser(name: str) -> Any:  # noqa: ANN401 - as above
        """Return mat2's parser with its sandbox off, also for members of an archive or document."""
        parser, kind = of_mat2(name)
        if parser is not None:
            parser.sandbox = False  # already sandboxed; a second sandbox cannot be made here
        return parser, kind

    factory.get_parser = get_parser
    for ending, kind in _OFFICE.items():  # the system may lack Debian's list of types
        mimetypes.add_type(kind, ending)
    return get_parser(path)[0]


def _locked(path: str) -> bool:
    """Return whether a zip file or office document has a password-protected member."""
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
