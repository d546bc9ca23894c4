"""Matching words for a caller, so that a later report can be joined to the existing case.

Matching words prove nothing, because anyone who knows them can use them. Therefore only the
counsellor can join cases.
"""

import re
import secrets
import unicodedata
from dataclasses import replace

from dropbox_app.desk.actions import corrections, register, threads
from dropbox_app.desk.actions.threads import Opened
from dropbox_app.desk.errors import Unfit
from dropbox_app.desk.folder import Workplace
from dropbox_app.desk.register import form
from dropbox_app.desk.register.cases import Standing
from dropbox_app.desk.register.events import Case
from dropbox_app.desk.register.form import Refused
from dropbox_app.protocol.messages import REPORTER
from dropbox_app.protocol.retrieval_code import dealt_words

WORDS = 2  # from lists of more than 7,000 words each


def give(place: Workplace, reference: str, language: str) -> str:
    """Return the matching words of a case; if it has none, draw them from a language's word list.

    Raises NotFound, or Unfit if the case already has a thread.
    """
    found = register.case(place, reference)
    if found.sheet.thread:
        raise Unfit("This case has a conversation already; it needs no words.", "match_thread")
    if found.sheet.match_word:
        return found.sheet.match_word
    words, used = dealt_words(language), _given(place)
    while True:
        drawn = " ".join(words[secrets.randbelow(len(words))] for _ in range(WORDS))
        if drawn not in used:
            break
    day = place.machine.today()
    register.record(
        place, Case(date=day, employer=found.employer, case=found.reference, match_word=drawn)
    )
    return drawn


def proposed(place: Workplace, opened: Opened) -> Standing | None:
    """Return the employer's case whose matching words are in the reporter's first message.

    Returns None if there is no such case, or if the thread and the case are already joined.
    """
    waiting = _given(place)
    if not waiting:
        return None
    listed = opened.listed
    employer = register.employer_of(place, listed)
    own = _of_thread(place, listed.mailbox)
    written = (one.text for one in opened.case.thread.genuine() if one.by == REPORTER)
    said = f" {_plain(next(written, ''))} "
    for words, found in waiting.items():
        together = own is not None and found.reference in own.related
        if found.employer == employer and f" {_plain(words)} " in said and not together:
            return found
    return None


def join(place: Workplace, mailbox: str, reference: str) -> Standing:
    """Join a thread to a case, and return the case.

    The annual report then counts the thread and the case as one situation. Normally the case that
    was created for the thread is removed. The created case is kept, and marked as the same
    situation, if the counsellor recorded anything in it, if its year is closed, or if the other
    case has a thread. If the thread and the case are already joined, nothing changes. Raises
    NotFound, Refused, Unfit.
    """
    day = place.machine.today()
    with place.database.transaction():
        found = register.case(place, reference)
        own = _own(place, mailbox)
        if own.employer != found.employer:
            raise Unfit(
                f"The conversation is about {own.employer!a}, and the case about "
                f"{found.employer!a}; choose a case of the conversation's own employer.",
                "match_employer", employer=own.employer, other=found.employer,
            )  # fmt: skip
        if found.reference in (own.reference, *own.related):
            return found
        added = Case(date=day, employer=found.employer, case=found.reference)
        if not found.sheet.thread and _gives_way(place, own, mailbox):
            added = replace(added, thread=mailbox)
        else:
            marks = dict.fromkeys([*found.sheet.belongs_with, own.reference])
            added = replace(added, belongs_with=tuple(marks))
        register.record(place, added)
    return found


def _own(place: Workplace, mailbox: str) -> Standing:
    """Return a thread's existing case. Raises Unfit if no case exists."""
    own = _of_thread(place, mailbox)
    if own is None:
        raise Unfit(
            "No message of this conversation is certain to be the reporter's, so it is put with no "
            "case.",
            "match_uncertain",
        )
    return own


def _gives_way(place: Workplace, own: Standing, mailbox: str) -> bool:
    """Remove a thread's case. Return False if the case is kept because it has entries."""
    (number, only), *others = register.of_case(place, own)
    desk, _ = threads.find(place, mailbox)
    label = desk.state.threads[mailbox].label
    made = register.case_of_thread(mailbox, label, own.employer, only.date)
    values, usual = form.to_json(only), form.to_json(replace(made, case=own.reference))
    if others or any(usual.get(name) != value for name, value in values.items()):
        return False
    try:
        corrections.correct(place, number, None)
    except Refused:
        return False
    return True


def _of_thread(place: Workplace, mailbox: str) -> Standing | None:
    """Return a thread's case, even if a later entry gave that case another thread."""
    book = place.book()
    return book.standings.get(book.case_of_thread.get(mailbox, ""))


def _given(place: Workplace) -> dict[str, Standing]:
    """Return the cases without a thread that have matching words, keyed by these words."""
    return {
        one.sheet.match_word: one
        for one in place.book().standings.values()
        if one.sheet.match_word and not one.sheet.thread
    }


def _plain(text: str) -> str:
    """Return the words of a text in lower case, without accents, separated by one space.

    As in a reporter's code, the dotless i of a Turkish keyboard counts as an i, and invisible
    characters are dropped.
    """
    apart = unicodedata.normalize("NFKD", text.casefold()).replace("\u0131", "i")
    plain = "".join(sign for sign in apart if not _unseen(sign))
    return " ".join(re.findall(r"[^\W_]+", plain))


def _unseen(sign: str) -> bool:
    return bool(unicodedata.combining(sign)) or unicodedata.category(sign) == "Cf"
