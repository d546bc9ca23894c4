"""Record what a server writes and where, with strace, and parse every call byte by byte.

``Secrets`` contains the secrets in every possible encoding. ``Watch`` runs a program under strace
and reports each write of a secret to a forbidden place.
"""

import contextlib
import hashlib
import os
import re
import stat
import urllib.parse
from base64 import b32encode, b64encode
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from dropbox_app.protocol.encoding import sha256_hex
from dropbox_app.protocol.retrieval_code import ReporterKeys, derive_root, reporter_keys
from tests.support.processes import GONE, open_files, until
from tests.support.programs import STRACE

ANY_SOCKET = "*"  # an owner: any client may get it, but no file may contain it

WRITES = frozenset(
    {"write", "pwrite64", "writev", "pwritev", "pwritev2", "sendto", "sendmsg", "sendmmsg"}
    | {"setxattr", "lsetxattr", "fsetxattr"}
)
# Calls that move bytes where strace does not see them, so they must not be used at all.
UNSEEN = frozenset(
    {"sendfile", "splice", "vmsplice", "tee", "copy_file_range", "process_vm_writev"}
    | {"io_uring_setup", "shmget", "shmat", "mq_open", "msgsnd", "add_key"}
)
_NAMES = frozenset(
    {"open", "openat", "openat2", "creat", "rename", "renameat", "renameat2", "link", "linkat"}
    | {"symlink", "symlinkat", "mkdir", "mkdirat", "mknod", "mknodat", "memfd_create", "execve"}
)
_OTHERS = frozenset({"mmap", "prctl", "prlimit64", "setrlimit"})

_RECORDED = WRITES | UNSEEN | _NAMES | _OTHERS

_LINE = re.compile(r"(\d+) +(\w+)\((.*)", re.DOTALL)
_STRING = re.compile(r'"((?:\\x[0-9a-f]{2})*)"(\.\.\.)?')
_HANDLE = re.compile(r"(?:-?\d+|AT_FDCWD)<(.*?)>(?:\(deleted\))?(?:,|\)| <)")
_PEER = re.compile(r"TCP(?:v6)?:\[.*->\[?(?:::ffff:)?([0-9.]+)\]?:\d+\]")


# what to look for


def forms(secret: bytes) -> set[bytes]:
    """Return a secret in its possible encodings: percent, base64, hex, UTF-16, escapes."""
    found = {secret, secret.hex().encode(), secret.hex().upper().encode()}
    quoted = urllib.parse.quote_from_bytes(secret, safe="")
    found |= {quoted.encode(), quoted.replace("%20", "+").encode(), quoted.lower().encode()}
    found.add("".join(f"%{byte:02X}" for byte in secret).encode())
    found.add("".join(f"\\x{byte:02x}" for byte in secret).encode())
    found.add(repr(secret)[2:-1].encode())
    found.add(b32encode(secret)[: len(secret) * 8 // 5])
    for before in range(3):  # for every alignment in a longer text
        encoded = b64encode(bytes(before) + secret)
        first, last = -(-before * 8 // 6), (before + len(secret)) * 8 // 6
        found |= {encoded[first:last], encoded[first:last].translate(_URLSAFE)}
    with contextlib.suppress(UnicodeDecodeError):
        text = secret.decode()
        found |= {text.encode("utf-16-le"), text.encode("utf-16-be"), text.upper().encode()}
        found.add(text.encode("utf-32-le"))
    return {form for form in found if len(form) >= _SHORTEST}


_SHORTEST = 8  # bytes, so 64 bits: anything shorter would occur by chance
_URLSAFE = bytes.maketrans(b"+/", b"-_")
# Separators between the words of a code: in a form, an address, a list, a page, a tuple.
_BETWEEN: tuple[str, ...] = (
    " ",
    "+",
    "%20",
    "\n",
    "\r\n",
    "%0D%0A",
    "%0A",
    ", ",
    ",",
    "-",
    "_",
    "",
    "\t",
)
_BETWEEN += (
    "', '",
    '", "',
    '","',
    "</span> <span>",
    "</li><li>",
    "</li>\n<li>",
    "&#32;",
    "\0",
    "  ",
    "/",
    ";",
)


@dataclass
class Secrets:
    """The secrets to search for, each with the address of the one person who may get it.

    Owner None: nobody may get it, not even through a socket.
    """

    known: dict[bytes, tuple[str, str | None]] = field(default_factory=dict)
    longest: int = 0
    _beginnings: dict[int, list[bytes]] = field(default_factory=dict)
    _seen: dict[str, frozenset[tuple[str, str | None]]] = field(default_factory=dict)

    def add(self, name: str, secret: bytes | str, owner: str | None = None) -> None:
        """Add a secret in all its forms."""
        whole = secret.encode() if isinstance(secret, str) else secret
        self._patterns(name, forms(whole), owner)

    def add_exactly(self, name: str, patterns: Iterable[bytes], owner: str | None = None) -> None:
        """Add exactly these bytes, without other forms."""
        self._patterns(name, set(patterns), owner)

    def add_code(self, name: str, code: Sequence[str], owner: str | None) -> None:
        """Add any three consecutive words of a code, with any separators."""
        for start in range(len(code) - 2):
            three = code[start : start + 3]
            self._patterns(name, {between.join(three).encode() for between in _BETWEEN}, owner)
            for between in (" ", "+", "\n"):
                self.add(name, between.join(three), owner)

    def add_keys(self, whose: str, code: Sequence[str], site: str) -> ReporterKeys:
        """Add all keys derived from a code, and return them; nobody may get any of them."""
        root = derive_root(code, site)
        keys = reporter_keys(root)
        expanded = hashlib.shake_256(keys.reply.raw).digest(96)  # as X-Wing splits it
        secret_keys: dict[str, bytes] = {
            "root": root,
            "access token": keys.access_token,
            "reply seed": keys.reply.raw,
            "signing seed": keys.signing.seed,
            "decapsulation key": expanded[:64],
            "X25519 key": expanded[64:],
            "verify": keys.verify.raw,
            "recipient": keys.recipient.raw[:64],
            "recipient's end": keys.recipient.raw[-32:],
        }
        for what, key in secret_keys.items():
            for part in (key[:16], key[-16:]):
                self.add(f"{what} of {whose}", part)
        for text in (str(keys.recipient)[:60], keys.reply.reveal(), keys.reply.reveal().lower()):
            self.add(f"age key of {whose}", text)
        return keys

    def seen_in(self, data: bytes) -> frozenset[tuple[str, str | None]]:
        """Return the name and owner of each secret in ``data``."""
        key = f"{len(self.known)} {sha256_hex(data)}"
        if key not in self._seen:
            # Thousands of forms are searched for in one pass, by their beginnings, as numbers.
            likely: list[bytes] = []
            for start in range(min(_SHORTEST, len(data))):
                end = len(data) - (len(data) - start) % _SHORTEST
                numbers = memoryview(data)[start:end].cast("Q")
                for number in self._beginnings.keys() & numbers:
                    likely += self._beginnings[number]
            self._seen[key] = frozenset(self.known[form] for form in likely if form in data)
        return self._seen[key]

    def _patterns(self, name: str, patterns: Iterable[bytes], owner: str | None) -> None:
        for pattern in patterns:
            if pattern in self.known:
                continue  # the first owner named counts
            assert len(pattern) >= _SHORTEST, pattern
            self.known[pattern] = (name, owner)
            self.longest = max(self.longest, len(pattern))
            (number,) = memoryview(pattern)[:_SHORTEST].cast("Q")
            self._beginnings.setdefault(number, []).append(pattern)


# written data


@dataclass(frozen=True)
class Call:
    """One system call of the server, as strace recorded it."""

    pid: int
    name: str
    rest: str

    @property
    def target(self) -> str:
        """Return the target of the first handle: a path, or a socket with both addresses."""
        found = _HANDLE.match(self.rest)
        return _path(found[1]) if found else ""

    @property
    def mapped(self) -> str:
        """Return the file of a shared writable mapping, if any."""
        if self.name != "mmap" or "MAP_SHARED" not in self.rest or "PROT_WRITE" not in self.rest:
            return ""
        found = re.search(r", \d+<(.*?)>(?:\(deleted\))?, ", self.rest)
        return _path(found[1]) if found else ""

    @property
    def strings(self) -> list[bytes]:
        """Return the strings among its arguments. A string truncated by strace fails the test."""
        found = _STRING.findall(self.rest)
        assert self.name == "execve" or not any(cut for _, cut in found), "strace cut a text off"
        return [bytes.fromhex(text.replace("\\x", "")) for text, _ in found]

    @property
    def for_writing(self) -> bool:
        """Return whether the call opens a file for writing, or creates a name."""
        if self.name in ("open", "openat", "openat2"):
            return any(f in self.rest for f in ("O_WRONLY", "O_RDWR", "O_CREAT", "O_TMPFILE"))
        return self.name in _NAMES and self.name != "execve"

    @property
    def succeeded(self) -> bool:
        return not re.search(r" = -1 E[A-Z]+ \([^)]*\)\s*$", self.rest)


@dataclass
class Watch:
    """strace around a program: put ``command`` before the program's own.

    ``also``: calls to record besides those through which bytes can leave the program.
    """

    record: Path
    also: frozenset[str] = frozenset()

    @property
    def command(self) -> tuple[str, ...]:
        # -DD: the server itself is our child, and the tracer outlives a kill of its group.
        calls = ",".join(f"?{name}" for name in sorted(_RECORDED | self.also))
        return (
            *(str(STRACE), "-DD", "-f", "-v", "-yy", "-xx", "-s", str(1 << 24), "-qq"),
            *("-A", "-o", str(self.record), "-e", f"trace={calls}", "-e", "signal=none"),
        )

    def calls(self) -> list[Call]:
        """Return all calls in order. The program must have ended: see ``wait``."""
        found = []
        with self.record.open(encoding="ascii") as lines:
            for line in lines:
                if read := _LINE.match(line):
                    found.append(Call(int(read[1]), read[2], read[3]))
        return found

    def wait(self) -> None:
        """Wait until strace has written everything and ended."""
        until(lambda: not _writers(self.record), "strace does not end", 30)

    def leaks(self, secrets: Secrets, site: Path) -> list[str]:
        """Return a description of each leak; an empty list if there is none.

        These count as leaks: a secret in a name, or in a write to anything but its owner's
        connection; a call whose writes strace cannot see; a file outside the site opened for
        writing.
        """
        found: dict[str, None] = {}
        tails: dict[str, bytes] = {}
        calls = self.calls()
        assert sum(call.name in WRITES for call in calls) > 20, "strace saw next to nothing"
        for call in calls:
            if call.name in UNSEEN:
                found[f"{call.name}: goes unseen"] = None
            # The workers' shared memory has a name there, but is not on a disk.
            in_memory = (str(site / "klankbord.db-shm"), "/memfd:klankbord")
            if call.mapped and call.mapped not in in_memory:
                found[f"mmap: {call.mapped} is written through memory"] = None
            if call.name in _NAMES:
                found |= dict.fromkeys(_names(call, secrets, site))
            if call.name in WRITES:
                where = call.target
                peer = _PEER.match(where)
                data = b"".join(call.strings)
                for name, owner in secrets.seen_in(tails.get(where, b"") + data):
                    if not (peer and owner in (ANY_SOCKET, peer[1])):
                        found[f"{call.name} to {_short(where, site)}: {name}"] = None
                tails[where] = (tails.get(where, b"") + data)[-secrets.longest :]
        return list(found)


def _names(call: Call, secrets: Secrets, site: Path) -> Iterator[str]:
    for text in call.strings:
        for name, _ in secrets.seen_in(text):
            yield f"{call.name}: {name} in a name"
    if not (call.for_writing and call.succeeded) or call.name == "memfd_create":
        return  # writes to a memory file are seen like any other
    path = Path(os.fsdecode(call.strings[0]))
    own = site in path.parents or path == Path("/dev/null")
    heartbeat = path.parent == Path("/dev/shm") and path.name.startswith("wgunicorn-")  # noqa: S108 - gunicorn's
    if not own and not heartbeat:
        yield f"{call.name}: {_short(str(path), site)} is opened for writing"


def _path(shown: str) -> str:
    return bytes.fromhex(shown.replace("\\x", "")).decode() if shown.startswith("\\x") else shown


def _short(where: str, site: Path) -> str:
    return where.replace(f"{site}/", "SITE/")


def _writers(path: Path) -> list[int]:
    """Return the processes that have a file open."""
    found = []
    for handle in Path("/proc").glob("[0-9]*/fd/*"):
        with contextlib.suppress(OSError):
            if handle.readlink() == path:
                found.append(int(handle.parts[2]))
    return found


# files and memory


def written_since(since: float, *folders: Path, besides: Path) -> Iterator[tuple[Path, bytes]]:
    """Yield every file below ``folders`` that has changed since then, with its contents.

    Mounted file systems are left out: a /proc contains files that never end.
    """
    for folder in folders:
        for root, names, files in os.walk(folder):
            names[:] = [
                name
                for name in names
                if Path(root, name) != besides and not os.path.ismount(Path(root, name))
            ]
            for name in files:
                path = Path(root, name)
                with contextlib.suppress(OSError):
                    found = path.lstat()
                    if stat.S_ISREG(found.st_mode) and found.st_ctime >= since - 1:
                        yield path, path.read_bytes()


def held_by(pid: int, besides: Path) -> Iterator[tuple[str, bytes]]:
    """Yield a process's open files, even deleted ones, and what the system shows about it.

    Files below ``besides`` are left out: the caller reads them once, not once per handle.
    """
    for handle in open_files(pid):
        with contextlib.suppress(OSError):
            where = handle.readlink()
            lies_there = besides in where.parents and where.exists()
            if not lies_there and stat.S_ISREG(handle.stat().st_mode):
                yield str(where), handle.read_bytes()
    for name in ("cmdline", "environ", "comm"):
        with contextlib.suppress(*GONE):
            yield name, Path(f"/proc/{pid}/{name}").read_bytes()
