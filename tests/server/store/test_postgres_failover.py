"""The primary is killed and its standby takes over: no confirmed step is lost or partial."""

import contextlib
import itertools
import os
import random
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from dropbox_app.protocol.encoding import sha256_hex
from dropbox_app.server.errors import SiteFull, StoreBusy, StoreError, StoreUnsure
from dropbox_app.server.store import postgres_connections
from dropbox_app.server.store.postgres_inspect import Schema
from tests.support.postgres import NO_POSTGRES, Postgres, open_store
from tests.support.processes import until
from tests.support.programs import needs_root
from tests.support.server_folder import ANNA, AServer, file, ids, message
from tests.support.two_stores import OnPostgres

STEPS = ("report", "add", "reply", "file", "withdraw", "purge")


class OnBoth(OnPostgres):
    """A site whose address names a primary and its standby; it uses the one that is writable."""

    def __init__(self, primary: Postgres, standby: Postgres) -> None:
        super().__init__(primary)
        self.hosts = f"{primary.folder},{standby.folder}"

    def setting(self, folder: Path) -> str:
        super().setting(folder)
        both = {"host": self.hosts, "target_session_attrs": "read-write"}
        self.addresses[folder] = {**self.addresses[folder], **both}
        return self.running.url(self.addresses[folder])


@dataclass
class Life:
    """One conversation after another, each with every step, until the database is killed."""

    server: AServer
    kept: dict[str, set[str]] = field(default_factory=dict)  # what confirmed steps left of each
    under_way: tuple[str, str] = ("", "")  # the conversation and the step that was not confirmed
    steps: int = 0

    def run(self) -> None:
        try:
            for number in itertools.count():
                for step in STEPS:
                    self.under_way = (f"conversation {number}", step)
                    self._do(*self.under_way)
                    self.steps += 1
        except StoreError:
            return

    def _do(self, name: str, step: str) -> None:
        if step == "purge":
            self.server.purge()
            return
        does: dict[str, Callable[[], bytes]] = {
            "report": lambda: self.server.report(name),
            "add": lambda: self.server.add(name, 2),
            "reply": lambda: self.server.reply(name, 1),
            "file": self._large(name),
            "withdraw": lambda: self.server.withdraw(name, 3),
        }
        item = sha256_hex(does[step]())
        before = set() if step == "withdraw" else self.kept.get(name, set())
        self.kept[name] = before | {item}

    def _large(self, name: str) -> Callable[[], bytes]:
        sealed = file(2, 1_500_000)

        def put() -> bytes:
            self.server.put_file(name, sealed)
            return sealed

        return put

    def wrong(self) -> list[str]:
        """Return differences from the confirmed data, and partially stored data."""
        found = []
        name, step = self.under_way
        for conversation in {*self.kept, name}:
            confirmed = self.kept.get(conversation, set())
            there = {item.id for item in self.server.store.items(ids(conversation)[0])}
            may_be = [confirmed]
            if conversation == name and step != "purge":
                before = set() if step == "withdraw" else confirmed
                more = there - confirmed
                may_be += [before | more] if len(more) == 1 else []
            if there not in may_be:
                found.append(f"{conversation}: {len(confirmed)} confirmed, {len(there)} there")
            for item in there:
                read = self.server.store.read(item)
                if read is None or sha256_hex(read) != item:
                    found.append(f"{conversation}: an item does not open")
        return found


def _seeds() -> range:
    return range(40 if os.environ.get("KLANKBORD_LONG") == "1" else 3)


@pytest.mark.skipif(bool(NO_POSTGRES), reason=NO_POSTGRES)
@pytest.mark.parametrize("seed", _seeds())
def test_failover_keeps_confirmed_steps_and_leaves_no_partial_ones(
    tmp_path: Path, seed: int
) -> None:
    chance = random.Random(seed)  # noqa: S311 - the same steps again from their seed
    with contextlib.ExitStack() as stack:
        primary = Postgres()
        stack.callback(primary.close)
        standby = Postgres(primary)
        stack.callback(standby.close)
        primary.wait_for(standby)
        kind = OnBoth(primary, standby)
        life = Life(AServer(tmp_path / "server", on=kind))
        stack.callback(life.server.store.close)
        writer = threading.Thread(target=life.run)
        writer.start()
        steps = 8 + chance.randrange(2 * len(STEPS))
        until(lambda: life.steps >= steps, "nothing is stored")
        writer.join(chance.random() * 0.03)  # somewhere within a step
        primary.kill()
        writer.join(60)
        assert not writer.is_alive()
        with pytest.raises(StoreBusy):  # not yet promoted
            life.server.store.mailboxes()
        address = kind.addresses[life.server.folder]
        with pytest.raises(StoreError, match="no server there takes writes"):
            open_store(address, life.server.today)
        standby.promote()
        assert life.wrong() == []
        assert Schema(address).look().faults == (("database", ""),)
        life.server.report("after")
        life.server.withdraw("after", 2)
        assert life.server.store.log_size() == 0


@pytest.mark.skipif(bool(NO_POSTGRES), reason=NO_POSTGRES)
def test_report_repeated_after_a_standby_failure_is_stored_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres_connections, "COMMIT_SECONDS", 0.5)
    with contextlib.ExitStack() as stack:
        primary = Postgres()
        stack.callback(primary.close)
        standby = Postgres(primary)
        stack.callback(standby.close)
        primary.wait_for(standby)
        server = AServer(tmp_path / "server", on=OnPostgres(primary))
        stack.callback(server.store.close)
        sealed, (mailbox, access) = message(1), ids("one")

        def submit() -> None:
            server.mailboxes.submit(mailbox=mailbox, access=access, to=(ANNA,), sealed=sealed)

        with standby.stopped(), pytest.raises(StoreUnsure):
            submit()
        submit()
        assert [item.id for item in server.store.items(mailbox)] == [sha256_hex(sealed)]
        assert len(server.mailboxes.inbox(ANNA, 0)[0]) == 1


@pytest.mark.skipif(bool(NO_POSTGRES), reason=NO_POSTGRES)
@needs_root
def test_full_disk_loses_no_confirmed_report(tmp_path: Path) -> None:
    disk = Path(tempfile.mkdtemp(prefix="klankbord-disk-"))  # where PostgreSQL's account has access
    mount = ("mount", "-t", "tmpfs", "-o", "size=200m,mode=755", "disk", disk)
    with contextlib.ExitStack() as stack:
        stack.callback(disk.rmdir)
        if subprocess.run(mount, check=False).returncode:
            pytest.skip("no disk can be mounted here")
        stack.callback(subprocess.run, ("umount", "-l", disk), check=True)
        running = Postgres(disk=disk)
        stack.callback(running.close)
        server = AServer(tmp_path / "server", on=OnPostgres(running))
        stack.callback(server.store.close)
        server.report("begun")
        filler = disk / "filler"
        filler.write_bytes(bytes(max(0, shutil.disk_usage(disk).free - 6_000_000)))
        confirmed: list[str] = []

        def go_on() -> None:
            for number in itertools.count():
                server.report(f"report {number}")
                confirmed.append(f"report {number}")
                server.put_file(f"report {number}", file(2, 1_500_000))

        with pytest.raises((StoreError, SiteFull)):
            go_on()
        filler.unlink()
        until(lambda: _answers(server), "the database does not come back")
        for name in confirmed:
            assert server.store.newest(ids(name)[0]) == {"reporter": 1}
        server.withdraw("begun", 2)
        server.report("after")


def _answers(server: AServer) -> bool:
    try:
        server.store.mailboxes()
    except StoreError:
        return False
    return True
