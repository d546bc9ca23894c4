"""Every command of the register and the annual report, under strace."""

import json
import os
import subprocess
import sys
from pathlib import Path

from dropbox_app.desk.cli.main import main
from tests.desk.conftest import Office
from tests.desk.register.test_keeping import jsonl
from tests.support.fake_server import Clock, Peer
from tests.support.programs import needs_strace
from tests.support.syscalls import UNSEEN, WRITES, Call, Watch

SOCKETS = frozenset({"socket", "socketpair", "connect", "bind", "accept4"})
# All commands run in one process, one after the other, on the day of the tests' clock.
PROGRAM = """
import datetime, json, sys
from dropbox_app.desk.cli.main import main
from dropbox_app.desk.folder import Machine
from dropbox_app.desk.storage import vault
today = datetime.date.fromisoformat(sys.argv[1])
for arguments in json.loads(sys.argv[2]):
    machine = Machine(lambda: today, log_n=vault.CHEAP_FOR_TESTS)
    main(arguments, obj=machine, standalone_mode=False)
"""
SECRET = "Zeldzaamwoord"
AGREED = {"event": "agreement", "date": "2024-01-01", "employer": "Zorg", "headcount": 400,
          "until": "2027-12-31", "price": 4800}  # fmt: skip
LINES: list[dict[str, object]] = [
    {"event": "employer", "date": "2024-01-01", "employer": "Zorg", "recording": "full"},
    AGREED,
    AGREED | {"employer": "Bouw", "shared_with": "De ander"},
    {"event": "case", "date": "2025-03-01", "employer": "Zorg", "case": "K", "label": SECRET,
     "notes": SECRET},
    {"event": "case", "date": "2025-03-01", "employer": "Zorg", "case": "L", "label": SECRET},
    {"event": "consent", "date": "2025-03-02", "employer": "Zorg", "case": "L", "consent": "a"},
    {"event": "case", "date": "2025-03-01", "employer": "Voorbeeld BV", "case": "M"},
    {"event": "contact", "date": "2025-03-01", "employer": "Zorg", "notes": SECRET},
]  # fmt: skip


@needs_strace
def test_no_command_opens_a_socket_or_writes_unrequested_plaintext(
    office: Office, tmp_path: Path, peer: Peer, clock: Clock, thread: str
) -> None:
    other = Office(tmp_path / "other", peer, clock, "De ander")
    other.set_up()
    other.run("card", "--out", str(tmp_path / "other.card"))
    (tmp_path / "lines").write_text(jsonl(*LINES))
    asked = tmp_path / "asked"
    asked.mkdir()
    calls = record(office, tmp_path, commands(asked, tmp_path, thread))
    assert [call.name for call in calls if call.name in SOCKETS | UNSEEN] == []
    names = {"calendar.ics", "counts.age", "report.pdf", "report.md", "bill.csv",
             "copy.txt"}  # fmt: skip
    assert {path.name for path in asked.iterdir()} == names
    written = {
        Path(os.fsdecode(call.strings[0]))
        for call in calls
        if call.name == "openat" and call.for_writing and call.succeeded
    }
    folders = {office.folder, asked, Path("/dev")}
    assert [path for path in written if not folders & set(path.parents)] == []
    said = [call.target for call in calls if call.name in WRITES
            if any(SECRET.encode() in text for text in call.strings)]  # fmt: skip
    assert said  # the commands print it
    assert all(target.startswith("pipe:") for target in said)


def commands(asked: Path, tmp_path: Path, thread: str) -> list[list[str]]:
    """Return every command of ``register`` and ``annual``."""
    card = str(tmp_path / "other.card")
    made = [
        ["register", "import", str(tmp_path / "lines")],
        ["register", "contact", "Zorg", "--minutes", "5", "--case", "L"],
        ["register", "contacts"],
        ["register", "into-case", str(len(LINES)), "L"],  # the last line
        ["register", "cases"],
        ["register", "consents", "L"],
        ["register", "colleague-counts", "L"],
        ["register", "agenda", "--ics", str(asked / "calendar.ics")],
        ["register", "export", "--json"],
        ["register", "match-words", "M"],
        ["register", "match", thread, "M"],
        ["register", "copy", "L", "--out", str(asked / "copy.txt")],
        ["register", "destroy", "K", "--yes"],
        ["register", "rename", "Zorg", "Zorg BV", "--yes"],
        ["annual", "counts", "export", "Bouw", "2025", "--to", card,
         "--out", str(asked / "counts.age")],
        ["annual", "Zorg", "2025", "--preview"],
        ["annual", "Zorg", "2025", "--freeze"],
        ["annual", "Zorg", "2025", "--format", "pdf", "--out", str(asked / "report.pdf")],
        ["annual", "Zorg", "2025", "--out", str(asked / "report.md")],
        ["annual", "Zorg", "2025", "--bill", "--format", "csv", "--out", str(asked / "bill.csv")],
    ]  # fmt: skip
    register, annual = (main.commands[name] for name in ("register", "annual"))
    assert {one[1] for one in made if one[0] == "register"} == set(register.commands)  # type: ignore[attr-defined] # groups
    assert set(annual.commands) == {"counts", "report"}  # type: ignore[attr-defined] # a group
    return made


def record(office: Office, tmp_path: Path, given: list[list[str]]) -> list[Call]:
    """Run commands of this desk in one process; return their system calls."""
    watch = Watch(tmp_path / "calls", SOCKETS)
    options = ["--dir", str(office.folder), "--passphrase-file", str(office.passphrase_file)]
    arguments = json.dumps([[*options, *one] for one in given])
    done = subprocess.run(
        [*watch.command, sys.executable, "-B", "-c", PROGRAM, str(office.clock()), arguments],
        input="y\n", capture_output=True, text=True, timeout=300, check=False,
        env=os.environ | {"HOME": str(tmp_path)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    watch.wait()
    return watch.calls()
