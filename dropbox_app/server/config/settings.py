"""``site.toml``: the operator's settings of a site. Strict: a wrong setting is named.

Nothing is guessed: an unknown key, a wrong type or an origin in another form than a desk signs is
refused with the file, the line, the key and the expected value.
"""

import datetime
import io
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from dropbox_app.protocol.encoding import check_hex
from dropbox_app.protocol.errors import FormatError
from dropbox_app.server.config import origins
from dropbox_app.server.config.languages import ALWAYS, PAGE_LANGUAGES
from dropbox_app.server.config.law import DRAFTS
from dropbox_app.server.config.toml_fields import (
    Wrong,
    one_line,
    only_known,
    whole_number,
    yes_or_no,
)
from dropbox_app.server.errors import SettingsError
from dropbox_app.server.store.files import read_small

FILE_NAME = "site.toml"
MIB = 1024 * 1024
MAX_CHARACTERS = 16 * 1024  # of the file; init writes a quarter of that

MOST_NUMBERS = 6

TELEPHONE = re.compile(r"\+?[0-9][0-9 ()-]{1,28}[0-9]")
_AT_LINE = re.compile(r" \(at line ([0-9]+), column [0-9]+\)")


BACKUPS_KEPT = 14  # days; fewer if a site's setting says so


@dataclass(frozen=True)
class Retention:
    """Lifetimes in days (SPEC section 9)."""

    reporter_items: int = 30  # after each addressed counsellor has fetched it
    counsellor_items: int = 90  # the same, for a counsellor's messages
    unfetched: int = 180  # at most, while a counsellor has not fetched it
    idle: int = 90  # a mailbox after the last addition
    notice: int = 14  # from when the page announces the end
    absence: int = 30  # a mailbox after an announced absence that would outlive it
    silent_desk: int = 14  # no fetch for this long: the desk may not come back
    withdrawn_ids: int = 31  # longer than any backup lives
    backup: int = 30  # at most, wherever a copy is

    @property
    def backups_kept(self) -> int:
        """How many days the server keeps its own backups while newer ones are made."""
        return min(BACKUPS_KEPT, self.backup)


@dataclass(frozen=True)
class Limits:
    """The limits, in bytes unless stated otherwise."""

    text: int = 60_000  # all free text of one message
    file: int = 100 * MIB  # an attachment before it is sealed
    files_per_message: int = 10
    mailbox_bytes: int = 1024 * MIB
    # For all messages of one mailbox, half for the reporter and half for the counsellors: neither
    # side can silence the other, and a page that shows them all stays within bounds.
    messages: int = 500  # a number
    message_bytes: int = 8 * MIB
    site_bytes: int = 10 * 1024 * MIB
    # Free bytes on the disk; below it no text from reporters is accepted, below twice as much no
    # files, and below half of it no answers.
    free_bytes: int = 256 * MIB


@dataclass(frozen=True)
class Crisis:
    """A number to call in an emergency, and its purpose in each language."""

    number: str
    nl: str
    en: str

    def why(self, lang: str) -> str:
        """Return the purpose of the number, in a language of the pages."""
        return self.nl if lang == "nl" else self.en


@dataclass(frozen=True)
class OtherContact:
    """Somebody to call about the counsellors themselves; both fields are empty if there is none."""

    name: str = ""
    phone: str = ""

    def __bool__(self) -> bool:
        return bool(self.name)


@dataclass(frozen=True)
class Own:
    """The telephone number of one counsellor. ``card``: the name of the card file."""

    card: str
    phone: str
    hours: str = ""


@dataclass(frozen=True)
class Reporter:
    """How a reporter's browser takes part. ``seal_in_browser``: the reporter API is served."""

    seal_in_browser: bool = False


@dataclass(frozen=True)
class Law:
    """The text on the law: its source, its author, and who read it.

    ``author`` wrote the site's own text; ``read_by`` and ``read_on`` concern the text shown.
    """

    draft: str = DRAFTS[0]
    author: str = ""
    read_by: str = ""
    read_on: datetime.date | None = None


@dataclass(frozen=True)
class Settings:
    """The operator's settings of a site, as the reporter's pages show them."""

    site: str  # 16 random bytes in hex, made by init; it is part of every code
    name: str  # the organisation
    origins: tuple[str, ...]  # where the site is reached: scheme://host[:port]
    desk_origins: tuple[str, ...] = ()  # where desks reach it; if empty, at ``origins``
    run_by: str = ""  # who runs the server
    run_by_is_employer: bool = False
    controller: str = ""  # the controller of the personal data, as the privacy page names them
    phone: str = ""  # the counsellor's telephone
    hours: str = ""
    telephones: tuple[Own, ...] = ()  # counsellors who have a telephone of their own
    other_contact: OtherContact = field(default_factory=OtherContact)
    languages: tuple[str, ...] = ALWAYS  # of the pages
    leave_to: str = "https://www.wikipedia.org/"
    response_days: int = 2  # working days: the one clock, see ``response``
    crisis: tuple[Crisis, ...] = ()  # empty: the numbers in the catalogues
    law: Law = field(default_factory=Law)
    reporter: Reporter = field(default_factory=Reporter)
    retention: Retention = field(default_factory=Retention)
    limits: Limits = field(default_factory=Limits)


def read(folder: Path) -> Settings:
    """Read a folder's settings. Raises SettingsError naming the file, the key and its form."""
    return parse(text_of(folder), folder / FILE_NAME)


def text_of(folder: Path) -> str:
    """Return the settings file of a folder as text. Raises SettingsError."""
    path = folder / FILE_NAME
    try:
        data = read_small(path, MIB)  # ``parse`` reports a text that is too long
        return io.TextIOWrapper(io.BytesIO(data), "utf-8").read()
    except FileNotFoundError:
        raise SettingsError(
            f"{folder} is not a Klankbord server's folder: it has no {FILE_NAME} (see init)"
        ) from None
    except UnicodeDecodeError:
        raise SettingsError(f"{path}: this is not UTF-8") from None
    except OSError as error:
        raise SettingsError(f"{path}: cannot be read: {error.strerror}") from None


def parse(text: str, path: Path) -> Settings:
    """Parse the text of a settings file; ``path`` is used in errors. Raises SettingsError."""
    if len(text) > MAX_CHARACTERS:  # some short texts would keep the parser busy for a long time
        raise SettingsError(f"{path}: it may be at most {MAX_CHARACTERS} characters")
    try:
        values = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        said = str(error)
        at = _AT_LINE.search(said)
        where = f"{path}, line {at[1]}" if at else str(path)
        raise SettingsError(f"{where}: this is not valid TOML: {_AT_LINE.sub('', said)}") from None
    except (RecursionError, ValueError):  # the latter of a number with thousands of digits
        raise SettingsError(
            f"{path}: this is not valid TOML: it is nested too deeply, or a number is too long"
        ) from None
    try:
        return _settings(values)
    except Wrong as wrong:
        line = line_of(wrong.key, text)
        where = f"{path}, line {line}" if line else str(path)
        raise SettingsError(f"{where}: {wrong}") from None


def line_of(key: str, text: str) -> int:
    """Return the line that sets ``table.key``; 0 if none is found."""
    table = ""
    for number, line in enumerate(text.split("\n"), start=1):
        line = line.strip()
        if heading := re.fullmatch(r"\[+\s*([\w.-]+)\s*\]+\s*(#.*)?", line):
            table = heading[1] + "."
            if heading[1] == key:
                return number
        named = re.match(r"[\"']?([\w.-]+)[\"']?\s*=", line)
        if named and table + named[1] == key:
            return number
    return 0


def _host_of(address: str) -> bool:
    """Return whether an address names a host."""
    try:
        return origins.HOST.fullmatch(urlsplit(address).hostname or "") is not None
    except ValueError:
        return False


def _settings(values: Mapping[str, Any]) -> Settings:
    groups = {
        "retention": Retention(**_numbers(values, "retention", Retention)),
        "limits": Limits(**_numbers(values, "limits", Limits)),
    }
    only_known(values, {item.name for item in fields(Settings)})
    found: dict[str, Any] = dict(groups)
    for key in ("site", "name", "run_by", "controller", "phone", "hours", "leave_to"):
        if key in values:
            found[key] = one_line(values[key], key)
    for key in ("site", "name", "origins"):
        if key not in values:
            raise Wrong(key, f"{key} is missing")
    if "run_by_is_employer" in values:
        found["run_by_is_employer"] = yes_or_no(values["run_by_is_employer"], "run_by_is_employer")
    if "response_days" in values:
        found["response_days"] = whole_number(values["response_days"], "response_days")
    if not values["origins"]:
        raise Wrong("origins", "origins must be a list of at least one origin")
    found["origins"] = _origins(values["origins"], "origins")
    found["desk_origins"] = _origins(values.get("desk_origins", []), "desk_origins")
    for host in origins.hosts(found["desk_origins"]) & origins.hosts(found["origins"]):
        raise Wrong("desk_origins", f"desk_origins: {host} is already an address for reporters")
    if "languages" in values:
        found["languages"] = _languages(values["languages"])
    found["law"] = _law(values.get("law", {}))
    found["reporter"] = _reporter(values.get("reporter", {}))
    found["crisis"] = _crisis(values.get("crisis", []))
    found["telephones"] = _telephones(values.get("telephones", []))
    found["other_contact"] = _other_contact(values.get("other_contact", {}))
    settings = Settings(**found)
    try:
        check_hex(settings.site, 16)
    except FormatError as error:
        raise Wrong("site", f"site is {error}; take it from a backup") from None
    if not settings.name:
        raise Wrong("name", "name must be the organisation's name")
    if not settings.leave_to.startswith("https://") or not _host_of(settings.leave_to):
        raise Wrong("leave_to", "leave_to must be the https address of a harmless site")
    if settings.retention.withdrawn_ids <= settings.retention.backup:
        raise Wrong(
            "retention.withdrawn_ids",
            "retention.withdrawn_ids must be more than retention.backup, "
            "or a restored backup would bring back what was withdrawn",
        )
    for key, least in (("messages", 10), ("message_bytes", MIB)):
        if getattr(settings.limits, key) < least:
            raise Wrong(f"limits.{key}", f"limits.{key} must be at least {least}")
    return settings


def _origins(value: object, key: str) -> tuple[str, ...]:
    try:
        return origins.read(value)
    except SettingsError as error:
        raise Wrong(key, f"{key}{error}") from None


def _languages(value: object) -> tuple[str, ...]:
    if (
        not isinstance(value, list)
        or not all(isinstance(lang, str) and lang in PAGE_LANGUAGES for lang in value)
        or not set(ALWAYS) <= set(value)
        or len(set(value)) < len(value)
    ):
        more = " or ".join(f'"{lang}"' for lang in PAGE_LANGUAGES if lang not in ALWAYS)
        raise Wrong(
            "languages",
            f'languages must be a list such as ["nl", "en"]: both of these, and {more} if wanted',
        )
    return tuple(lang for lang in PAGE_LANGUAGES if lang in value)


def _crisis(value: object) -> tuple[Crisis, ...]:
    keys = {"number", *ALWAYS}
    if (
        not isinstance(value, list)
        or len(value) > MOST_NUMBERS
        or not all(isinstance(row, dict) and set(row) == keys for row in value)
    ):
        raise Wrong(
            "crisis",
            f"crisis must be a list of at most {MOST_NUMBERS} tables such as "
            '{ number = "112", nl = "Direct gevaar", en = "Immediate danger" }',
        )
    rows = [
        Crisis(**{key: one_line(row[key], "crisis", f"{key} in crisis") for key in sorted(keys)})
        for row in value
    ]
    for row in rows:
        if not TELEPHONE.fullmatch(row.number):
            raise Wrong("crisis", f"number in crisis must be a telephone number: {row.number!r}")
        if not row.nl or not row.en:
            raise Wrong("crisis", "crisis must give the purpose of each number in nl and in en")
    return tuple(rows)


def _telephones(value: object) -> tuple[Own, ...]:
    if not isinstance(value, list) or not all(
        isinstance(row, dict) and {"card", "phone"} <= set(row) <= {"card", "phone", "hours"}
        for row in value
    ):
        raise Wrong(
            "telephones",
            "telephones must be a list of tables such as "
            '{ card = "els", phone = "030 123 45 67", hours = "9-17" }',
        )
    rows = [
        Own(**{key: one_line(row[key], "telephones", f"{key} in telephones") for key in row})
        for row in value
    ]
    for row in rows:
        if not row.phone:
            raise Wrong("telephones", f"telephones must contain a phone for {row.card}")
    if len({row.card for row in rows}) != len(rows):
        raise Wrong("telephones", "telephones: one of them is listed twice")
    return tuple(rows)


def _other_contact(value: object) -> OtherContact:
    if not isinstance(value, dict) or not set(value) <= {"name", "phone"}:
        raise Wrong(
            "other_contact",
            'other_contact must be a table such as { name = "Kim Bos", phone = "030 765 43 21" }',
        )
    found = {key: one_line(value[key], "other_contact", f"{key} in other_contact") for key in value}
    made = OtherContact(**found)
    if bool(made.name) != bool(made.phone):
        raise Wrong("other_contact", "other_contact must give a name and a phone, or neither")
    if made.phone and not TELEPHONE.fullmatch(made.phone):
        raise Wrong(
            "other_contact", f"phone in other_contact must be a telephone number: {made.phone!r}"
        )
    return made


def _reporter(value: object) -> Reporter:
    if not isinstance(value, dict):
        raise Wrong("reporter", "[reporter] must be a table")
    only_known(value, {item.name for item in fields(Reporter)}, "reporter.")
    return Reporter(**{key: yes_or_no(one, f"reporter.{key}") for key, one in value.items()})


def _law(value: object) -> Law:
    if not isinstance(value, dict):
        raise Wrong("law", "[law] must be a table")
    only_known(value, {item.name for item in fields(Law)}, "law.")
    found: dict[str, Any] = {
        key: one_line(value[key], f"law.{key}") for key in value if key != "read_on"
    }
    day = value.get("read_on", "")
    if day != "" and (not isinstance(day, datetime.date) or isinstance(day, datetime.datetime)):
        raise Wrong("law.read_on", "law.read_on must be a day such as 2026-11-29, without quotes")
    made = Law(**found, read_on=day or None)
    if made.draft not in DRAFTS:
        raise Wrong("law.draft", f"law.draft must be one of {', '.join(DRAFTS)}")
    if bool(made.read_by) != bool(made.read_on):
        raise Wrong("law.read_by", "law must give read_by and read_on, or neither")
    return made


def _numbers(
    values: Mapping[str, Any], group: str, kind: type[Retention | Limits]
) -> dict[str, int]:
    table = values.get(group, {})
    if not isinstance(table, dict):
        raise Wrong(group, f"[{group}] must be a table")
    only_known(table, {item.name for item in fields(kind)}, f"{group}.")
    return {key: whole_number(value, f"{group}.{key}") for key, value in table.items()}
