"""No word of a conversation stays on a disk after browser and program are closed or killed.

This uses an ordinary profile instead of the program's own window: the worst case.
"""

import contextlib
import gzip
import io
import os
import signal
import subprocess
import sys
import tempfile
import time
import urllib.parse
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext, Error, Page

from dropbox_app.desk import folder as workplace
from dropbox_app.desk.actions import notes, threads
from dropbox_app.desk.storage.state import Profile
from dropbox_app.desk.sync import fetch as rounds
from tests.desk.conftest import Office
from tests.desk.web.test_command import PROGRAM
from tests.support import left_on_disk
from tests.support.browsers import CHROMIUM, PROGRAMS, driver, here
from tests.support.fake_server import Clock, Peer, Reporter
from tests.support.processes import until

READ, TYPED, SENT, SEARCHED, WRONG, LABEL, NOTE, NAME, SITE = (
    left_on_disk.word() for _ in range(9)
)
PASSPHRASE = f"een {left_on_disk.word()} zin {left_on_disk.word()}"
SESSIONS = {"chromium": "Sessions/*", "firefox": "sessionstore-backups/recovery.jsonlz4"}
SIZE = 512 * 1024 * 1024  # bytes of a disk


class Disk:
    """The folder that HOME and TMPDIR of desk and browser point to."""

    def __init__(self, folder: Path, image: Path | None) -> None:
        self.folder = folder
        self.image = image  # an image of the whole disk, if it is a separate one

    def unmount(self) -> None:
        """Unmount the disk, so that everything is written to it."""
        if self.image is not None:
            subprocess.run(["umount", self.folder], check=True)


@pytest.fixture
def stamp(tmp_path: Path) -> Path:
    """Return a file older than everything that the session writes."""
    made = tmp_path / "stamp"
    made.touch()
    return made


@pytest.fixture
def disk(stamp: Path) -> Iterator[Disk]:
    """Yield a separate disk if this user may mount one; there, deleted files are also searched.

    Its path is short, because Chromium needs that for its socket.
    """
    with tempfile.TemporaryDirectory(prefix="w-", dir="/tmp") as made:
        image, folder = stamp.with_name("disk"), Path(made)
        with image.open("wb") as file:
            file.truncate(SIZE)
        mounted = os.geteuid() == 0 and all(
            subprocess.run(command, check=False, stderr=subprocess.DEVNULL).returncode == 0
            for command in (
                ["mkfs.ext4", "-q", str(image)],
                ["mount", "-o", "loop", str(image), str(folder)],
            )
        )
        yield Disk(folder, image if mounted else None)
        subprocess.run(["umount", folder], check=False, stderr=subprocess.DEVNULL)


@pytest.fixture
def office(disk: Disk, peer: Peer, clock: Clock) -> Office:
    """Return a desk with a fully fetched conversation, a label and a note."""
    made = Office(disk.folder / "desk", peer, clock, NAME)
    desk = workplace.init(
        made.folder, PASSPHRASE, made.machine,
        invitation=workplace.read_invitation(peer.invitation(SITE)),
        profile=Profile(NAME, "external", "both", ("nl", "en")), proxy="",
    )  # fmt: skip
    peer.add_card(desk.state.card)
    reporter = Reporter(peer, desk.identity)
    reporter.report(f"Het gaat over {READ}.")
    with workplace.opened(made.folder, PASSPHRASE, made.machine) as place:
        with place.connected(place.one()) as connected:
            rounds.fetch(connected)
        threads.label(place, reporter.mailbox, LABEL)
        notes.write_note(place, reporter.mailbox, NOTE)
    return made


@pytest.fixture
def program(office: Office, disk: Disk) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Yield the program with that desk, which asks for the passphrase, and its link."""
    home = disk.folder / "home"
    home.mkdir()
    made = subprocess.Popen(
        [
            *(sys.executable, "-c", PROGRAM, "--dir", str(office.folder)),
            *("open", "--no-browser", "--port", "0"),
        ],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env={**os.environ, "HOME": str(home), "TMPDIR": str(home)},
    )
    assert made.stdout is not None
    yield made, made.stdout.readline().strip()
    made.kill()
    made.communicate()


@contextlib.contextmanager
def ordinary(name: str, profile: Path, temporary: Path) -> Iterator[BrowserContext]:
    """Run a browser with a persistent profile in its own folders; it may be killed."""
    home = str(profile.with_name("home"))
    own: dict[str, str | float | bool] = {**os.environ, "HOME": home, "TMPDIR": str(temporary)}
    with driver() as playwright:
        if name == "chromium":
            made = playwright.chromium.launch_persistent_context(
                profile, executable_path=PROGRAMS[name], args=CHROMIUM, env=own
            )
        else:
            made = playwright.firefox.launch_persistent_context(
                profile, channel="moz-firefox", executable_path=PROGRAMS[name], env=own,
                firefox_user_prefs={"browser.sessionstore.interval": 1_000},
            )  # fmt: skip
        made.set_default_timeout(60_000)
        yield made
        with contextlib.suppress(Error):
            made.close()


def work(page: Page, link: str) -> None:
    """Open the desk, search, read, send an answer that fails, and type another."""
    page.goto(link)
    page.fill("[name=passphrase]", f"{WRONG} is de zin niet")
    page.click("main button[type=submit]")
    page.wait_for_selector("[role=alert]")
    page.wait_for_load_state("load")
    page.fill("[name=passphrase]", PASSPHRASE)
    page.click("main button[type=submit]")
    page.wait_for_selector("[data-page=today]")
    page.wait_for_load_state("load")
    page.click(".ways a[href$=threads]")
    page.wait_for_selector("[data-page=threads]")
    page.wait_for_load_state("load")
    page.fill("#words", SEARCHED)
    page.press("#words", "Enter")
    page.wait_for_selector(f"input[value={SEARCHED}]")
    page.wait_for_load_state("load")
    page.click(".ways a >> nth=0")
    page.wait_for_selector("[data-page=today]")
    page.wait_for_load_state("load")
    page.click(".row a")
    page.wait_for_selector("[data-page=thread]")
    page.wait_for_load_state("load")
    assert READ in page.content()
    page.fill("#text", f"Over {SENT}.")
    page.click(".write .button")
    page.wait_for_selector("main [role=alert]")
    page.wait_for_load_state("load")
    page.fill("#text", "")
    page.locator("#text").press_sequentially(f"Nog over {TYPED}.")


def in_use(profile: Path) -> list[int]:
    """Return the processes of a browser, identified by the profile on their command lines."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            if str(profile).encode() in path.read_bytes() and int(path.parent.name) != os.getpid():
                found.append(int(path.parent.name))
    return found


# In CI each browser and each end once.
@pytest.mark.long
@pytest.mark.parametrize(
    ("name", "end"),
    [
        pytest.param("chromium", "killed", marks=here("chromium")),
        pytest.param("firefox", "closed", marks=here("firefox")),
        pytest.param("chromium", "closed", marks=[here("chromium"), pytest.mark.spare]),
        pytest.param("firefox", "killed", marks=[here("firefox"), pytest.mark.spare]),
    ],
)
def test_no_word_of_a_conversation_remains_on_disk(
    stamp: Path, name: str, end: str, program: tuple[subprocess.Popen[str], str], disk: Disk
) -> None:
    process, link = program
    profile, temporary = disk.folder / "profile", disk.folder / "t"
    for made in (profile, temporary):
        made.mkdir()
    with ordinary(name, profile, temporary) as context:
        work(context.new_page(), link)
        typed = time.time()
        context.new_page().goto("about:blank")  # a change makes the browser write its session
        until(
            lambda: any(one.stat().st_mtime > typed for one in profile.rglob(SESSIONS[name])),
            "no session was written down",
        )
        if end == "killed":
            for pid in in_use(profile):
                with contextlib.suppress(ProcessLookupError):  # the process has just ended
                    os.kill(pid, signal.SIGKILL)
            process.kill()
    process.terminate()
    process.wait()
    until(lambda: not in_use(profile), "the browser goes on")
    address = f"127.0.0.1:{urllib.parse.urlsplit(link).port}".encode()
    kept = left_on_disk.holding(profile.rglob("*"), address)
    assert kept, "the browser kept nothing, not even the address"
    assert left_on_disk.holding(left_on_disk.changed_since(stamp)) == set()
    disk.unmount()
    if disk.image is not None:
        assert left_on_disk.holding([disk.image], address)
        assert left_on_disk.holding([disk.image], most_packed=SIZE) == set()


def _zip(text: bytes) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("a/b.txt", text)
    return out.getvalue()


def _mozilla(text: bytes) -> bytes:
    """Return a text packed like Firefox's sessions, in pieces of four bytes."""
    pieces = [text[at : at + 4].ljust(4) for at in range(0, len(text), 4)]
    first = b"".join(reversed(pieces))
    block = bytes([0xF0, len(first) - 15]) + first
    for number in range(len(pieces)):  # a copy of each piece, in order
        back = 4 * (2 * number + 1)
        block += (b"\0" if number else b"") + back.to_bytes(2, "little")
    return b"mozLz40\0" + (2 * len(first)).to_bytes(4, "little") + block


PACKED: dict[str, Callable[[bytes], bytes]] = {
    "plain": bytes,
    "UTF-16": lambda text: text.decode().encode("utf-16-le"),
    "gzip": lambda text: b"head" + gzip.compress(text),
    "zlib": lambda text: b"head" + zlib.compress(text) + b"tail",
    "zip": _zip,
    "gzip in zip": lambda text: _zip(gzip.compress(text)),
    "session": _mozilla,
}


@pytest.mark.parametrize("way", [*PACKED])
def test_disk_search_finds_a_word_in_every_encoding(tmp_path: Path, way: str) -> None:
    file = tmp_path / "a"
    file.write_bytes(PACKED[way](f"Over {READ}.".encode()))
    assert left_on_disk.holding([file]) != set()
    file.write_bytes(PACKED[way](b"Over iemand van kantoor, elke dag."))
    assert left_on_disk.holding([file]) == set()


def test_disk_search_finds_a_word_in_a_file_name(tmp_path: Path) -> None:
    (tmp_path / f"over {READ}").mkdir()
    assert left_on_disk.holding(tmp_path.iterdir()) != set()


@pytest.mark.long
def test_changed_files_are_found_regardless_of_folder_and_mtime(stamp: Path) -> None:
    older = [Path(sys.executable), stamp]
    newer = []
    for folder in ("/dev/shm", "/var/tmp", stamp.parent):  # noqa: S108 - searched
        with tempfile.NamedTemporaryFile(dir=folder, delete=False) as file:
            newer.append(Path(file.name))
        os.utime(file.name, (0, 0))  # as the desk does with its own files
    found = set(left_on_disk.changed_since(stamp))
    for path in newer:
        path.unlink()
    assert set(newer) <= found
    assert not found & set(older)
