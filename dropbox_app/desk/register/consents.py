"""The consent ledger: the reporters' consents, and whether a step may rely on one."""

import datetime
from collections.abc import Sequence
from dataclasses import dataclass

from dropbox_app.desk.register.events import Consent, Contact, Event, Step
from dropbox_app.desk.register.fields import Sentence

GOOD_FOR = 14  # days for which a step may rely on a consent

_EXCEPTION = (
    ("consent_was_sought", "was everything tried to get consent"),
    ("no_other_way", "is there no other way"),
    ("serious_harm", "does silence cause serious harm"),
    ("moral_distress", "is keeping silent more than you can bear"),
    ("as_small_as_possible", "is as little told as possible"),
)


@dataclass(frozen=True)
class Entry:
    """A consent request, its newest answer, and that answer's age in days.

    ``good``: whether a step may rely on the answer on the requested day.
    """

    newest: Consent
    age: int
    good: bool


def ledger(given: Sequence[Event], case: str, day: datetime.date) -> list[Entry]:
    """Return the newest answer to each of a case's consent requests, as of one day.

    ``given`` must be in order. A consent without a reference counts as a separate question.
    """
    found: dict[object, Consent] = {}
    for event in given:
        if isinstance(event, Consent) and event.case == case and event.date <= day:
            key: object = event.consent or (len(found), "without a reference")
            older = found.pop(key, None)
            found[key] = _with_question(event, older)
    return [
        Entry(one, age := (day - one.date).days, one.answer == "yes" and age <= GOOD_FOR)
        for one in found.values()
    ]


def forbids(given: Sequence[Event], step: Step | Contact) -> tuple[tuple[str, str], ...]:
    """Return why a step may not be recorded as done, as pairs of a field and a sentence.

    The result is empty if the step relies on an existing "yes" that is at most 14 days old and not
    narrower than the step. An exception whose questions were all answered "yes" also gives an empty
    result. ``given`` contains all events of its case, in order.
    """
    if isinstance(step, Step) and _begins_exception(step):
        return _exception(step)
    if not step.consent:
        said = ("is missing; name the consent that the step rests on, or answer the questions of "
                "an exception")  # fmt: skip
        return (("consent", Sentence(said, "consent_missing")),)
    asked = [one for one in given if isinstance(one, Consent) and one.case == step.case]
    mine = [one for one in asked if one.consent == step.consent]
    if not mine:
        said = f"there is no consent {step.consent!a} in this case; record it first"
        return (("consent", Sentence(said, "no_consent")),)
    before = [one for one in mine if one.date <= step.date]
    if not before:
        said = f"the consent was given on {mine[0].date}, after the step; ask first"
        return (("date", Sentence(said, "consent_later", day=mine[0].date)),)
    newest = before[0]
    for one in before[1:]:
        newest = _with_question(one, newest)
    return _weak(newest, step)


def _weak(newest: Consent, step: Step | Contact) -> tuple[tuple[str, str], ...]:
    """Return the parts of a step that the newest answer does not cover."""
    age = (step.date - newest.date).days
    if newest.answer == "withdrawn":
        said = f"it was withdrawn on {newest.date}; do not take the step"
        return (("consent", Sentence(said, "withdrawn", day=newest.date)),)
    if newest.answer != "yes":
        said = f"the answer of {newest.date} is no yes; ask the reporter"
        return (("consent", Sentence(said, "no_yes", day=newest.date)),)
    if age > GOOD_FOR:
        said = f"it is {age} days old; after {GOOD_FOR} days ask again"
        return (("consent", Sentence(said, "too_old", age=age, most=GOOD_FOR)),)
    if isinstance(step, Contact):
        return ()
    found = []
    if step.named and not newest.named:
        said = "the consent is for a step without a name; ask again"
        found.append(("named", Sentence(said, "unnamed")))
    if step.formal and not newest.formal:
        said = "the consent is not for a formal step; ask again"
        found.append(("formal", Sentence(said, "informal")))
    asked, told = newest.partner.casefold(), step.partner.casefold()
    if asked and told and asked != told:
        said = "the consent is for a step with somebody else; ask again"
        found.append(("partner", Sentence(said, "partner", who=newest.partner)))
    return tuple(found)


def _with_question(newer: Consent, older: Consent | None) -> Consent:
    """Return the newer answer, with the older question if the newer answer has none.

    If an answer does not state whether a name may be disclosed, the older answer's choice applies.
    """
    if older is None:
        return newer
    return Consent(
        date=newer.date, employer=newer.employer, case=newer.case, consent=newer.consent,
        step=newer.step or older.step, partner=newer.partner or older.partner,
        scope=newer.scope or older.scope, answer=newer.answer, source=newer.source,
        message=newer.message,
        named=older.named if newer.named is None else newer.named,
        formal=older.formal if newer.formal is None else newer.formal,
    )  # fmt: skip


def _begins_exception(step: Step) -> bool:
    return any(getattr(step, name) is not None for name, _ in _EXCEPTION) and not step.consent


def _exception(step: Step) -> tuple[tuple[str, str], ...]:
    found = [
        (name, Sentence(f"an exception needs a yes to: {question}?", "exception"))
        for name, question in _EXCEPTION
        if not getattr(step, name)
    ]
    return tuple(found)
