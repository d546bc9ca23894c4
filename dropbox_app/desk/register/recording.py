"""The levels of recording for cases, and the fields that each level omits.

Each employer has a level: none, minimal or full. ``record_nothing`` omits more than any level.
"""

import dataclasses
from collections.abc import Mapping

from dropbox_app.desk.register import form
from dropbox_app.desk.register.events import Event, OfCase

# The fields that are kept, by level and kind. The level "full" keeps every field.
_ALWAYS = ("date", "employer", "case")
_COUNTED = {
    # The thread is kept. Otherwise the same thread would become a new case again and again.
    "case": (*_ALWAYS, "main_group", "belongs_with", "destroy_on", "thread", "match_word",
             "began", "began_group", "colleague_counts"),
    "contact": (*_ALWAYS, "minutes", "again", "topic", "record_nothing"),
    # Source and message are kept. Otherwise the same signed answer would be entered repeatedly.
    "consent": (*_ALWAYS, "consent", "answer", "named", "formal", "source", "message"),
    "step": (*_ALWAYS, "consent", "named", "formal", "consent_was_sought", "no_other_way",
             "serious_harm", "moral_distress", "as_small_as_possible"),
    "complaint": (*_ALWAYS, "what"),
    "close": (*_ALWAYS, "destroy_on"),
}  # fmt: skip
_MINIMAL = {
    "case": (*_COUNTED["case"], "label", "channel", "role", "phase", "conflicts_with",
             "aftercare_on"),
    "contact": (*_COUNTED["contact"], "channel", "how", "with_whom", "help", "consent"),
    "consent": (*_COUNTED["consent"], "step", "partner", "scope"),
    "step": (*_COUNTED["step"], "step", "partner", "why"),
    "complaint": (*_COUNTED["complaint"], "body"),
    "close": (*_COUNTED["close"], "outcome", "referral", "aftercare_on"),
}  # fmt: skip
KEPT: Mapping[str, Mapping[str, tuple[str, ...]]] = {"none": _COUNTED, "minimal": _MINIMAL}
# The fields that are kept for a contact with ``record_nothing``.
NOTHING_RECORDED = ("date", "employer", "minutes", "again", "record_nothing")


def reduced(event: Event, level: str) -> tuple[Event, tuple[str, ...]]:
    """Return an event as it is kept at a level, and the names of the omitted fields.

    Events that do not concern a case are kept unchanged.
    """
    if not isinstance(event, OfCase):
        return event, ()
    if getattr(event, "record_nothing", None):
        kept: tuple[str, ...] = NOTHING_RECORDED
    elif level == "full":
        return event, ()
    else:
        kept = KEPT[level][event.kind]
    given = {
        one.name: one
        for one in dataclasses.fields(event)
        if getattr(event, one.name) not in (None, "", (), {}) and one.name not in kept
    }
    if not given:
        return event, ()
    left = {name: getattr(event, name) for name in form.readers(type(event)) if name in kept}
    return type(event)(**left), tuple(given)
