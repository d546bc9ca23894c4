"""Traces on disk after a conversation, if browser and program are closed or killed.

This uses an ordinary profile instead of the program's own window: the worst case.
"""

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import time
import urllib.parse
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext, Error, Page

from dropbox_app.desk import folder as workplace
from dropbox_app.desk.actions import notes, threads
from dropbox_app.desk.storage.state import Profile
from tests.desk.conftest import PASSPHRASE, Office
from tests.desk.web.test_command import PROGRAM
from tests.support.browsers import CHROMIUM, PROGRAMS, driver, here
from tests.support.drop_box import ROOT
from tests.support.fake_server import Clock, Peer, Reporter
from tests.support.processes import until

pytestmark = pytest.mark.long

BOTH = [pytest.param(name, marks=here(name)) for name in ("chromium", "firefox")]
# Words that no program and no dictionary holds, so that whatever packs a file writes them out.
READ, TYPED, SENT = "Kwastelroede", "Vrongelpijm", "Zwijmelstork"
SEARCHED, WRONG = "Schremmelvink", "Flontersnuif"
LABEL, NOTE, NAME, SITE = "Drabbelkuip", "Hoztentak", "Plijsterwemel", "Grunselvoort"
PART = "niemand raadt"  # of the passphrase, also as forms write it
SECRETS = (
    READ,
    TYPED,
    SENT,
    SEARCHED,
    WRONG,
    LABEL,
    NOTE,
    NAME,
    SITE,
    PART,
    PART.replace(" ", "+"),
)
# Where programs write that go neither by HOME nor by TMPDIR, and this user's own folder.
ELSEWHERE = ("/var/tmp", "/dev/shm", "/run", str(Path.home()))  # noqa: S108 - only looked through
MOST = 2**28  # bytes of a file that is looked through
SESSIONS = {"chromium": "Sessions/*", "firefox": "sessionstore-backups/recovery.jsonlz4"}


@pytest.fixture
def office(tmp_path: Path, peer: Peer, clock: Clock) -> Office:
    """Return a desk with a fully fetched conversation, a label and a note."""
    made = Office(tmp_path / "desk", peer, clock, NAME)
    desk = workplace.init(
        made.folder, PASSPHRASE, made.machine,
        invitation=workplace.read_invitation(peer.invitation(SITE)),
        profile=Profile(NAME, "external", "both", ("nl", "en")), proxy="",
    )  # fmt: skip
    peer.add_card(desk.state.card)
    reporter = Reporter(peer, desk.identity)
    reporter.report(f"Het gaat over {READ}.")
    made.fetch()
    with made.open() as place:
        threads.label(place, reporter.mailbox, LABEL)
        notes.write_note(place, reporter.mailbox, NOTE)
    return made


@pytest.fixture
def program(office: Office, tmp_path: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Yield the program over that desk, which asks for the passphrase, and its link."""
    home = tmp_path / "home"
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
    assert PART in PASSPHRASE
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


def holding(paths: Iterable[Path], *words: str) -> set[tuple[str, str]]:
    """Return files whose contents or name include a word, in UTF-8 or UTF-16, with the word."""
    forms = {word: (word.encode(), word.encode("utf-16-le")) for word in words}
    found = set()
    for path in paths:
        found |= {(str(path), word) for word in words if word in path.name}
        contents = b""
        with contextlib.suppress(OSError):  # another program's, and gone by now
            contents = path.read_bytes() if path.is_file() and not path.is_symlink() else b""
        found |= {
            (str(path), word)
            for word, written in forms.items()
            if any(form in contents for form in written)
        }
    return found


def written_since(stamp: Path) -> list[Path]:
    """Return every file elsewhere that was written after this one.

    This file, which contains the words, is left out, compiled or not. So are very large files: no
    browser writes that much in a minute, but other tests do.
    """
    places = [one for one in ELSEWHERE if Path(one).is_dir()]
    done = subprocess.run(
        ["find", *places, "-xdev", "-type", "f", "-newer", stamp, "-size", f"-{MOST}c",
         "-not", "-path", f"{ROOT}/*", "-not", "-name", f"{Path(__file__).stem}*.py*", "-print0"],
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=False,
    )  # fmt: skip
    return [Path(os.fsdecode(name)) for name in done.stdout.split(b"\0") if name]


@pytest.fixture
def stamp(tmp_path: Path) -> Path:
    """Return a file older than everything that the session writes."""
    made = tmp_path / "stamp"
    made.touch()
    return made


@pytest.fixture
def temporary() -> Iterator[Path]:
    """Yield a folder with a short path, which Chromium needs for its socket."""
    with tempfile.TemporaryDirectory(prefix="w-", dir="/tmp") as made:
        yield Path(made)


@pytest.mark.parametrize("end", ["killed", "closed"])
@pytest.mark.parametrize("name", BOTH)
def test_no_word_of_a_conversation_is_left_on_disk(
    stamp: Path,
    name: str,
    end: str,
    program: tuple[subprocess.Popen[str], str],
    tmp_path: Path,
    temporary: Path,
) -> None:
    process, link = program
    profile = tmp_path / "profile"
    profile.mkdir()
    with ordinary(name, profile, temporary) as context:
        work(context.new_page(), link)
        typed = time.time()
        context.new_page().goto("about:blank")  # what changes has the session written down
        until(
            lambda: any(one.stat().st_mtime > typed for one in profile.rglob(SESSIONS[name])),
            "no session was written down",
        )
        if end == "killed":
            for pid in in_use(profile):
                with contextlib.suppress(ProcessLookupError):  # it has just ended
                    os.kill(pid, signal.SIGKILL)
            process.kill()
    process.terminate()
    process.wait()
    until(lambda: not in_use(profile), "the browser goes on")
    port = urllib.parse.urlsplit(link).port
    kept = holding(profile.rglob("*"), f"127.0.0.1:{port}")
    assert kept, "the browser kept nothing, not even the address"
    for paths in (tmp_path.rglob("*"), temporary.rglob("*"), written_since(stamp)):
        assert holding(paths, *SECRETS) == set()
