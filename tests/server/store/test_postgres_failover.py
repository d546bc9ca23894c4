"""The primary is killed, its standby takes over: what was confirmed is there, nothing is half."""

import contextlib
import itertools
import os
import random
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from dropbox_app.protocol.encoding import sha256_hex
from dropbox_app.server.errors import StoreError
from dropbox_app.server.store.postgres_inspect import Schema
from tests.support.postgres import NO_POSTGRES, Postgres
from tests.support.processes import until
from tests.support.server_folder import AServer, file, ids
from tests.support.two_stores import OnPostgres

STEPS = ("report", "add", "reply", "file", "withdraw", "purge")


class OnBoth(OnPostgres):
    """A site whose address names a primary and its standby, whichever takes writes."""

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
    """One conversation after the other, each with every step, until the database is gone."""

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
        """What is not there as it was confirmed, or is there in half."""
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
        standby.promote()
        assert life.wrong() == []
        address = kind.addresses[life.server.folder]
        assert Schema(address).look().faults == (("database", ""),)
        life.server.report("after")
        life.server.withdraw("after", 2)
        assert life.server.store.log_size() == 0
