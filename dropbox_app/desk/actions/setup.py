"""Setup actions: create a desk or add a site, accept new addresses, create a key for Tor."""

from dataclasses import dataclass
from pathlib import Path

from dropbox_app.desk import folder as workplace
from dropbox_app.desk.errors import Unfit
from dropbox_app.desk.folder import Invitation, Machine, Workplace
from dropbox_app.desk.storage import vault
from dropbox_app.desk.storage.atomic_files import write_outside
from dropbox_app.desk.storage.state import Profile
from dropbox_app.desk.transport import onion_key
from dropbox_app.desk.transport.proxy import find_tor, is_onion
from dropbox_app.protocol.card import unseen
from dropbox_app.protocol.encoding import clean_text, with_line_ends

__all__ = [
    "MAX_INVITATION", "Made", "Moved", "check", "exists", "find_tor", "init", "invited", "join",
    "make_onion_key", "move", "needs_tor", "tidy",
]  # fmt: skip

MAX_INVITATION = workplace.MAX_INVITATION  # bytes


@dataclass(frozen=True)
class Made:
    """A site that was added to the desk.

    ``fingerprint`` is the ten groups to read to the operator.
    """

    site: str
    employer: str
    profile: Profile
    fingerprint: str


@dataclass(frozen=True)
class Moved:
    """A site with new addresses. ``dialled`` lists the addresses that the desk uses."""

    employer: str
    dialled: tuple[str, ...]


def exists(folder: Path) -> bool:
    """Return whether a folder contains a desk, without opening it."""
    return (folder / vault.NAME).is_file()


def invited(raw: bytes) -> Invitation:
    """Read an invitation from the operator. Raises Unfit."""
    return workplace.read_invitation(raw)


def check(invitation: bytes, profile: Profile, proxy: str, machine: Machine) -> None:
    """Raise the errors that ``init`` would raise, before anything is created. Raises Unfit."""
    workplace.check(invited(invitation), tidy(profile), proxy, machine.today())


def needs_tor(invitation: Invitation) -> bool:
    """Return whether the desk needs Tor because the site has an address that only Tor can reach."""
    return any(is_onion(one) for one in (*invitation.origins, *invitation.desk_origins))


def init(
    folder: Path,
    passphrase: str,
    machine: Machine,
    invitation: bytes,
    profile: Profile,
    proxy: str = "",
) -> Made:
    """Create a desk for the invitation's site, or add the site to an existing desk in the folder.

    Raises Unfit, AlreadyThere if the site is already set up here, WrongPassphrase.
    """
    told = invited(invitation)
    desk = workplace.init(
        folder, passphrase, machine, invitation=told, profile=tidy(profile), proxy=proxy
    )
    return Made(desk.state.site, desk.state.name, desk.state.profile, desk.identity.fingerprint())


def join(place: Workplace, invitation: bytes, profile: Profile, proxy: str = "") -> Made:
    """Add a site to an open desk. Raises Unfit, AlreadyThere."""
    desk = workplace.join(place, invited(invitation), tidy(profile), proxy)
    return Made(desk.state.site, desk.state.name, desk.state.profile, desk.identity.fingerprint())


def move(place: Workplace, invitation: bytes, proxy: str | None = None) -> Moved:
    """Adopt the addresses and name in a site's new invitation. Raises Unfit.

    ``proxy`` replaces the previous proxy; "" removes it, and None keeps it.
    """
    told = invited(invitation)
    workplace.move(place, told, proxy)
    return Moved(told.name, told.desk_origins or told.origins)


def make_onion_key(address: str, out: Path) -> str:
    """Write a key for Tor on this computer to a new file ``out``; return the line for the operator.

    The line is not secret, but the file is. Raises Unfit, AlreadyThere.
    """
    if out.suffix != onion_key.SUFFIX:
        raise Unfit(f"Tor reads only files whose name ends in {onion_key.SUFFIX}.")
    made = onion_key.make(address)
    write_outside(out, made.secret.encode("ascii"))
    return made.public


def tidy(profile: Profile) -> Profile:
    """Return a profile with its texts cleaned up for a card, and without empty texts.

    Invisible characters are also removed from the sentence, which is often pasted.
    """
    said = {code: _line(text) for code, text in profile.sentence.items()}
    return Profile(
        clean_text(profile.name).strip(), profile.kind, profile.scope, profile.languages,
        clean_text(profile.register_number).strip(),
        {code: text for code, text in said.items() if text},
    )  # fmt: skip


def _line(text: str) -> str:
    """Return a text as a single line without invisible characters."""
    spaced = " ".join(clean_text(with_line_ends(text)).split())
    return "".join(letter for letter in spaced if not unseen(letter)).strip()
