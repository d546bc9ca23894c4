"""Every refusal of the server, grouped by who caused it.

As in ``protocol.errors``, the docstring of each concrete error may be shown to a person, and
``str(error)`` adds the details. No error carries an id, a text or an address, because an exception
may end up in a log.
"""

from dropbox_app.protocol.errors import KlankbordError


class ServerError(KlankbordError):
    """The server could not do what it was asked for."""


class SettingsError(ServerError):
    """A setting of the server is wrong."""


class ContentError(ServerError):
    """A page that the site wrote itself is wrong."""


class StoreError(ServerError):
    """The database cannot be used."""


class StoreBusy(StoreError):
    """The database was busy for too long. Nothing was stored."""


class BackupError(ServerError):
    """The backup cannot be made or used."""


class MailError(ServerError):
    """The mail was not sent."""


class MailUnsure(MailError):
    """The mail may have been sent, or not. It is not sent again."""


class WrongClock(ServerError):
    """The clock of this machine is wrong. Nothing was removed."""


class Refused(ServerError):
    """The server does not take this."""


class OutOfStep(Refused):
    """Another message came first. Read it, and write again."""

    def __init__(self, newest: int) -> None:
        super().__init__("the number is not the one after this author's newest message")
        self.newest = newest  # the author's newest n here; 0 if there is none


class Gone(Refused):
    """There is no such conversation: it never was, it has ended, or it was withdrawn."""


class MailboxFull(Refused):
    """This conversation holds as much as one may hold."""


class SiteFull(Refused):
    """The drop box is full. Nothing was stored."""


class Moved(Refused):
    """Meanwhile the message would go to others than its files are sealed for."""


class BadShape(Refused):
    """This is not a sealed file of the form that is taken here."""


class NotYours(Refused):
    """This conversation is not addressed to this counsellor, or not to those named."""


class UnknownCounsellor(Refused):
    """One of those it is addressed to has no card on this site."""


class Unauthorised(Refused):
    """The request is not authorised."""


class BadRequest(Refused):
    """The request has a form that is not taken here."""


class TooLarge(Refused):
    """The body is larger than is taken here."""


def visible(text: str) -> str:
    """Return one line in which a terminal obeys and hides nothing; file names can hold anything.

    What is not printable is written as ``<U+202E>``.
    """
    return "".join(c if c.isprintable() else f"<U+{ord(c):04X}>" for c in text)
