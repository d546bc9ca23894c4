"""The findings of a check, and the data that is kept until the next check."""

import datetime
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from dropbox_app.desk.site_check.values import unescape
from dropbox_app.protocol.encoding import Json, sha256_hex

# Findings that can have an ordinary cause, which the counsellor can ask the operator about.
CALM = frozenset({"version", "changed", "card_new", "card_gone", "unreachable", "busy"})
MOST_SHOWN = 120  # characters of a value that is kept as it is; of a longer one, only its hash
MOST_KEPT = 400  # slots
MOST_OF_SLOT = 50  # values of one slot; of the others, one hash
MOST_CARDS = 100
MOST_TOLD = 500  # characters of the old or the new values in a finding
MOST_FINDINGS = 50
EXCERPT = 60  # characters of a page before and after the place where it differs
# Slots that follow from the day or from the cards, that the shape of the page decides, or that only
# an open form shows.
_NOT_KEPT = (
    "date", "days", "backup", "plural", "listed", "counsellor", "sealed.", "people.", "sections",
    "settings.limits",
)  # fmt: skip


@dataclass(frozen=True)
class Finding:
    """One difference.

    ``kind`` names the sentence. ``where`` is the address on the site, if there is one. ``said``
    contains the values for the sentence, which are public texts of the site.
    """

    kind: str
    where: str = ""
    said: Mapping[str, str] = field(default_factory=dict, hash=False)

    @property
    def alarm(self) -> bool:
        """Return whether only an altered site can cause this finding.

        The exception is ``endless``: over a very slow connection, any site can cause that finding.
        """
        return self.kind not in CALM


@dataclass(frozen=True)
class Kept:
    """The data that the desk keeps about a check: day, findings, and the site's public values.

    ``values``: the site's own texts on its pages, by slot. ``cards``: the name on each counsellor's
    card, by identity in hex. ``circuits``: whether the two visits used two Tor circuits.
    ``origin``: the address of the site that was visited.
    """

    day: datetime.date
    findings: tuple[Finding, ...]
    values: Mapping[str, tuple[str, ...]]
    cards: Mapping[str, str]
    circuits: bool
    origin: str

    @property
    def same(self) -> bool:
        """Return whether the check found no difference."""
        return not self.findings

    @property
    def alarm(self) -> bool:
        """Return whether the check has a finding that only an altered site can cause."""
        return any(one.alarm for one in self.findings)

    def json(self) -> dict[str, Json]:
        """Return the check as an object for the desk's database."""
        return {
            "day": self.day.isoformat(),
            "findings": [
                {"kind": one.kind, "where": one.where, "said": dict(one.said)}
                for one in self.findings[:MOST_FINDINGS]
            ],
            "values": {name: list(found) for name, found in self.values.items()},
            "cards": dict(self.cards),
            "circuits": self.circuits,
            "origin": self.origin,
        }


def dump(checks: Mapping[str, Kept]) -> str:
    """Return the checks of a site, by address, as one text for the desk's database."""
    return json.dumps({origin: one.json() for origin, one in checks.items()}, sort_keys=True)


def load(text: str) -> dict[str, Kept]:
    """Return the checks in a text of ``dump``, or none for a text from another version."""
    try:
        return {origin: _kept(one) for origin, one in json.loads(text or "{}").items()}
    except (ValueError, KeyError, TypeError, AttributeError):
        return {}


def _kept(fields: dict[str, Any]) -> Kept:
    return Kept(
        datetime.date.fromisoformat(fields["day"]),
        tuple(Finding(one["kind"], one["where"], dict(one["said"])) for one in fields["findings"]),
        {name: tuple(found) for name, found in fields["values"].items()},
        dict(fields["cards"]),
        bool(fields["circuits"]),
        str(fields["origin"]),
    )


class Values:
    """The site's own values, as shown in the slots of its pages."""

    def __init__(self) -> None:
        self._found: dict[str, set[str]] = {}
        self.all: dict[str, set[str]] = {}

    def add(self, page: str, slots: Iterable[tuple[str, str]]) -> None:
        """Add the slots of a page."""
        for name, written in slots:
            value = unescape(written)
            self.all.setdefault(name, set()).add(value)
            if not value or name.startswith(_NOT_KEPT):
                continue
            if name in ("own", "law"):
                # The organisation's own text differs from page to page.
                name = f"{name} {page}"
            shown = value if len(value) <= MOST_SHOWN else f"#{sha256_hex(value.encode())[:16]}"
            self._found.setdefault(name, set()).add(shown)

    def kept(self) -> dict[str, tuple[str, ...]]:
        """Return the values to keep until the next check."""
        names = sorted(self._found)[:MOST_KEPT]
        return {name: _few(sorted(self._found[name])) for name in names}


def _few(values: list[str]) -> tuple[str, ...]:
    if len(values) <= MOST_OF_SLOT:
        return tuple(values)
    first, others = values[: MOST_OF_SLOT - 1], "\0".join(values[MOST_OF_SLOT - 1 :])
    return (*first, f"#{sha256_hex(others.encode())[:16]}")


def changes(
    before: Mapping[str, tuple[str, ...]],
    now: Mapping[str, tuple[str, ...]],
    *,
    complete: bool = True,
) -> Iterable[Finding]:
    """Yield the values that changed since the last check.

    ``complete``: whether every page was read. A value that is absent now may otherwise be on a page
    that was not read.
    """
    for name in sorted({*before, *now}):
        old, new = before.get(name, ()), now.get(name, ())
        gone = [one for one in old if one not in new] if complete else []
        came = [one for one in new if one not in old]
        if gone or came:
            said = {"value": name, "old": _shown(gone), "new": _shown(came)}
            yield Finding("changed", said=said)


def _shown(texts: Iterable[str]) -> str:
    return ", ".join(one for one in texts if not one.startswith("#"))[:MOST_TOLD]


def excerpt(page: str, at: int) -> str:
    """Return the page's text around the place where it differs from the release."""
    return " ".join(page[max(0, at - EXCERPT) : at + EXCERPT].split())
