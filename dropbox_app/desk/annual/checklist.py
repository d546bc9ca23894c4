"""Advice based only on what the employer itself has set up, seen or ordered.

The advice reveals nothing about cases: the same answers give the same advice, whatever was
reported.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from dropbox_app.desk.register.categories import REPEATED_ADVICE

ADVICE = 3  # items in every report

# In the order of the advice. Items that help people to find the counsellor come first.
ORDER = (
    "poster",
    "complaints_procedure",
    "reachability",
    "onboarding",
    "complaints_committee",
    "code_of_conduct",
    "managers_trained",
    "reporting_procedure",
    "staff_informed",
    "stand_in",
    "room",
    "intranet",
    "risk_assessment",
    "aftercare_arranged",
)


class State(StrEnum):
    """The result of an item of last year's advice."""

    DONE = "done"
    PARTLY = "partly"
    OPEN = "open"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Followed:
    """An item of last year's advice, and its result."""

    item: str
    state: State


def advice(answers: Mapping[str, str]) -> tuple[str, ...]:
    """Return the three items of advice, most important first.

    ``answers`` maps items of the register's CHECKLIST to words of CHECKED. Missing and partial
    items come before unknown ones. An item without an answer is unknown.
    """
    missing = [item for item in ORDER if answers.get(item) in {"no", "partly"}]
    unknown = [item for item in ORDER if answers.get(item, "unknown") == "unknown"]
    return tuple([*missing, *unknown, *REPEATED_ADVICE][:ADVICE])


def followed(last: Sequence[str], answers: Mapping[str, str]) -> tuple[Followed, ...]:
    """Return the result of last year's advice, according to this year's answers.

    The checklist has no question about REPEATED_ADVICE, so the result of that item is unknown.
    """
    return tuple(Followed(item, _STATES[answers.get(item, "unknown")]) for item in last)


_STATES = {"yes": State.DONE, "partly": State.PARTLY, "no": State.OPEN, "unknown": State.UNKNOWN}
