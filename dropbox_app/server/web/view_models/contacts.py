"""The telephone numbers on a page, with names and hours. The catalogues contain the sentences."""

import re
from collections.abc import Collection
from dataclasses import dataclass

from dropbox_app.protocol.keys import VerifyKey
from dropbox_app.server.config.settings import OtherContact, Settings
from dropbox_app.server.web.view_models.counsellors import People, Person

_NO_BREAK = "\u00a0"  # a space that does not break a line
_JOINER = "\u2060"  # likewise without width, after a hyphen as in "9-17"
SHORT = 16  # maximum letters of hours that fit on one line of any phone


@dataclass(frozen=True)
class Contact:
    """A telephone number in a sentence, with its counsellor's name unless it is the site's."""

    phone: str
    hours: str
    dial: str  # digits, for a link

    @classmethod
    def of(cls, person: Person) -> "Contact":
        """Return a counsellor's own number, for a page that shows the name above it."""
        return cls(_whole(person.phone), _unbroken(person.hours), _dialled(person.phone))

    @classmethod
    def of_number(cls, number: str) -> "Contact":
        """Return a number without a name."""
        return cls(_whole(number), "", _dialled(number))

    @classmethod
    def of_other(cls, other: OtherContact) -> "Contact":
        """Return the number to call with a concern about a counsellor, and the contact's name."""
        return cls(f"{other.name}, {_whole(other.phone)}", "", _dialled(other.phone))


def contacts(
    settings: Settings, people: People, whom: Collection[VerifyKey]
) -> tuple[Contact, ...]:
    """Return the numbers for a page on which the reader writes to the counsellors ``whom``.

    The numbers are the counsellors' own. If these counsellors have none, the site's number is
    returned. If the site has none either, the numbers of all its counsellors are returned.
    """
    own = [person for person in people.everybody if person.phone]
    theirs = [person for person in own if person.identity in whom]
    if settings.phone and not theirs:
        return (
            Contact(_whole(settings.phone), _unbroken(settings.hours), _dialled(settings.phone)),
        )
    return tuple(
        Contact(
            f"{person.name}, {_whole(person.phone)}",
            _unbroken(person.hours),
            _dialled(person.phone),
        )
        for person in theirs or own
    )


def contacts_of(settings: Settings, people: People, one: VerifyKey) -> tuple[Contact, ...]:
    """Return this counsellor's own number, or else the site's, if any."""
    theirs = any(person.phone for person in people.everybody if person.identity == one)
    return contacts(settings, people, (one,)) if theirs or settings.phone else ()


def _dialled(number: str) -> str:
    """Return the number to dial: digits and a plus, without the (0) after a plus."""
    return re.sub("[^0-9+]", "", number.replace("(0)", "") if "+" in number else number)


def _whole(number: str) -> str:
    """Return the number in a form that does not break across lines."""
    return number.replace("-", "-" + _JOINER).replace(" ", _NO_BREAK)


def _unbroken(hours: str) -> str:
    """Return the hours without unwanted line breaks: none if short, and none after a hyphen."""
    return _whole(hours) if len(hours) <= SHORT else hours.replace("-", "-" + _JOINER)
