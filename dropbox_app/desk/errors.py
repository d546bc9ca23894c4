"""Errors of the desk, each one calm sentence that says what to do.

``str(error)`` is the sentence that the user reads. No error here contains a message's text, a code
or a key.
"""

from dropbox_app.protocol.errors import KlankbordError


class DeskError(KlankbordError):
    """The desk could not do what was asked."""


class NotSetUp(DeskError):
    """There is no desk in this folder, or one that was not finished."""


class AlreadyThere(DeskError):
    """A file or folder is in the way; nothing is ever overwritten."""


class InUse(DeskError):
    """Another desk is working on this folder."""


class Damaged(DeskError):
    """A file of the local store cannot be read."""


class NotFound(DeskError):
    """No thread, site or counsellor has this name, or more than one does."""


class NoSuchCounsellor(NotFound):
    """No counsellor of this site fits, or more than one does. Nothing was done."""


class Unfit(DeskError):
    """What was typed or given cannot be used.

    ``key`` names the page's own version of the sentence, if it has one; ``values`` fill it in.
    """

    def __init__(self, sentence: str, key: str = "", **values: object) -> None:
        super().__init__(sentence)
        self.key = key
        self.values = values


class NotWritable(DeskError):
    """Nothing can be written to this thread (any more)."""


class AlreadyWaiting(DeskError):
    """The same message is already kept and waits to be sent."""


class ClocksDiffer(DeskError):
    """This computer's day and the server's are more than two days apart."""


class CannotReach(DeskError):
    """The server could not be reached."""


class Kept(CannotReach):
    """A message did not get through, or was refused, and is kept: the next fetch sends it."""


class BadAnswer(DeskError):
    """The server sent a response that no Klankbord server sends."""


class Unknown(DeskError):
    """The server does not know this desk (401)."""


class Refused(DeskError):
    """The server refused a request; ``status`` is its HTTP status."""

    def __init__(self, sentence: str, status: int) -> None:
        super().__init__(sentence)
        self.status = status


class OutOfStep(Refused):
    """The server has another newest number of this author (409)."""

    def __init__(self, newest: int) -> None:
        super().__init__("The server has another newest message; fetch and try again.", 409)
        self.newest = newest
