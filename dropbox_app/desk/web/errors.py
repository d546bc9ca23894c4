"""The sentences that the page shows for errors."""

from dropbox_app.desk import errors
from dropbox_app.desk.session import News
from dropbox_app.desk.web.desk_lock import SiteAway
from dropbox_app.desk.web.i18n import MissingWord, Words
from dropbox_app.protocol.errors import KlankbordError, MessageError, TooLong, WrongPassphrase

# The first matching class counts, so a subclass comes before its base.
_KEYS: tuple[tuple[type[Exception], str], ...] = (
    (WrongPassphrase, "fault.wrong_passphrase"),
    (SiteAway, "fault.site_away"),
    (errors.AlreadyThere, "fault.already_there"),
    (errors.InUse, "fault.in_use"),
    (errors.NotSetUp, "fault.not_set_up"),
    (errors.Damaged, "fault.damaged"),
    (errors.Kept, "fault.kept"),
    (errors.AlreadyWaiting, "fault.already_waiting"),
    (errors.NotWritable, "fault.not_writable"),
    (errors.ClocksDiffer, "fault.clocks"),
    (errors.CannotReach, "fault.cannot_reach"),
    (errors.BadAnswer, "fault.bad_answer"),
    (errors.Unknown, "fault.unknown_desk"),
    (errors.Refused, "fault.refused"),
    (errors.NoSuchCounsellor, "fault.no_counsellor"),
    (errors.NotFound, "fault.not_found"),
)
# In these errors, ``most`` is a number of bytes, which is shown as kB or MB.
_OF_SIZE = {"large_shown", "large_file"}
# These values are calendar years, which are written without a thousands separator.
_YEARS = {"year", "next", "first", "last", "until"}


def sentence(told: Words, error: Exception) -> str:
    """Return the sentence to show for an error. The default is the desk's own message."""
    for kind, key in _KEYS:
        if isinstance(error, kind):
            return told.say(key)
    if isinstance(error, errors.Unfit) and error.key:
        values = {
            name: str(value) if name in _YEARS else value for name, value in error.values.items()
        }
        if error.key in _OF_SIZE:
            values["most"] = told.size(int(str(values["most"])))
        return told.say(f"unfit.{error.key}", **values)
    if isinstance(error, TooLong):
        # This counts bytes. For letters with accents it is a little more than needed.
        return told.say("unfit.text_long", over=error.size - error.limit)
    if isinstance(error, errors.Unfit | MessageError):
        return told.say("fault.unfit", what=str(error))
    if isinstance(error, KlankbordError):
        return told.say("fault.other", what=str(error))
    return told.say("fault.computer")


def news(told: Words, one: News) -> str:
    """Return news from a fetch as a sentence, without thread ids."""
    try:
        return told.say(f"news.{one.key}")
    except MissingWord:
        return told.say("fault.other", what=one.sentence)
