"""Check the host of a server's folder for anything that could expose a visitor.

The checks never parse settings. Instead, each check asks the program that uses the settings. Every
path and every program is below a root, which is "/" except in tests. The checks change nothing and
use no network. If a check gets no answer, a finding says so.
"""

import datetime
import os
import shlex
import stat
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from dropbox_app.server.doctor import programs
from dropbox_app.server.doctor.finding import (
    Check,
    Finding,
    NoAnswer,
    Unseen,
    fine,
    unseen,
    wrong,
)
from dropbox_app.server.store.files import NoFile, read_small

ROOT = Path("/")
MOST = 1024 * 1024  # bytes read of one file


@dataclass(frozen=True)
class Machine:
    """The root of the checks, and the known facts about the server: folder, day and addresses."""

    root: Path
    folder: Path
    today: datetime.date
    origins: tuple[str, ...] = ()
    _answers: dict[tuple[str, ...], str | NoAnswer] = field(default_factory=dict)

    def path(self, name: str) -> Path:
        """Return a path on the host, below the root of the checks."""
        if name == self.server:
            return self.folder
        return self.root / name.lstrip("/")

    def name(self, path: Path) -> str:
        """Return a path as the host itself names it, without the root of the checks."""
        below = path.is_relative_to(self.root)
        return f"/{path.relative_to(self.root)}" if below else str(path)

    def ask(self, *words: str, codes: tuple[int, ...] = (0,)) -> str:
        """Return the output of a program on the host. Each command runs once.

        ``codes`` are the exit codes of a usable answer. Raises NoAnswer.
        """
        asked = (*words, *map(str, codes))
        if asked not in self._answers:
            try:
                self._answers[asked] = programs.run(self.root, words, codes)
            except NoAnswer as error:
                self._answers[asked] = error
        said = self._answers[asked]
        if isinstance(said, NoAnswer):
            raise said
        return said

    def text(self, name: str) -> str | None:
        """Return the text of a file; None if the file does not exist. Raises Unseen, NoFile."""
        try:
            return read_small(self.path(name), MOST).decode("utf-8", "replace")
        except (FileNotFoundError, NotADirectoryError):
            return None
        except NoFile:
            raise
        except OSError:
            raise Unseen(name) from None

    def stat(self, name: str) -> "Status | None":
        """Return the status of a path's target; None if it does not exist. Raises Unseen."""
        try:
            found = self.path(name).stat()
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError:
            raise Unseen(name) from None
        return Status(
            found.st_uid, found.st_gid, stat.S_IMODE(found.st_mode), stat.S_ISDIR(found.st_mode),
            found.st_size, datetime.datetime.fromtimestamp(found.st_mtime, datetime.UTC).date(),
        )  # fmt: skip

    def there(self, name: str) -> bool:
        """Return whether a path's target exists. Raises Unseen."""
        return self.stat(name) is not None

    def inside(self, folder: str, pattern: str = "*") -> list[str]:
        """Return the paths in a folder, sorted by name; [] if it does not exist. Raises Unseen."""
        try:
            return sorted(
                self.name(path)
                for path in self.path(folder).iterdir()
                if path.match(pattern) and not path.name.startswith(".")
            )
        except (FileNotFoundError, NotADirectoryError):
            return []
        except OSError:
            raise Unseen(folder) from None

    @property
    def server(self) -> str:
        """Return the path of the server's folder as the host itself names it."""
        return self.name(self.folder)


@dataclass(frozen=True)
class Status:
    """The facts about a file or folder that doctor needs."""

    owner: int
    group: int
    mode: int
    folder: bool
    size: int
    day: datetime.date  # the day of its last change


Faults = Iterator[Finding]


def could_not_look(check: Check, path: Path | str, folder: Path, site: str = "") -> Finding:
    """Return the finding that this account has no permission to read a path."""
    return unseen(check, f"{path} may not be read by this account", as_root(folder), site)


def as_root(folder: Path) -> str:
    """Return the command for a complete check.

    The installed command cannot be used: it drops root's rights.
    """
    program = Path(sys.prefix) / "bin" / "klankbord-server"
    return f"run as root: {program} --dir {shlex.quote(str(folder))} doctor"


def look(machine: Machine) -> Iterator[Finding]:
    """Run every check of the host. A check without findings is reported as fine."""
    for check, faults in _checks():
        found: list[Finding] = []
        try:
            found.extend(faults(machine))
        except Unseen as error:
            found.append(could_not_look(check, error.path, machine.folder))
        except NoAnswer as error:
            own = "see why that program does not answer here, and look yourself"
            root = os.geteuid() == 0
            found.append(unseen(check, str(error), own if root else as_root(machine.folder)))
        except NoFile as error:
            name = machine.name(Path(error.filename))
            found.append(wrong(check, f"{name}: {error.strerror}", "find out who put that there"))
        yield from found or [fine(check)]


def _checks() -> tuple[tuple[Check, Callable[[Machine], Faults]], ...]:
    # Imported here, because each of these modules imports this one.
    from dropbox_app.server.doctor.machine import debian, logs, memory, nginx, secrets, service, tor

    return (
        ("secrets", secrets.secrets),
        ("swap", memory.swap),
        ("core dumps", memory.core_dumps),
        ("disk encryption", memory.disk_encryption),
        ("service", service.service),
        ("program", service.program),
        ("account", service.account),
        ("socket", service.socket),
        ("tor", tor.tor),
        ("onion", tor.onion),
        ("proxy", nginx.proxy),
        ("certificate", nginx.certificate),
        ("logs", logs.logs),
        ("machine clock", debian.clock),
        ("system", debian.system),
        ("versions", debian.versions),
    )
