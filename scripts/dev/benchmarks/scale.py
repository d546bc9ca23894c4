"""Measure whether a site with 100,000 items responds like one with 1,000.

Two stores are compared in one run, each with a real server: 100 and 10,000 mailboxes of ten items,
a hundred mailboxes for each counsellor, on disk. The measured counsellor has 100 mailboxes in both.
The stores also contain ids of withdrawn mailboxes, and rows of files that are next to the database.
"""

from __future__ import annotations

import contextlib
import datetime
import json
import secrets
import time
import tomllib
from base64 import b64decode, b64encode
from collections.abc import Generator
from pathlib import Path
from typing import TYPE_CHECKING

from dev.benchmarks.machine import TEXT, cpu_of, own_cpu, say, server_cpu

if TYPE_CHECKING:
    from dropbox_app.protocol.keys import SigningKey
    from dropbox_app.server.store.sqlite import SqliteStore
    from tests.support.drop_box import Counsellor, DropBox

SMALL, LARGE = 100, 10_000  # mailboxes
ITEMS = 10  # in each mailbox, half of them the reporter's
SHARE = 100  # mailboxes of each counsellor
SEALED = 11_408  # bytes of a sealed report to one counsellor (SPEC section 13)
BINDING = 1.2
ROUNDS, TURN = 40, 5
_BATCH = 500
_DUE = 1  # mailboxes that expire in each step: of a hundred that live for 90 days, one a day
_STEPS = 100
_FILE = 1_100_000
_BYTES = secrets.token_bytes(SEALED)


def measure(folder: Path) -> bool:
    """Print each cost in both stores and their ratio; return whether all limits are met."""
    boxes = []
    try:
        for name, count in (("small", SMALL), ("large", LARGE)):
            began = time.monotonic()
            boxes.append(_Site(folder / name, count))
            say(f"{count * ITEMS:>7} items in {count} mailboxes: {time.monotonic() - began:.0f} s")
        small, large = boxes
        say(f"{'':<14}{small.count * ITEMS:>10} {large.count * ITEMS:>10}   binding <= {BINDING}")
        # This comes first: the requests to the small store would be a large part of it.
        costs = [0.0, 0.0]
        steps = [site.purge_steps() for site in boxes]
        for _ in range(_STEPS):
            for at, step in enumerate(steps):
                costs[at] += next(step)
        for step in steps:
            step.close()
        good = _line("purge step", costs, _STEPS, True)
        for site in boxes:
            site.begin()
        for name, binds, works in (
            ("submit", True, [site.submit for site in boxes]),
            ("return", True, [site.come_back for site in boxes]),
            ("inbox page", True, [site.inbox for site in boxes]),
            ("mailboxes", False, [site.listed for site in boxes]),
        ):
            costs = [0.0, 0.0]
            for work in works:
                work()
            for _ in range(ROUNDS):  # in short turns, see ``costs``
                for at, (site, work) in enumerate(zip(boxes, works, strict=True)):
                    costs[at] += server_cpu(site.pid, work, TURN)
            good = _line(name, costs, ROUNDS * TURN, binds) and good
        return good
    finally:
        for site in boxes:
            site.box.stop()


def _line(name: str, costs: list[float], count: int, binds: bool) -> bool:
    small, large = (1000 * cost / count for cost in costs)
    held = large <= BINDING * small
    said = ("held" if held else "NOT HELD") if binds else "not binding"
    say(f"{name:<14}{small:>7.2f} ms {large:>7.2f} ms   {large / small:.2f}  {said}")
    return held or not binds


class _Site:
    """A drop box with a filled store, and the requests to it."""

    def __init__(self, folder: Path, count: int) -> None:
        from tests.support.drop_box import Counsellor, DropBox

        folder.mkdir()
        self.count = count
        self.counsellor = Counsellor(folder / "desk")
        self.box: DropBox = DropBox(folder / "server")
        self.box.add(self.counsellor, self.box.init(), "Bench")
        self._settings()
        self._id = tomllib.loads((self.box.folder / "site.toml").read_text())["site"]
        self._signing = _signing_key(self.counsellor)
        self._token, self._until = "", 0.0
        _fill(self.box, str(self._signing.verify_key), count)

    def _settings(self) -> None:
        path = self.box.folder / "site.toml"
        text = path.read_text()
        lines = [
            "site_bytes = 1000000000000" if line.startswith("site_bytes") else line
            for line in text.splitlines()
        ]
        path.write_text("\n".join(lines) + "\n")

    @property
    def pid(self) -> int:
        assert self.box.process is not None  # noqa: S101 - it is serving
        return self.box.process.pid

    def begin(self) -> None:
        """Start the server, wait for the first purge, and create a reporter with a conversation."""
        from tests.support.plain_browser import PlainBrowser
        from tests.support.steps import come_back, tell, write_on

        self.box.serve()
        plain = PlainBrowser(self.box.url)
        self._report = plain.get("/en/report")
        self._return = plain.get("/en/return")
        reporter = self.box.browser()
        self._code = tell(reporter, "en", TEXT).code
        write_on(reporter, come_back(self.box.browser(), "en", self._code), TEXT)
        used, quiet = cpu_of(self.pid), 0
        deadline = time.monotonic() + 120
        time.sleep(6)  # the upkeep starts five seconds after the server
        while quiet < 4 and time.monotonic() < deadline:
            time.sleep(0.5)
            now = cpu_of(self.pid)
            quiet = quiet + 1 if now - used < 0.02 else 0
            used = now

    def submit(self) -> None:
        from tests.support.plain_browser import PlainBrowser

        form = self._report.form_with("text")
        chosen = {n: v[0] for n, v in form.choices.items() if n == "counsellor"}
        if not PlainBrowser(self.box.url).submit(self._report, form, text=TEXT, **chosen).code:
            raise RuntimeError("a report was not taken")

    def come_back(self) -> None:
        from tests.support.plain_browser import PlainBrowser

        form = self._return.form_with("code")
        page = PlainBrowser(self.box.url).submit(self._return, form, code=self._code)
        if page.path != "/en/conversation":
            raise RuntimeError("a reporter was not let in")

    def inbox(self) -> None:
        """Request the fifth page of the counsellor's inbox."""
        if len(self._asked("/api/desk/inbox?after=400")) < 100 * 200:
            raise RuntimeError("not a whole page")

    def listed(self) -> None:
        if len(self._asked("/api/desk/mailboxes")) < SHARE * 100:
            raise RuntimeError("not all mailboxes")

    def _asked(self, target: str) -> bytes:
        from dropbox_app.protocol import desk_request
        from dropbox_app.protocol.encoding import sha256_hex
        from tests.support.plain_browser import PlainBrowser

        browser = PlainBrowser(self.box.url)
        if time.monotonic() > self._until:
            challenge = browser.get("/api/desk/challenge").text
            self._token = challenge.rpartition('"token":"')[2].partition('"')[0]
            self._until = time.monotonic() + 60
        signed = desk_request.header(
            self._signing, origin=self.box.url, site=self._id,
            token=self._token, method="GET", target=target, body_hash=sha256_hex(b""),
        )  # fmt: skip
        page = browser.request("GET", target, headers={"Authorization": signed})
        if page.status != 200:
            raise RuntimeError(f"{target}: {page.status}")
        return page.body

    def purge_steps(self) -> Generator[float, None, None]:
        """Yield the CPU seconds of one step after another, each with expired mailboxes."""
        from dropbox_app.server.config import site as sites
        from dropbox_app.server.mailboxes import purge
        from dropbox_app.server.store.sqlite import SqliteStore

        today = datetime.datetime.now(datetime.UTC).date()
        site, store = sites.load(self.box.folder), SqliteStore(self.box.folder, lambda: today)
        long_ago = today - datetime.timedelta(days=300)
        with contextlib.closing(store), store.walking():
            while True:
                # In the small store one step covers everything, so it starts at the beginning.
                first = secrets.randbits(255) if self.count > SMALL else 0
                with store.writing():
                    for n in range(_DUE):
                        _mailbox(store, long_ago, f"{first + n + 1:064x}", ["somebody"])
                gone: list[int] = []

                def step(after: str = f"{first:064x}", gone: list[int] = gone) -> None:
                    gone.append(purge.step(site, store, today, after)[0])

                spent = own_cpu(step, 1)
                if gone != [_DUE]:
                    raise RuntimeError(f"{gone} went, not {_DUE}")
                yield spent


def _fill(box: DropBox, own: str, count: int) -> None:
    """Add mailboxes in the state that the rules leave, in large transactions; none has expired."""
    from dropbox_app.server.store.interface import ItemInfo
    from dropbox_app.server.store.sqlite import SqliteStore

    today = datetime.datetime.now(datetime.UTC).date()
    day = today - datetime.timedelta(days=10)
    store = SqliteStore(box.folder, lambda: today)
    desks = [own, *(b64encode(secrets.token_bytes(32)).decode() for _ in range(count // SHARE - 1))]
    for start in range(0, count, _BATCH):
        with store.writing():
            for number in range(start, min(start + _BATCH, count)):
                name = secrets.token_hex(32)
                _mailbox(store, day, name, [desks[number % len(desks)]])
                if number % 100 == 0:  # the row of a file next to the database, without the file
                    info = ItemInfo(secrets.token_hex(32), "attachment", "reporter", 1, day, _FILE)
                    store._run(
                        "INSERT INTO items VALUES (?, ?, ?, ?, ?, ?, ?)",
                        *(info.id, name, info.what, info.author, info.n, str(day), info.size),
                    )
    with store.writing():
        for desk in desks:
            store.set_last_fetch(desk, today)
        for _ in range(count // 10):
            store.add_withdrawn(secrets.token_hex(32), day)
    store.close()


def _mailbox(store: SqliteStore, day: datetime.date, name: str, desks: list[str]) -> None:
    """Add one mailbox: ITEMS messages from both sides in turn, all of them fetched."""
    from dropbox_app.server.store.interface import ItemInfo

    store.add_mailbox(name, secrets.token_hex(32), day)
    for number in range(ITEMS):
        author = desks[0] if number % 2 else "reporter"
        item = secrets.token_hex(32)
        info = ItemInfo(item, "message", author, number // 2 + 1, day, SEALED)
        store.add_item(name, info, _BYTES)
        store.address(item, desks)
        for desk in desks:
            store.set_fetched(desk, item, day)


def _signing_key(counsellor: Counsellor) -> SigningKey:
    """Return the counsellor's key from the desk's vault; a real desk would be too slow here."""
    from dropbox_app.protocol import age
    from dropbox_app.protocol.keys import SigningKey
    from tests.support.drop_box import PASSPHRASE

    vault = age.open_with_passphrase((counsellor.folder / "vault.age").read_bytes(), PASSPHRASE)
    return SigningKey(b64decode(json.loads(vault)["identities"][0]["signing"]))
