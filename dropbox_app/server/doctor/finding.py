"""The findings of ``doctor``: the check, its result, and how to fix a problem."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Literal

from dropbox_app.server.errors import visible

# Every name that a finding can have. Scripts depend on them, so they do not change within version
# 0.
Check = Literal[
    # checks of a site
    "settings",
    "access",
    "database",
    "large files",
    "withdrawn list",
    "free disk",
    "room",
    "clock",
    "counsellors",
    "cards",
    "desks",
    # checks of the server
    "sites",
    "backups",
    "backup files",
    "daily mail",
    # checks of the host
    "secrets",
    "swap",
    "core dumps",
    "disk encryption",
    "service",
    "program",
    "account",
    "socket",
    "tor",
    "onion",
    "proxy",
    "certificate",
    "logs",
    "machine clock",
    "system",
    "versions",
    # checks with --visit
    "visit",
]


State = Literal["fine", "note", "wrong", "unseen"]


@dataclass(frozen=True)
class Finding:
    """The result of one check.

    The operator decides whether a ``note`` is a problem. ``unseen`` means that something could not
    be checked; the finding gives the reason. Neither ``note`` nor ``unseen`` changes the exit code.
    ``site`` is "" for findings about the server or the host.
    """

    check: Check
    site: str
    state: State
    fault: str = ""
    repair: str = ""

    def told(self, several: bool) -> str:
        """Return the finding as text for a person. ``several``: whether to name the site."""
        about = f"{self.site}: {self.check}" if several and self.site else self.check
        said = visible(f"{self.state:6} {about}")
        if self.state == "fine":
            return said
        return f"{said}: {visible(self.fault)}\n       {visible(self.repair)}"

    def values(self) -> dict[str, str]:
        """Return the finding as data for a program, which may show it to a person."""
        return {name: visible(getattr(self, name)) for name in FIELDS}


FIELDS = tuple(field.name for field in fields(Finding))


def fine(check: Check, site: str = "") -> Finding:
    """Return the finding that there is no problem."""
    return Finding(check, site, "fine")


def note(check: Check, fault: str, repair: str, site: str = "") -> Finding:
    """Return a finding that the operator has to judge."""
    return Finding(check, site, "note", fault, repair)


def wrong(check: Check, fault: str, repair: str, site: str = "") -> Finding:
    """Return a finding that the operator has to fix."""
    return Finding(check, site, "wrong", fault, repair)


def unseen(check: Check, fault: str, repair: str, site: str = "") -> Finding:
    """Return the finding that the check was not possible."""
    return Finding(check, site, "unseen", fault, repair)


def total(findings: Iterable[Finding]) -> str:
    """Return one line of text with the number of findings in each state."""
    number = Counter(finding.state for finding in findings)
    return (
        f"{number['fine']} fine, {number['note']} note{'s'[: number['note'] != 1]}, "
        f"{number['wrong']} wrong, {number['unseen']} unseen"
    )


class Unseen(Exception):
    """Raised if this account has no permission to read something."""

    def __init__(self, path: Path | str) -> None:
        super().__init__(str(path))
        self.path = str(path)


class NoAnswer(Exception):
    """Raised, with the reason, if a named program on the host gives no usable answer."""
