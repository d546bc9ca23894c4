"""Actions that make printable files: the poster, wallet cards, intranet text and two sheets."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from dropbox_app.desk.errors import Unfit
from dropbox_app.desk.folder import Workplace
from dropbox_app.desk.printables import print as prints
from dropbox_app.desk.printables.print import Site
from dropbox_app.desk.session import Desk
from dropbox_app.protocol.encoding import clean_text
from dropbox_app.protocol.retrieval_code import LANGUAGES

Kind = Literal["poster", "cards", "text"]


@dataclass(frozen=True)
class Printed:
    """A file to print or pass on. ``name`` is its suggested name."""

    name: str
    type: str  # the media type
    data: bytes


def of_site(
    place: Workplace,
    kind: Kind,
    language: str,
    *,
    phone: str = "",
    hours: str = "",
    site: str = "",
) -> Printed:
    """Return the poster, the wallet cards or the intranet text for one site.

    ``phone`` and ``hours`` are printed as given. If there is no phone number, its line is left out.
    Raises Unfit, NotFound.
    """
    shown = _shown(place.one(site))
    called, when = _line(phone), _line(hours)
    spoken = _known(language)
    name = prints.file_name(kind, spoken)
    if kind == "text":
        text = prints.intranet(shown, spoken, called, when)
        return Printed(name, "text/plain", text.encode("utf-8"))
    make = prints.poster if kind == "poster" else prints.cards
    data = make(shown, spoken, called, when)
    return Printed(name, "application/pdf", data)


def recovery_sheet(place: Workplace, language: str) -> Printed:
    """Return the recovery sheet for all sites, to keep in a safe. It contains no secret.

    Raises Unfit.
    """
    sites = [_shown(desk) for desk in place.desks()]
    sites.sort(key=lambda one: one.employer.casefold())
    spoken = _known(language)
    data = prints.recovery(sites, spoken)
    return Printed(prints.file_name("recovery", spoken), "application/pdf", data)


def call_sheet(
    language: str, fields: Sequence[tuple[str, Sequence[str]]], answers: Sequence[str]
) -> Printed:
    """Return the empty sheet to fill in during a call; see ``print.call``. Raises Unfit."""
    spoken = _known(language)
    data = prints.call(spoken, fields, answers)
    return Printed(prints.file_name("call", spoken), "application/pdf", data)


def _shown(desk: Desk) -> Site:
    state = desk.state
    return Site(state.name, state.profile.name, state.origins, desk.identity.fingerprint())


def _line(text: str) -> str:
    return " ".join(clean_text(text).split())


def _known(language: str) -> str:
    if language not in LANGUAGES:
        raise Unfit(f"Printed things are made in {', '.join(LANGUAGES)} alone.")
    return language
