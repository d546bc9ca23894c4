"""``site.toml``: what the operator says about a site. Strict: a wrong setting is named.

Nothing is guessed: an unknown key, a wrong type or an origin in another form than a desk signs is
refused with the file, the key and what is wanted there.
"""

import ipaddress
import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from dropbox_app.protocol.card import unseen
from dropbox_app.protocol.encoding import check_hex, clean_text
from dropbox_app.protocol.errors import FormatError
from dropbox_app.server.errors import SettingsError

FILE_NAME = "site.toml"
MIB = 1024 * 1024

_HOST = re.compile(r"(?=.{1,253}$)[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*")
_CONTROLS = re.compile(r"[\x00-\x1f\x7f]")
_DEFAULT_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True)
class Retention:
    """Lifetimes in days (SPEC section 9)."""

    reporter_items: int = 30  # after each addressed counsellor has fetched it
    counsellor_items: int = 90  # the same, for what a counsellor wrote
    unfetched: int = 180  # at most, while a counsellor has not fetched it
    idle: int = 90  # a mailbox after the last addition
    notice: int = 14  # from when the page says that the end is near
    absence: int = 30  # a mailbox after an announced absence that would outlive it
    silent_desk: int = 14  # no fetch for so long: a desk that may not come back
    withdrawn_ids: int = 31  # longer than any backup lives
    backup: int = 30


@dataclass(frozen=True)
class Limits:
    """The most of everything, in bytes where nothing else is said."""

    text: int = 60_000  # one message's free text together
    file: int = 100 * MIB  # an attachment before it is sealed
    files_per_message: int = 10
    mailbox_bytes: int = 1024 * MIB
    # Of all messages of one mailbox, half for the reporter and half for the counsellors: neither
    # side can silence the other, and a page that shows them all stays within bounds.
    messages: int = 500  # a number
    message_bytes: int = 8 * MIB
    site_bytes: int = 10 * 1024 * MIB
    # Of the disk; below it nothing new is taken, and below twice as much no files.
    free_bytes: int = 256 * MIB


@dataclass(frozen=True)
class Settings:
    """What the operator says about the site; the reporter's pages show it as it stands here."""

    site: str  # 16 random bytes in hex, made by init; every code hangs on it
    name: str  # the organisation
    origins: tuple[str, ...]  # where the site is dialled: scheme://host[:port]
    run_by: str = ""  # who runs the server
    run_by_is_employer: bool = False
    controller: str = ""  # who answers for the personal data, as the privacy page names them
    phone: str = ""  # the counsellor's telephone
    hours: str = ""
    leave_to: str = "https://www.wikipedia.org/"
    response_days: int = 2
    retention: Retention = field(default_factory=Retention)
    limits: Limits = field(default_factory=Limits)


def read(folder: Path) -> Settings:
    """Read a folder's settings. Raises SettingsError naming the file, the key and its form."""
    path = folder / FILE_NAME
    try:
        text = path.read_text("utf-8")
    except FileNotFoundError:
        raise SettingsError(
            f"{folder} is no folder of a Klankbord server: it has no {FILE_NAME} (see init)"
        ) from None
    except UnicodeDecodeError:
        raise SettingsError(f"{path}: this is not UTF-8") from None
    except OSError as error:
        raise SettingsError(f"{path}: cannot be read: {error.strerror}") from None
    return parse(text, path)


def parse(text: str, path: Path) -> Settings:
    """Read settings as they stand in a file; ``path`` is for the errors. Raises SettingsError."""
    try:
        values = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(f"{path}: this is no TOML: {error}") from None
    return _settings(values, path)


def with_origins(text: str, origins: Sequence[str], path: Path) -> str:
    """The same settings with other origins; the operator's own comments stay if they can.

    Raises SettingsError for an origin that is not taken.
    """
    before = parse(text, path)
    after = replace(before, origins=tuple(origins))
    line = "origins = [" + ", ".join(_toml_string(origin) for origin in origins) + "]"
    changed = re.sub(
        r"^origins\s*=\s*\[[^\]]*\]", lambda _: line, text, count=1, flags=re.MULTILINE
    )
    # An IPv6 address has brackets of its own; then the file is written as init writes it.
    try:
        if parse(changed, path) == after:
            return changed
    except SettingsError:
        pass
    written = write(after)
    parse(written, path)
    return written


def check_origin(origin: str) -> str:
    """Return an origin in the one form a desk signs, or raise SettingsError saying what is wrong.

    scheme://host[:port], lower-case, default port left out. Plain http only for onion services
    (Tor encrypts) and for this machine itself: elsewhere anybody on the way would read along.
    """
    try:
        parts = urlsplit(origin)
        port = parts.port
    except ValueError:
        raise SettingsError(f"{origin!r} is no origin such as https://drop.example.org") from None
    host = parts.hostname or ""
    address = _address(host)
    if parts.scheme not in _DEFAULT_PORTS or not (address or _HOST.fullmatch(host)):
        raise SettingsError(f"{origin!r} is no origin such as https://drop.example.org")
    shown = f"[{host}]" if ":" in host else host
    default = port in (None, _DEFAULT_PORTS[parts.scheme])
    wanted = f"{parts.scheme}://{shown}" + ("" if default else f":{port}")
    if origin != wanted:
        raise SettingsError(
            f"{origin!r} must be written {wanted!r}: lower-case, nothing after host and port, "
            "no default port"
        )
    local = host == "localhost" or (address is not None and address.is_loopback)
    if parts.scheme == "http" and not host.endswith(".onion") and not local:
        raise SettingsError(
            f"{origin!r}: over plain http everybody on the way reads what a reporter writes; "
            "use https, or an onion address"
        )
    return origin


def write(settings: Settings) -> str:
    """``site.toml`` as `init` writes it: every setting, with what it is for."""
    texts = {"site": settings.site, "name": settings.name, "run_by": settings.run_by}
    texts |= {"controller": settings.controller, "phone": settings.phone}
    texts |= {"hours": settings.hours, "leave_to": settings.leave_to}
    shown: dict[str, str] = {key: _toml_string(value) for key, value in texts.items()}
    shown["origins"] = "[" + ", ".join(_toml_string(o) for o in settings.origins) + "]"
    shown["run_by_is_employer"] = str(settings.run_by_is_employer).lower()
    shown["response_days"] = str(settings.response_days)
    for group in (settings.retention, settings.limits):
        shown |= {item.name: str(getattr(group, item.name)) for item in fields(group)}
    return _TEMPLATE.format_map(shown)


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


def _toml_string(text: str) -> str:
    """A TOML basic string. A control character is written so that reading it names the key."""
    text = text.replace("\\", "\\\\").replace('"', '\\"')
    return '"' + _CONTROLS.sub(lambda match: f"\\u{ord(match[0]):04x}", text) + '"'


def _settings(values: Mapping[str, Any], path: Path) -> Settings:
    groups = {
        "retention": Retention(**_numbers(values, "retention", Retention, path)),
        "limits": Limits(**_numbers(values, "limits", Limits, path)),
    }
    _only_known(values, {item.name for item in fields(Settings)}, str(path))
    found: dict[str, Any] = dict(groups)
    for key in ("site", "name", "run_by", "controller", "phone", "hours", "leave_to"):
        if key in values:
            found[key] = _line(values[key], f"{path}: {key}")
    for key in ("site", "name", "origins"):
        if key not in values:
            raise SettingsError(f"{path}: {key} is missing")
    if "run_by_is_employer" in values:
        found["run_by_is_employer"] = values["run_by_is_employer"]
        if not isinstance(found["run_by_is_employer"], bool):
            raise SettingsError(f"{path}: run_by_is_employer must be true or false")
    if "response_days" in values:
        found["response_days"] = _number(values["response_days"], f"{path}: response_days")
    found["origins"] = _origins(values["origins"], path)
    settings = Settings(**found)
    try:
        check_hex(settings.site, 16)
    except FormatError as error:
        raise SettingsError(f"{path}: site is {error}; take it from a backup") from None
    if not settings.name:
        raise SettingsError(f"{path}: name must be the organisation's name")
    if not settings.leave_to.startswith("https://"):
        raise SettingsError(f"{path}: leave_to must be the https address of a harmless site")
    if settings.retention.withdrawn_ids <= settings.retention.backup:
        raise SettingsError(
            f"{path}: retention.withdrawn_ids must be more than retention.backup, "
            "or a restored backup would bring back what was withdrawn"
        )
    for key, least in (("messages", 10), ("message_bytes", MIB)):
        if getattr(settings.limits, key) < least:
            raise SettingsError(f"{path}: limits.{key} must be at least {least}")
    return settings


def _origins(value: object, path: Path) -> tuple[str, ...]:
    if not isinstance(value, list) or not value or not all(isinstance(o, str) for o in value):
        raise SettingsError(f"{path}: origins must be a list of at least one text")
    try:
        origins = tuple(check_origin(origin) for origin in value)
    except SettingsError as error:
        raise SettingsError(f"{path}: origins: {error}") from None
    if len(set(origins)) != len(origins):
        raise SettingsError(f"{path}: origins: one of them stands twice")
    return origins


def _numbers(
    values: Mapping[str, Any], group: str, kind: type[Retention | Limits], path: Path
) -> dict[str, int]:
    table = values.get(group, {})
    if not isinstance(table, dict):
        raise SettingsError(f"{path}: [{group}] must be a table")
    _only_known(table, {item.name for item in fields(kind)}, f"{path}: [{group}]")
    return {key: _number(value, f"{path}: {group}.{key}") for key, value in table.items()}


def _only_known(values: Mapping[str, Any], known: set[str], where: str) -> None:
    for key in values:
        if key not in known:
            raise SettingsError(
                f"{where}: {key} is no setting; known are {', '.join(sorted(known))}"
            )


def _number(value: object, where: str) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value < 2**53:
        raise SettingsError(f"{where} must be a whole number from 1")
    return value


def _line(value: object, where: str) -> str:
    if not isinstance(value, str):
        raise SettingsError(f"{where} must be a text")
    if value != clean_text(value).strip() or "\n" in value or len(value) > 200:
        raise SettingsError(f"{where} must be one line of at most 200 characters")
    if unseen(value):
        raise SettingsError(f"{where} holds a character that cannot be seen")
    return value


_TEMPLATE = """\
# Settings of this drop box. Restart `klankbord-server serve` after a change.

# The site id. Every retrieval code hangs on it: if it is lost or changed, every code is lost.
site = {site}

# The organisation, as reporters read it.
name = {name}

# Every address under which the site is dialled: scheme://host[:port], lower-case.
# Plain http only for .onion and for this machine itself.
origins = {origins}

# Who runs this server; the pages say so. If that is the employer, they also say what it could see.
run_by = {run_by}
run_by_is_employer = {run_by_is_employer}

# Who is controller in the sense of the GDPR, with an address if you like: for the privacy page.
controller = {controller}

# The counsellor's telephone and hours: the drop box is never the only way.
phone = {phone}
hours = {hours}

# Where "leave quickly" goes: a harmless site that does not block Tor.
leave_to = {leave_to}

# Within how many working days a counsellor answers.
response_days = {response_days}

# In days.
[retention]
# What a reporter sent: after each addressed counsellor has fetched it.
reporter_items = {reporter_items}
# What a counsellor sent: the same.
counsellor_items = {counsellor_items}
# At most, while a counsellor has not fetched it.
unfetched = {unfetched}
# A conversation after the last message of either side.
idle = {idle}
# From when on its page says that the end is near.
notice = {notice}
# A conversation after an announced absence that would outlive it.
absence = {absence}
# After so long without a fetch a desk may not come back: reporters are offered the others.
silent_desk = {silent_desk}
# The list of withdrawn conversations; longer than the oldest backup lives.
withdrawn_ids = {withdrawn_ids}
backup = {backup}

# In bytes where nothing else is said.
[limits]
text = {text}
file = {file}
# A number of files.
files_per_message = {files_per_message}
# One conversation. Files leave room for messages: message_bytes, or a tenth if that is less.
mailbox_bytes = {mailbox_bytes}
# The messages of one conversation, a number and their bytes: half of each is the reporter's.
messages = {messages}
message_bytes = {message_bytes}
# All conversations. Files leave a tenth to words.
site_bytes = {site_bytes}
# Below this much free disk nothing new is taken, and below twice as much no files.
free_bytes = {free_bytes}
"""
