"""``klankbord-server`` as the operator types it: commands, exit codes and output.

A line of a transcript is one of these:

- ``$ WORDS``: a command for one server's folder, followed by ``<`` and the answer to its prompt.
- ``= CODE``: the exit code, where it is not 0.
- ``! TEXT``: a line on standard error; any other line is one on standard output.
- ``@ day +N``: N days pass. ``@ card NAME ...``: a counsellor's card file is created.
  ``@ damage NAME``: that file is changed. ``@ report NAME``: somebody reports to Anna.
  ``@ edit OLD => NEW``: the operator edits site.toml.
- ``# ...``: a comment.

``...`` in a line of output matches any text. SITE, DIR and GROUPS are those of this server and of
Anna.
"""

import datetime
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from click.testing import CliRunner

from dropbox_app.server.cli import common, main
from dropbox_app.server.config import site as sites
from dropbox_app.server.mailboxes.service import Mailboxes
from dropbox_app.server.store.sqlite import SqliteStore
from dropbox_app.server.web import fault_log
from tests.support.server_folder import ids, message
from tests.vectors import world

TRANSCRIPTS = sorted((Path(__file__).parent / "transcripts").glob("*.txt"))
GROUPS = world.ANNA.verify_key.fingerprint()


@dataclass
class Step:
    """A command, or an event without one, and the expected output."""

    line: int
    typed: str
    code: int = 0
    out: list[str] = field(default_factory=list)
    err: list[str] = field(default_factory=list)


def steps(text: str) -> Iterator[Step]:
    step: Step | None = None
    for number, line in enumerate(text.splitlines(), start=1):
        if line.startswith(("$ ", "@ ")):
            if step:
                yield step
            step = Step(number, line)
        elif step and line.startswith("= "):
            step.code = int(line[2:])
        elif step and line.startswith("!"):
            step.err.append(line[2:])
        elif step and not line.startswith("#"):
            step.out.append(line)
    if step:
        yield step


class Desk:
    """One server's folder, the day on which commands are typed, and the user who types them."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.folder = home / "server"
        self.day = world.DAY

    def happens(self, words: list[str]) -> None:
        match words:
            case ["day", days]:
                self.day += datetime.timedelta(int(days))
            case ["card", name, *changes]:
                made: dict[str, object] = {"site": self.site, "day": self.day}
                for key, _, value in (change.partition("=") for change in changes):
                    made[key] = int(value) if value.isdigit() and len(value) < 3 else value
                if isinstance(made["day"], str):
                    made["day"] = datetime.date.fromisoformat(made["day"])
                raw = world.issue_card(name, **made)  # type: ignore[arg-type]  # by name
                (self.home / f"{name}.card").write_bytes(raw)
            case ["damage", name]:
                path = self.home / f"{name}.card"
                path.write_bytes(path.read_bytes().replace(b"name", b"nome", 1))
            case ["report", name]:
                store = SqliteStore(self.folder, lambda: self.day)
                boxes = Mailboxes(sites.load(self.folder), store, lambda: self.day)
                mailbox, access = ids(name)
                to = (world.ANNA.verify_key,)
                boxes.submit(mailbox=mailbox, access=access, to=to, sealed=message(1))
                store.close()
            case ["edit", *_]:
                old, new = " ".join(words[1:]).split(" => ")
                path = self.folder / "site.toml"
                assert old in path.read_text()
                path.write_text(path.read_text().replace(old, new))
            case _:
                raise AssertionError(words)

    @property
    def site(self) -> str:
        return sites.load(self.folder).settings.site

    def types(self, typed: str) -> tuple[int, str, str]:
        command, _, given = typed.partition(" < ")
        words = ["--dir", str(self.folder), *shlex.split(self.filled(command))]
        done = CliRunner().invoke(main.main, words, input=given + "\n" if given else "")
        return done.exit_code, done.stdout, done.stderr

    def filled(self, text: str) -> str:
        if "SITE" in text:
            text = text.replace("SITE", self.site)
        return text.replace("DIR", str(self.home)).replace("GROUPS", GROUPS)


def pattern(lines: list[str], desk: Desk) -> str:
    return "".join(re.escape(desk.filled(line)).replace(r"\.\.\.", ".*") + "\n" for line in lines)


@pytest.mark.parametrize("path", TRANSCRIPTS, ids=lambda path: path.stem)
def test_commands_match_the_transcript(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk = Desk(tmp_path)
    monkeypatch.setattr(common, "today", lambda: desk.day)
    monkeypatch.delenv("KLANKBORD_DIR", raising=False)
    for step in steps(path.read_text()):
        mark, typed = step.typed[:1], step.typed[2:]
        if mark == "@":
            desk.happens(shlex.split(typed) if not typed.startswith("edit") else typed.split(" "))
            continue
        monkeypatch.setattr(fault_log.logger, "handlers", [])  # as in a separate process
        code, out, err = desk.types(typed)
        where = f"{path.name}:{step.line}: {typed}"
        assert code == step.code, f"{where}\n{out}{err}"
        assert re.fullmatch(pattern(step.out, desk), out), f"{where}\n{out}"
        assert re.fullmatch(pattern(step.err, desk), err), f"{where}\n{err}"
