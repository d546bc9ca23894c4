"""Referrals: the organisations to contact besides the counsellor.

``content/referrals.toml`` in a site's folder replaces the whole default list. The list, like all of
the operator's files, is read strictly. An unknown key, an invalid number or a topic that the report
form does not have is rejected, and the error names it.
"""

import datetime
import functools
import importlib.resources
import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from dropbox_app.protocol.messages import ANSWERS
from dropbox_app.server.config.settings import TELEPHONE
from dropbox_app.server.config.toml_fields import Wrong, one_line, only_known
from dropbox_app.server.errors import ContentError

FILE_NAME = "referrals.toml"
MAX_BYTES = 16 * 1024
MOST = 40  # entries
LINES = 60  # in all topics together; all pages before a session have the same length
STALE = 365  # days after which an entry must be checked again
# The answers to "what happened", in the order of the page.
TOPICS = tuple(name for name in ANSWERS["topics"][1] if name not in ("other", "dont_know"))

_SITE = re.compile(r"[a-z0-9][a-z0-9-]*(\.[a-z0-9-]+)+(/[a-z0-9/_-]*)?")
_TEXTS = ("name", "nl", "en", "phone", "site")


@dataclass(frozen=True)
class Referral:
    """One organisation to contact. ``checked`` is the day when somebody last verified the entry."""

    name: str
    topics: tuple[str, ...]
    nl: str
    en: str
    phone: str = ""
    site: str = ""
    checked: datetime.date | None = None

    def why(self, lang: str) -> str:
        """Return the purpose of the organisation, in a language of the pages."""
        return self.nl if lang == "nl" else self.en

    def stale(self, today: datetime.date) -> bool:
        """Return whether the entry was never checked, or last checked more than STALE days ago."""
        return self.checked is None or (today - self.checked).days > STALE


@dataclass(frozen=True)
class Referrals:
    """The list of referrals, and the day on which it was compiled."""

    compiled: datetime.date
    entries: tuple[Referral, ...]

    def by_topic(self) -> dict[str, tuple[Referral, ...]]:
        """Return each topic that has entries, with its entries in the order of the list."""
        found = {
            topic: tuple(entry for entry in self.entries if topic in entry.topics)
            for topic in TOPICS
        }
        return {topic: entries for topic, entries in found.items() if entries}


def unchecked(entries: Iterable[Referral]) -> Literal["", "some", "all"]:
    """Return "some" or "all" if entries with a number or website were never checked, else ""."""
    told = [entry for entry in entries if entry.phone or entry.site]
    missing = [entry for entry in told if entry.checked is None]
    if not missing:
        return ""
    return "all" if missing == told else "some"


@functools.cache
def shipped() -> Referrals:
    """Return the default list, which is part of this program."""
    folder = importlib.resources.files("dropbox_app.server.config")
    return parse((folder / FILE_NAME).read_bytes(), FILE_NAME)


def parse(raw: bytes, name: str) -> Referrals:
    """Parse a list. Raises ContentError; its message uses ``name`` for the file."""
    if len(raw) > MAX_BYTES:
        raise ContentError(f"{name}: it may be at most {MAX_BYTES} bytes")
    try:
        values = tomllib.loads(raw.decode("utf-8"))
    except UnicodeDecodeError:
        raise ContentError(f"{name}: this is not UTF-8") from None
    except (tomllib.TOMLDecodeError, RecursionError, ValueError) as error:
        raise ContentError(f"{name}: this is not valid TOML: {error}") from None
    try:
        return _referrals(values)
    except Wrong as wrong:
        raise ContentError(f"{name}: {wrong}") from None


def _referrals(values: Mapping[str, Any]) -> Referrals:
    only_known(values, {"compiled", "referral"})
    rows = values.get("referral", [])
    if not isinstance(rows, list) or not 1 <= len(rows) <= MOST:
        raise Wrong("referral", f"there must be 1 to {MOST} tables [[referral]]")
    made = Referrals(_day(values.get("compiled"), "compiled"), tuple(_entry(row) for row in rows))
    if sum(len(entry.topics) for entry in made.entries) > LINES:
        raise Wrong("referral", f"all topics together may have at most {LINES} entries")
    return made


def _entry(row: object) -> Referral:
    if not isinstance(row, dict):
        raise Wrong("referral", "referral must be tables [[referral]]")
    only_known(row, {*_TEXTS, "topics", "checked"}, "referral.")
    called = f"the referral {row.get('name', '')!r}"
    for key in ("name", "nl", "en", "topics"):
        if not row.get(key):
            raise Wrong("referral", f"{called} has no {key}")
    texts = {
        key: one_line(row[key], "referral", f"{key} of {called}") for key in _TEXTS if key in row
    }
    topics = row["topics"]
    if not isinstance(topics, list) or not set(map(str, topics)) <= set(TOPICS):
        raise Wrong("referral", f"topics of {called} must be some of {', '.join(TOPICS)}")
    if texts.get("phone") and not TELEPHONE.fullmatch(texts["phone"]):
        raise Wrong("referral", f"phone of {called} must be a telephone number")
    if texts.get("site") and not _SITE.fullmatch(texts["site"]):
        raise Wrong("referral", f"site of {called} must be a name such as example.org, no https://")
    checked = _day(row["checked"], f"checked of {called}") if "checked" in row else None
    return Referral(topics=tuple(dict.fromkeys(topics)), checked=checked, **texts)


def _day(value: object, called: str) -> datetime.date:
    if not isinstance(value, datetime.date) or isinstance(value, datetime.datetime):
        raise Wrong("referral", f"{called} must be a day such as 2026-11-29, without quotes")
    return value
