"""The desk's own card: make keys in advance, issue and publish the card, destroy old keys.

The order of the steps prevents data loss. A seed is in the vault before its card exists, and the
card is in the state before the server gets it. Items that still need an expiring seed are moved
into the database before the vault is written without it (SPEC sections 3 and 7).
"""

from dropbox_app.desk.errors import Refused
from dropbox_app.desk.keys import schedule
from dropbox_app.desk.session import Desk
from dropbox_app.desk.storage.state import Profile
from dropbox_app.desk.storage.vault import HeldSeed
from dropbox_app.desk.transport.api_client import Shown
from dropbox_app.protocol import card as cards
from dropbox_app.protocol.card import Card
from dropbox_app.protocol.errors import CardError

_ROLLED_BACK = (
    "ALARM: the site shows another card for you than the one this desk issued last. New messages "
    "may be sealed to keys that are not yours. Tell the operator by telephone, and compare the ten "
    "groups of 'klankbord-desk keys' with those on the site."
)


def issue(desk: Desk, *, forced: bool = False, day_confirmed: bool = True) -> bool:
    """Make the keys that are due, and issue a new card if anything changed.

    Return whether a card was issued. With ``day_confirmed``, no key is made on a day that the
    server does not confirm (ClocksDiffer). Only the first card, which is made before any server is
    contacted, needs no confirmation.
    """
    if day_confirmed:
        desk.need_day()
    state = desk.state
    if state.away is not None and state.away.until < desk.today:
        state.away = None  # the absence has ended, and the next card does not mention it
    wanted = schedule.months(desk.today, state.away)
    held = desk.vault.seeds(state.site)
    current = cards.parse(state.card) if state.card else None
    if current is not None and not forced:
        same = Profile.of(current) == state.profile
        if same and not schedule.stale(current, wanted):
            return False
    sealing, made = schedule.fill(held, wanted)
    if made:
        desk.vault.hold(state.site, made)
        desk.vault.save()
    raw = cards.issue(
        site=state.site,
        serial=state.serial + 1,
        issued=desk.today,
        name=state.profile.name,
        kind=state.profile.kind,
        scope=state.profile.scope,
        languages=state.profile.languages,
        sealing=schedule.windows(sealing),
        away=state.away,
        signing=desk.signing,
        register_number=state.profile.register_number,
        sentence=state.profile.sentence,
    )
    state.card, state.serial, state.published = raw, state.serial + 1, False
    desk.save()
    return True


def publish(desk: Desk) -> None:
    """Send the last issued card, unless the server already has it. Raises Refused."""
    if desk.state.published:
        return
    try:
        desk.courier.put_card(desk.state.card)
    except Refused as error:
        raise Refused(
            "The server did not take your new card. Has it been retired, does a colleague go by "
            "your name, or does another copy of this desk exist? Ask the operator. "
            f"(Status {error.status}.)",
            error.status,
        ) from None
    desk.state.published = desk.state.confirmed = True
    desk.save()


def own_cards(desk: Desk, shown: Shown) -> list[Card]:
    """Return the site's cards that have this desk's identity and its valid signature."""
    return [card for card in readable(desk, shown) if card.identity == desk.identity]


def readable(desk: Desk, shown: Shown) -> list[Card]:
    """Return the valid cards for this site.

    Until somebody has compared the ten groups, only the server vouches for the owners of the cards.
    """
    found = []
    for raw in shown.cards:
        try:
            found.append(cards.parse(raw))
        except CardError:
            continue
    return [card for card in found if card.site == desk.state.site]


def take_over(desk: Desk, shown: Shown) -> None:
    """After a restore from backup, issue a card with a higher serial than any that was signed.

    Windows whose seed is not in the backup are replaced, because ``issue`` makes their keys again.
    """
    newest = max(own_cards(desk, shown), key=lambda card: card.serial, default=None)
    if newest is not None and newest.raw != desk.state.card:
        desk.state.serial = max(desk.state.serial, newest.serial)
        if desk.state.away is None:
            desk.state.away = newest.away
        issue(desk, forced=True)
        desk.report.note(
            "This desk was restored from a backup: it has issued a new card above the one the "
            "site had. What was sealed to keys that are not in the backup cannot be opened.",
            "desk_restored",
        )


def watch(desk: Desk, shown: Shown) -> None:
    """Compare the public card with the issued one, byte for byte."""
    if not desk.state.published:
        return
    claimed = [raw for raw in shown.cards if desk.own.encode() in raw.partition(b"\n")[0]]
    mine = [raw for raw in claimed if _claims(raw, desk.own)]
    if not mine:
        desk.report.alarm(
            "ALARM: the site shows no card for you, though the server has taken it. Reporters "
            "cannot choose you there. Tell the operator by telephone.",
            "no_card",
        )
    elif any(raw != desk.state.card for raw in mine):
        desk.report.alarm(_ROLLED_BACK, "other_card")


def tell_reachable(desk: Desk, shown: Shown) -> None:
    """Tell the user that reporters can choose this counsellor, once the site shows the issued card.

    The desk then learns its own name from that card, so the user is told only once. The user is not
    told during an absence, or if the site shows any other card.
    """
    if not desk.state.published:
        return
    absent = desk.state.away is not None and desk.state.away.until >= desk.today
    mine = [card.raw for card in own_cards(desk, shown)]
    if desk.own not in desk.state.names and mine == [desk.state.card] and not absent:
        desk.report.note(
            f"You can be reached now: the site of {desk.state.name} shows your card, and people "
            "who write there can choose you.",
            "reachable",
        )


def _claims(raw: bytes, own: str) -> bool:
    """Return whether a card claims this identity. An unreadable card counts as a claim."""
    try:
        return str(cards.parse(raw).identity) == own
    except CardError:
        return True


def destroy(desk: Desk) -> None:
    """Destroy the expired seeds, on a day that the server confirms."""
    # Listed items that have not arrived may need any of the seeds, whichever day the server stated.
    read = None if desk.state.owed else desk.state.read_to_end
    _let_go(desk, schedule.doomed(desk.vault.seeds(desk.state.site), desk.day, read))


def overdue(desk: Desk) -> list[HeldSeed]:
    """Return the seeds that should already be destroyed, according to this computer's date."""
    return schedule.overdue(desk.vault.seeds(desk.state.site), desk.today)


def destroy_overdue(desk: Desk) -> None:
    """Destroy the overdue seeds at the user's request, for a site that no longer confirms a day."""
    _let_go(desk, overdue(desk))


def _let_go(desk: Desk, doomed: list[HeldSeed]) -> None:
    """Destroy seeds after moving the items that need them into the database.

    The database then gets a new key at the end of the current work, or at the next start.
    """
    if not doomed:
        return
    # This includes items from an interrupted round, so that they need not be fetched again.
    desk.save()
    desk.take_in(desk.state.items.values())
    desk.store.expect_rewrite()
    desk.vault.destroy(desk.state.site, doomed)
    desk.vault.save()
    for held in doomed:
        desk.report.note(
            f"The key of {held.first} to {held.until} was destroyed, as announced.", "key_destroyed"
        )
