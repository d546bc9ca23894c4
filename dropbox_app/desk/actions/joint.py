"""Actions on a joint report of two counsellors: export counts, import them, mark cases.

A case is marked if the colleague counts the same person. Nothing is sent. The counsellors exchange
the file in any way they choose.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace

from dropbox_app.desk.actions import annual, corrections, register
from dropbox_app.desk.actions.annual import name_of
from dropbox_app.desk.annual import counting, gather, periods, sealed_counts
from dropbox_app.desk.annual import draft as drafts
from dropbox_app.desk.annual.sealed_counts import Counts
from dropbox_app.desk.errors import Unfit
from dropbox_app.desk.folder import Workplace
from dropbox_app.desk.register import cases, groups, names, rules
from dropbox_app.desk.register.cases import Standing
from dropbox_app.desk.register.events import Agreement, Event, Freeze, Joint
from dropbox_app.protocol import card as cards
from dropbox_app.protocol.card import Card
from dropbox_app.protocol.errors import CardError
from dropbox_app.protocol.keys import VerifyKey

Confirm = Callable[[str, VerifyKey], bool]  # shows a name and ten groups, and asks for confirmation


def give(place: Workplace, employer: str, year: str, card: bytes, confirmed: Confirm) -> bytes:
    """Return the counts of a year, sealed for the colleague to whom ``card`` belongs.

    The register then records that the colleague makes the report, and closes the year. A second
    export has the same counts, and an export to another colleague is refused. ``confirmed`` shows
    the card's ten groups and asks for confirmation, because the holder of that card's key can open
    the counts. Raises Unfit, NotFound, Refused.
    """
    read = colleague(place, card)
    desk, today = place.desk(read.site), place.machine.today()
    _ask(confirmed, read.name, read.identity)
    with place.database.transaction():
        events = register.every(place)
        name = name_of(events, employer)
        years, counts = drafts.joint_counts(events, name, periods.year(year), today)
        before = _given(events, name, years)
        groups = read.identity.fingerprint()
        if before is not None and not names.same_colleague(before, read.name, groups):
            raise _given_away(before, read.name)
        made = Counts(
            desk.state.site, desk.identity, desk.state.profile.name, name, years,
            before.situations if before else counts,
        )  # fmt: skip
        if before is None:
            _keep(place, made, read.name, read.identity, given=True)
        # The file is made before the year is closed on disk. Without it, nobody could make the
        # report.
        return sealed_counts.seal(made, read, desk.signing, today)


def _given_away(before: Joint, name: str) -> Unfit:
    """Return why a second colleague, called ``name``, cannot get already exported counts."""
    year, other = before.last_year, before.counsellor
    if names.plain(name) == names.plain(other):
        return Unfit(
            f"Your counts of {year} at {before.employer} were given to a colleague of this name,"
            f" with other ten groups: {before.fingerprint}. Ask for the card with those.",
            "joint_given_namesake", employer=before.employer, year=year, other=other,
            groups=before.fingerprint,
        )  # fmt: skip
    return Unfit(
        f"Your counts of {year} at {before.employer} were given to {other}, who makes the report."
        " Two reports that contain the same counts could be compared to find what each hides.",
        "joint_given", employer=before.employer, year=year, other=other,
    )  # fmt: skip


def years(place: Workplace, employer: str, year: int) -> range:
    """Return the calendar years that ``give`` exports and closes. Raises Unfit.

    Three years are returned if the agreement has a single band for three years. After an export for
    the year, the years of that export are returned.
    """
    events = place.book().terms
    found = gather.exchanged(events, employer, range(year, year + 1))
    done = next((one for one in reversed(found) if one.given), None)
    if done is not None and done.first_year and done.last_year:
        return range(done.first_year, done.last_year + 1)
    return drafts.joint_years(events, employer, year, place.machine.today())


def colleague(place: Workplace, card: bytes) -> Card:
    """Return a colleague's card, which must be for a site of this desk and have a key for today.

    The desk's own card is not accepted. Raises Unfit.
    """
    try:
        read = cards.parse(card)
    except CardError as error:
        raise Unfit(f"This file is not a counsellor's card ({error}).", "joint_no_card") from None
    if read.site not in place.vault.sites:
        said = "This card belongs to another site. Ask for the card of the site that you share."
        raise Unfit(said, "joint_other_site")
    if read.identity == place.desk(read.site).identity:
        raise Unfit("That is your own card; ask for your colleague's.", "joint_own_card")
    sealed_counts.recipient(read, place.machine.today())
    return read


def take(place: Workplace, sealed: bytes, employer: str, confirmed: Confirm) -> Counts:
    """Store a colleague's counts, and return them under this desk's name for the employer.

    ``employer`` is that name. If ``employer`` is empty, the colleague's name for the employer is
    used. Raises Unfit, NotFound, Refused.
    """
    found = opened(place, sealed)
    _ask(confirmed, found.name, found.by)
    with place.database.transaction():
        name = name_of(register.every(place), employer or found.employer)
        _keep(place, replace(found, employer=name), found.name, found.by, given=False)
    return replace(found, employer=name)


MARK = "colleague_counts"  # the field of a case that the colleague counts


def mark(place: Workplace, reference: str, *, colleague_counts: bool) -> Standing:
    """Mark a case as counted by the other counsellor of a joint report, or remove the mark.

    Returns the case. Raises NotFound. Raises Refused if the entry with the mark is in a closed
    year.
    """
    found = register.case(place, reference)
    corrections.set_sheet(place, found.reference, {MARK: True} if colleague_counts else {}, (MARK,))
    return register.case(place, found.reference)


def closed_by(place: Workplace, found: Standing) -> Freeze | Joint | None:
    """Return the issued report or exported counts that a mark on a case can no longer change.

    The report or the counts are those of the year in which the situation began. None means that the
    mark still has an effect.
    """
    return rules.closed_by(place.book().terms, found.employer, counted_year(place, found))


def counted_year(place: Workplace, found: Standing) -> int:
    """Return the year in which the situation of a case counts."""
    there = place.book().standings
    circle = next(one for one in cases.situations(there) if found.reference in one)
    return min(there[one].counted_on for one in circle).year


def is_shared(place: Workplace, employer: str) -> bool:
    """Return whether a joint report on an employer was agreed, or counts for one were exchanged.

    The joint report may be on a group to which the employer belongs.
    """
    terms = place.book().terms
    near = groups.above(groups.ever(terms), employer) | {employer}
    return any(
        one.employer in near and (isinstance(one, Joint) or bool(one.shared_with))
        for one in terms
        if isinstance(one, Agreement | Joint)
    )


def left_to_colleague(place: Workplace, employer: str, years: range) -> int:
    """Return how many situations of these years ``give`` leaves to the colleague."""
    return counting.by_colleague(annual.situations(place, employer), years)


def _given(events: Sequence[Event], employer: str, years: range) -> Joint | None:
    """Return the exported counts of these years; None if they were not exported."""
    found = gather.exchanged(events, employer, years)
    return next(
        (
            one
            for one in reversed(found)
            if one.given and (one.first_year, one.last_year) == (years[0], years[-1])
        ),
        None,
    )


def opened(place: Workplace, sealed: bytes) -> Counts:
    """Return the counts in a colleague's file, without storing them. Raises Unfit."""
    refused = Unfit("This desk has no site yet.")
    for site in place.vault.sites:
        identity = place.desk(site).identity
        try:
            return sealed_counts.read(sealed, place.vault.openers(site), site, identity)
        except Unfit as error:
            refused = error
    raise refused


def _ask(confirmed: Confirm, name: str, identity: VerifyKey) -> None:
    if not confirmed(name, identity):
        raise Unfit(
            "Nothing was done. Ask your colleague to read out the ten groups.", "joint_unconfirmed"
        )


def _keep(
    place: Workplace, counts: Counts, other: str, identity: VerifyKey, *, given: bool
) -> None:
    register.record(
        place,
        Joint(
            date=place.machine.today(),
            employer=counts.employer,
            first_year=counts.years[0],
            last_year=counts.years[-1],
            counsellor=other,
            fingerprint=identity.fingerprint(),
            given=given or None,
            situations=counts.situations,
        ),
    )
