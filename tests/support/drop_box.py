"""A real drop box for end-to-end tests: gunicorn with two workers, and a counsellor's desk."""

import contextlib
import json
import os
import shutil
import subprocess
import sys
import urllib.request
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner

from dropbox_app.desk.cli.main import main as desk
from dropbox_app.desk.folder import Machine
from dropbox_app.desk.storage.vault import CHEAP_FOR_TESTS
from dropbox_app.server.cli.main import main as server
from tests.support.forks import Fork, operate
from tests.support.plain_browser import PlainBrowser
from tests.support.ports import free_port
from tests.support.postgres import Postgres
from tests.support.processes import children, kill_group, until

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent
PASSPHRASE = "een zin die niemand raadt 1729"


def run(
    *arguments: str | Path, check: bool = True, env: dict[str, str] | None = None, given: str = ""
) -> subprocess.CompletedProcess[str]:
    """Run a program of the project and return the result; a failure shows its output."""
    done = subprocess.run(
        [str(a) for a in arguments],
        capture_output=True,
        text=True,
        input=given,
        timeout=120,
        env={**os.environ, **(env or {})},
        check=False,
    )
    if check:
        assert done.returncode == 0, f"{arguments}: {done.returncode}\n{done.stdout}{done.stderr}"
    return done


def typed(
    command: click.Command,
    words: Sequence[str | Path],
    *,
    check: bool,
    obj: object = None,
    given: str = "",
) -> subprocess.CompletedProcess[str]:
    """Type a command in this process, which has loaded it, and return the result."""
    said = CliRunner().invoke(command, [*map(str, words)], obj=obj, input=given)
    if said.exception is not None and not isinstance(said.exception, SystemExit):
        raise said.exception
    if check:
        assert said.exit_code == 0, f"{words}: {said.exit_code}\n{said.output}"
    return subprocess.CompletedProcess(words, said.exit_code, said.stdout, said.stderr)


# The command with a vault that costs nothing to open: each call would else hash for seconds.
CHEAP = Machine(log_n=CHEAP_FOR_TESTS)
CHEAP_PROGRAM = """
from dropbox_app.desk.cli.main import main
from dropbox_app.desk.folder import Machine
from dropbox_app.desk.storage.vault import CHEAP_FOR_TESTS
main(obj=Machine(log_n=CHEAP_FOR_TESTS), prog_name="klankbord-desk")
"""


class Counsellor:
    """A counsellor's computer: the command, one folder, one passphrase file.

    If it has its own environment, for a different clock, each call runs in a separate process.
    """

    def __init__(self, folder: Path, env: dict[str, str] | None = None) -> None:
        self.folder = folder / "desk"
        self.passphrase_file = folder / "passphrase"
        folder.mkdir(parents=True, exist_ok=True)
        self.passphrase_file.write_text(PASSPHRASE + "\n")
        self.passphrase_file.chmod(0o600)
        self.env = env or {}

    def desk(
        self, *arguments: str | Path, check: bool = True, given: str = ""
    ) -> subprocess.CompletedProcess[str]:
        """Run a command and return the result; a failure shows its output."""
        if self.env:
            command = (sys.executable, "-c", CHEAP_PROGRAM, *self._where, *arguments)
            return run(*command, check=check, env=self.env, given=given)
        return typed(desk, (*self._where, *arguments), check=check, obj=CHEAP, given=given)

    @property
    def _where(self) -> tuple[str, ...]:
        return ("--dir", str(self.folder), "--passphrase-file", str(self.passphrase_file))

    def threads(self) -> list[dict[str, Any]]:
        listed: list[dict[str, Any]] = json.loads(self.desk("list", "--json").stdout)
        return listed

    def read(self, thread: str) -> dict[str, Any]:
        shown: dict[str, Any] = json.loads(self.desk("read", thread, "--json").stdout)
        return shown

    def reply(self, thread: str, text: str, *files: Path) -> None:
        file = self.folder.parent / "reply.txt"
        file.write_text(text)
        more = [part for path in files for part in ("--file", path)]
        self.desk("reply", thread, "--text-file", file, *more)
        file.unlink()


class DropBox:
    """One server folder and, while it serves, its gunicorn with two workers."""

    def __init__(
        self, folder: Path, env: dict[str, str] | None = None, port: int | None = None
    ) -> None:
        self.folder = folder
        self.port = port or free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.bind = f"127.0.0.1:{self.port}"
        self.env = env or {}
        self.log = folder.parent / f"{folder.name}.log"
        self.process: subprocess.Popen[bytes] | Fork | None = None
        self.database: Postgres | None = None  # where the conversations are, if not in the folder
        self.under: tuple[str, ...] = ()  # a program that starts the server, as strace does
        self.forked = True  # instead of started as a program, unless it has an environment
        self.cheap_codes = False  # hashed at once, which only a fork can do

    def server(
        self, *arguments: str | Path, check: bool = True
    ) -> subprocess.CompletedProcess[str]:
        """Run an operator's command.

        With its own environment, or if it gives up root's rights, it runs in a separate process.
        """
        words = ("--dir", self.folder, *arguments)
        ours = not self.folder.exists() or self.folder.stat().st_uid == os.geteuid()
        if self.env or not ours:
            return run(BIN / "klankbord-server", *words, check=check, env=self.env)
        return typed(server, words, check=check)

    def init(self, name: str = "Voorbeeld BV", store: str = "") -> str:
        return self.server(
            *("init", "--name", name, "--origin", self.url, "--store", store),
            *("--phone", "030 123 45 67", "--hours", "9-17"),
        ).stdout

    def add(
        self, counsellor: Counsellor, invitation: str, name: str, site: str = "", proxy: str = ""
    ) -> None:
        """Add a counsellor: invitation, card, fingerprint, confirmation."""
        folder = counsellor.folder.parent
        (folder / "invitation").write_text(invitation)
        way = ("--proxy", proxy) if proxy else ()
        counsellor.desk("init", folder / "invitation", "--name", name, "--kind", "external", *way)
        card = folder / "own.card"
        said = counsellor.desk("card", "--out", card)
        groups = next(line for line in said.stdout.splitlines() if len(line.split()) == 10)
        short = name.split()[0].lower()
        self.server(
            *("card", "add", card, *(("--site", site) if site else ())),
            *("--name", short, "--fingerprint", groups.strip()),
        )

    def serve(self) -> None:
        start_serving(self)
        until(self._answers, "the server does not answer")

    def _answers(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, self.log.read_text()
        try:
            urllib.request.urlopen(self.url + "/nl/", timeout=5).close()  # noqa: S310 - loopback
        except OSError:
            return False
        return True

    def stop(self) -> None:
        if self.process is not None:
            self.process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(20)
            self.kill()

    def kill(self) -> None:
        """Kill the server and its children with kill -9; its port is free afterwards."""
        assert self.process is not None
        kill_group(self.process)
        self.process = None

    def restart(self) -> None:
        self.stop()
        self.serve()

    def workers(self) -> list[int]:
        """Return the worker processes."""
        assert self.process is not None
        return children(self.process.pid)

    def processes(self) -> list[int]:
        """Return the server's processes: the parent, then its workers."""
        assert self.process is not None
        return [self.process.pid, *children(self.process.pid)]

    def browser(self, *, cookies: bool = True) -> PlainBrowser:
        return PlainBrowser(self.url, cookies=cookies)


def start_serving(box: DropBox) -> None:
    """Start the real server of a drop box; it does not respond yet."""
    words = ("--dir", str(box.folder), "serve", "--bind", box.bind, "--workers", "2")
    if box.forked and not (box.env or box.under):
        box.process = Fork(operate, (words, box.cheap_codes), box.log)
        return
    assert not box.cheap_codes
    with box.log.open("ab") as log:
        box.process = subprocess.Popen(
            (*box.under, str(BIN / "klankbord-server"), *words),
            stdout=log,
            stderr=log,
            env={**os.environ, **box.env},
            start_new_session=True,
        )


@pytest.fixture(scope="session")
def mould(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, int]:
    """Return the template of a set-up drop box and desk, which each test copies."""
    folder = tmp_path_factory.mktemp("mould")
    made, els = DropBox(folder / "server"), Counsellor(folder / "els")
    made.add(els, made.init(), "Els de Vries")
    made.serve()
    try:
        els.desk("fetch")
    finally:
        made.stop()
    return folder, made.port


@pytest.fixture
def counsellor(tmp_path: Path, mould: tuple[Path, int]) -> Counsellor:
    shutil.copytree(mould[0] / "els", tmp_path / "els")
    return Counsellor(tmp_path / "els")


@pytest.fixture
def box(tmp_path: Path, mould: tuple[Path, int]) -> Iterator[DropBox]:
    """Yield a running drop box with one counsellor, whose desk has fetched once."""
    shutil.copytree(mould[0] / "server", tmp_path / "server")
    made = DropBox(tmp_path / "server", port=mould[1])
    made.serve()
    try:
        yield made
    finally:
        made.stop()


@pytest.fixture(params=["sqlite", "postgres"])
def both(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[DropBox, Counsellor]]:
    """Yield a running drop box and its counsellor, on each store."""
    if request.param == "sqlite":
        yield request.getfixturevalue("box"), request.getfixturevalue("counsellor")
        return
    running: Postgres = request.getfixturevalue("postgres")
    box, els = DropBox(tmp_path / "server"), Counsellor(tmp_path / "els")
    box.database = running
    box.add(els, box.init(store=running.url(running.site())), "Els de Vries")
    box.serve()
    try:
        yield box, els
    finally:
        box.stop()
