"""Errors of the desk. Each message is one calm sentence that says what to do.

``str(error)`` is the sentence that the user reads. No error here contains a message's text, a code
or a key.
"""

from dropbox_app.protocol.errors import KlankbordError


class DeskError(KlankbordError):
    """The desk could not do what was asked."""


class NotSetUp(DeskError):
    """The folder contains no desk, or only an unfinished desk."""


class AlreadyThere(DeskError):
    """A file or folder already exists, and the desk does not overwrite it."""


class InUse(DeskError):
    """Another process is using the desk in this folder."""


class Damaged(DeskError):
    """A file of the local store cannot be read."""


class NotFound(DeskError):
    """No thread, site or counsellor matches the given name, or more than one does."""


class NoSuchCounsellor(NotFound):
    """No counsellor of this site matches, or more than one does. Nothing was done."""


class Unfit(DeskError):
    """The given input cannot be used.

    ``key`` is the key of the page's own sentence for the error, if there is one; ``values`` are
    inserted into that sentence.
    """

    def __init__(self, sentence: str, key: str = "", **values: object) -> None:
        super().__init__(sentence)
        self.key = key
        self.values = values


class NotWritable(DeskError):
    """No message can be written to this thread, or not now."""


class AlreadyWaiting(DeskError):
    """The same message is already stored and is waiting to be sent."""


class ClocksDiffer(DeskError):
    """This computer's date and the server's are more than two days apart."""


class CannotReach(DeskError):
    """The server could not be reached."""


class Kept(CannotReach):
    """A message was not delivered, or was refused.

    The message is stored, and the next fetch sends it.
    """


class BadAnswer(DeskError):
    """The server sent a response that a Klankbord server never sends."""


class Unknown(DeskError):
    """The server does not know this desk (401)."""


class Refused(DeskError):
    """The server refused a request. ``status`` is the HTTP status."""

    def __init__(self, sentence: str, status: int) -> None:
        super().__init__(sentence)
        self.status = status


class OutOfStep(Refused):
    """The server has a different newest message number for this author (409)."""

    def __init__(self, newest: int) -> None:
        super().__init__("The server has another newest message; fetch and try again.", 409)
        self.newest = newest
