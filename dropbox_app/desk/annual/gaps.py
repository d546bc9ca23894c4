"""What a report or its bill leaves empty, for the counsellor to fill in before it is issued.

Nothing of it keeps a report from being made, and nothing of it depends on who came.
"""

from collections.abc import Sequence
from typing import Literal

from dropbox_app.desk.annual import draft as drafts
from dropbox_app.desk.annual import gather
from dropbox_app.desk.errors import Unfit
from dropbox_app.desk.register.categories import CHECKLIST
from dropbox_app.desk.register.events import Event

Gap = Literal[
    "reachable", "stand_in", "discussed_with", "checklist", "register_number", "upkeep", "price"
]


def gaps(events: Sequence[Event], employer: str, year: int) -> tuple[Gap, ...]:
    """Return what is empty in the report of a year, in the order of the report.

    An item of the checklist that is unknown counts as empty: the advice would be about it. An
    internal counsellor sends no bill, so a price is not missed there.
    """
    who = gather.counsellor(events, employer, year, "")
    answers = gather.answers(events, employer, year)
    unknown = any(answers.get(one, "unknown") == "unknown" for one in CHECKLIST)
    missing: dict[Gap, bool] = {
        "register_number": not who.register_number,
        "reachable": not who.reachable,
        "stand_in": not who.stand_in,
        "checklist": unknown,
        "upkeep": who.upkeep_hours is None,
        "discussed_with": not gather.sheet(events, employer, year).get("discussed_with"),
        "price": who.kind == "external" and not has_price(events, employer, year),
    }
    return tuple(name for name, is_missing in missing.items() if is_missing)


def has_price(events: Sequence[Event], employer: str, year: int) -> bool:
    """Return whether there can be a bill of a year: a price was agreed."""
    try:
        drafts.bill(events, employer, year)
    except Unfit:
        return False
    return True
