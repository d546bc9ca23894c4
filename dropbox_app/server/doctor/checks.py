"""``klankbord-server doctor``: check the server without changing it; explain how to fix faults.

This module checks the sites and backups in a server's folder. ``machine`` checks the host, and
``visit`` opens the sites as a visitor does.
"""

import datetime
import os
import shlex
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path

from dropbox_app.server import account
from dropbox_app.server.backup import directory
from dropbox_app.server.config import check as site_check
from dropbox_app.server.config import loader, paths, settings, stores
from dropbox_app.server.config.loader import Reading, ReadSite
from dropbox_app.server.config.paths import Place
from dropbox_app.server.config.site import CARDS, Site
from dropbox_app.server.doctor import machine
from dropbox_app.server.doctor.finding import Check, Finding, Unseen, fine, note, wrong
from dropbox_app.server.doctor.machine import ROOT, Machine
from dropbox_app.server.errors import ServerError, SettingsError
from dropbox_app.server.mailboxes import purge
from dropbox_app.server.notify import sent_log
from dropbox_app.server.store.files import open_untouched
from dropbox_app.server.store.inspect import Look
from dropbox_app.server.store.sqlite import DATABASE, FILES

SOON = 30  # days; a desk that fetches renews its card long before this
BACKUPS = "see Backups in deploy/guide/routine.md"
POSTGRES = "see PostgreSQL in deploy/guide/scale.md"
OWN_ACCOUNT = "run as the server's own account"
TO_READ = "let somebody read or check it; see deploy/guide/extras.md"
BUILT = datetime.date(2026, 1, 1)  # a correct clock is never earlier than the program's release
SHOWN = 3  # the number of files with the same fault to list


def examine(
    folder: Path, today: datetime.date, name: str | None = None, root: Path = ROOT
) -> tuple[Finding, ...]:
    """Check a server's folder and its host: all sites, or only the one called ``name``.

    ``root`` is the root folder of the host's files.
    """
    try:
        with account.as_owner(folder):
            read, findings = _folder(folder, today, name)
    except SettingsError as error:
        closed = folder.exists() and not os.access(folder, os.R_OK | os.X_OK)
        return (wrong("settings", str(error), OWN_ACCOUNT if closed else "check --dir and --site"),)
    except ServerError as error:
        return (wrong("access", str(error), "see Doctor in deploy/guide/routine.md"),)
    if name is None and folder.is_dir():
        origins = tuple(
            origin
            for site in read.sites
            for origin in (*site.settings.origins, *site.settings.desk_origins)
        )
        around = Machine(root, folder, today, origins)
        findings += _mail(around)
        findings += machine.look(around)
    return tuple(findings)


def _folder(folder: Path, today: datetime.date, name: str | None) -> tuple[Reading, list[Finding]]:
    """Check the server's own folder: the sites and their shared data. Raises SettingsError."""
    every = paths.places(folder)
    places = every if name is None else (paths.chosen(folder, name),)
    read = loader.read(folder)
    findings = [finding for place in places for finding in _site(place, read, today)]
    if name is None and folder.is_dir():
        findings += _server(folder, every, read, today)
    return read, findings


def _verdict(check: Check, fault: str, repair: str, site: str = "") -> Finding:
    return wrong(check, fault, repair, site) if fault else fine(check, site)


def _site(place: Place, read: Reading, today: datetime.date) -> Iterator[Finding]:
    name, folder = place.name, place.folder
    known = read.of(name)
    found = list(_settings(place, read, known, today))
    yield from found
    if known is None:
        return
    if not found:
        yield fine("settings", name)
    site = Site(folder, known.settings)
    yield from _access(folder, name)
    try:
        look = stores.look(place, known.settings)
        remarks = stores.remarks(known.settings)
    except (ServerError, OSError) as error:
        repair = _database_repair(folder) if not known.settings.store else POSTGRES
        yield wrong("database", str(error), repair, name)
        yield from _cards(site, name, today)
        return
    yield from _database(look, name)
    if known.settings.store and (folder / DATABASE).exists():
        said = f"{folder / DATABASE} and {FILES} are left from before its move to PostgreSQL"
        yield wrong(
            "database", said, f"rm -r {DATABASE}* {FILES} in {shlex.quote(str(folder))}", name
        )
    for said in remarks:
        yield wrong("database", said, POSTGRES, name)
    yield from _room(site, look, name)
    yield _clock(look, name, today)
    yield from _cards(site, name, today)
    yield from _desks(site, look, name, today)


def _settings(
    place: Place, read: Reading, known: ReadSite | None, today: datetime.date
) -> Iterator[Finding]:
    """Yield the faults of a site's settings and texts. ``known`` is None if the site is closed."""
    name, folder = place.name, place.folder
    for fault in read.faults:
        if fault.site == name:
            tell = note if fault.note else wrong
            yield tell("settings", fault.said, _settings_repair(fault.said, folder), name)
    if known is None:
        return
    site = Site(folder, known.settings)
    for said in (*site_check.telephone_faults(site), *site_check.no_other_contact(site, today)):
        yield wrong("settings", said, _settings_repair(said, folder), name)
    if not (known.settings.phone or known.settings.telephones):
        yield note(
            "settings", "no telephone is told to reporters",
            "phone or telephones in site.toml: the drop box is never the only way", name,
        )  # fmt: skip
    elif (known.settings.phone and not known.settings.hours) or any(
        not one.hours for one in known.settings.telephones
    ):
        yield note(
            "settings", "a telephone number is told to reporters without the hours when somebody "
            "answers", "hours in site.toml, and in each of its telephones", name,
        )  # fmt: skip
    for said in site_check.stale_texts(known, today):
        yield note("settings", said, TO_READ, name)


def _settings_repair(said: str, folder: Path) -> str:
    """Return how to fix the fault, which depends on whether the file exists and is readable."""
    if settings.FILE_NAME not in said and (folder / settings.FILE_NAME).exists():
        return "correct the file; site check says whether it is right"
    try:
        open_untouched(folder / settings.FILE_NAME).close()
    except PermissionError:
        return OWN_ACCOUNT
    except (FileNotFoundError, NotADirectoryError):
        if (folder / DATABASE).exists():
            # A new file would have another site id, so no code would work.
            return "never make a new one; see Lost settings in deploy/guide/emergencies.md"
        return "check --dir, or make it with init"
    except OSError:
        pass
    return f"correct {settings.FILE_NAME}; site check says whether it is right"


def _database_repair(folder: Path) -> str:
    path = folder / DATABASE
    if path.exists() and not os.access(path, os.R_OK):
        return OWN_ACCOUNT
    log, index = (path.with_name(path.name + end) for end in ("-wal", "-shm"))
    if log.exists() and not index.exists():
        return "start the server, then run doctor again"
    return f"stop the server; {BACKUPS}"


def _access(folder: Path, name: str) -> Iterator[Finding]:
    """Check that the server's account can read every file, and that no other account can."""
    owner = folder.stat().st_uid
    open_to, of_others = [], []
    try:
        for path in _walk(folder):
            found = path.lstat()
            if stat.S_IMODE(found.st_mode) & 0o077 and not stat.S_ISLNK(found.st_mode):
                open_to.append(str(path))
            if found.st_uid != owner:
                of_others.append(str(path))
    except Unseen as error:
        yield machine.could_not_look("access", error.path, folder, name)
        return
    if open_to:
        yield wrong(
            "access",
            f"{_some(open_to)} open to other users",
            f"chmod -R go= {shlex.quote(str(folder))}",
            name,
        )
    if of_others:
        yield wrong(
            "access", f"{_some(of_others)} of another account than {folder}",
            "chown -R --reference={0} {0}".format(shlex.quote(str(folder))), name,
        )  # fmt: skip
    if not open_to and not of_others:
        yield fine("access", name)


def _walk(folder: Path) -> Iterator[Path]:
    """Yield a site's folder and everything in it, except the other sites."""
    left = [folder]
    while left:
        path = left.pop()
        own = path.name != paths.SITES or not (path.parent / settings.FILE_NAME).exists()
        if path == folder or (own and path.is_dir() and not path.is_symlink()):
            try:
                inside = sorted(os.listdir(path), reverse=True)
            except FileNotFoundError:
                continue  # removed after the folder was listed
            except OSError:
                raise Unseen(path) from None
            left += [path / name for name in inside]
        if os.path.lexists(path):
            yield path


def _written(path: Path) -> datetime.date:
    """Return the day of a file's last change; the server does not store the time of day."""
    return datetime.datetime.fromtimestamp(path.stat().st_mtime, datetime.UTC).date()


def _some(names: list[str]) -> str:
    more = len(names) - SHOWN
    return ", ".join(names[:SHOWN]) + (f" and {more} more" if more > 0 else "")


def _database(look: Look, name: str) -> Iterator[Finding]:
    for part, fault in look.faults:
        yield _verdict(part, fault, f"stop the server; {BACKUPS}", name)
    if look.old:
        yield note(
            "database", "it is of an older version; the next start brings it up to date",
            f"make a backup first: backup; {BACKUPS}", name,
        )  # fmt: skip


def _room(site: Site, look: Look, name: str) -> Iterator[Finding]:
    limits = site.settings.limits
    free = shutil.disk_usage(site.folder).free
    low = f"{free} bytes of the disk are free" if free < limits.free_bytes else ""
    places = (site.folder, site.folder / FILES, site.folder / CARDS)
    closed = [str(one) for one in places if one.exists() and os.statvfs(one).f_flag & os.ST_RDONLY]
    if closed:
        yield wrong(
            "free disk", f"{closed[0]} is on a read-only file system",
            "check the kernel log (dmesg); if the disk is faulty, restore to another one",
            name,
        )  # fmt: skip
    else:
        yield _verdict("free disk", low, "make room: no report is taken until then", name)
    most = limits.site_bytes
    full = f"{look.used} of {most} bytes are taken" if look.used > 0.8 * most else ""
    yield _verdict("room", full, "run purge, or raise limits.site_bytes in site.toml", name)


def _clock(look: Look, name: str, today: datetime.date) -> Finding:
    if today < BUILT:
        fault, right = f"it says {today}, before this program was made", ""
    else:
        fault = purge.doubted(look.newest, look.served, look.anything, today)
        right = f"; if it is right: purge --day {today}" if fault else ""
    return _verdict("clock", fault, f"set it (timedatectl set-ntp true){right}", name)


def _cards(site: Site, name: str, today: datetime.date) -> Iterator[Finding]:
    if site.open_cards(today) or site.ended():
        yield fine("counsellors", name)
    else:
        tell = wrong if site.begun() else note  # a new site has no database yet
        yield tell(
            "counsellors", "nobody can be written to: the site is not open",
            "card add a counsellor's card, or let a desk fetch to renew one", name,
        )  # fmt: skip
    faults = [
        wrong("cards", f"{card}: {fault}", f"card retire {card}, then card add a good one", name)
        for card, fault in site.faults()
    ]
    for named in site.cards():
        until = named.card.sealing[-1].until
        if named.card.over(today):
            fault = f"{named.file_name}: it expired on {until}"
        elif (until - today).days < SOON:
            fault = f"{named.file_name}: its keys end on {until}"
        else:
            continue
        faults.append(
            wrong("cards", fault, "let the counsellor's desk fetch: that renews it", name)
        )
    yield from faults or [fine("cards", name)]


def _desks(site: Site, look: Look, name: str, today: datetime.date) -> Iterator[Finding]:
    faults = [
        (note if young else wrong)("desks", said, "ask the counsellor to fetch", name)
        for said, young in site_check.desk_faults(site, look.fetches, today)
    ]
    yield from faults or [fine("desks", name)]


def _server(
    folder: Path, places: tuple[Place, ...], read: Reading, today: datetime.date
) -> Iterator[Finding]:
    """Yield the findings about data that all sites share."""
    known = {place.name for place in places}
    misnamed = [fault for fault in read.faults if fault.site not in known]
    for fault in misnamed:
        yield wrong("sites", fault.said, "give the folder another name")
    if not misnamed:
        yield fine("sites")
    if paths.OWN not in known:
        yield from _access(folder, "")
    place = folder / directory.FOLDER
    try:
        yield from _backups(folder, place, read, today)
    except OSError:
        yield machine.could_not_look("backups", place, folder)


def _backups(folder: Path, place: Path, read: Reading, today: datetime.date) -> Iterator[Finding]:
    """Check the backups in the server's own folder: age of the newest, and every checksum."""
    kept = directory.kept(place)
    _, most = directory.days_kept([one.settings.retention for one in read.sites])
    old = [one.path.name for one in directory.too_old(place, today, most)]
    if old:
        yield wrong("backups", f"past their days: {_some(old)}", "run backup, which removes them")
    if not (folder / directory.KEY).exists():
        yield note(
            "backups", "there is no key to seal them to, so none are made",
            f"backup-key, then backup each day; {BACKUPS}",
        )  # fmt: skip
    elif not kept:
        # If the key was made or restored recently, the timer has not run since.
        young = (today - _written(folder / directory.KEY)).days < directory.SOON
        yield (note if young else wrong)(
            "backups", "there is none" + (" yet" if young else ""),
            "make the first one now: systemctl start klankbord-backup, or backup" if young
            else "run backup, and look why the timer did not",
        )  # fmt: skip
    elif (today - kept[-1].day).days >= directory.SOON:
        fault = f"the newest is of {kept[-1].day}"
        yield wrong("backups", fault, "run backup, and look why the timer did not")
    elif not old:
        yield fine("backups")
    found = [f"{name}: {fault}" for name, fault in directory.faults(place) if fault]
    yield _verdict("backup files", _some(found), "remove them, run backup, and look at the disk")


def _mail(around: Machine) -> Iterator[Finding]:
    """Check the daily mail, if it is set up, without disclosing a status or a person."""
    place = around.path(str(sent_log.PLACE))
    late = sent_log.late(place, around.today) if place.is_dir() else ""
    yield _verdict(
        "daily mail", late, "klankbord-notify --try; see: journalctl -u klankbord-notify"
    )
