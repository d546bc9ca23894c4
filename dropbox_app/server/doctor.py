"""``klankbord-server doctor``: looks, and says how to repair what is wrong.

It changes nothing, but that it opens a database as a start does: brought up to date.
"""

import datetime
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from dropbox_app.server import (
    backups,
    content,
    last_good,
    layout,
    mail_state,
    reading,
    settings,
    sites,
    upkeep,
)
from dropbox_app.server.errors import ServerError, SettingsError
from dropbox_app.server.layout import Place
from dropbox_app.server.lifetimes import silent
from dropbox_app.server.reading import Reading
from dropbox_app.server.sites import Site
from dropbox_app.server.store import Store
from dropbox_app.server.store.sqlite import DATABASE, FILES, WITHDRAWN, SqliteStore

SOON = 30  # days: a desk that fetches renews its card long before that
BACKUPS = "see Backups in deploy/README.md"
OWN_ACCOUNT = "run as the server's own account"
BUILT = datetime.date(2026, 1, 1)  # no true clock is before the program


@dataclass(frozen=True)
class Finding:
    """One thing looked at. A ``note`` is for the operator to judge, and fails nothing."""

    check: str
    state: Literal["fine", "note", "wrong"]
    fault: str = ""
    repair: str = ""

    def __str__(self) -> str:
        said = f"{self.state:5}  {self.check}"
        if self.state == "fine":
            return said
        return f"{said}: {self.fault}\n       {self.repair}"


def examine(folder: Path, today: datetime.date, name: str | None = None) -> tuple[Finding, ...]:
    """Look a server's folder and its machine over: all sites, or the one of this name."""
    try:
        every = layout.places(folder)
        places = every if name is None else (layout.chosen(folder, name),)
    except SettingsError as error:
        return (_finding("settings", str(error), "check --dir and --site"),)
    read = reading.read(folder)
    findings: list[Finding] = []
    for place in places:
        own = _site(place, read, today)
        if len(every) > 1:
            own = (replace(finding, check=f"{place.name}: {finding.check}") for finding in own)
        findings += own
    if name is None:
        findings += [
            Finding("sites", "wrong", fault.said, "give the folder another name")
            for fault in read.faults
            if fault.site not in {place.name for place in every}
        ]
        findings += _backups(folder, read, today)
        findings += _mail(mail_state.PLACE, today)
    return (*findings, *_machine())


def _site(place: Place, read: Reading, today: datetime.date) -> Iterator[Finding]:
    folder = place.folder
    faults = [fault for fault in read.faults if fault.site == place.name]
    for fault in faults:
        state: Literal["note", "wrong"] = "note" if fault.note else "wrong"
        yield Finding("settings and pages", state, fault.said, _repair(fault.said, folder))
    known = read.of(place.name)
    if known is None:
        return
    site = Site(folder, known.settings)
    if not faults:
        yield Finding("settings", "fine")
    yield from _modes(folder)
    try:
        store = SqliteStore(folder, lambda: today, place.reserve)
    except ServerError as error:
        yield _finding("database", str(error), _database_repair(folder))
        yield from _cards(site, today)
        return
    try:
        yield from _store(store)
        yield from _room(site, store)
        yield from _clock(store, today)
        yield from _cards(site, today)
        yield from _desks(site, store, today)
    except ServerError as error:
        yield _finding("database", str(error), _database_repair(folder))
    finally:
        store.close()


def _finding(check: str, fault: str, repair: str) -> Finding:
    return Finding(check, "wrong", fault, repair) if fault else Finding(check, "fine")


def _repair(said: str, folder: Path) -> str:
    """What helps depends on whether the file is there, and may be read."""
    if settings.FILE_NAME not in said and (folder / settings.FILE_NAME).exists():
        return "correct the file; site check says whether it is right"
    try:
        (folder / settings.FILE_NAME).open("rb").close()
    except PermissionError:
        return OWN_ACCOUNT
    except (FileNotFoundError, NotADirectoryError):
        if last_good.load(folder) or (folder / DATABASE).exists():
            # A new one would have another site id, and end every code.
            return "never make a new one; see Lost settings in deploy/README.md"
        return "check --dir, or make it with init"
    except OSError:
        pass
    return f"correct {settings.FILE_NAME}; site check says whether it is right"


def _database_repair(folder: Path) -> str:
    path = folder / DATABASE
    closed = path.exists() and not os.access(path, os.R_OK | os.W_OK)
    return OWN_ACCOUNT if closed else BACKUPS


def _modes(folder: Path) -> Iterator[Finding]:
    """Nobody but the server's own user may read anything here."""
    wrong = []
    own = (settings.FILE_NAME, content.FOLDER, last_good.FILE, sites.CARDS, sites.RETIRED)
    for name in ("", *own, DATABASE, FILES, WITHDRAWN):
        path = folder / name
        if path.exists() and stat.S_IMODE(path.stat().st_mode) & 0o077:
            wrong.append(str(path))
    yield _finding(
        "access to the files", ", ".join(wrong) + " open to other users" if wrong else "",
        f"chmod -R go= {folder}",
    )  # fmt: skip


def _store(store: Store) -> Iterator[Finding]:
    for check, fault in store.checks():
        yield _finding(check, fault, f"stop the server; {BACKUPS}")


def _room(site: Site, store: Store) -> Iterator[Finding]:
    limits = site.settings.limits
    used, free = store.used(), store.free()
    low = f"{free} bytes of the disk are free" if free < limits.free_bytes else ""
    yield _finding("free disk", low, "make room: nothing new is taken until then")
    full = (
        f"{used} of {limits.site_bytes} bytes are taken" if used > 0.9 * limits.site_bytes else ""
    )
    yield _finding("room for reports", full, "run purge, or raise limits.site_bytes")


def _clock(store: Store, today: datetime.date) -> Iterator[Finding]:
    if today < BUILT:
        fault, right = f"it says {today}, before this program was made", ""
    else:
        fault = upkeep.doubt(store, today)
        right = f"; if it is right: purge --day {today}" if fault else ""
    yield _finding("clock", fault, f"set it (timedatectl set-ntp true){right}")


def _cards(site: Site, today: datetime.date) -> Iterator[Finding]:
    if not site.open_cards(today):
        yield _finding(
            "counsellors", "nobody can be written to today: the site is not open",
            "card add a counsellor's card, or let a desk fetch to renew one",
        )  # fmt: skip
    for name, fault in site.faults():
        yield _finding(f"card {name}", fault, f"card retire {name}, then card add a good one")
    for named in site.cards():
        until = named.card.sealing[-1].until
        fault = ""
        if named.card.over(today):
            fault = f"it is over since {until}"
        elif (until - today).days < SOON:
            fault = f"its keys end on {until}"
        yield _finding(
            f"card {named.file_name}", fault, "let the counsellor's desk fetch: that renews it"
        )


def _desks(site: Site, store: Store, today: datetime.date) -> Iterator[Finding]:
    for named in site.cards():
        last = store.last_fetch(str(named.card.identity))
        fault = ""
        if silent(last, today, site.settings.retention):
            fault = f"not fetched since {last}" if last else "has never fetched"
        yield _finding(f"desk of {named.file_name}", fault, "ask the counsellor to fetch")


def _backups(folder: Path, read: Reading, today: datetime.date) -> Iterator[Finding]:
    """Those in the server's own folder: the newest one's age, and every checksum."""
    place = folder / backups.FOLDER
    kept = backups.kept(place)
    if not (folder / backups.KEY).exists():
        yield Finding(
            "backups", "note", "there is no key to seal them to, so none are made",
            f"backup-key, then backup each day; {BACKUPS}",
        )  # fmt: skip
    else:
        fault = ""
        if not kept:
            fault = "there is none"
        elif (today - kept[-1].day).days >= backups.SOON:
            fault = f"the newest is of {kept[-1].day}"
        yield _finding("backups", fault, "run backup, and look why the timer did not")
    _, most = backups.days_kept([one.settings.retention for one in read.sites])
    old = [one.path.name for one in backups.too_old(place, today, most)]
    if old:
        yield _finding("age of backups", f"past its days: {', '.join(old)}", "run backup")
    for name, fault in backups.faults(place):
        if fault:
            yield _finding(f"backup {name}", fault, "remove it, run backup, and look at the disk")


def _mail(place: Path, today: datetime.date) -> Iterator[Finding]:
    """The daily mail to counsellors, where there is one. Says no word and nobody's name."""
    if place.is_dir():
        late = mail_state.late(place, today)
        yield _finding(
            "daily mail", late, "klankbord-notify --try; see: journalctl -u klankbord-notify"
        )


def _machine() -> Iterator[Finding]:
    """What of the machine can be seen from here: only ever notes."""
    swaps = _lines(Path("/proc/swaps"))[1:]
    if any(not line.startswith("/dev/zram") for line in swaps):
        yield Finding(
            "swap", "note", "this machine may write memory to disk",
            "swapoff -a, or encrypt the swap with a key that is made at each start",
        )  # fmt: skip
    else:
        yield Finding("swap", "fine")
    pattern = "".join(_lines(Path("/proc/sys/kernel/core_pattern")))
    if pattern.startswith("|"):
        yield Finding(
            "core dumps", "note", "a program of the system collects them",
            "the server asks to be left out; to be sure: sysctl kernel.core_pattern=core",
        )  # fmt: skip
    else:
        yield Finding("core dumps", "fine")
    if os.geteuid() == 0:
        yield Finding("user", "note", "this runs as root", "give the server a user of its own")


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text("utf-8").splitlines()
    except OSError:
        return []
