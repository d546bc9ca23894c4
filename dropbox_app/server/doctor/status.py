"""The status of a server in a few lines: the output of ``klankbord-server status``.

``doctor`` looks for faults and explains how to fix them. This module reports the current state. The
status contains nothing about reporters: neither the number of conversations or messages, nor their
dates. This module stores nothing and changes nothing.
"""

from __future__ import annotations

import datetime
import re
import shutil
from dataclasses import asdict, dataclass, field
from pathlib import Path

from dropbox_app.server.backup import directory
from dropbox_app.server.config import loader, paths, stores
from dropbox_app.server.config.loader import ReadSite
from dropbox_app.server.config.site import Site
from dropbox_app.server.doctor.finding import NoAnswer
from dropbox_app.server.doctor.machine import Machine
from dropbox_app.server.errors import ServerError, SettingsError
from dropbox_app.server.mailboxes import purge
from dropbox_app.server.notify import sent_log

CERTIFICATE = "/etc/klankbord/nginx/tls/certificate.pem"
_UNSEEN = "this account may not look"


@dataclass
class SiteStatus:
    """One site. ``desks`` maps each card name to the day of its last fetch, or "" for none."""

    name: str
    organisation: str
    open: bool
    why: str  # the reason why the site is closed or purging waits; "" if neither
    desks: dict[str, str] = field(default_factory=dict)
    upkeep: str = ""  # the day of the next purge; "" if it waits or is unknown


@dataclass
class Status:
    """The status of a server. Days are YYYY-MM-DD in UTC, or "" if missing or unreadable."""

    version: str
    sites: list[SiteStatus]
    backup: str
    backup_said: str
    mail: str
    mail_said: str
    free: int  # free bytes of the disk
    bound: int  # bytes that must stay free; below this, nothing new is accepted
    certificate: str
    certificate_said: str
    wrong: list[str]  # the faults that make the exit code 1

    def values(self) -> dict[str, object]:
        """Return the status as data for a program."""
        return asdict(self)


def of(folder: Path, today: datetime.date, version: str, root: Path) -> Status:
    """Read the status of a server's folder. ``root`` is the root folder of the host's files.

    Raises SettingsError if the folder contains no server.
    """
    places = paths.places(folder)
    if not folder.is_dir():
        raise SettingsError(f"{folder} is not a server's folder; check --dir")
    read = loader.read(folder)
    sites = []
    for place in places:
        known = read.of(place.name)
        if known is None:
            said = [one.said for one in read.faults if one.site == place.name and not one.note]
            sites.append(SiteStatus(place.name, "", False, "; ".join(said) or "it cannot be read"))
        else:
            sites.append(_site(known, today))
    bound = max((one.settings.limits.free_bytes for one in read.sites), default=0)
    https = any(o.startswith("https://") for one in read.sites for o in one.settings.origins)
    machine = Machine(root, folder, today)
    made, made_said, no_backup = _backup(folder, today)
    mailed, mailed_said, no_mail = _mail(machine)
    ends, ends_said, no_certificate = _certificate(machine) if https else ("", "no domain", "")
    free = shutil.disk_usage(folder).free
    full = "the disk is too full: nothing new is taken" if free < bound else ""
    wrong = [f"{one.name}: {one.why}" for one in sites if one.why]
    wrong += [fault for fault in (no_backup, no_mail, full, no_certificate) if fault]
    return Status(
        version, sites, made, made_said, mailed, mailed_said, free, bound, ends, ends_said, wrong
    )


def _site(known: ReadSite, today: datetime.date) -> SiteStatus:
    name, settings = known.place.name, known.settings
    site = Site(known.place.folder, settings)
    if site.ended():
        return SiteStatus(name, settings.name, False, "")
    is_open = bool(site.open_cards(today))
    why = "" if is_open else "no counsellor has a card that can be written to"
    status = SiteStatus(name, settings.name, is_open, why)
    try:
        fetched = stores.fetches(known.place, settings)
        newest, served = stores.days(known.place, settings)
    except (ServerError, OSError) as error:
        status.open, status.why = False, str(error)
        return status
    for named in site.cards():
        day = fetched.get(str(named.card.identity))
        status.desks[named.file_name] = str(day) if day else ""
    if purge.doubted(newest, served, True, today):
        status.why = status.why or "purging waits: the clock may be wrong; see doctor"
    elif served:
        status.upkeep = str(max(served + datetime.timedelta(days=1), today))
    return status


def _backup(folder: Path, today: datetime.date) -> tuple[str, str, str]:
    """Return the day of the newest backup, a sentence about it, and its fault or ""."""
    try:
        kept = directory.kept(folder / directory.FOLDER)
        keyed = (folder / directory.KEY).exists()
    except OSError:
        return "", _UNSEEN, ""
    if not kept:
        said = "none yet" if keyed else "none: there is no key to seal them to (backup-key)"
        return "", said, "" if keyed else "there is no key for backups"
    day = kept[-1].day
    old = (today - day).days >= directory.SOON
    return str(day), str(day), f"the newest backup is of {day}" if old else ""


def _mail(machine: Machine) -> tuple[str, str, str]:
    """Return the last day on which all emails were sent, a sentence on it, and its fault or ""."""
    place = machine.path(str(sent_log.PLACE))
    if not place.is_dir():
        return "", "off", ""
    try:
        day = sent_log.last(place)
    except OSError:
        return "", _UNSEEN, ""
    late = sent_log.late(place, machine.today)
    return str(day or ""), str(day or "none yet"), f"daily mail: {late}" if late else ""


def _certificate(machine: Machine) -> tuple[str, str, str]:
    """Return the expiry day of the certificate, a sentence about it, and its fault or ""."""
    words = ("openssl", "x509", "-noout", "-enddate", "-dateopt", "iso_8601", "-in", CERTIFICATE)
    try:
        found = re.fullmatch(r"notAfter=(\d{4}-\d\d-\d\d) .*\n?", machine.ask(*words))
    except NoAnswer:
        found = None
    if not found:
        return "", f"{_UNSEEN}; doctor, as root, does", ""
    over = datetime.date.fromisoformat(found[1]) <= machine.today
    return found[1], f"ends on {found[1]}", "the certificate has expired" if over else ""
