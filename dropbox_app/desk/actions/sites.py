"""Actions on the sites of a desk: fetch, card, keys, absence."""

import datetime
from collections.abc import Callable, Collection
from dataclasses import dataclass

from dropbox_app.desk import folder
from dropbox_app.desk.actions.at_once import for_each
from dropbox_app.desk.errors import CannotReach, DeskError, NoSuchCounsellor, Unfit
from dropbox_app.desk.folder import Workplace
from dropbox_app.desk.keys import schedule
from dropbox_app.desk.session import Desk, Report
from dropbox_app.desk.storage.state import Profile
from dropbox_app.desk.storage.vault import HeldSeed
from dropbox_app.desk.sync import colleagues, own_card
from dropbox_app.desk.sync import fetch as rounds
from dropbox_app.protocol import card as cards
from dropbox_app.protocol.card import Away, Card


@dataclass(frozen=True)
class Fetched:
    """The result of one site's fetch. ``failure`` explains why the fetch was not completed."""

    site: str
    employer: str
    report: Report
    sent: int = 0  # queued messages that were sent
    failure: DeskError | None = None


@dataclass(frozen=True)
class Site:
    """One site of the desk, as shown in a list."""

    site: str
    employer: str
    fingerprint: str
    identity: str
    identity_hex: str
    serial: int
    published: bool
    away: Away | None
    read_to_end: datetime.date | None
    keys: tuple[HeldSeed, ...]
    profile: Profile


@dataclass(frozen=True)
class CardShown:
    """The desk's own card.

    ``changed``: whether the card's contents are new. ``at_server``: whether the server already has
    a card, so that the next fetch publishes the changes.
    """

    profile: Profile
    raw: bytes
    fingerprint: str
    changed: bool
    at_server: bool


def fetch(
    place: Workplace,
    site: str = "",
    progress: Callable[[Fetched], object] = lambda _: None,
    waiting: Callable[[Collection[str]], object] = lambda _: None,
) -> list[Fetched]:
    """Fetch from all sites at once, or from the one named by ``site``.

    Each site has its own connection, and its own circuit over Tor. A site that does not respond
    does not delay the others. ``progress`` is called with each result. ``waiting`` is called after
    every ten seconds without a result, with the employers whose sites have not responded.
    """
    done = []
    for one in for_each(place.desks(site), lambda desk: _fetch(place, desk), waiting):
        progress(one)
        done.append(one)
    return sorted(done, key=lambda one: one.site)


def _fetch(place: Workplace, desk: Desk) -> Fetched:
    waiting = {item.id for item in desk.state.items.values() if item.sent == "waiting"}
    failure = None
    try:
        with place.connected(desk):
            rounds.fetch(desk)
    except DeskError as error:
        failure = error
    new, threads = desk.report.new, desk.state.threads
    desk.report.new = {mailbox: count for mailbox, count in new.items() if mailbox in threads}
    sent = [i for i in desk.state.items.values() if i.id in waiting and i.sent == "sent"]
    count = sum(item.what == "message" for item in sent)
    return Fetched(desk.state.site, desk.state.name, desk.report, count, failure)


def sites(place: Workplace, site: str = "") -> list[Site]:
    """Return the sites of this desk, or only ``site``."""
    found = []
    for desk in place.desks(site):
        state = desk.state
        serial = cards.parse(state.card).serial if state.card else 0
        found.append(
            Site(
                state.site, state.name, desk.identity.fingerprint(), desk.own, desk.identity.hex,
                serial, state.published, state.away, state.read_to_end,
                desk.vault.seeds(state.site), state.profile,
            )
        )  # fmt: skip
    return found


def card(
    place: Workplace, site: str = "", change: Callable[[Profile], Profile] | None = None
) -> CardShown:
    """Return the desk's own card for one site, after ``change`` if given. Raises Unfit.

    A card that was never published is issued today. If the server already has a card, the next
    fetch issues and publishes the changes.
    """
    desk = place.one(site)
    old = desk.state.profile
    profile = change(old) if change else old
    if profile != old:
        folder.try_card(desk.state.site, profile, desk.today)
        desk.state.profile = profile
        desk.save()
    if not desk.state.confirmed:
        own_card.issue(desk, day_confirmed=False)
    return CardShown(
        profile, desk.state.card, desk.identity.fingerprint(), profile != old, desk.state.confirmed
    )


def cards_of_all(place: Workplace) -> list[tuple[str, CardShown]]:
    """Return the desk's own card for each site with the employer's name, sorted by name.

    The operator can then confirm all the cards in one phone call, in which the groups are read out.
    """
    employers = sorted(place.names().items(), key=lambda one: (one[1].casefold(), one[0]))
    return [(employer, card(place, site)) for site, employer in employers]


def overdue(place: Workplace, site: str = "") -> list[tuple[Desk, list[HeldSeed]]]:
    """Return each site's keys that should already be destroyed, by this computer's date."""
    return [(desk, own_card.overdue(desk)) for desk in place.desks(site)]


def destroy_overdue(desk: Desk) -> Report:
    """Destroy one site's overdue keys at the user's request, even if the site does not respond."""
    own_card.destroy_overdue(desk)
    return desk.report


@dataclass(frozen=True)
class Absence:
    """The result of announcing an absence, or its end, at one site."""

    employer: str
    stand_in: str  # the name as given by the site
    report: Report
    failure: DeskError | None = None


def away(
    place: Workplace,
    until: datetime.date | None,
    *,
    site: str = "",
    everywhere: bool = False,
    at: Collection[str] = (),
    stand_in: str = "",
    confirmed: Callable[[Card], bool] = lambda _: False,
) -> list[Absence]:
    """Announce an absence on the cards of one site, the sites in ``at``, or all.

    If ``until`` is None, the absence ends. Each line of ``stand_in`` contains the ten groups of a
    colleague, which differ from site to site. The stand-in at each site is the colleague whose
    groups are found there. If there is only one site, errors are raised. Several sites are updated
    at the same time, each over its own connection, and the errors of each are returned in its
    result.
    """
    if until is not None and until < place.machine.today():
        raise Unfit(f"{until} is past; an absence is announced ahead.", "past")
    if not everywhere and not at:
        return [_away(place, place.one(site), until, stand_in, confirmed)]

    def one(desk: Desk) -> Absence:
        try:
            return _away(place, desk, until, stand_in, confirmed)
        except DeskError as error:
            return Absence(desk.state.name, "", desk.report, error)

    desks = place.desks() if everywhere else [place.desk(chosen) for chosen in at]
    return sorted(for_each(desks, one), key=lambda done: done.employer.casefold())


def _stand_in(desk: Desk, given: str, confirmed: Callable[[Card], bool]) -> Card | None:
    """Return this site's colleague from a list with one colleague per line.

    Raises NotFound, Unfit.
    """
    unknown = None
    for who in filter(str.strip, given.splitlines()):
        try:
            return colleagues.counsellor(desk, who, confirmed)
        except NoSuchCounsellor as error:
            unknown = error
    if unknown is not None:
        raise unknown
    return None


def _away(
    place: Workplace,
    desk: Desk,
    until: datetime.date | None,
    stand_in: str,
    confirmed: Callable[[Card], bool],
) -> Absence:
    serial = desk.state.serial
    try:
        with place.connected(desk):
            desk.need_day()
            who = _stand_in(desk, stand_in, confirmed)
            announced = Away(until, who.identity if who else None) if until else None
            schedule.months(desk.today, announced)  # raised before anything is changed
            desk.state.away = announced
            own_card.issue(desk, forced=True)
            own_card.publish(desk)
    except CannotReach as error:
        kept = "It is kept here, and the next 'fetch' takes it to the site."
        if desk.state.serial == serial:
            kept = "Nothing was changed; give the same command again later."
        raise CannotReach(f"{error} {kept}") from None
    return Absence(desk.state.name, who.name if who else "", desk.report)
