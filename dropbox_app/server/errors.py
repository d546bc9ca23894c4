"""Every error of the server, grouped by cause.

As in ``protocol.errors``, the docstring of each concrete error may be shown to a person, and
``str(error)`` adds the details. No error contains an id, a text or an address, because an exception
may end up in a log.
"""

from dropbox_app.protocol.errors import KlankbordError


class ServerError(KlankbordError):
    """The server could not do what was asked."""


class SettingsError(ServerError):
    """A setting of the server is wrong."""


class ContentError(ServerError):
    """One of the site's own pages is wrong."""


class StoreError(ServerError):
    """The database cannot be used."""


class StoreBusy(StoreError):
    """The database was busy for too long. Nothing was stored."""


class StoreUnsure(StoreBusy):
    """The database connection was lost. The data may or may not be stored: send it again."""


class BackupError(ServerError):
    """The backup cannot be made or used."""


class BackupFull(BackupError):
    """The backup cannot be made."""


class MailError(ServerError):
    """The email was not sent."""


class MailUnsure(MailError):
    """The email may or may not have been sent, and will not be sent again."""


class WrongClock(ServerError):
    """This machine's clock is wrong. Nothing was removed."""


class Refused(ServerError):
    """The server does not accept this request."""


class OutOfStep(Refused):
    """Another message arrived first. Read the other message, and then write yours again."""

    def __init__(self, newest: int) -> None:
        super().__init__("the number is not the one after this author's newest message")
        self.newest = newest  # the newest message number of this author here; 0 if there is none


class NobodyToTell(Refused):
    """No counsellor can be told now that the conversation is deleted. Nothing was deleted."""


class Gone(Refused):
    """There is no such conversation: it never existed, has ended, or was withdrawn."""


class MailboxFull(Refused):
    """This conversation is full."""


class SiteFull(Refused):
    """The drop box is full. Nothing was stored."""


class Moved(Refused):
    """The addressees of the message are no longer those for whom its files were sealed."""


class BadShape(Refused):
    """This is not a sealed file in an accepted form."""


class NotYours(Refused):
    """This conversation is not addressed to this counsellor, or not to all named counsellors."""


class UnknownCounsellor(Refused):
    """One of the addressees has no card on this site."""


class Unauthorised(Refused):
    """The request is not authorised."""


class BadRequest(Refused):
    """The request does not have an accepted form."""


class TooLarge(Refused):
    """The body is larger than the limit."""


def visible(text: str) -> str:
    """Return ``text`` as one line of printable characters, safe to show in a terminal.

    File names can contain anything. An unprintable character is written as its code point, such as
    ``<U+202E>``.
    """
    return "".join(c if c.isprintable() else f"<U+{ord(c):04X}>" for c in text)
