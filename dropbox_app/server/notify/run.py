"""Send the daily mail: one of two sentences of equal length for each counsellor.

An email is sent every day, whatever the status, so a missing email indicates only a fault. This
module uses the network. Of the data on disk, it reads only the status file, its own settings and
its own state.
"""

import datetime
from collections.abc import Mapping
from pathlib import Path

from dropbox_app.server.errors import MailError
from dropbox_app.server.notify import smtp, status_file
from dropbox_app.server.notify.config import Mailed, MailSettings
from dropbox_app.server.notify.sent_log import State, alone
from dropbox_app.server.notify.status_file import Word

# The subject names no organisation and no program, so that it tells an onlooker little.
SUBJECTS = {"nl": "Dagbericht", "en": "Daily note"}
# Both sentences have the same length in bytes within each language, so that all mails have one
# size.
SENTENCES: Mapping[str, Mapping[Word, str]] = {
    "nl": {"open": "Open je programma nu.", "rest": "Vandaag niets nieuws."},
    "en": {"open": "Please open your desk.", "rest": "Nothing new for today."},
}
TRIALS = {"nl": "Dit is een proefmail.", "en": "This mail was a trial."}


def run(settings: MailSettings, words: Path, state: Path, moment: datetime.datetime) -> list[str]:
    """Send all of today's emails that have not been sent yet, and return the faults.

    Raises MailError, OSError if nothing can be sent.
    """
    today = moment.date()
    with alone(state):
        known = State(state, today)
        if all(set(one.cards) & known.sent for one in settings.counsellor):
            known.all_went()
            return []
        told = status_file.read(words, today)
        if told is None:
            raise MailError("there is no status for today; see: journalctl -u klankbord-word")
        faults = []
        for one in settings.counsellor:
            try:
                _one(settings, one, told, known, moment)
            except MailError as error:
                faults.append(f"{one.cards[0]}: {error}")
        if not faults:
            known.all_went()
        return faults


def trial(settings: MailSettings, moment: datetime.datetime) -> list[str]:
    """Send each counsellor an email marked as a test, and return the faults."""
    faults = []
    for one in settings.counsellor:
        try:
            smtp.send(settings, one.address, _mail(settings, one, TRIALS[one.language], moment))
        except MailError as error:
            faults.append(f"{one.cards[0]}: {error}")
    return faults


def _one(
    settings: MailSettings,
    one: Mailed,
    told: Mapping[str, Word],
    state: State,
    moment: datetime.datetime,
) -> None:
    cards = set(one.cards)
    if cards & state.sent:
        return
    if cards & state.begun:
        raise MailError("one was begun and may have been sent; no second one is sent today")
    if unknown := sorted(cards - set(told)):
        raise MailError(f"there is no card {unknown[0]}; correct the cards setting; see card list")
    said: Word = "open" if any(told[card] == "open" for card in cards) else "rest"
    message = _mail(settings, one, SENTENCES[one.language][said], moment)
    try:
        smtp.send(settings, one.address, message, lambda: state.begin(cards))
    except MailError as error:
        if type(error) is MailError:
            state.not_taken(cards)
        raise
    state.taken(cards)


def _mail(settings: MailSettings, one: Mailed, sentence: str, moment: datetime.datetime) -> bytes:
    subject = SUBJECTS[one.language]
    return smtp.written(settings.sender, one.address, subject, sentence, moment)
