"""The events of the register, and their JSON form: one object with the kind in ``event``.

Every record that a counsellor makes is an event on a day, usually for an employer. Later events
replace field values of earlier ones. All events of a case together make up the case. Only ``date``
and, for most kinds, ``employer`` are required. ``EVENTS.md`` describes the form, and
``example.jsonl`` is an example.
"""

# ruff: noqa: RUF009 - the functions of fields.py make dataclass fields

import datetime
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from dropbox_app.desk.register import categories as c
from dropbox_app.desk.register import fields as f


@dataclass(frozen=True, kw_only=True)
class Event:
    """The fields of every event. ``date`` is the day on which the event happened or took effect."""

    kind: ClassVar[str]
    date: datetime.date = f.day(needed=True)


@dataclass(frozen=True, kw_only=True)
class OfEmployer(Event):
    """An event for one employer, under the name that all its events use."""

    employer: str = f.text(needed=True)


@dataclass(frozen=True, kw_only=True)
class OfCase(OfEmployer):
    """An event in one case. ``case`` is its reference, given by the counsellor or the program."""

    case: str = f.text()


@dataclass(frozen=True, kw_only=True)
class Employer(OfEmployer):
    """The sheet of an employer. Each given field replaces the earlier value.

    ``group``: the name of the employer whose report also covers this employer; the group must be
    chosen before the first report of either. ``avoid``: departments, titles, places and names that
    must not appear in a report. ``reachable``, ``stand_in``: as printed in the report.
    ``recording``: the level of detail that the register keeps about cases here; ``minimal`` if no
    level was given. ``legal_terms``: whether the deadlines of 7 days and 3 months apply.
    """

    kind: ClassVar[str] = "employer"
    headcount: int | None = f.number(0, f.MAX_PEOPLE, "people")
    recording: str = f.word(c.LEVELS)
    group: str = f.text()
    site: str = f.text()
    contact_person: str = f.text()
    procedure: str = f.text(f.MAX_TEXT)
    committee: str = f.text(f.MAX_TEXT)
    referral_list: str = f.text(f.MAX_TEXT)
    counsellor_kind: str = f.word(c.COUNSELLOR_KINDS)
    scope: str = f.word(c.SCOPES)
    reachable: str = f.text()
    stand_in: str = f.text()
    discussed_with: tuple[str, ...] = f.words(c.DISCUSSED_WITH)
    avoid: tuple[str, ...] = f.names()
    legal_terms: bool | None = f.flag()
    notes: str = f.text(f.MAX_TEXT)


@dataclass(frozen=True, kw_only=True)
class Agreement(OfEmployer):
    """The agreement with an employer for a term that begins on ``date``.

    ``form`` and ``headcount`` are those of the annual report, fixed for the term. ``price``: euros
    per year. ``term_band``: form A (50 to 249 people) also shows a single band for the term of
    three years. ``hours``: agreed hours per year. ``shared_with``: the other counsellor of a joint
    report. A later event with the same ``date`` corrects the agreement. Once a report of the
    agreement's term was issued, or counts for such a report were exchanged, only two corrections
    are possible: a missing price can be added, and ``until`` can move to a later day. After an
    exchange, a missing ``shared_with`` can also be added.
    """

    kind: ClassVar[str] = "agreement"
    until: datetime.date | None = f.day()
    form: str = f.word(c.FORMS)
    headcount: int | None = f.number(0, f.MAX_PEOPLE, "people")
    price: int | None = f.number(0, f.MAX_PRICE, "euros")
    term_band: bool | None = f.flag()
    hours: int | None = f.number(0, f.MAX_HOURS, "hours")
    shared_with: str = f.text()


@dataclass(frozen=True, kw_only=True)
class Case(OfCase):
    """A case, opened on ``date`` by its first event.

    Later events change the fields that they contain. ``label``: the counsellor's own name for the
    case. ``thread``: the id of the case's thread, if it has one. ``belongs_with``: references of
    cases of the same situation, which counts once. ``conflicts_with``: cases of the other side.
    ``belongs_with`` and ``conflicts_with`` are private. ``began``, ``began_group``: year and main
    group of the situation, if a destroyed case started it. ``match_word``: two words given to a
    person who may write later. ``colleague_counts``: another private mark. The colleague with whom
    this counsellor makes a joint report counts the situation, so this counsellor's part of that
    report leaves it out. Counts that were already exchanged or issued do not change. A report that
    the counsellor makes alone counts the situation.
    """

    kind: ClassVar[str] = "case"
    label: str = f.text()
    thread: str = f.thread_id()
    match_word: str = f.text()
    channel: str = f.word(c.CHANNELS)
    identity: str = f.word(c.IDENTITIES)
    relation: str = f.word(c.RELATIONS)
    role: str = f.word(c.ROLES)
    accused: tuple[str, ...] = f.words(c.ACCUSED)
    main_group: str = f.word(c.MAIN_GROUPS)
    sub_groups: tuple[str, ...] = f.words(c.SUB_GROUPS)
    needs: tuple[str, ...] = f.words(c.NEEDS)
    goal: str = f.text(f.MAX_TEXT)
    phase: str = f.word(c.PHASES)
    possible_report: bool | None = f.flag()
    retaliation: bool | None = f.flag()
    belongs_with: tuple[str, ...] = f.names()
    conflicts_with: tuple[str, ...] = f.names()
    colleague_counts: bool | None = f.flag()
    aftercare_on: datetime.date | None = f.day()
    destroy_on: datetime.date | None = f.day()
    began: int | None = f.number(f.YEARS[0], f.YEARS[-1], "year")
    began_group: str = f.word(c.MAIN_GROUPS)
    notes: str = f.text(f.MAX_TEXT)


@dataclass(frozen=True, kw_only=True)
class Contact(OfCase):
    """One contact, with or without a case. ``minutes``: its length.

    ``record_nothing``: the contact is counted, but no other field is kept. ``again``: the contact
    continues an earlier one that also has no case; otherwise a contact without a case is a new
    situation. ``topic``: the main group. ``consent``: the reference of the consent for a contact
    outside the confidential talk.
    """

    kind: ClassVar[str] = "contact"
    channel: str = f.word(c.CHANNELS)
    how: str = f.word(c.CONTACT_KINDS)
    minutes: int | None = f.number(0, f.MAX_MINUTES, "minutes")
    with_whom: tuple[str, ...] = f.words(c.WITH)
    topic: str = f.word(c.MAIN_GROUPS)
    help: tuple[str, ...] = f.words(c.HELP)
    record_nothing: bool | None = f.flag()
    again: bool | None = f.flag()
    consent: str = f.text()
    notes: str = f.text(f.MAX_TEXT)


@dataclass(frozen=True, kw_only=True)
class Advice(OfEmployer):
    """Advice to a manager or the management, not linked to a case. ``minutes``: its length."""

    kind: ClassVar[str] = "advice"
    minutes: int | None = f.number(0, f.MAX_MINUTES, "minutes")
    topic: str = f.word(c.MAIN_GROUPS)
    notes: str = f.text(f.MAX_TEXT)


@dataclass(frozen=True, kw_only=True)
class Activity(OfEmployer):
    """An activity that the employer ordered or saw. ``people``: the number of participants.

    ``price``: euros, in addition to the fixed price of the agreement.
    """

    kind: ClassVar[str] = "activity"
    what: str = f.word(c.ACTIVITIES)
    title: str = f.text()
    minutes: int | None = f.number(0, f.MAX_MINUTES, "minutes")
    people: int | None = f.number(0, f.MAX_PEOPLE, "people")
    price: int | None = f.number(0, f.MAX_PRICE, "euros")


@dataclass(frozen=True, kw_only=True)
class Hours(OfEmployer):
    """Other work for an employer, recorded for the counsellor's private account of hours."""

    kind: ClassVar[str] = "hours"
    work: str = f.word(c.WORK)
    minutes: int | None = f.number(0, f.MAX_MINUTES, "minutes")


@dataclass(frozen=True, kw_only=True)
class Consent(OfCase):
    """A reporter's answer on ``date`` to a question about one step.

    ``consent``: the reference of the question; a later answer with the same reference replaces it.
    ``step``, ``partner``, ``scope``: the step, the other person and the information to disclose, as
    asked. ``message``: the digest of the signed answer (SPEC 4). ``named``: the reporter may be
    named. ``formal``: the step is a formal complaint or report.
    """

    kind: ClassVar[str] = "consent"
    consent: str = f.text()
    step: str = f.text(f.MAX_TEXT)
    partner: str = f.text()
    scope: str = f.text(f.MAX_TEXT)
    answer: str = f.word(c.ANSWERS)
    source: str = f.word(c.SOURCES)
    message: str = f.thread_id()
    named: bool | None = f.flag()
    formal: bool | None = f.flag()


@dataclass(frozen=True, kw_only=True)
class Step(OfCase):
    """A step outside the confidential talk that was taken on ``date``.

    A step needs a ``consent`` that is at most 14 days old and not narrower than the step. Without
    such a consent, every answer of an exception must be true: ``consent_was_sought``,
    ``no_other_way``, ``serious_harm``, ``moral_distress`` and ``as_small_as_possible``. ``why``
    gives the reason.
    """

    kind: ClassVar[str] = "step"
    consent: str = f.text()
    step: str = f.text(f.MAX_TEXT)
    partner: str = f.text()
    named: bool | None = f.flag()
    formal: bool | None = f.flag()
    consent_was_sought: bool | None = f.flag()
    no_other_way: bool | None = f.flag()
    serious_harm: bool | None = f.flag()
    moral_distress: bool | None = f.flag()
    as_small_as_possible: bool | None = f.flag()
    why: str = f.text(f.MAX_TEXT)


@dataclass(frozen=True, kw_only=True)
class Complaint(OfCase):
    """A formal complaint or legal report that the employer has received.

    The situation of its case is left out of the figures in the annual report.
    """

    kind: ClassVar[str] = "complaint"
    what: str = f.word(c.COMPLAINTS)
    body: str = f.text()


@dataclass(frozen=True, kw_only=True)
class Close(OfCase):
    """The closing of a case."""

    kind: ClassVar[str] = "close"
    outcome: str = f.word(c.OUTCOMES)
    referral: tuple[str, ...] = f.words(c.REFERRALS)
    aftercare_on: datetime.date | None = f.day()
    destroy_on: datetime.date | None = f.day()


@dataclass(frozen=True, kw_only=True)
class Checklist(OfEmployer):
    """The employer's arrangements, as the employer sees them.

    Later answers replace earlier ones.
    """

    kind: ClassVar[str] = "checklist"
    items: Mapping[str, str] = f.chosen(c.CHECKLIST, c.CHECKED)


@dataclass(frozen=True, kw_only=True)
class Statistic(OfEmployer):
    """The data kept about a destroyed case or contact: one coded row that is linked to nobody.

    ``date`` is 1 January of the year of the case or contact. ``situations`` is 0 if the case counts
    together with another one. ``held``: the year in which the employer received a complaint or
    report about the case; the row is then left out like a case. In older rows, ``situations`` is 0
    if the employer received the complaint in the year of ``date``. ``colleague_counts``: as for a
    case.
    """

    kind: ClassVar[str] = "statistic"
    main_group: str = f.word(c.MAIN_GROUPS)
    situations: int | None = f.number(0, 1, "situations")
    held: int | None = f.number(f.YEARS[0], f.YEARS[-1], "year")
    colleague_counts: bool | None = f.flag()
    minutes: int | None = f.number(0, 1_000_000, "minutes")


@dataclass(frozen=True, kw_only=True)
class Destruction(Event):
    """Proof that a case was destroyed on ``date``, without employer, reference or content.

    ``entries``: the number of removed events. ``conversation``: its thread was also removed.
    """

    kind: ClassVar[str] = "destruction"
    entries: int | None = f.number(0, 1_000_000, "events")
    conversation: bool | None = f.flag()


@dataclass(frozen=True, kw_only=True)
class Freeze(OfEmployer):
    """An annual report that was issued on ``date`` and can no longer change.

    The report covers the calendar years ``first_year`` to ``last_year``. ``bands``: the bands that
    the report printed. ``advice``: the three items of advice. ``text``: the report as issued.
    """

    kind: ClassVar[str] = "freeze"
    first_year: int | None = f.number(f.YEARS[0], f.YEARS[-1], "year")
    last_year: int | None = f.number(f.YEARS[0], f.YEARS[-1], "year")
    form: str = f.word(c.FORMS)
    bands: Mapping[str, str] = f.chosen(("all", *c.MAIN_GROUPS), c.BANDS)
    advice: tuple[str, ...] = f.words(c.CHECKLIST + c.REPEATED_ADVICE)
    text: str = f.text(f.MAX_REPORT)


@dataclass(frozen=True, kw_only=True)
class Joint(OfEmployer):
    """Counts for a joint report of two counsellors, exchanged on ``date``.

    The counts cover the calendar years ``first_year`` to ``last_year``. ``counsellor``: the other
    counsellor. ``fingerprint``: the ten groups of that counsellor's card, empty in older entries.
    ``given``: the counts were exported to the other counsellor, who makes the report, and these
    years are closed here; otherwise they were imported from that counsellor. ``situations``: the
    number of situations by main group. Later counts of the same years replace earlier ones. A
    person who spoke to both counsellors counts twice, unless the case of one of them has
    ``colleague_counts``.
    """

    kind: ClassVar[str] = "joint"
    first_year: int | None = f.number(f.YEARS[0], f.YEARS[-1], "year")
    last_year: int | None = f.number(f.YEARS[0], f.YEARS[-1], "year")
    counsellor: str = f.text()
    fingerprint: str = f.text(49)
    given: bool | None = f.flag()
    situations: Mapping[str, int] = f.counted(c.MAIN_GROUPS, 1_000_000, "situations")


@dataclass(frozen=True, kw_only=True)
class Absence(Event):
    """Days, from ``date`` to ``until``, on which the counsellor does not work for any employer."""

    kind: ClassVar[str] = "absence"
    until: datetime.date | None = f.day()


@dataclass(frozen=True, kw_only=True)
class Upkeep(Event):
    """The counsellor's own training, peer supervision or other professional development."""

    kind: ClassVar[str] = "upkeep"
    what: str = f.word(c.UPKEEP)
    minutes: int | None = f.number(0, f.MAX_MINUTES, "minutes")
    title: str = f.text()


@dataclass(frozen=True, kw_only=True)
class Certificate(Event):
    """The counsellor's certificate, valid from ``date`` to ``until``."""

    kind: ClassVar[str] = "certificate"
    until: datetime.date | None = f.day()
    register_number: str = f.text()


KINDS: Mapping[str, type[Event]] = {
    one.kind: one
    for one in (
        Employer, Agreement, Case, Contact, Advice, Activity, Hours, Consent, Step, Complaint,
        Close, Checklist, Statistic, Destruction, Freeze, Joint, Absence, Upkeep, Certificate,
    )
}  # fmt: skip
