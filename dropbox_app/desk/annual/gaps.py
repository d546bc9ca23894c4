"""The empty items of a report or its bill, for the counsellor to fill in before issuing it.

Empty items do not prevent a report, and do not depend on the cases.
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
    """Return the empty items in the report of a year, in the report's order.

    An unknown item of the checklist counts as empty, because the report would give advice about it.
    An internal counsellor sends no bill, and therefore needs no price.
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
    """Return whether a price was agreed for a year, so that a bill can be made."""
    try:
        drafts.bill(events, employer, year)
    except Unfit:
        return False
    return True
