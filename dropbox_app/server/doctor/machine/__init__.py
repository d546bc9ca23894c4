"""The machine around a server's folder, as its files tell: what of it could betray a visitor.

Every path is read below a root, which is "/" but in tests. Nothing is changed, no program is run,
no network is used. A check that may not read what it needs says so, and never that all is fine.
"""

import datetime
import shlex
import stat
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from dropbox_app.server.doctor.finding import Check, Finding, Unseen, fine, note, wrong
from dropbox_app.server.store.files import NoFile, read_small

ROOT = Path("/")
MOST = 32 * 1024 * 1024  # bytes: Debian's list of packages has some


@dataclass(frozen=True)
class Machine:
    """Where to look, and what is known of the server: its folder, the day, all its addresses."""

    root: Path
    folder: Path
    today: datetime.date
    origins: tuple[str, ...] = ()

    def path(self, name: str) -> Path:
        """A path of the machine, below its root."""
        if name == self.server:
            return self.folder
        return self.root / name.lstrip("/")

    def name(self, path: Path) -> str:
        """What a path is called on the machine itself."""
        below = path.is_relative_to(self.root)
        return f"/{path.relative_to(self.root)}" if below else str(path)

    def text(self, name: str) -> str | None:
        """What a file says; None if there is none. Raises Unseen, NoFile."""
        try:
            return read_small(self.path(name), MOST).decode("utf-8", "replace")
        except (FileNotFoundError, NotADirectoryError):
            return None
        except NoFile:
            raise
        except OSError:
            raise Unseen(name) from None

    def lines(self, name: str) -> list[str]:
        """The same in lines; none if there is no file."""
        return (self.text(name) or "").splitlines()

    def stat(self, name: str) -> "Status | None":
        """Of what a path leads to; None if it is not there. Raises Unseen."""
        try:
            found = self.path(name).stat()
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError:
            raise Unseen(name) from None
        return Status(
            found.st_uid, stat.S_IMODE(found.st_mode), stat.S_ISDIR(found.st_mode),
            found.st_size, datetime.datetime.fromtimestamp(found.st_mtime, datetime.UTC).date(),
        )  # fmt: skip

    def there(self, name: str) -> bool:
        """Whether a path leads to something. Raises Unseen."""
        return self.stat(name) is not None

    def inside(self, folder: str, pattern: str = "*") -> list[str]:
        """The paths in a folder, by name; none if it is not there. Raises Unseen."""
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
        """What the server's folder is called on the machine itself."""
        return self.name(self.folder)

    @property
    def systemd(self) -> bool:
        """Whether systemd runs here."""
        return self.there("/run/systemd/system")


@dataclass(frozen=True)
class Status:
    """What doctor asks of a file or folder."""

    owner: int
    mode: int
    folder: bool
    size: int
    day: datetime.date  # when it was last written


Faults = Iterator[Finding]


def could_not_look(check: Check, path: Path | str, folder: Path, site: str = "") -> Finding:
    """An honest answer; fails nothing."""
    program = Path(sys.prefix) / "bin" / "klankbord-server"
    return note(
        check, f"could not look: {path} may not be read by this account",
        f"run as root: {program} --dir {shlex.quote(str(folder))} doctor", site,
    )  # fmt: skip


def look(machine: Machine) -> Iterator[Finding]:
    """Every check of the machine. One that found nothing, and came to its end, is fine."""
    for check, faults in _checks():
        found: list[Finding] = []
        try:
            found.extend(faults(machine))
        except Unseen as error:
            found.append(could_not_look(check, error.path, machine.folder))
        except NoFile as error:
            name = machine.name(Path(error.filename))
            found.append(wrong(check, f"{name}: {error.strerror}", "look who put that there"))
        yield from found or [fine(check)]


def _checks() -> tuple[tuple[Check, Callable[[Machine], Faults]], ...]:
    # Here, since each of these modules knows this one.
    from dropbox_app.server.doctor.machine import debian, logs, memory, proxy, secrets, service, tor

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
        ("proxy", proxy.proxy),
        ("logs", logs.logs),
        ("machine clock", debian.clock),
        ("system", debian.system),
        ("versions", debian.versions),
    )
