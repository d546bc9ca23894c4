"""Names of employers: other spellings of the same name, and similar names.

If an employer had two names, its counts would be split, and it could get two reports that could be
subtracted from each other. Pure functions.
"""

import difflib
import unicodedata
from collections.abc import Iterable, Sequence

from dropbox_app.desk.errors import Unfit
from dropbox_app.desk.register.events import Employer, Event, Freeze, Joint, OfEmployer
from dropbox_app.desk.register.groups import ever, related

# Words in a name that do not identify anybody.
_FORMS = frozenset(
    ("bv", "nv", "vof", "cv", "ua", "stichting", "vereniging", "cooperatie", "gemeente", "holding",
     "groep", "group", "de", "het", "the", "inc", "ltd", "gmbh")
)  # fmt: skip
_ALIKE = 0.85  # of difflib's ratio, from 0 to 1
_LEAST = 5  # the minimum number of letters of a name that is compared by similarity


def plain(name: str) -> str:
    """Return a name in lower case, without accents, spaces or punctuation; may be ""."""
    return "".join(_words(name))


def spelled(known: Iterable[str], name: str) -> str:
    """Return a name as the register spells it, or unchanged if it is unknown."""
    names = set(known)
    if name in names:
        return name
    wanted = plain(name)
    return next((one for one in sorted(names) if wanted and plain(one) == wanted), name)


def same_name(one: str, other: str) -> bool:
    """Return whether two names are the same apart from their spelling."""
    return one == other or plain(one) == plain(other) != ""


def same(known: Iterable[str], name: str) -> list[str]:
    """Return the other spellings of a name."""
    return sorted(one for one in set(known) if one != name and same_name(one, name))


def near(known: Iterable[str], name: str) -> list[str]:
    """Return the other names that are similar: one letter differs, or a legal form is missing."""
    return sorted(one for one in set(known) if one != name and _near(one, name))


def employers(given: Iterable[Event]) -> set[str]:
    """Return the names of all employers in these events."""
    return {one.employer for one in given if isinstance(one, OfEmployer)}


def check_one(given: Sequence[Event], old: str, new: str) -> None:
    """Raise Unfit if two employers cannot be merged.

    Two employers cannot be merged if both had a report or exchanged counts for the same year,
    because one of these would reveal figures that the other hid. A colleague's counts that no
    report has used yet do not prevent a merge.
    """
    if new in related(ever(given), old):
        raise Unfit(
            f"{new!a} and {old!a} are a group and its member; they are two employers.",
            "one_group", old=old, new=new,
        )  # fmt: skip
    told = {name: _told(given, name) for name in (old, new)}
    for year in sorted(told[old].keys() & told[new].keys()):
        if told[old][year] or told[new][year]:
            raise Unfit(
                f"{old!a} and {new!a} each had a report or exchanged counts of {year}. That cannot"
                " be undone; from now on record everything under one of the two names.",
                "one_reported", old=old, new=new, year=year,
            )  # fmt: skip


def _told(given: Sequence[Event], name: str) -> dict[int, bool]:
    """Return the years with reports or exchanged counts; True if a year's figures left the desk."""
    found: dict[int, bool] = {}
    for one in given:
        if isinstance(one, Freeze | Joint) and one.employer == name:
            left = isinstance(one, Freeze) or bool(one.given)
            for year in range(one.first_year or 1, (one.last_year or 0) + 1):
                found[year] = found.get(year, False) or left
    return found


def same_colleague(had: Joint, name: str, fingerprint: str) -> bool:
    """Return whether counts were exchanged with this colleague.

    The ten groups are compared, because two people can have the same name, and names can be
    corrected. The names are compared only if an entry has no groups.
    """
    if had.fingerprint and fingerprint:
        return had.fingerprint == fingerprint
    return plain(had.counsellor) == plain(name)


def renamed(given: Sequence[Event], old: str, new: str) -> list[tuple[Event, Event]]:
    """Return the events that name an employer, each with its replacement.

    The text of an issued report does not change.
    """
    return [(one, after) for one in given if (after := _renamed(one, old, new)) != one]


def _renamed(event: Event, old: str, new: str) -> Event:
    changes = {}
    if isinstance(event, OfEmployer) and event.employer == old:
        changes["employer"] = new
    if isinstance(event, Employer) and event.group == old:
        changes["group"] = new
    return _replaced(event, changes) if changes else event


def _replaced(event: Event, changes: dict[str, str]) -> Event:
    return type(event)(**{**vars(event), **changes})


def _words(name: str) -> list[str]:
    letters = unicodedata.normalize("NFKD", name.casefold())
    kept = "".join(one for one in letters if one.isalnum() or one.isspace() or one in "-/&+")
    for sign in "-/&+":
        kept = kept.replace(sign, " ")
    return kept.split()


def _near(one: str, other: str) -> bool:
    left, right = plain(one), plain(other)
    if left == right:
        return bool(left)
    bare = [[word for word in _words(name) if word not in _FORMS] for name in (one, other)]
    if bare[0] and bare[0] == bare[1]:
        return True
    if min(len(left), len(right)) < _LEAST:
        return False
    return difflib.SequenceMatcher(None, left, right).ratio() >= _ALIKE
