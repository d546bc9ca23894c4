"""A desk on this disk, a server in memory, and a shared clock."""

import copy
import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from dropbox_app.desk import folder as workplace
from dropbox_app.desk.cli.main import main
from dropbox_app.desk.folder import Machine, Workplace
from dropbox_app.desk.session import Desk, Report
from dropbox_app.desk.storage import vault
from dropbox_app.desk.storage.state import Profile
from dropbox_app.desk.sync import fetch as rounds
from dropbox_app.desk.sync import outbox
from dropbox_app.desk.threads import open_thread
from dropbox_app.desk.threads.open_thread import Case
from dropbox_app.protocol.keys import VerifyKey
from tests.support.codes import cheap_codes
from tests.support.fake_server import Clock, Peer, PeerTransport, Reporter

__all__ = ["cheap_codes"]  # a fixture

PASSPHRASE = "een zin die niemand raadt 1729"


class Office:
    """One counsellor with a desk: short methods that call the real modules."""

    def __init__(self, folder: Path, peer: Peer, clock: Clock, name: str = "Els de Vries") -> None:
        self.folder = folder
        self.peer = peer
        self.clock = clock
        self.name = name
        self.machine = Machine(clock, lambda _: PeerTransport(self.peer), vault.CHEAP_FOR_TESTS)

    def set_up(self, employer: str = "Voorbeeld BV") -> VerifyKey:
        desk = workplace.init(
            self.folder,
            PASSPHRASE,
            self.machine,
            invitation=workplace.read_invitation(self.peer.invitation(employer)),
            profile=Profile(self.name, "external", "both", ("nl", "en")),
            proxy="",
        )
        self.peer.add_card(desk.state.card)
        return desk.identity

    @contextmanager
    def open(self) -> Iterator[Workplace]:
        with workplace.opened(self.folder, PASSPHRASE, self.machine) as place:
            yield place

    @contextmanager
    def desk(self) -> Iterator[Desk]:
        with self.open() as place:
            yield place.one()

    @contextmanager
    def connected(self) -> Iterator[Desk]:
        with self.open() as place, place.connected(place.one()) as desk:
            yield desk

    @property
    def identity(self) -> VerifyKey:
        with self.desk() as desk:
            return desk.identity

    def fetch(self) -> Report:
        with self.connected() as desk:
            rounds.fetch(desk)
            return desk.report

    def fetch_quietly(self) -> None:
        report = self.fetch()
        assert report.alarms == []

    def case(self, mailbox: str) -> Case:
        with self.desk() as desk:
            return open_thread.open_case(desk, mailbox)

    def texts(self, mailbox: str) -> list[str]:
        return [m.text for m in self.case(mailbox).thread.genuine()]

    def reply(self, mailbox: str, text: str) -> Report:
        with self.connected() as desk:
            outbox.write(desk, mailbox, lang="nl", kind="reply", body={"text": text})
            return desk.report

    def forget(self, mailbox: str) -> None:
        with self.desk() as desk:
            workplace.forget(desk, mailbox)

    def run(self, *arguments: str, given: str | None = None, code: int = 0) -> Result:
        """Run the command line with this office's clock and server; return the result."""
        options = ["--dir", str(self.folder), "--passphrase-file", str(self.passphrase_file)]
        result = CliRunner().invoke(
            main, [*options, *arguments], obj=self.machine, input=given, catch_exceptions=False
        )
        assert result.exit_code == code, result.output
        return result

    def json(self, *arguments: str) -> Any:  # noqa: ANN401 - what the command prints
        return json.loads(self.run(*arguments, "--json").stdout)

    @property
    def passphrase_file(self) -> Path:
        file = self.folder.parent / f"{self.folder.name}-passphrase"
        if not file.exists():
            file.write_text(PASSPHRASE + "\n")
            file.chmod(0o600)
        return file


DAY = "2027-01-05"


def without_columns(place: Workplace) -> None:
    """Restore the summary table of versions before 4, without rows."""
    place.database.run("DROP TABLE summary")
    place.database.run(
        "CREATE TABLE summary (site TEXT NOT NULL, mailbox TEXT NOT NULL, fields TEXT NOT NULL, "
        "UNIQUE (site, mailbox))"
    )


@pytest.fixture
def clock() -> Clock:
    return Clock(DAY)


@pytest.fixture
def peer(clock: Clock) -> Peer:
    return Peer(clock)


@pytest.fixture(scope="session")
def mould_of_office(tmp_path_factory: pytest.TempPathFactory) -> Office:
    """Return the template that ``office`` copies."""
    clock = Clock(DAY)
    made = Office(tmp_path_factory.mktemp("office") / "desk", Peer(clock), clock)
    made.set_up()
    made.fetch_quietly()
    return made


@pytest.fixture
def office(tmp_path: Path, peer: Peer, clock: Clock, mould_of_office: Office) -> Office:
    """Return a desk that has fetched once and whose card the operator has added."""
    made = Office(tmp_path / "desk", peer, clock)
    if clock.day == mould_of_office.clock.day and peer == Peer(
        clock, site=peer.site, store=peer.store
    ):
        shutil.copytree(mould_of_office.folder, made.folder)
        known = {
            name: value for name, value in vars(mould_of_office.peer).items() if name != "today"
        }
        vars(peer).update(copy.deepcopy(known))
    else:  # a test may already have changed the day or the server
        made.set_up()
        made.fetch_quietly()
    return made


@pytest.fixture
def reporter(peer: Peer, office: Office) -> Reporter:
    """Return a reporter who has reported to that counsellor; nothing is fetched yet."""
    made = Reporter(peer, office.identity)
    made.report("Het gaat over mijn chef.", ongoing="yes")
    return made


@pytest.fixture
def thread(office: Office, reporter: Reporter) -> str:
    """Fetch that report; return the id of its thread."""
    office.fetch_quietly()
    return reporter.mailbox
