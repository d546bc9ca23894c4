"""Actions on threads: list, search, read, mark as seen, label, forget."""

import contextlib
import datetime
import re
import unicodedata
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from dropbox_app.desk import folder
from dropbox_app.desk.errors import NotFound, Unfit
from dropbox_app.desk.folder import Workplace
from dropbox_app.desk.session import Desk
from dropbox_app.desk.storage import lists, notebook, rows
from dropbox_app.desk.storage import search as queries
from dropbox_app.desk.storage.lists import Order, ThreadRow, Which
from dropbox_app.desk.threads import open_thread, summary, turn
from dropbox_app.desk.threads.open_thread import Case
from dropbox_app.desk.threads.summary import Summary
from dropbox_app.protocol import messages
from dropbox_app.protocol.encoding import clean_text
from dropbox_app.protocol.messages import Message

MAX_LABEL = 100  # characters
MOST_FOUND = 50  # the maximum number of messages that a search returns


@dataclass(frozen=True)
class Listed:
    """One thread in a list: its site, the counsellor's own name for it, and its summary.

    ``answer_by`` is the last day on which the site promises an answer; None if no answer is needed
    or promised. ``away_until`` is the last day of an absence that includes ``answer_by``.
    """

    site: str
    employer: str
    mailbox: str
    label: str
    summary: Summary
    answer_by: datetime.date | None
    away_until: datetime.date | None = None


@dataclass(frozen=True)
class Opened:
    """An opened thread, with its site's desk and the counsellor's name for it."""

    desk: Desk
    case: Case

    @property
    def listed(self) -> Listed:
        """Return the thread's row for a list."""
        return _listed(self.desk, self.case.mailbox, summary.of(self.case))


@dataclass(frozen=True)
class FoundNote:
    """A private note that a search found."""

    listed: Listed
    text: str


@dataclass(frozen=True)
class Found:
    """A message that a search found. ``genuine``: whether its author is verified."""

    listed: Listed
    item: str
    message: Message
    genuine: bool


@dataclass(frozen=True)
class Searched:
    """The newest messages that a search found. ``more``: whether the search found others."""

    newest: tuple[Found, ...]
    more: bool


@dataclass(frozen=True)
class Chosen:
    """The first threads of a list, and the total number in the list."""

    first: tuple[Listed, ...]
    all: int


def list_threads(place: Workplace, site: str = "") -> list[Listed]:
    """Return every thread of all sites, or only of ``site``; newest first."""
    return [*choose(place, place.names(site)).first]


def choose(
    place: Workplace,
    sites: Iterable[str],
    which: Which = "all",
    order: Order = "newest",
    most: int | None = None,
) -> Chosen:
    """Return up to ``most`` threads of some sites, in a given order.

    ``which`` is the name of a list in ``storage/lists.py``: all threads, a group of Today, or the
    threads that wait for an answer from one side.
    """
    names = place.names()
    among = [site for site in sites if site in names]
    with summarised(place):
        found = lists.chosen(place.database, which, order, among, most)
        count = len(found) if most is None else lists.count(place.database, which, among)
        return Chosen(tuple(_lines(place, found, names)), count)


def first_words(place: Workplace, mailboxes: Collection[str]) -> dict[str, str]:
    """Return the beginning of the reporter's newest text in each of these threads, by mailbox."""
    with summarised(place):
        found = lists.some(place.database, [*mailboxes])
        return {row.mailbox: summary.read(row.summary).first_words for row in found}


@contextlib.contextmanager
def summarised(place: Workplace) -> Iterator[None]:
    """Open a transaction in which every thread has a summary.

    Missing summaries are created first.
    """
    database = place.database
    with database.transaction():
        if place.summarised != database.version:
            desks: dict[str, Desk] = {}
            for site, mailbox in lists.missing(database, summary.FORM):
                if site not in desks:
                    desks[site] = place.desk(site)
                summary.make(desks[site], mailbox)
            place.summarised = database.version
        yield


def find(place: Workplace, name: str, site: str = "") -> tuple[Desk, str]:
    """Return the desk and mailbox of a thread, by its id or a unique prefix. Raises NotFound."""
    place_of, mailbox = locate(place, name, site)
    return place.desk(place_of), mailbox


def locate(place: Workplace, name: str, site: str = "") -> tuple[str, str]:
    """Return a thread's site id and mailbox, like ``find``, but without loading the site."""
    given = name.strip().lower()
    if len(given) < open_thread.LEAST_PREFIX:
        least = open_thread.LEAST_PREFIX
        raise NotFound(f"Give at least {least} characters of the thread; see 'list'.")
    names = place.names(site)
    found = lists.like(place.database, given, names)
    if len({of for of, _ in found}) > 1:
        raise NotFound("Threads of several sites begin like that; give more of it, or --site.")
    if len(found) > 1:
        raise NotFound("More than one thread begins like that; give more of it, see 'list'.")
    if not found:
        raise NotFound("No thread begins like that; 'list' shows those that are here.")
    return found[0]


def read(place: Workplace, name: str, site: str = "") -> Opened:
    """Open a thread without marking anything as seen. Raises NotFound."""
    desk, mailbox = find(place, name, site)
    return Opened(desk, open_thread.open_case(desk, mailbox))


def mark_seen(opened: Opened) -> int:
    """Record that the whole of an opened thread was shown; return how many messages were new."""
    unseen = opened.case.unseen
    for item in unseen:
        opened.desk.state.items[item].seen = True
    if unseen:
        opened.desk.save()
    return len(unseen)


def search(place: Workplace, text: str, sites: Sequence[str] | None = None) -> Searched:
    """Return the newest 50 messages of some sites that contain all words of ``text``.

    If ``sites`` is None, all sites are searched. Messages that are not genuine are marked as such.
    """
    every = queries.find(place.database, text, MOST_FOUND + 1, sites)
    hits = every[:MOST_FOUND]
    pairs = {(hit.site, hit.mailbox): None for hit in hits}
    with summarised(place):
        there = [lists.one(place.database, *pair) for pair in pairs]
    listed = {(one.site, one.mailbox): one for one in _lines(place, there, place.names())}
    found = []
    for hit in hits:
        line = listed[hit.site, hit.mailbox]
        genuine = hit.item not in line.summary.false
        found.append(Found(line, hit.item, messages.parse(hit.contents), genuine))
    return Searched(tuple(found), len(every) > len(hits))


def search_notes(
    place: Workplace, text: str, sites: Sequence[str] | None = None
) -> list[FoundNote]:
    """Return private notes of some sites that contain all words of ``text``, like ``search``.

    Returns at most 50 notes.
    """
    wanted = [_pattern(word) for word in queries.words_in(_folded(text))]
    hits = [
        (site, mailbox, note)
        for site, mailbox, note in notebook.notes(place.database)
        if wanted
        and (sites is None or site in sites)
        and all(word.search(_folded(note)) for word in wanted)
    ][:MOST_FOUND]
    with summarised(place):
        there = [lists.one(place.database, site, mailbox) for site, mailbox, _ in hits]
    listed = _lines(place, there, place.names())
    return [FoundNote(one, note) for one, (_, _, note) in zip(listed, hits, strict=True)]


def _folded(text: str) -> str:
    """Return a text in lower case and without accents."""
    apart = unicodedata.normalize("NFKD", queries.seen(text).casefold())
    return "".join(sign for sign in apart if not unicodedata.combining(sign))


def _pattern(word: str) -> re.Pattern[str]:
    """Return a pattern that finds words that begin with ``word``, as the message index does."""
    return re.compile(r"(?<![^\W_])" + r"[\W_]+".join(re.findall(r"[^\W_]+", word)))


def label(place: Workplace, name: str, text: str, site: str = "") -> Listed:
    """Give a thread the counsellor's own name; "" removes it. Raises Unfit.

    The name stays in this desk's database and its backups, and is never sent.
    """
    given = " ".join(clean_text(text).split())
    if len(given) > MAX_LABEL:
        raise Unfit(
            f"A label has at most {MAX_LABEL} characters; this one has {len(given)}.",
            "label_long", most=MAX_LABEL, given=len(given),
        )  # fmt: skip
    desk, mailbox = find(place, name, site)
    desk.state.threads[mailbox].label = given
    desk.save()
    return _listed(desk, mailbox, summary.make(desk, mailbox))


def forget(place: Workplace, name: str, site: str = "") -> int:
    """Delete a thread from this computer; return the number of deleted items. Raises NotFound.

    The database gets a new key before ``Workplace`` is closed.
    """
    desk, mailbox = find(place, name, site)
    return folder.forget(desk, mailbox)


def _lines(place: Workplace, there: Iterable[ThreadRow], names: Mapping[str, str]) -> list[Listed]:
    """Return the rows for threads, with the days by which answers are promised."""
    promised = rows.promises(place.database)
    found = []
    for row in there:
        summed, known = summary.read(row.summary), promised[row.site]
        by = _answer_by(summed, known.response_days)
        away = _during(by, known.away_until)
        found.append(Listed(row.site, names[row.site], row.mailbox, row.label, summed, by, away))
    return found


def _listed(desk: Desk, mailbox: str, summed: Summary) -> Listed:
    state = desk.state
    by = _answer_by(summed, state.response_days)
    away = _during(by, state.away.until if state.away else None)
    return Listed(state.site, state.name, mailbox, state.threads[mailbox].label, summed, by, away)


def _answer_by(summed: Summary, days: int) -> datetime.date | None:
    return turn.answer_by(summed.since, days) if summed.since and days else None


def _during(day: datetime.date | None, until: datetime.date | None) -> datetime.date | None:
    """Return the last day of an absence that includes ``day``."""
    return until if day is not None and until is not None and day <= until else None
