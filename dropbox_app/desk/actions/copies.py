"""The redacted copy of a case: the fields that it can contain, and its text.

Nothing is stored or sent. The caller writes the copy to a file, which is not sealed.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from dropbox_app.desk.actions import register
from dropbox_app.desk.errors import Unfit
from dropbox_app.desk.folder import Workplace
from dropbox_app.desk.register import redacted
from dropbox_app.desk.register.cases import Standing
from dropbox_app.desk.register.events import Step
from dropbox_app.desk.register.lines import Numbered
from dropbox_app.desk.register.redacted import Copy, Field, Part, Reader

MOST_NAMES = 200  # the maximum number of names that one copy can redact


@dataclass(frozen=True)
class Choice:
    """The fields that a copy can contain, and those that are selected by default."""

    case: Standing
    parts: list[Part]
    ticked: set[Field]


def choice(place: Workplace, reference: str) -> Choice:
    """Return the fields that a copy of a case can contain. Raises NotFound."""
    found = _found(place, reference)
    given = redacted.parts(found, register.of_case(place, found))
    return Choice(found, given, redacted.ticked(given))


def copy(
    place: Workplace, reference: str, reader: Reader, chosen: Collection[Field],
    names: Sequence[str], sign: str,
) -> Copy:  # fmt: skip
    """Return the copy of a case for a reader, with ``sign`` in place of each name.

    ``names`` are redacted in addition to the names in the register. Raises NotFound, or Unfit if
    the employer may not receive a copy today or if there are too many names.
    """
    found = _found(place, reference)
    entries = register.of_case(place, found)
    events = [event for _, event in entries]
    today = place.machine.today()
    good = [
        one.good and _carries(place, found, one.newest.consent)
        for one in register.consent_ledger(place, found.reference)
    ]
    done = [one.date for one in events if isinstance(one, Step) and not one.consent]
    if not redacted.may_have(reader, good, done, today):
        raise Unfit(
            "The employer gets a copy only if the reporter said yes to a step in the last 14 days. "
            "Ask the reporter whether this copy is allowed, and record the answer in the case.",
            "copy_no_consent",
        )
    if len(names) > MOST_NAMES:
        raise Unfit(
            f"You gave {len(names)} names. The limit is {MOST_NAMES}.",
            "copy_names", given=len(names), most=MOST_NAMES,
        )  # fmt: skip
    known = redacted.known_names(events, _other_sides(place, found), _of_sheet(place, found))
    return redacted.copy(redacted.parts(found, entries), chosen, names, sign, known)


def _found(place: Workplace, reference: str) -> Standing:
    """Return a case after adding the answers from its thread."""
    register.take_consents(place, register.case(place, reference))
    return register.case(place, reference)


def _carries(place: Workplace, found: Standing, consent: str) -> bool:
    """Return whether a step dated today could be recorded on the basis of a consent."""
    step = Step(
        date=place.machine.today(), employer=found.employer, case=found.reference, consent=consent
    )
    return not register.look(place, [Numbered(0, step)]).faults


def _other_sides(place: Workplace, found: Standing) -> list[Standing]:
    """Return the cases of the other side. Either of the two cases may have the mark."""
    return [
        one
        for one in register.all_cases(place, found.employer)
        if one.reference in found.sheet.conflicts_with
        or found.reference in one.sheet.conflicts_with
    ]


def _of_sheet(place: Workplace, found: Standing) -> list[str]:
    """Return the contact person on the sheet, and the names that no report may contain."""
    sheet = register.sheet(place, found.employer)
    return [*sheet.avoid, sheet.contact_person] if sheet else []
