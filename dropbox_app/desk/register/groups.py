"""Groups of employers: either a group has a report, or each of its members does.

A group may be a member of another, over any number of levels. Pure functions.
"""

from collections.abc import Iterable, Mapping

from dropbox_app.desk.register.events import Employer, Event

Above = Mapping[str, frozenset[str]]  # the groups directly above each employer


def standing(given: Iterable[Event]) -> Above:
    """Return the group of each employer, from its newest sheet that names one."""
    return {
        one.employer: frozenset({one.group})
        for one in given
        if isinstance(one, Employer) and one.group
    }


def ever(given: Iterable[Event]) -> Above:
    """Return all groups to which each employer is or was assigned."""
    found: dict[str, frozenset[str]] = {}
    for one in given:
        if isinstance(one, Employer) and one.group:
            found[one.employer] = found.get(one.employer, frozenset()) | {one.group}
    return found


def above(said: Above, employer: str) -> frozenset[str]:
    """Return the groups above an employer, at any level, without the employer itself."""
    found: set[str] = set()
    waiting = [employer]
    while waiting:
        new = said.get(waiting.pop(), frozenset()) - found
        found |= new
        waiting += new
    return frozenset(found - {employer})


def members(said: Above, employer: str) -> frozenset[str]:
    """Return the members of a group, and their members, at any level, without the group itself."""
    return frozenset(one for one in said if employer in above(said, one)) - {employer}


def related(said: Above, employer: str) -> frozenset[str]:
    """Return all employers above and below the given one.

    Of two related employers, only one may have a report.
    """
    return above(said, employer) | members(said, employer)
