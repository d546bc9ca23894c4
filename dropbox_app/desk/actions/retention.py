"""Permanently destroy a case and its thread. A coded row of statistics remains."""

from dataclasses import dataclass

from dropbox_app.desk import folder
from dropbox_app.desk.actions import register, threads
from dropbox_app.desk.errors import NotFound
from dropbox_app.desk.folder import Workplace
from dropbox_app.desk.register import form, retention
from dropbox_app.desk.register.cases import Standing
from dropbox_app.desk.register.events import Destruction, OfCase
from dropbox_app.desk.storage import register as rows


@dataclass(frozen=True)
class Destroyed:
    """The result of a destruction: the number of events, and whether a thread was destroyed."""

    entries: int
    conversation: bool


def destroy(place: Workplace, found: Standing) -> Destroyed:
    """Destroy a case and its thread. Raises DeskError if the thread has an unsent message.

    The thread is destroyed first. If the destruction is interrupted, the case still exists, and the
    next attempt destroys it. The database gets a new key before ``Workplace`` is closed, so that
    the vault no longer opens earlier copies of the database file. Older backups still contain the
    data.
    """
    conversation = _forget(place, found.sheet.thread)
    with place.database.transaction():
        numbered = register.numbered(place)
        given = [event for _, event in numbered]
        number = {id(event): n for n, event in numbered}
        entries = sum(isinstance(one, OfCase) and one.case == found.reference for one in given)
        proof = Destruction(date=place.machine.today(), entries=entries, conversation=conversation)
        rows.replace(
            place.database,
            [
                (number[id(before)], [form.to_json(one) for one in after])
                for before, after in retention.without(given, found.reference)
            ],
        )
        rows.add(place.database, [form.to_json(proof)])
    return Destroyed(entries, conversation)


def _forget(place: Workplace, thread: str) -> bool:
    if not thread:
        return False
    try:
        desk, mailbox = threads.find(place, thread)
    except NotFound:
        return False
    folder.forget(desk, mailbox)
    return True
