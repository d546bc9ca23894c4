"""doctor: no findings on a sound machine, each fault on a broken one, and no changes."""

import base64
import json
import os
import sqlite3
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import get_args

import pytest

from dropbox_app.server.cli import common
from dropbox_app.server.doctor import machine as around
from dropbox_app.server.doctor.finding import Check
from dropbox_app.server.doctor.machine import Machine
from dropbox_app.server.store import inspect
from dropbox_app.server.store.sqlite import SqliteStore
from tests.server.doctor import a_machine
from tests.server.doctor.a_machine import ANSWERS, ONION, PROGRAMS, READ, TOR, UNIT, AMachine
from tests.server.doctor.broken_machines import BROKEN, database, used
from tests.support.server_folder import DAY

ROOT = Path(__file__).parents[3]
CHECKS = get_args(Check)


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    yield from a_machine.sound(tmp_path_factory.mktemp("machine"))


@pytest.fixture
def machine(sound: Path, tmp_path: Path) -> AMachine:
    return a_machine.copied(sound, tmp_path / "machine")


def test_doctor_runs_every_check_and_finds_no_fault_on_a_healthy_machine(machine: AMachine) -> None:
    found = machine.examined()
    assert [str(one) for one in found if one.state != "fine"] == []
    assert {one.check for one in found} == set(CHECKS) - {"visit"}


def test_doctor_finds_no_fault_on_a_healthy_machine_with_a_desk_address(machine: AMachine) -> None:
    a_machine.with_desks(machine, "noor.auth")
    assert [str(one) for one in machine.examined() if one.state != "fine"] == []


@pytest.mark.slow
@pytest.mark.parametrize("what", BROKEN)
def test_each_fault_of_a_broken_machine_is_reported_with_its_repair(
    machine: AMachine, what: str
) -> None:
    check, broken, fault, repair = BROKEN[what]
    with machine.changing():
        broken(machine)
    wrong = [one for one in machine.examined() if one.state == "wrong"]
    assert " ".join(dict.fromkeys(one.check for one in wrong)) == check
    assert any(fault in one.fault for one in wrong), wrong
    assert any(repair in one.repair for one in wrong), wrong


def test_more_than_forty_simulated_faults_cover_every_check() -> None:
    assert len(BROKEN) >= 40
    judged = {"disk encryption", "visit"}  # these have their own tests
    assert {check for check, *_ in BROKEN.values()} - {"swap proxy"} == set(CHECKS) - judged


# Notes for the operator to judge, and things that could not be checked


def bare_disk(made: AMachine) -> None:
    made.replace(f"{ANSWERS}/lsblk-vg-root", '"crypt"', '"lvm"')


def emptied(made: AMachine) -> None:
    for path in (made.server / "backups").iterdir():
        path.unlink()


def journal_from_before(made: AMachine) -> None:
    made.write("var/log/journal/abc/system.journal", "x")


NOTES: dict[str, tuple[str, Callable[[AMachine], object], str]] = {
    "a disk that is not encrypted": ("disk encryption", bare_disk, "is not encrypted"),
    "a site without a counsellor yet": (
        "counsellors",
        lambda m: [card.unlink() for card in (m.server / "cards").iterdir()],  # type: ignore[func-returns-value] # for effect
        "not open",
    ),
    "a server without a key for backups": (
        "backups",
        lambda m: (m.server / "backup-key").unlink(),
        "no key",
    ),
    "nothing that keeps the clock right": (
        "machine clock",
        lambda m: m.path(f"{ANSWERS}/units/systemd-timesyncd.service").unlink(),
        "keeps the clock right",
    ),
    "a journal from before": (
        "logs",
        journal_from_before,
        "/var/log/journal",
    ),
    "another web server": ("proxy", used("apache2.service"), "apache2.service is used"),
    "a key for backups, and no time yet for one": (
        "backups",
        emptied,
        "there is none yet",
    ),
    "desks that are new": (
        "desks",
        lambda m: database(m, "UPDATE desks SET last_fetch = NULL"),
        "has never fetched",
    ),
    "no telephone for reporters": (
        "settings",
        lambda m: m.replace("var/lib/klankbord/site.toml", '"030 123 45 67"', '""'),
        "no telephone is told",
    ),
    "a telephone without its hours": (
        "settings",
        lambda m: m.replace("var/lib/klankbord/site.toml", '"9-17"', '""'),
        "without the hours",
    ),
    "a text on the law that nobody has read": (
        "settings",
        lambda m: m.write(
            "var/lib/klankbord/site.toml",
            (m.server / "site.toml")
            .read_text()
            .replace(f'"{READ.read_by}"', '""')
            .replace(f"read_on = {READ.read_on}", 'read_on = ""'),
            0o600,
        ),
        "no lawyer has read",
    ),
    "a list of help that nobody has checked": (
        "settings",
        lambda m: (m.server / "content/referrals.toml").unlink(),
        "nobody has checked within a year",
    ),
    "pages in a language that nobody has read": (
        "settings",
        lambda m: m.replace("var/lib/klankbord/site.toml", '"nl", "en"', '"nl", "en", "pl"'),
        "not yet read by a native speaker: pl",
    ),
    "another onion address": (
        "tor",
        lambda m: m.add(TOR, "HiddenServiceDir /var/lib/tor/x\nHiddenServicePort 80 127.0.0.1:80"),
        "/var/lib/tor/x",
    ),
    "a Debian of later": (
        "system",
        lambda m: m.replace("etc/os-release", '"12"', '"99"'),
        "not known",
    ),
}


@pytest.mark.parametrize("what", NOTES)
def test_matter_of_judgement_is_reported_as_a_note_and_not_as_a_fault(
    machine: AMachine, what: str
) -> None:
    check, changed, said = NOTES[what]
    with machine.changing():
        changed(machine)
    found = machine.examined()
    assert [one for one in found if one.state == "wrong"] == []
    notes = [one for one in found if one.state == "note"]
    assert {one.check for one in notes} == {check}
    assert all(said in one.fault and one.repair for one in notes)


def test_check_with_nothing_to_inspect_is_not_reported_as_fine(tmp_path: Path) -> None:
    """Only the server's own folder and a few of the operator's paths were checked."""
    (tmp_path / "server").mkdir()
    (tmp_path / "machine").mkdir()
    looked = Machine(tmp_path / "machine", tmp_path / "server", DAY, (f"http://{ONION}",
                     "https://box.example"))  # fmt: skip
    found = tuple(around.look(looked))
    assert {one.check for one in found if one.state == "fine"} == {"secrets"}
    assert {one.state for one in found if one.check != "secrets"} == {"unseen"}


# A program whose output is missing or odd -> the checks that then report they could not run.
UNANSWERED = {
    "systemctl": {"core dumps", "service", "tor", "proxy", "certificate", "logs", "machine clock"},
    "setpriv": {"proxy", "certificate"},
    "openssl": {"certificate"},
    "tor": {"tor", "onion"},
    "findmnt": {"swap", "disk encryption"},
    "lsblk": {"disk encryption"},
    "swapon": {"swap"},
    "getent": {"account", "socket"},
    "systemd-analyze": {"logs"},
    "dpkg-query": {"versions"},
}
ANSWERED_BADLY = {
    "missing": None,
    "a failure": "#!/bin/sh\nexit 3\n",
    "another form": "#!/bin/sh\nprintf '\\377{\\n[1]=\\n\\n'\n",
    "no program": "no program at all",
}


@pytest.mark.slow
@pytest.mark.parametrize("program", UNANSWERED)
@pytest.mark.parametrize("how", ANSWERED_BADLY)
def test_program_that_gives_no_result_is_reported_as_such_and_never_as_fine(
    machine: AMachine, program: str, how: str
) -> None:
    said = ANSWERED_BADLY[how]
    if said is None:
        machine.path(f"usr/bin/{program}").unlink()
    else:
        machine.write(f"usr/bin/{program}", said, 0o755)
    found = machine.examined()
    if how in ("missing", "a failure", "no program"):
        seen = {one.check for one in found if one.state == "unseen"}
        assert seen == UNANSWERED[program]
        assert all(one.repair for one in found if one.state == "unseen")
    for check in UNANSWERED[program]:
        assert {one.state for one in found if one.check == check} != {"fine"}, check


def test_last_line_of_the_output_states_the_totals(here: AMachine) -> None:
    bare_disk(here)
    here.replace(UNIT, "PrivateNetwork=yes", "PrivateNetwork=no")
    here.path("usr/bin/getent").unlink()
    done = here.types("doctor")
    said = Counter(line.split()[0] for line in done.stdout.splitlines()[:-1] if line[0] != " ")
    assert said["note"] == said["wrong"] == 1
    assert done.stdout.splitlines()[-1] == (
        f"{said['fine']} fine, 1 note, 1 wrong, {said['unseen']} unseen"
    )


@pytest.fixture
def reachable(sound: Path) -> Iterator[AMachine]:
    """Yield a copy of the machine in a folder that other accounts can reach."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o711)
        yield a_machine.copied(sound, Path(folder) / "machine")


@contextmanager
def as_the_servers_account(closed: Path) -> Iterator[None]:
    """Run the block as the server's account; another account owns the folder ``closed``."""
    if os.geteuid() == 0:
        os.seteuid(a_machine.OTHER)
        try:
            yield
        finally:
            os.seteuid(0)
        return
    mode = closed.stat().st_mode
    closed.chmod(0)
    try:
        yield
    finally:
        closed.chmod(mode)


def test_unreadable_path_is_reported_as_such_and_never_as_fine(reachable: AMachine) -> None:
    tor = reachable.path("var/lib/tor")
    tor.chmod(0o700)
    with as_the_servers_account(tor):
        found = reachable.examined()
    (onion,) = [one for one in found if one.check == "onion"]
    assert onion.state == "unseen"
    assert "/var/lib/tor/klankbord-box" in onion.fault
    assert onion.repair.startswith("run as root: ")
    assert f"--dir {reachable.server} doctor" in onion.repair
    assert [one for one in found if one.state == "wrong"] == []


# For scripts


@pytest.fixture
def here(machine: AMachine, monkeypatch: pytest.MonkeyPatch) -> AMachine:
    """Return the machine that the command itself checks."""
    monkeypatch.setattr(around, "ROOT", machine.root)
    monkeypatch.setattr(common, "today", lambda: machine.day)
    return machine


def test_json_output_has_a_fixed_format_and_the_exit_code_shows_whether_something_is_wrong(
    here: AMachine,
) -> None:
    bare_disk(here)
    for code, wrong in ((0, set[str]()), (1, {"service"})):
        if wrong:
            here.replace(UNIT, "PrivateNetwork=yes", "PrivateNetwork=no")
        done = here.types("doctor", "--json")
        assert (done.exit_code, done.stderr) == (code, "")
        listed = json.loads(done.stdout)
        assert {tuple(one) for one in listed} == {("check", "site", "state", "fault", "repair")}
        assert {type(value) for one in listed for value in one.values()} == {str}
        assert {one["check"] for one in listed} <= set(CHECKS)
        assert {one["site"] for one in listed} == {".", ""}
        assert {one["state"] for one in listed} == {"fine", "note"} | ({"wrong"} if code else set())
        assert {one["check"] for one in listed if one["state"] == "wrong"} == wrong
        assert all(bool(one["fault"]) == (one["state"] != "fine") for one in listed)
        assert all(bool(one["repair"]) == (one["state"] != "fine") for one in listed)
    for words in (("--nonsense",), ("--socks", "127.0.0.1:9050"), ("--visit", "--socks", "x")):
        assert here.types("doctor", *words).exit_code == 2


def test_text_output_contains_the_same_findings_as_json(here: AMachine) -> None:
    here.replace(UNIT, "PrivateNetwork=yes", "PrivateNetwork=no")
    done = here.types("doctor")
    assert done.exit_code == 1
    assert "wrong  service: it can reach the network" in done.stdout
    assert "\n       deploy/install puts it back" in done.stdout
    assert done.stdout.count("fine ") > 20


# No changes

DIALS_NOBODY = """
import os, sys
from tests.support import other_account  # which loads what another account may not
from dropbox_app.server.cli import main as cli

def hook(event, arguments):
    if event.startswith(("socket.", "os.exec", "os.posix_spawn", "os.system")):
        raise AssertionError(event)
    if event == "subprocess.Popen":
        print(os.path.relpath(arguments[0], sys.argv[2]), file=sys.stderr)

sys.addaudithook(hook)
from dropbox_app.server.doctor import machine
from pathlib import Path
machine.ROOT = Path(sys.argv[2])
cli.main(["--dir", sys.argv[1], "doctor", "--json"])
"""


@pytest.mark.slow
def test_doctor_opens_no_socket_and_runs_only_host_programs(here: AMachine) -> None:
    done = subprocess.run(
        [sys.executable, "-c", DIALS_NOBODY, str(here.server), str(here.root)],
        capture_output=True, text=True, cwd=ROOT, check=False,
        env={**os.environ, "PATH": "/nowhere"},
    )  # fmt: skip
    assert {one["check"] for one in json.loads(done.stdout)} == set(CHECKS) - {"visit"}
    assert set(done.stderr.splitlines()) == {f"usr/bin/{name}" for name in PROGRAMS}


def everything(folder: Path) -> dict[str, tuple[bytes, int, int]]:
    """Return the bytes, mode and modification time of every path in a folder."""
    return {
        str(path): (
            path.read_bytes() if path.is_file() and not path.is_symlink() else b"",
            path.lstat().st_mode,
            path.lstat().st_mtime_ns,
        )
        for path in (folder, *folder.rglob("*"))
    }


def to_the_first_schema(server: Path) -> None:
    """Convert a database to the first version's tables."""
    with closing(sqlite3.connect(server / "klankbord.db", isolation_level=None)) as opened:
        opened.execute("DELETE FROM _sqlite_migrations WHERE name <> 'm001_first'")
        opened.execute("ALTER TABLE store DROP COLUMN served")
        opened.execute("ALTER TABLE store DROP COLUMN site")
        opened.execute("ALTER TABLE sealed DROP COLUMN cover")


SOMEBODY = base64.b64encode(bytes(32)).decode()
HELD = """
import datetime, os, signal, sys
from pathlib import Path
from dropbox_app.server.store.sqlite import SqliteStore
store = SqliteStore(Path(sys.argv[1]), lambda: datetime.date(2026, 3, 10))
with store.writing():
    store.set_last_fetch(sys.argv[2], datetime.date(2026, 3, 10))
print("open", flush=True)
sys.stdin.readline()
os.kill(os.getpid(), signal.SIGKILL)
"""


@contextmanager
def a_server_has_it_open(server: Path) -> Iterator[subprocess.Popen[str]]:
    """Keep the database open in another process, with data in the log; kill it at the end."""
    with subprocess.Popen(
        [sys.executable, "-c", HELD, str(server), SOMEBODY],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        assert process.stdout.readline() == "open\n"
        yield process
        process.communicate("\n")


def looks_without_a_trace(made: AMachine) -> None:
    before = everything(made.root)
    for words in (("doctor",), ("doctor", "--json"), ("site", "check")):
        assert made.types(*words).exit_code == 0
        assert everything(made.root) == before, words


def test_doctor_changes_nothing(here: AMachine) -> None:
    looks_without_a_trace(here)


@pytest.mark.slow
def test_doctor_does_not_migrate_an_old_database(here: AMachine) -> None:
    to_the_first_schema(here.server)
    looks_without_a_trace(here)
    assert "the next start brings it up to date" in here.types("doctor").stdout
    assert "note: " in here.types("site", "check").stdout
    SqliteStore(here.server, lambda: DAY).close()
    assert "older version" not in here.types("doctor").stdout


@pytest.mark.slow
@pytest.mark.parametrize("version", ["this", "first"])
def test_doctor_changes_nothing_while_a_server_runs_or_was_killed(
    here: AMachine, version: str
) -> None:
    with a_server_has_it_open(here.server), here.changing():
        if version == "first":
            to_the_first_schema(here.server)
        looks_without_a_trace(here)
    assert (here.server / "klankbord.db-wal").stat().st_size > 0
    looks_without_a_trace(here)
    database = here.server / "klankbord.db"
    seen = inspect.look(database, here.server / "files", here.server / "withdrawn")
    assert SOMEBODY in seen.fetches, "what stands in the log counts"


def test_database_log_without_its_index_is_reported_and_left_unchanged(here: AMachine) -> None:
    with a_server_has_it_open(here.server), here.changing():
        pass
    (here.server / "klankbord.db-shm").unlink()
    before = everything(here.root)
    done = here.types("doctor")
    assert done.exit_code == 1
    assert "klankbord.db-shm" in done.stdout
    assert "start the server, then run doctor again" in done.stdout
    assert everything(here.root) == before
