"""Strict reading of ``notify.toml``: the mail provider and the recipients of the daily mail.

The file is outside the server's folder, next to the file with the password. The server itself can
read neither, so a flaw in the server does not reveal a counsellor's mail address.
"""

import re
import stat
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from dropbox_app.server.errors import SettingsError
from dropbox_app.server.notify import status_file

FILE = Path("/etc/klankbord-notify/notify.toml")
LANGUAGES = ("nl", "en")
TLS = ("implicit", "starttls")
MOST = 64 * 1024  # characters

PROXY = re.compile(r"socks5h://(?P<host>[A-Za-z0-9.-]+):(?P<port>[0-9]{1,5})")
_HOST = re.compile(r"(?=.{1,253}$)[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?")
_ADDRESS = re.compile(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[A-Za-z0-9]([A-Za-z0-9.-]{0,180})")
_CARD = re.compile(r"([a-z0-9-]{1,40}/)?[a-z0-9-]{1,40}")
_OPEN = stat.S_IWGRP | stat.S_IRWXO


@dataclass(frozen=True)
class Mailed:
    """A recipient of the mail, and the cards to which the mail refers."""

    cards: tuple[str, ...]  # each SITE/CARD
    address: str
    language: str


@dataclass(frozen=True)
class MailSettings:
    """The provider and the recipients."""

    host: str
    sender: str
    counsellor: tuple[Mailed, ...]
    port: int = 465
    tls: str = "implicit"
    user: str = ""
    password_file: str = "password"  # noqa: S105 - the name of a file
    proxy: str = ""
    password: str = field(default="", repr=False)  # read from its file


def read(path: Path) -> MailSettings:
    """Read the settings and the password. Raises SettingsError, which never quotes an address."""
    try:
        values = tomllib.loads(_private(path))
    except (tomllib.TOMLDecodeError, RecursionError, ValueError):
        raise SettingsError(f"{path}: this is not valid TOML") from None
    try:
        settings = _settings(values)
        if not settings.user:
            return settings
        password = _private(path.parent / settings.password_file).strip("\r\n")
        if not password or not _plain(password):
            raise _Wrong("the password must be one line of plain letters, digits and signs")
    except _Wrong as wrong:
        raise SettingsError(f"{path}: {wrong}") from None
    return MailSettings(**{**vars(settings), "password": password})


class _Wrong(Exception):
    """Raised for a wrong setting, with its name and the expected value."""


def _private(path: Path) -> str:
    """Read a file that only its owner can read and change."""
    try:
        if path.stat().st_mode & _OPEN:
            raise SettingsError(f"{path}: others may read or change it; chmod 640 {path}")
        with path.open(encoding="utf-8") as file:
            text = file.read(MOST + 1)
    except UnicodeDecodeError:
        raise SettingsError(f"{path}: this is not UTF-8") from None
    except OSError as error:
        raise SettingsError(f"{path}: cannot be read: {error.strerror}") from None
    if len(text) > MOST:
        raise SettingsError(f"{path}: it may be at most {MOST} characters")
    return text


def _settings(values: Mapping[str, Any]) -> MailSettings:
    known = {item.name for item in fields(MailSettings)} - {"password"}
    _only_known(values, known, "")
    for key in ("host", "sender", "counsellor"):
        if not values.get(key):
            raise _Wrong(f"{key} is missing; fill in the file as its comments say")
    found = dict(values)
    found["counsellor"] = _counsellors(values["counsellor"])
    settings = MailSettings(**found)
    if not isinstance(settings.host, str) or not _HOST.fullmatch(settings.host):
        raise _Wrong("host must be the name of the provider's server for sending")
    if not _is_address(settings.sender):
        raise _Wrong("sender must be a mail address, and nothing else")
    port = settings.port
    if not isinstance(port, int) or isinstance(port, bool) or not 1 <= port <= 65_535:
        raise _Wrong("port must be a whole number from 1 to 65535")
    if settings.tls not in TLS:
        raise _Wrong(f"tls must be one of {', '.join(TLS)}; mail is never sent without TLS")
    if not isinstance(settings.user, str) or not _plain(settings.user):
        raise _Wrong("user must be one line of plain letters, digits and signs")
    if not isinstance(settings.password_file, str) or not settings.password_file:
        raise _Wrong("password_file must be the name of a file")
    if settings.proxy and not (
        isinstance(settings.proxy, str)
        and (found_proxy := PROXY.fullmatch(settings.proxy))
        and 1 <= int(found_proxy["port"]) <= 65_535
    ):
        raise _Wrong("proxy must be written as socks5h://127.0.0.1:9050")
    return settings


def _counsellors(value: object) -> tuple[Mailed, ...]:
    if not isinstance(value, list) or not all(isinstance(row, dict) for row in value):
        raise _Wrong("each counsellor must be a table of its own, under [[counsellor]]")
    return _once(tuple(_mailed(row) for row in value))


def _mailed(row: Mapping[str, Any]) -> Mailed:
    names = {item.name for item in fields(Mailed)}
    _only_known(row, names, "counsellor.")
    for key in sorted(names - set(row)):
        raise _Wrong(f"counsellor.{key} is missing")
    cards = row["cards"]
    if (
        not isinstance(cards, list)
        or not cards
        or not all(isinstance(card, str) and _CARD.fullmatch(card) for card in cards)
    ):
        raise _Wrong('counsellor.cards must be names as card list shows them, such as ["els"]')
    if not _is_address(row["address"]):
        raise _Wrong(f"counsellor.address of {cards[0]} must be a mail address, and nothing else")
    if row["language"] not in LANGUAGES:
        raise _Wrong(f"counsellor.language of {cards[0]} must be one of {', '.join(LANGUAGES)}")
    return Mailed(
        tuple(status_file.full_name(card) for card in cards), row["address"], row["language"]
    )


def _once(rows: tuple[Mailed, ...]) -> tuple[Mailed, ...]:
    """Check that no address is listed twice, and that only one address receives a card's status."""
    cards = [card for row in rows for card in row.cards]
    if len({row.address.casefold() for row in rows}) < len(rows) or len(set(cards)) < len(cards):
        raise _Wrong("counsellor: an address or a card is listed twice; list each counsellor once")
    return rows


def _only_known(values: Mapping[str, Any], known: set[str], table: str) -> None:
    for key in values:
        if key not in known:
            names = ", ".join(sorted(known))
            raise _Wrong(f"{table}{key} is not a setting; known settings are {names}")


def _is_address(value: object) -> bool:
    return isinstance(value, str) and _ADDRESS.fullmatch(value) is not None


def _plain(text: str) -> bool:
    """Return whether the text is visible ASCII, because an SMTP login can contain nothing else."""
    return text.isascii() and (not text or text.isprintable())
