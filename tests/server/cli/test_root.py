"""Root runs commands on folders of an account that an attacker controls."""

import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from click.testing import Result

from dropbox_app.server.cli import common, main
from dropbox_app.server.store import write_lock
from tests.support.other_account import NOBODY, give_away, typed
from tests.support.programs import needs_root
from tests.support.server_folder import DAY, AServer
from tests.vectors import world

pytestmark = needs_root

ORIGIN = "http://localhost:8010"
SITE = ("--name", "Other", "--origin", ORIGIN)
SECRET = "known to root alone"


class TakenOver:
    """A server's folder whose account is hostile, and root's files next to it."""

    def __init__(self, top: Path) -> None:
        top.chmod(0o755)
        self.top = top
        self.folder = top / "server"
        made = AServer(self.folder)
        made.report("one")
        made.store.close()
        self.roots = top / "etc"
        self.roots.mkdir()
        for name in ("shadow", "card.card", "site.toml"):
            (self.roots / name).write_text(SECRET)
            (self.roots / name).chmod(0o600)
        (self.roots / "folder").mkdir(0o700)
        self.before = self.state()
        self.key = top / "key.txt"
        self.card = top / "els.card"
        self.card.write_bytes(world.issue_card("chris"))
        self.give()

    def give(self) -> None:
        give_away(self.folder, self.key if self.key.exists() else self.card, self.card)

    def state(self) -> dict[str, tuple[int, int, int, bytes, int]]:
        """Return owner, mode, links, bytes and times of root's files."""
        found = {}
        for path in (self.roots, *sorted(self.roots.rglob("*"))):
            seen = path.lstat()
            held = path.read_bytes() if path.is_file() else b"".join(
                sorted(os.fsencode(name) for name in os.listdir(path))
            )  # fmt: skip
            found[str(path)] = (seen.st_uid, seen.st_mode, seen.st_nlink, held, seen.st_mtime_ns)
        return found

    def types(self, *words: str | Path, folder: Path | None = None) -> Result:
        return typed(main.main, ["--dir", str(folder or self.folder), *map(str, words)])


@pytest.fixture
def taken(monkeypatch: pytest.MonkeyPatch) -> Iterator[TakenOver]:
    monkeypatch.setattr(common, "today", lambda: DAY)
    with tempfile.TemporaryDirectory() as folder:
        yield TakenOver(Path(folder))


COMMANDS: dict[str, Callable[[TakenOver], Result]] = {
    "init": lambda t: t.types("init", *SITE, folder=t.folder / "deeper"),
    "site add": lambda t: t.types("site", "add", "other", *SITE),
    "site list": lambda t: t.types("site", "list"),
    "site check": lambda t: t.types("site", "check"),
    "site retire": lambda t: t.types("site", "retire", "."),
    "move": lambda t: t.types("move", "--origin", "https://other.example.org"),
    "card add": lambda t: t.types("card", "add", t.card, "--fingerprint", "0"),
    "card list": lambda t: t.types("card", "list"),
    "card retire": lambda t: t.types("card", "retire", "anna"),
    "backup-key": lambda t: t.types("backup-key", "--new"),
    "backup": lambda t: t.types("backup"),
    "purge": lambda t: t.types("purge", "--day", f"{DAY}", "--yes"),
    # Only the site's checks, because the account's folder contains nothing else and running the
    # machine's own programs takes seconds.
    "doctor": lambda t: t.types("doctor", "--site", "."),
}
LINKED = {
    "site.toml": "site.toml", "cards": "folder", "cards/anna.card": "card.card",
    "klankbord.sqlite": "shadow", "files": "folder", "sites": "folder", "backups": "folder",
    "backup-key": "shadow", ".site.toml.new": "shadow", "cards/.chris.card.new": "shadow",
    "content": "folder", "deeper": "folder",
}  # fmt: skip


@pytest.mark.parametrize("command", COMMANDS)
def test_no_root_command_follows_a_link_made_by_the_account(command: str, taken: TakenOver) -> None:
    for place, target in LINKED.items():
        path = taken.folder / place
        aside = taken.top / "aside"
        if os.path.lexists(path):
            path.rename(aside)
        if path.parent.is_dir():
            path.symlink_to(taken.roots / target)
            os.lchown(path, NOBODY, NOBODY)
            done = COMMANDS[command](taken)
            assert SECRET not in done.output, place
            assert taken.state() == taken.before, place
            if os.path.lexists(path):
                shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
        if aside.exists():
            aside.rename(path)


@pytest.mark.parametrize("command", COMMANDS)
def test_files_made_by_root_belong_to_the_account(command: str, taken: TakenOver) -> None:
    taken.key.write_text(taken.types("backup-key").stdout)
    taken.give()
    COMMANDS[command](taken)
    assert {path.lstat().st_uid for path in taken.folder.rglob("*")} == {NOBODY}
    assert taken.state() == taken.before


@pytest.mark.slow
def test_doctor_run_for_the_whole_machine_follows_no_link_and_creates_nothing(
    taken: TakenOver,
) -> None:
    (taken.folder / "backups").symlink_to(taken.roots / "folder")
    os.lchown(taken.folder / "backups", NOBODY, NOBODY)
    assert SECRET not in taken.types("doctor").output
    assert {path.lstat().st_uid for path in taken.folder.rglob("*")} == {NOBODY}
    assert taken.state() == taken.before


def test_folder_that_links_elsewhere_grants_no_access_to_its_target(taken: TakenOver) -> None:
    taken.folder.rename(taken.folder.with_name("aside"))
    taken.folder.symlink_to(taken.roots / "folder")
    os.lchown(taken.folder, NOBODY, NOBODY)
    for command in ("init", "site add", "backup-key", "doctor"):
        assert COMMANDS[command](taken).exit_code == 1
    assert taken.state() == taken.before


def test_hard_link_to_a_root_file_is_not_chowned(taken: TakenOver) -> None:
    """This applies where the kernel allows such links (fs.protected_hardlinks=0)."""
    os.link(taken.roots / "shadow", taken.folder / "sites")
    before = taken.state()
    for command in COMMANDS.values():
        command(taken)
    assert taken.state() == before


@pytest.mark.parametrize("place", ["site.toml", "backup-key", "cards/anna.card", "sites"])
def test_named_pipe_does_not_block_root(place: str, taken: TakenOver) -> None:
    path = taken.folder / place
    path.unlink(missing_ok=True)
    os.mkfifo(path)
    os.lchown(path, NOBODY, NOBODY)
    for command in ("site list", "site check", "card list", "doctor"):
        COMMANDS[command](taken)  # otherwise the test's time limit ends it


SWAP = """
import os, sys
folder, target = sys.argv[1:]
os.setgroups([]); os.setgid(65534); os.setuid(65534)
while True:
    for name in ("sites", "backups", "cards", ".restoring"):
        path = os.path.join(folder, name)
        try:
            os.symlink(target, path)
        except OSError:
            pass
        try:
            os.rename(path, path + ".x")
        except OSError:
            pass
        try:
            os.unlink(path + ".x")
        except OSError:
            pass
"""


@contextmanager
def swapping(taken: TakenOver) -> Iterator[None]:
    """Let the account keep replacing its folders with links and back."""
    words = [sys.executable, "-c", SWAP, str(taken.folder), str(taken.roots / "folder")]
    swaps = subprocess.Popen(words, cwd="/")
    try:
        yield
        assert swaps.poll() is None, "the attack ended before the commands"
    finally:
        swaps.kill()
        swaps.wait()


def test_folders_swapped_during_a_command_do_not_deceive_root(taken: TakenOver) -> None:
    with swapping(taken):
        for _ in range(3):
            for command in ("site add", "card list", "backup", "doctor"):
                COMMANDS[command](taken)
                assert taken.state() == taken.before, command


def test_restore_run_by_root_does_not_change_the_owner_of_root_files(taken: TakenOver) -> None:
    taken.key.write_text(taken.types("backup-key").stdout)
    taken.give()
    done = taken.types("backup")
    assert done.exit_code == 0, done.output
    (made,) = (taken.folder / "backups").glob("klankbord-*.age")
    new = taken.top / "new"
    new.mkdir()
    give_away(new)
    whole = TakenOver.types(taken, "restore", made, "--key", taken.key, folder=new)
    assert whole.exit_code == 0, whole.output
    assert {path.lstat().st_uid for path in new.rglob("*")} == {NOBODY}
    shutil.rmtree(new)
    new.mkdir()
    give_away(new)
    for name in (".restoring", "sites"):
        (new / name).symlink_to(taken.roots / "folder")
        os.lchown(new / name, NOBODY, NOBODY)
    assert taken.types("restore", made, "--key", taken.key, folder=new).exit_code == 1
    assert taken.state() == taken.before


def test_file_readable_only_by_root_is_refused_with_advice(
    taken: TakenOver,
) -> None:
    closed = taken.roots / "card.card"
    closed.write_bytes(taken.card.read_bytes())
    refused = taken.types("card", "add", closed)
    assert refused.exit_code == 2, refused.output
    assert f"{closed} cannot be seen by the account" in refused.stderr
    assert "install -m 600 -o nobody" in refused.stderr


def test_folder_with_a_part_owned_by_another_account_is_refused(taken: TakenOver) -> None:
    os.chown(taken.folder, 0, 0)
    refused = taken.types("card", "list")
    assert refused.exit_code == 1
    assert "belongs to another account than" in refused.stderr
    assert "chown -R" in refused.stderr


def socket_file(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(str(path))


def sparse(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(1024**4)


def unreadable(path: Path) -> None:
    path.write_bytes(b"x")
    path.chmod(0)


STRANGE: dict[str, Callable[[Path], object]] = {
    "a socket": socket_file,
    "a loop of links": lambda path: path.symlink_to(path.name),
    "a folder": Path.mkdir,
    "a file of a terabyte": sparse,
    "a file that nobody may read": unreadable,
}
LOOKS = ("site list", "site check", "card list", "backup", "doctor")


@pytest.mark.parametrize("what", STRANGE)
def test_special_files_do_not_block_root_or_cause_a_traceback(what: str, taken: TakenOver) -> None:
    for place in ("site.toml", "backup-key", "cards/anna.card", "sites", "withdrawn"):
        path, aside = taken.folder / place, taken.top / "aside"
        if path.exists():
            path.rename(aside)
        STRANGE[what](path)
        os.lchown(path, NOBODY, NOBODY)
        for command in LOOKS:
            done = COMMANDS[command](taken)
            assert done.exit_code in (0, 1), (place, command, done.output)
            assert "Traceback" not in done.output
        path.rmdir() if path.is_dir() and not path.is_symlink() else path.unlink()
        if aside.exists():
            aside.rename(path)
    assert taken.state() == taken.before


HOLD = """
import fcntl, os, sys, time
os.setgroups([]); os.setgid(65534); os.setuid(65534)
held = []
for top, _, names in os.walk(sys.argv[1]):
    for name in (*names, "."):
        held.append(os.open(os.path.join(top, name), os.O_RDONLY))
        fcntl.flock(held[-1], fcntl.LOCK_EX)
print("held", flush=True)
time.sleep(600)
"""


def test_account_holding_every_lock_blocks_root_for_only_a_few_seconds(
    taken: TakenOver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A card can be retired, or the command explains why not."""
    monkeypatch.setattr(write_lock, "BUSY_SECONDS", 0.2)
    holds = [sys.executable, "-c", HOLD, str(taken.folder)]
    with subprocess.Popen(holds, stdout=subprocess.PIPE, cwd="/") as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        for name in ("card retire", "card add", "site retire", "backup-key", "backup", "purge"):
            done = COMMANDS[name](taken)  # otherwise the test's time limit ends it
            assert done.exit_code in (0, 1), (name, done.output)
            assert done.output.strip(), name
        assert "too long" in COMMANDS["card retire"](taken).stderr
        holder.kill()
