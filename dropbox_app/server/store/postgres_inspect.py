"""Inspect a site's schema in PostgreSQL without changing it, as ``inspect`` does for a file."""

import datetime
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from dropbox_app.server.errors import StoreError
from dropbox_app.server.store import postgres_schema, postgres_server
from dropbox_app.server.store.inspect import Look
from dropbox_app.server.store.postgres_connections import Connection, connect
from dropbox_app.server.store.postgres_errors import failures
from dropbox_app.server.store.postgres_schema import KEYS

# The size of a file's sealed pieces: a nonce, and a tag for each 64 KiB, are added (SPEC section
# 5).
_SEALED = "16 + size + 16 * ((size + 65535) / 65536)"


class Schema:
    """A site's schema. ``address``: the connection parameters, named as in libpq."""

    def __init__(self, address: Mapping[str, str]) -> None:
        self._address = address

    def look(self) -> Look:
        """Check everything. Raises StoreError, StoreBusy if the schema cannot be opened or read."""
        with self._opened() as connection:
            newest, served = _days(connection)
            return Look(
                (("database", "; ".join(_faults(connection))),),
                postgres_schema.pending(connection),
                newest,
                served,
                bool(connection.execute("SELECT 1 FROM mailboxes LIMIT 1").fetchone()),
                _fetches(connection),
                _number(connection, "SELECT used FROM store"),
            )

    def old(self) -> bool:
        """Return whether the next start must change the tables. Raises the errors of ``look``."""
        with self._opened() as connection:
            return postgres_schema.pending(connection)

    def remarks(self) -> tuple[str, ...]:
        """Return warnings about data needlessly kept or revealed. Raises the errors of ``look``."""
        with self._opened() as connection:
            return tuple(postgres_server.remarks(connection))

    def fetches(self) -> dict[str, datetime.date]:
        """Return the last day on which each desk fetched. Raises the same errors as ``look``."""
        with self._opened() as connection:
            return _fetches(connection)

    def days(self) -> tuple[datetime.date | None, datetime.date | None]:
        """Return the newest stored day and the last purge's day. Raises the errors of ``look``."""
        with self._opened() as connection:
            return _days(connection)

    def site_id(self) -> str | None:
        """Return the site's id; None if the id or its table is missing.

        Raises the errors of ``look``.
        """
        with connect(self._address) as connection, failures():
            postgres_server.refuse(connection)
            if connection.execute("SELECT to_regclass('store')").fetchone() == (None,):
                return None
            row = connection.execute("SELECT site FROM store").fetchone()
            return row[0] if row else None

    def discard(self) -> None:
        """Remove all tables of a site that could not be created. Raises StoreError, StoreBusy."""
        with connect(self._address) as connection, failures():
            postgres_schema.remove_all(connection)

    @contextmanager
    def _opened(self) -> Iterator[Connection]:
        with connect(self._address) as connection, failures():
            connection.execute("SET default_transaction_read_only = on")
            postgres_server.refuse(connection)
            if connection.execute("SELECT to_regclass('store')").fetchone() == (None,):
                raise StoreError(postgres_schema.EMPTY)
            with connection.transaction():
                connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
                postgres_schema.refuse_newer(connection)
                yield connection


def _faults(connection: Connection) -> Iterator[str]:
    every = " UNION ALL ".join(f"SELECT item FROM {keys}" for keys in KEYS)  # noqa: S608 (fixed names)
    for said, statement in (
        (
            "sealed files have no key",
            f"SELECT count(*) FROM items WHERE item NOT IN ({every})",  # noqa: S608 (fixed names)
        ),
        (
            "sealed files are not complete",
            "SELECT count(*) FROM items LEFT JOIN"  # noqa: S608 (a constant)
            " (SELECT file, sum(octet_length(sealed)) AS there FROM pieces GROUP BY file) AS kept"
            f" USING (file) WHERE there IS DISTINCT FROM {_SEALED}",
        ),
        (
            "pieces belong to nothing",
            "SELECT count(*) FROM pieces WHERE file NOT IN (SELECT file FROM items)"
            " AND file NOT IN (SELECT file FROM staged)",
        ),
    ):
        count = _number(connection, statement)
        if count:
            yield f"{count} {said}"


def _days(connection: Connection) -> tuple[datetime.date | None, datetime.date | None]:
    row = connection.execute(
        "SELECT greatest((SELECT max(last_added) FROM mailboxes),"
        " (SELECT max(last_fetch) FROM desks)), served FROM store"
    ).fetchone()
    return (row[0], row[1]) if row else (None, None)


def _fetches(connection: Connection) -> dict[str, datetime.date]:
    rows = connection.execute("SELECT identity, last_fetch FROM desks WHERE last_fetch IS NOT NULL")
    return dict(rows.fetchall())


def _number(connection: Connection, statement: str) -> int:
    row = connection.execute(statement).fetchone()
    return 0 if row is None else int(row[0])
