"""Upgrade an installed server to a signed release; roll back if the release does not serve pages.

Root runs this module. Before the switch, nothing that the running server uses is changed: an
upgrade that is killed before then leaves only a work folder. From the switch until the newer
program has responded, a note on disk names the older program. An upgrade that finds this note rolls
back first.
"""

from __future__ import annotations

import errno
import fcntl
import http.client
import json
import os
import shutil
import socket
import subprocess
import tarfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from dropbox_app.server.errors import ServerError
from dropbox_app.server.release import folder as releases
from dropbox_app.server.release.folder import Release
from dropbox_app.server.store.files import FULL

PATIENCE = 60.0  # seconds within which a started server must respond
_ANSWER = 10.0  # seconds to wait for one response
_AS = ("env", "-i", "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "setsid", "--wait", "runuser", "-u")
_REPAIR, _AGAIN = "Repair that", ", and type the same command again"
# Advice by error number. The programs that an upgrade runs use that number as exit status.
_ADVICE = {
    **dict.fromkeys(FULL, "Make room on that disk"),
    errno.EROFS: "Let that disk take writes",
}
_LARGEST = 1024 * 1024 * 1024  # maximum bytes of an unpacked release


class UpgradeError(ServerError):
    """The server was not upgraded."""


class _Failed(UpgradeError):
    """Raised if a program that the upgrade ran has failed. ``status``: its exit status."""

    def __init__(self, said: str, status: int) -> None:
        super().__init__(said)
        self.status = status


@dataclass(frozen=True)
class Machine:
    """The paths of a server that ``deploy/install`` set up.

    ``account`` is the server's account, or None if the caller already runs as that account.
    """

    program: Path = Path("/opt/klankbord")
    data: Path = Path("/var/lib/klankbord")
    key: Path = Path("/etc/klankbord/release.pub")
    socket: Path = Path("/run/klankbord/app.sock")
    account: str | None = "klankbord"
    systemctl: tuple[str, ...] = ("systemctl",)
    patience: float = PATIENCE

    @property
    def current(self) -> Path:
        """Return the link to the program in use."""
        return self.program / "current"


@dataclass
class Upgrade:
    """One run of an upgrade. ``say`` receives each step as a line, before the step starts."""

    machine: Machine
    version: str  # the installed version
    say: Callable[[str], None]
    _note: Path = field(init=False)
    _served: Path = field(init=False)  # renamed to the note once the new version has responded
    _work: Path = field(init=False)

    def __post_init__(self) -> None:
        self._note = self.machine.program / "upgrade.json"
        self._served = self.machine.program / "upgrade.served"
        self._work = self.machine.program / "upgrade"

    def run(self, release: Path) -> str:
        """Upgrade to a release, and return its version.

        Raises BadRelease if the release is unsigned or incomplete, and UpgradeError for other
        failures. In both cases the previous program and data remain in use.
        """
        with self._alone():
            self._sweep()
            if self._note.exists():
                note = json.loads(self._note.read_text("utf-8"))
                if note["serves"]:
                    self.say("An earlier upgrade was interrupted at its very end: finishing it.")
                    self._finish(self.machine.current)
                    return self.version
                self.say("An earlier upgrade was interrupted after the switch: going back first.")
                self._go_back()
                raise UpgradeError(
                    "the interrupted upgrade was undone, and the version before serves "
                    "again; type the same command once more to upgrade"
                )
            try:
                return self._run(release)
            finally:
                self._sweep()

    def _run(self, folder: Path) -> str:
        old = self._installed()
        try:
            release, new, hosts = self._beside(folder, old)
            self._write_notes(old)
        except (_Failed, OSError) as error:
            why = _why(error).removesuffix("; nothing was changed")
            raise UpgradeError(
                f"{why}. Nothing that serves was changed. {_advice(error) or _REPAIR}{_AGAIN}"
            ) from None
        self.say("5. The switch: visits end here")
        self._switch(old, new, hosts)
        return release.version

    def _beside(self, folder: Path, old: Path) -> tuple[Release, Path, list[str]]:
        """Take all the steps that can fail without harm; return release, program and host names."""
        self.say("1. Signature and checksums")
        key = releases.read_key(self.machine.key)
        self._work.mkdir(0o700)
        release = releases.take(folder, key, self._work)
        if not releases.newer(release.version, self.version):
            raise UpgradeError(
                f"the release is {release.version} and {self.version} is installed; to go back to "
                "an older version see deploy/guide/routine.md. Nothing was changed"
            )
        self.say(f"   {release.version}, signed by the key that this machine trusts")
        hosts = self._hosts(old)
        try:
            self._ask(hosts)
        except UpgradeError as error:
            raise UpgradeError(
                f"{error}; repair that first (doctor). Nothing was changed"
            ) from None
        source = self._unpack(release)
        self.say("2. The new program, next to the version in use")
        new = self._prepare(source)
        self.say("3. A trial of the databases, on copies")
        self._data("try", new)
        self.say("4. A backup")
        self._data("backup", old)
        self._data("room", new)
        return release, new, hosts

    def _installed(self) -> Path:
        """Return the program in use, which must contain its own installer for a rollback."""
        try:
            old = self.machine.current.resolve(strict=True)
        except OSError:
            raise UpgradeError(f"{self.machine.current} is missing: run deploy/install") from None
        if not (old / "source" / "deploy" / "install").is_file():
            raise UpgradeError(
                f"{old} does not hold its own source, so there would be no way back; run "
                "deploy/install of the checkout in use once more. Nothing was changed"
            )
        return old

    def _unpack(self, release: Release) -> Path:
        """Unpack a verified archive. Anything but files and folders is rejected."""
        target, size = self._work / "source", 0
        with tarfile.open(release.source) as archive:
            for member in archive:
                parts = Path(member.name).parts
                if not (member.isfile() or member.isdir()) or ".." in parts or parts[:1] == ("/",):
                    raise UpgradeError(f"the source archive holds {member.name}, which is no file")
                path = target.joinpath(*parts[1:])
                if member.isdir():
                    path.mkdir(0o755, parents=True, exist_ok=True)
                    continue
                size += member.size
                if size > _LARGEST:
                    raise UpgradeError(f"the source archive unpacks to more than {_LARGEST} bytes")
                path.parent.mkdir(0o755, parents=True, exist_ok=True)
                content = archive.extractfile(member)
                assert content is not None  # noqa: S101 - it is a file
                with content, path.open("xb") as file:
                    shutil.copyfileobj(content, file)
                path.chmod(0o755 if member.mode & 0o100 else 0o644)
        return target

    def _prepare(self, source: Path) -> Path:
        said = self._root(source / "deploy" / "install", "--prepare").splitlines()
        new = Path(said[-1]) if said else Path()
        if new.parent != self.machine.program / "releases" or not new.is_dir():
            raise UpgradeError("the new program's installer made no program; nothing was changed")
        return new

    def _switch(self, old: Path, new: Path, hosts: list[str]) -> None:
        try:
            self._service("stop")
            self._data("drop", old)
            self._data("keep", old)
            self._root(new / "source" / "deploy" / "install")
            self.say("6. Does it serve?")
            self._ask(hosts)
        except (UpgradeError, OSError, KeyboardInterrupt) as error:
            why = _why(error)
            self.say(f"   No: {why}. Going back.")
            self._go_back()
            advice = _advice(error)
            more = f". {advice}{_AGAIN}" if advice else ""
            raise UpgradeError(f"{why}. The version before serves again{more}") from None
        self._served.replace(self._note)  # needs no space: the disk may be full by now
        self._sync()
        self.say("   Yes")
        self._finish(new)

    def _finish(self, program: Path) -> None:
        self._data("drop", program)
        self._note.unlink()
        self._served.unlink(missing_ok=True)
        self._sync()

    def _go_back(self) -> None:
        """Start the older program again, with data that it can use. This step can be repeated.

        Raises UpgradeError if it fails; in that case the note is kept.
        """
        old = Path(json.loads(self._note.read_text("utf-8"))["old"])
        try:
            self._back_to(old)
        except (UpgradeError, OSError) as error:
            why = _why(error)
            if self.machine.current.resolve() == old:
                with suppress(UpgradeError):  # the error below says that perhaps nothing serves
                    self._service("start")
            raise UpgradeError(
                f"going back was not finished: {why}. It may be that nothing serves now. "
                f"{_advice(error) or _REPAIR}{_AGAIN} at once: it goes back first"
            ) from None

    def _back_to(self, old: Path) -> None:
        self._service("stop")
        self._data("back", old)
        self._root(old / "source" / "deploy" / "install")
        self._ask(self._hosts(old))
        self._finish(old)
        self.say(f"   {old.name} serves again")

    def _hosts(self, program: Path) -> list[str]:
        """Return a host name of each site. The server's account reads them: root must not."""
        hosts = self._data("hosts", program).split()
        if not hosts:
            raise UpgradeError("no site can be read; site check says why")
        return hosts

    def _ask(self, hosts: list[str]) -> None:
        """Request the first page of each site. Raises UpgradeError if a request fails."""
        until = time.monotonic() + self.machine.patience
        for host in hosts:
            while (fault := self._asked(host)) and time.monotonic() < until:
                time.sleep(0.2)
            if fault:
                raise UpgradeError(f"the server does not serve {host}: {fault}")

    def _asked(self, host: str) -> str:
        """Return the fault of a site's first page; "" if the page is served."""
        connection = http.client.HTTPConnection(host, timeout=_ANSWER)
        try:
            with closing(connection), socket.socket(socket.AF_UNIX) as end:
                end.settimeout(_ANSWER)
                end.connect(str(self.machine.socket))
                connection.sock = end
                way = "onion" if host.partition(":")[0].endswith(".onion") else "domain"
                told = {"X-Klankbord-Way": way, "X-Klankbord-Since": f"{time.time():.3f}"}
                connection.request("GET", "/", headers=told)
                status = connection.getresponse().status
        except (OSError, http.client.HTTPException) as error:
            return f"no answer ({type(error).__name__})"
        return "" if status < 400 else f"it answers {status}"

    def _data(self, step: str, program: Path) -> str:
        module = ("-I", "-m", "dropbox_app.server.release.data")
        return self._account(program / "bin" / "python", *module, step, self.machine.data)

    def _account(self, *command: str | Path) -> str:
        account = self.machine.account
        words = (*_AS, account, "--", *command) if account else command
        return self._root(*words, place=self.machine.data)

    def _service(self, what: str) -> None:
        self._root(*self.machine.systemctl, what, "klankbord")

    def _root(self, *command: str | Path, place: Path | None = None) -> str:
        """Run a program and return its output. Raises _Failed with its name and its last output."""
        done = subprocess.run(  # noqa: S603 - an argument list, no shell
            [str(part) for part in command],
            stdin=subprocess.DEVNULL, capture_output=True, text=True, cwd="/", check=False,
        )  # fmt: skip
        if done.returncode:
            last = (done.stderr or done.stdout).strip().splitlines()[-1:] or ["it said nothing"]
            said = last[0].removeprefix("Error: ")
            raise _Failed(f"{place or Path(command[0]).name}: {said}", done.returncode)
        return done.stdout

    def _write_notes(self, old: Path) -> None:
        """Write the notes for an unfinished and for a finished switch. Raises OSError."""
        for path, serves in ((self._served, True), (self._note, False)):
            part = path.with_suffix(".new")
            with part.open("w") as file:
                json.dump({"old": str(old), "serves": serves}, file)
                file.flush()
                os.fsync(file.fileno())
            part.replace(path)
        self._sync()

    def _sync(self) -> None:
        handle = os.open(self.machine.program, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)

    def _sweep(self) -> None:
        """Remove the files of an earlier run, except the notes of an unfinished switch."""
        shutil.rmtree(self._work, ignore_errors=True)
        if not self._note.exists():
            for path in (self._served, self._note.with_suffix(".new")):
                with suppress(OSError):  # on a read-only disk they stay, which does no harm
                    path.unlink(missing_ok=True)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        try:
            handle = os.open(self.machine.program, os.O_RDONLY | os.O_DIRECTORY)
        except OSError:
            raise UpgradeError(
                f"there is no {self.machine.program}: upgrade is for a server that deploy/install "
                "made"
            ) from None
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            yield
        except BlockingIOError:
            raise UpgradeError("another upgrade is under way; nothing was changed") from None
        finally:
            os.close(handle)


def _why(error: BaseException) -> str:
    """Return the reason for a failure, with the file or program concerned."""
    if isinstance(error, OSError) and error.filename:
        return f"{error.filename}: {error.strerror}"
    return str(error) if isinstance(error, (UpgradeError, OSError)) else type(error).__name__


def _advice(error: BaseException) -> str:
    """Return advice for a full or read-only disk, or "" for any other error."""
    if isinstance(error, _Failed):
        return _ADVICE.get(error.status, "")
    return _ADVICE.get(error.errno or 0, "") if isinstance(error, OSError) else ""
