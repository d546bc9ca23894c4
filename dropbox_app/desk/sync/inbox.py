"""Read the whole inbox, fetch each item, and check the server's statements.

An item and the state that refers to it are on disk before the server is told that the desk has the
item. A crash at any step leaves a state from which the next fetch continues (SPEC sections 7 and
9).
"""

import datetime
from collections.abc import Iterable

from dropbox_app.desk.errors import BadAnswer, CannotReach, Refused
from dropbox_app.desk.keys import schedule
from dropbox_app.desk.session import Desk
from dropbox_app.desk.storage.incoming import WrongFile
from dropbox_app.desk.storage.state import Item, Owed
from dropbox_app.desk.sync import own_card
from dropbox_app.desk.sync.arrivals import Arrivals, arriving
from dropbox_app.desk.sync.batches import Batches
from dropbox_app.desk.threads import open_thread, summary
from dropbox_app.desk.threads.summary import Summary
from dropbox_app.desk.transport.api_client import Page, Row
from dropbox_app.protocol.age import sealed_length
from dropbox_app.protocol.messages import MAX_TO, REPORTER
from dropbox_app.protocol.padding import MESSAGE_SIZES

MAX_MESSAGE = sealed_length(MESSAGE_SIZES[-1], MAX_TO + 1)  # bytes
MAX_FILE = 1024 * 1024 * 1024  # bytes; ten times the default limit of a server
OWED_DAYS = 30  # days that an item is owed if its thread is no longer listed
OWED_AT_MOST = schedule.KEEP_AT_MOST + 33  # days; after that, no key exists that could open them
MOST_OWED = 200  # items; each costs a request in every round
MOST_BYTES = 2 * MAX_FILE  # bytes from one site in one round, because a server may be malicious
LEFT_ON_DISK = 512 * 1024 * 1024  # bytes of disk space that remain free after a file
LEFT_BY_MESSAGES = 64 * 1024 * 1024  # likewise, after a message
MOST_PAGES = 100  # pages in one reading of the inbox
MOST_RESTORES = 2  # likewise, changes of the store id
DAMAGED = 500  # the status for items that the server lists but cannot read

_GONE = (
    "Thread {0} is no longer at the server. Usually it has expired, or the reporter chose another "
    "counsellor. If the server was restored from a backup, it may have been lost then; now and "
    "then somebody removed it. What was fetched is still here."
)
_WITHDRAWN = (
    "The reporter of thread {0} has taken the report back. The server has removed it; what was "
    "fetched is still here until you say 'klankbord-desk forget {0}'."
)
_MORE = "There is more in the inbox than one round takes; fetch again."
_NO_ROOM = (
    "ALARM: the disk of this computer is nearly full, so the inbox was not read to its end. "
    "Nothing is lost: it waits at the server. Make room, at least {0}, and fetch again. If you do "
    "not know what filled the disk, tell the operator."
)
_TOO_MUCH_OWED = (
    f"ALARM: the server lists more than {MOST_OWED} things that it does not hand over. The inbox "
    "is read on when they have come. Tell the operator."
)


def collect(desk: Desk) -> dict[str, dict[str, int]]:
    """Read the whole inbox, then return the server's list of mailboxes."""
    told: list[Item] = []  # the server was told that the desk has these
    asked = _ask_again(desk, told)
    whole = _read_inbox(desk, told)
    listed = desk.courier.mailboxes()
    # Items that arrived in between are in the list, so they must be fetched too.
    whole = whole and _read_inbox(desk, told)
    # Use the state and not this round's items, because an earlier round may have been interrupted.
    fresh = [item for item in desk.state.items.values() if not item.checked]
    lists = {box: _after_arrival(desk, box) for box in sorted({item.mailbox for item in fresh})}
    for item in told:  # only now, so that each row is written once more and not twice
        item.fetched = True
    _compare(desk, listed, whole=whole)
    _weigh_owed(desk, listed, asked)
    desk.save()
    # The status of a thread that is gone has changed since.
    summary.keep(desk, {box: one for box, one in lists.items() if not desk.state.threads[box].gone})
    return listed


def _read_inbox(desk: Desk, told: list[Item]) -> bool:
    """Read the inbox from where the last fetch stopped; return whether its end was reached.

    The items of which the server was told are added to ``told``.
    """
    state, restores = desk.state, 0
    for _ in range(MOST_PAGES):
        page = desk.courier.inbox(state.number)
        if page.store != state.store:
            restores += 1
            if restores > MOST_RESTORES:
                raise BadAnswer(
                    "The server says at every page that it was restored; tell the operator."
                )
            known = bool(state.store)
            _meet_store(desk, page.store)
            if known:
                continue  # read again from the beginning
        if not _take_page(desk, page, told):
            return False
        if not page.more:
            break
    else:
        desk.report.note(_MORE, "more")
        return False
    if desk.agreed:
        state.read_to_end = max(desk.day, state.read_to_end or desk.day)
    desk.save()
    return True


def _meet_store(desk: Desk, store: str) -> None:
    """Handle a new store id. The first id is stored; a different id means a server restore."""
    state = desk.state
    if state.store:
        state.number, state.resend, state.published = 0, True, False
        for thread in state.threads.values():
            thread.listed = {}
        desk.report.note(
            "The server was restored from a backup, so it may have lost what came after it. This "
            "desk reads everything again and sends again what the server lacks. If the operator "
            "knows of no restore, ask what happened.",
            "server_restored",
        )
    state.store = store
    desk.save()
    if state.resend and desk.agreed and not state.restored:
        own_card.publish(desk)


def _take_page(desk: Desk, page: Page, told: list[Item]) -> bool:
    """Fetch one page, record its items, and tell the server which items the desk has.

    Returns whether the whole page was fetched. The function stops early, and reports the reason, if
    too much is owed or was fetched, or if the disk is nearly full.
    """
    number, again = desk.state.number, []
    batches = Batches(desk, [row for row in page.rows if _is_new_message(desk, row)])
    with arriving(desk) as arrivals:
        for row in page.rows:
            if not _take_row(desk, row, page, arrivals, batches):
                break
            number = row.number
            if row.id in desk.state.forgotten:
                again.append(row.id)
    # A restored server has forgotten that forgotten items were fetched. It lists them only once.
    desk.courier.fetched(again)
    desk.state.number = number  # only now: a row that interrupted the round is listed again
    desk.save()
    came = (desk.state.items.get(item) for item in dict.fromkeys(row.id for row in page.rows))
    told += _tell_fetched(desk, [item for item in came if item is not None])
    return not page.rows or number == page.rows[-1].number


def _is_new_message(desk: Desk, row: Row) -> bool:
    state = desk.state
    known = row.id in state.items or row.id in state.forgotten or row.id in state.owed
    return row.what == "message" and row.size <= MAX_MESSAGE and not known


def _take_row(desk: Desk, row: Row, page: Page, arrivals: Arrivals, batches: Batches) -> bool:
    state = desk.state
    item = state.items.get(row.id)
    if item is not None:
        _meet_again(desk, item)
    elif not (row.id in state.forgotten or row.id in state.owed or row.id in arrivals.items):
        if len(state.owed) >= MOST_OWED:
            desk.report.alarm(_TOO_MUCH_OWED, "too_much_owed")
            return False
        if not _has_room(desk, row):
            return False
        _bring(desk, _item(row, page.store), page.day, arrivals, batches)
    return True


def _has_room(desk: Desk, row: Row | Item) -> bool:
    """Return whether an item fits within the limit of a fetch, and on the disk."""
    if row.size > (MAX_MESSAGE if row.what == "message" else MAX_FILE):
        return True  # an item of this size is never fetched
    if desk.brought + row.size > MOST_BYTES:
        desk.report.note(_MORE, "more")
        return False
    left = LEFT_BY_MESSAGES if row.what == "message" else LEFT_ON_DISK
    if desk.store.free() - row.size < left:
        room = f"{(row.size + left) // 1024**2 + 1} MiB"
        desk.report.alarm(_NO_ROOM.format(room), "no_room")
        return False
    return True


def _meet_again(desk: Desk, item: Item) -> None:
    """Handle an item that the desk already has and that is listed again.

    Another author's item is listed again only if the server or the desk was restored. The server
    may then not know that the desk has the item.
    """
    if item.server_says == desk.own or item.sent != "received":
        item.sent, item.fetched = "sent", True
    else:
        item.fetched = False


def _item(row: Row, store: str) -> Item:
    return Item(row.id, row.mailbox, row.what, row.author, row.n, row.day, row.size, store)


def _bring(
    desk: Desk, item: Item, day: datetime.date, arrivals: Arrivals, batches: Batches
) -> None:
    """Fetch one item, from a batch or alone. If that fails, record the item as owed."""
    limit = MAX_MESSAGE if item.what == "message" else MAX_FILE
    if item.size > limit:
        _owe(desk, item, day, f"is listed with {item.size} bytes, more than there can be")
        return
    came = 0

    def count(piece: bytes) -> None:
        nonlocal came
        came += len(piece)
        desk.brought += len(piece)
        take(piece)

    try:
        with arrivals.receiving(item) as take:
            sealed = batches.take(item.id)
            if sealed is None:
                desk.courier.item(item.id, item.size, count)
            else:
                take(sealed)  # was counted with its batch
    except (WrongFile, BadAnswer):
        _owe(desk, item, day, "came as another one")
    except CannotReach:
        if not came:
            raise  # the connection failed, which is not this item's fault
        _broke_off(desk, item, day)
    except Refused as error:
        if error.status == DAMAGED:  # one item must not block all later ones
            _owe(desk, item, day, "cannot be read by the server itself")
        elif error.status != 404:
            raise
        else:  # withdrawn since it was listed, or withheld; the next rounds request it again
            _owe(desk, item, day, "")


def _broke_off(desk: Desk, item: Item, day: datetime.date) -> None:
    """Handle an item that arrived incomplete. The fetch continues."""
    desk.state.owed[item.id] = Owed(item, day, True)
    desk.report.note(
        f"Something for thread {item.mailbox[:8]} did not come whole; the next fetch asks for it "
        "again. If this stays, tell the operator: it may be damaged there.",
        "not_whole",
        item.mailbox,
    )


def _owe(desk: Desk, item: Item, day: datetime.date, wrong: str) -> None:
    desk.state.owed[item.id] = Owed(item, day, bool(wrong))
    if wrong:
        desk.report.alarm(
            f"ALARM: a file that the server lists for thread {item.mailbox[:8]} {wrong}. It was "
            "not taken and is asked for again. Tell the operator.",
            "other_file",
            item.mailbox,
        )


def _ask_again(desk: Desk, told: list[Item]) -> set[str]:
    """Request the owed items; return those that were requested but did not arrive.

    The items of which the server was told are added to ``told``.
    """
    asked = set()
    with arriving(desk) as arrivals:
        for owed in list(desk.state.owed.values()):
            if not _has_room(desk, owed.item):
                break
            asked.add(owed.item.id)
            _bring(desk, owed.item, owed.since, arrivals, Batches(desk, ()))
    desk.save()
    told += _tell_fetched(desk, desk.state.items.values())  # also those of an interrupted round
    return asked & set(desk.state.owed)


def _weigh_owed(desk: Desk, listed: dict[str, dict[str, int]], asked: set[str]) -> None:
    """Report the owed items, and stop requesting those that will not arrive.

    A withdrawal, or a thread that is no longer listed, explains a missing item. If the server
    states twice that it does not have an item that it listed, no harmless explanation remains.
    """
    for owed in list(desk.state.owed.values()):
        mailbox = owed.item.mailbox
        known = desk.state.threads.get(mailbox)
        withdrawn, gone = known is not None and known.withdrawn, mailbox not in listed
        waited = (desk.day - owed.since).days if desk.agreed else 0
        if withdrawn or waited > (OWED_DAYS if gone else OWED_AT_MOST):
            del desk.state.owed[owed.item.id]
            desk.report.note(
                f"Something for thread {mailbox[:8]} never came; it is no longer asked for.",
                "never_came",
                mailbox,
            )
        elif owed.wrong:
            continue  # this was already reported when the server sent it
        elif gone or owed.item.id not in asked:
            desk.report.note(
                f"The server listed something for thread {mailbox[:8]} and then did not have it; "
                "the next rounds ask again. That happens when a reporter withdraws in that moment.",
                "not_there",
                mailbox,
            )
        else:
            desk.report.alarm(
                f"ALARM: on more than one fetch the server did not have what it lists for thread "
                f"{mailbox[:8]}. Keys that may be needed for it are kept, for 210 days at most. "
                "Tell the operator.",
                "not_there_again",
                mailbox,
            )


def _tell_fetched(desk: Desk, items: Iterable[Item]) -> list[Item]:
    """Tell the server which of these items are stored here; the state was saved with them before.

    Returns the items of which the server was told. That is saved at the end of the round; if the
    round is interrupted, the server is told again.
    """
    told = [item for item in items if item.sent == "received" and not item.fetched]
    desk.courier.fetched([item.id for item in told])
    return told


def _after_arrival(desk: Desk, mailbox: str) -> Summary:
    """Report new messages in one thread, and return its summary for lists."""
    before = desk.state.thread(mailbox).withdrawn
    case = open_thread.keep_pins(desk, mailbox)
    hidden = open_thread.called_files(desk, case)
    for item, message in hidden:
        item.what = "message"
        if message:
            desk.report.alarm(
                f"ALARM: the server called a message of thread {mailbox[:8]} a file. It is shown "
                "as what it is. Tell the operator.",
                "called_file",
                mailbox,
            )
    if hidden:
        desk.take_in(item for item, _ in hidden)
        case = open_thread.keep_pins(desk, mailbox)
    desk.take_in(case.items.values())
    # Messages are counted by signer, whom a server cannot choose.
    new = [one for one in case.unseen if not case.items[one].checked]
    if new:
        desk.report.new[mailbox] = desk.report.new.get(mailbox, 0) + len(new)
    if case.known.withdrawn and not before:
        desk.report.note(_WITHDRAWN.format(mailbox[:8]), "withdrawn", mailbox)
    for item in case.items.values():
        item.checked = True
    bad = [entry for entry in case.thread.entries if entry.state in ("unverified", "conflict")]
    if any(not case.items[e.item].seen for e in bad if e.item in case.items):
        desk.report.note(
            f"Thread {mailbox[:8]} holds something that could not be verified; 'read' says what.",
            "doubtful",
            mailbox,
        )
    return summary.of(case)


def _compare(desk: Desk, listed: dict[str, dict[str, int]], *, whole: bool) -> None:
    """Compare the server's list with the earlier one and, if ``whole``, with the inbox."""
    for mailbox, thread in desk.state.threads.items():
        now = listed.get(mailbox)
        if now is None:
            if not thread.gone and not thread.withdrawn:
                desk.report.note(_GONE.format(mailbox[:8]), "gone", mailbox)
            thread.gone = True
            continue
        thread.gone = False
        lost = [by for by, n in thread.listed.items() if now.get(by, 0) < n]
        if lost and not thread.withdrawn:
            desk.report.alarm(
                f"ALARM: the server no longer has the newest messages of thread {mailbox[:8]}, "
                "though nobody restored it. Tell the operator.",
                "lost_newest",
                mailbox,
            )
        thread.listed = dict(now)
        newest = now.get(REPORTER, 0) if whole else 0
        if newest > thread.newest.get(REPORTER, (0, ""))[0] and not _arrived(desk, mailbox, newest):
            desk.report.alarm(
                f"ALARM: the server lists a message of the reporter in thread {mailbox[:8]} "
                "that it did not hand over. Fetch again; if this stays, tell the operator.",
                "held_back",
                mailbox,
            )


def _arrived(desk: Desk, mailbox: str, n: int) -> bool:
    """Return whether an item with this number arrived, verified or not, or is still requested."""
    items = [*desk.state.of(mailbox), *(owed.item for owed in desk.state.owed.values())]
    return any(i.mailbox == mailbox and i.server_says == REPORTER and i.n >= n for i in items)
