"""The state of one site as database rows, read at the start. Later, only changes are written."""

import datetime
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import cast, get_args

from dropbox_app.desk.errors import Damaged
from dropbox_app.desk.storage.database import Database, Row, Value
from dropbox_app.desk.storage.state import Item, Items, Owed, Profile, Sent, State, ThreadState
from dropbox_app.protocol.card import Away, Kind, Scope
from dropbox_app.protocol.encoding import Json, check_day, from_line, to_line
from dropbox_app.protocol.errors import FormatError
from dropbox_app.protocol.fields import flag_of, number_of, object_of, one_of, text_of, texts_of
from dropbox_app.protocol.keys import VerifyKey

_ITEM = (
    "mailbox", "what", "server_says", "n", "day", "size", "store", "sealed_for", "fetched",
    "checked", "sent", "seen",
)  # fmt: skip
_write = json.JSONEncoder(sort_keys=True).encode  # json.dumps would make one per thread
# For each table, the columns of its key besides ``site``, and its other columns.
_TABLES: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "site": ((), ("fields",)),
    "item": (("id",), _ITEM),
    "owed": (("id",), (*_ITEM, "since", "wrong")),
    "thread": (
        ("mailbox",),
        ("verify", "recipient", "newest", "listed", "gone", "withdrawn", "label"),
    ),
    "forgotten": (("id",), ()),
    "tip": (("mailbox",), ("n", "digest")),
    "colleague": (("identity",), ("place", "name")),
}

Rows = dict[str, dict[Row, Row]]  # table -> key -> values


@dataclass(frozen=True)
class Changes:
    """What a save has to write: for each table the changed rows by key, None for a deleted one."""

    rows: Mapping[str, Mapping[Row, Row | None]]
    other_store: bool  # whether the store id has changed


def exists(database: Database, site: str) -> bool:
    """Return whether a site's state has been written."""
    return bool(database.run("SELECT 1 FROM site WHERE site = ?", (site,)))


def names(database: Database) -> dict[str, str]:
    """Return the names of this desk's sites by id. Raises Damaged."""
    found = database.run("SELECT site, fields FROM site")
    try:
        return {str(site): text_of(from_line(str(line).encode()), "name") for site, line in found}
    except FormatError as error:
        raise damage(error) from None


@dataclass(frozen=True)
class Promise:
    """A site's promise and last fetch, available without loading the site.

    The site promises an answer within ``response_days`` working days; 0 if unknown. ``read_to_end``
    is the last day on which all items were fetched. ``away_until`` is the last day of an announced
    absence. ``read_to_end`` and ``away_until`` are None if there is no such day.
    """

    response_days: int
    read_to_end: datetime.date | None
    away_until: datetime.date | None


def promises(database: Database) -> dict[str, Promise]:
    """Return the promise and last fetch of every site, by id. Raises Damaged."""
    found = database.run("SELECT site, fields FROM site")
    try:
        return {str(site): _promise(from_line(str(line).encode())) for site, line in found}
    except FormatError as error:
        raise damage(error) from None


def response_days(database: Database) -> dict[str, int]:
    """Return the working days within which each site promises an answer, by id; 0 if unknown."""
    return {site: one.response_days for site, one in promises(database).items()}


def _promise(fields: dict[str, Json]) -> Promise:
    away = _read_away(fields.get("away"))
    return Promise(
        _response_days(fields), _day(fields.get("read_to_end")), away.until if away else None
    )


def damage(error: FormatError) -> Damaged:
    """Return the error for a row that differs from what was written, for example by disk damage."""
    return Damaged(
        f"What this desk knows of a site is damaged ({error}); restore the desk from its backup."
    )


def load(database: Database, site: str) -> State | None:
    """Return the last saved state; None if there is none. Raises FormatError."""
    found = database.run("SELECT fields FROM site WHERE site = ?", (site,))
    if not found:
        return None
    state = _read_fields(site, from_line(str(found[0][0]).encode()))

    def rows(table: str) -> list[Row]:
        key, others = _TABLES[table]
        order = "number" if table in ("item", "owed", "thread") else "rowid"
        # The names of tables and columns are the constants above.
        sql = f"SELECT {', '.join((*key, *others))} FROM {table} WHERE site = ? ORDER BY {order}"  # noqa: S608 - names of our own tables and columns
        return database.run(sql, (site,))

    state.items = Items(map(_read_item, rows("item")))
    for row in rows("owed"):
        item = _read_item(row[:-2])
        state.owed[item.id] = Owed(item, check_day(str(row[-2])), bool(row[-1]))
    for mailbox, verify, recipient, newest, listed, gone, withdrawn, label in rows("thread"):
        state.threads[str(mailbox)] = ThreadState(
            verify=str(verify),
            recipient=str(recipient),
            newest={by: (n, digest) for by, (n, digest) in json.loads(str(newest)).items()},
            listed=json.loads(str(listed)),
            gone=bool(gone),
            withdrawn=bool(withdrawn),
            label=str(label),
        )
    state.forgotten = {str(one) for (one,) in rows("forgotten")}
    state.tips = {str(m): (_number(n), str(digest)) for m, n, digest in rows("tip")}
    places = sorted((_number(place), str(by), str(name)) for by, place, name in rows("colleague"))
    state.names = {by: name for _, by, name in places}
    state.settle()
    return state


def of(state: State) -> Rows:
    """Return the rows to compare with those saved before: all but the items and threads."""
    return {
        "site": {(): (_write_fields(state),)},
        "owed": {
            (owed.item.id,): (*_item_row(owed.item), owed.since.isoformat(), owed.wrong)
            for owed in state.owed.values()
        },
        "forgotten": {(item,): () for item in state.forgotten},
        "tip": {(mailbox,): tip for mailbox, tip in state.tips.items()},
        "colleague": {(by,): (place, name) for place, (by, name) in enumerate(state.names.items())},
    }


def changes(state: State, old: Rows, new: Rows) -> Changes:
    """Return the changes of a state whose rows were ``old`` when it was saved, and are ``new``."""
    found: dict[str, dict[Row, Row | None]] = {}
    for table, after in new.items():
        before = old.get(table, {})
        found[table] = {one: None for one in before if one not in after}
        found[table] |= {one: row for one, row in after.items() if before.get(one) != row}
    items, threads = state.items, state.threads
    found["item"] = {
        (one,): _item_row(items[one]) if one in items else None for one in items.changed
    }
    found["thread"] = {
        (one,): _thread_row(threads[one]) if one in threads else None for one in threads.changed
    }
    return Changes(found, bool(old) and _store_of(old) != _store_of(new))


def save(database: Database, site: str, changes: Changes) -> None:
    """Write the changes in one transaction; drop the summaries of the changed threads."""
    with database.transaction():
        _drop_summaries(database, site, changes)
        for table, (key, others) in _TABLES.items():
            found = changes.rows[table]
            _delete(database, table, site, [one for one, row in found.items() if row is None])
            changed = [(site, *one, *row) for one, row in found.items() if row is not None]
            if not changed:
                continue
            named = ("site", *key)
            columns, holders = ", ".join((*named, *others)), ", ".join("?" * len((*named, *others)))
            conflict = ", ".join(f"{name} = excluded.{name}" for name in others)
            # The names of tables and columns are the constants above.
            database.run_many(
                f"INSERT INTO {table} ({columns}) VALUES ({holders}) "  # noqa: S608 - names of our own tables and columns
                f"ON CONFLICT ({', '.join(named)}) DO "
                + (f"UPDATE SET {conflict}" if conflict else "NOTHING"),
                changed,
            )


def _drop_summaries(database: Database, site: str, changes: Changes) -> None:
    """Drop the summaries that the changes make wrong. The changes are not written yet."""
    if changes.other_store:
        database.run("DELETE FROM summary WHERE site = ?", (site,))
    touched: set[Value] = {one[0] for table in ("thread", "tip") for one in changes.rows[table]}
    for table in ("item", "owed"):
        found = changes.rows[table]
        touched.update(row[0] for row in found.values() if row is not None)
        database.run_many(
            "DELETE FROM summary WHERE site = ? AND mailbox IN "  # noqa: S608 - one of our own tables
            f"(SELECT mailbox FROM {table} WHERE site = ? AND id = ?)",
            [(site, site, *one) for one, row in found.items() if row is None],
        )
    database.run_many(
        "DELETE FROM summary WHERE site = ? AND mailbox = ?",
        [(site, mailbox) for mailbox in touched],
    )


def _store_of(rows: Rows) -> str:
    return text_of(from_line(str(rows["site"][()][0]).encode()), "store")


def _delete(database: Database, table: str, site: str, gone: Iterable[Row]) -> None:
    where = " AND ".join(f"{name} = ?" for name in ("site", *_TABLES[table][0]))
    database.run_many(
        f"DELETE FROM {table} WHERE {where}",  # noqa: S608 - the constants above
        [(site, *one) for one in gone],
    )


def _item_row(item: Item) -> Row:
    return (
        item.mailbox, item.what, item.server_says, item.n, item.day.isoformat(), item.size,
        item.store, item.sealed_for, item.fetched, item.checked, item.sent, item.seen,
    )  # fmt: skip


def _read_item(row: Row) -> Item:
    item, mailbox, what, server_says, n, day, size, store, sealed_for, *flags = row
    fetched, checked, sent, seen = flags
    if sent not in get_args(Sent):
        raise FormatError(f"an item that is {sent!a}")
    return Item(
        id=str(item),
        mailbox=str(mailbox),
        what=str(what),
        server_says=str(server_says),
        n=_number(n),
        day=check_day(str(day)),
        size=_number(size),
        store=str(store),
        sealed_for=_number(sealed_for),
        fetched=bool(fetched),
        checked=bool(checked),
        sent=cast(Sent, sent),
        seen=bool(seen),
    )


def _thread_row(thread: ThreadState) -> Row:
    return (
        thread.verify,
        thread.recipient,
        _write(thread.newest),
        _write(thread.listed),
        thread.gone,
        thread.withdrawn,
        thread.label,
    )


def _write_fields(state: State) -> str:
    away: Json = None
    if state.away is not None:
        stand_in = str(state.away.stand_in) if state.away.stand_in else None
        away = {"until": state.away.until.isoformat(), "stand_in": stand_in}
    said: dict[str, Json] = {}  # omitted if it is empty, as on a card
    if state.profile.register_number:
        said["register_number"] = state.profile.register_number
    if state.profile.sentence:
        said["sentence"] = dict(state.profile.sentence)
    line = to_line(
        {
            "name": state.name,
            "origins": list(state.origins),
            "desk_origins": list(state.desk_origins),
            "proxy": state.proxy,
            "profile": {
                "name": state.profile.name,
                "kind": state.profile.kind,
                "scope": state.profile.scope,
                "languages": list(state.profile.languages),
                **said,
            },
            "card": state.card.decode("utf-8"),
            "serial": state.serial,
            "published": state.published,
            "confirmed": state.confirmed,
            "away": away,
            "store": state.store,
            "number": state.number,
            "read_to_end": state.read_to_end.isoformat() if state.read_to_end else None,
            "restored": state.restored,
            "resend": state.resend,
            "response_days": state.response_days,
        }
    )
    return line.decode("utf-8")


def _read_fields(site: str, fields: dict[str, Json]) -> State:
    profile = object_of(fields, "profile")
    return State(
        site=site,
        name=text_of(fields, "name"),
        origins=tuple(texts_of(fields, "origins")),
        desk_origins=tuple(texts_of(fields, "desk_origins")),
        proxy=text_of(fields, "proxy"),
        profile=Profile(
            text_of(profile, "name"),
            cast(Kind, one_of(profile, "kind", get_args(Kind))),
            cast(Scope, one_of(profile, "scope", get_args(Scope))),
            tuple(texts_of(profile, "languages")),
            text_of(profile, "register_number") if "register_number" in profile else "",
            _read_sentence(profile),
        ),
        card=text_of(fields, "card").encode("utf-8"),
        serial=number_of(fields, "serial"),
        published=flag_of(fields, "published"),
        confirmed=flag_of(fields, "confirmed"),
        away=_read_away(fields.get("away")),
        store=text_of(fields, "store"),
        number=number_of(fields, "number"),
        read_to_end=_day(fields.get("read_to_end")),
        restored=flag_of(fields, "restored"),
        resend=flag_of(fields, "resend"),
        response_days=_response_days(fields),
    )


def _response_days(fields: dict[str, Json]) -> int:
    """Read a site's promise, which older versions did not store."""
    return number_of(fields, "response_days") if "response_days" in fields else 0


def _read_sentence(profile: Mapping[str, Json]) -> dict[str, str]:
    said = object_of(profile, "sentence") if "sentence" in profile else {}
    return {code: text_of(said, code) for code in said}


def _read_away(value: Json) -> Away | None:
    if not isinstance(value, dict):
        return None
    stand_in = value.get("stand_in")
    return Away(
        check_day(text_of(value, "until")),
        VerifyKey.parse(stand_in) if isinstance(stand_in, str) else None,
    )


def _day(value: Json) -> datetime.date | None:
    return check_day(value) if isinstance(value, str) else None


def _number(value: Value) -> int:
    if not isinstance(value, int):
        raise FormatError("a number that is none")
    return value
