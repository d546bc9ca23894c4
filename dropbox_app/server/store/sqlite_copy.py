"""The store on SQLite with the steps that a copy needs; see ``copying.Copyable``."""

import datetime
from collections.abc import Iterable

from dropbox_app.server.store.copying import Desk, Numbered
from dropbox_app.server.store.sqlite import SqliteStore


class SqliteCopy(SqliteStore):
    """Implements ``Copyable``."""

    def set_store_id(self, store: str) -> None:
        self._run("UPDATE store SET id = ?", store)

    def numbered(self, mailbox: str) -> list[Numbered]:
        rows = self._run(
            "SELECT item, identity, number, fetched FROM addressed JOIN items USING (item)"
            " WHERE mailbox = ? ORDER BY identity, number",
            mailbox,
        )
        return [Numbered(row[0], row[1], row[2], _day(row[3])) for row in rows]

    def add_numbered(self, rows: Iterable[Numbered]) -> None:
        for row in rows:
            fetched = row.fetched.isoformat() if row.fetched else None
            values = (row.identity, row.number, row.item, fetched)
            self._run("INSERT INTO addressed VALUES (?, ?, ?, ?)", *values)

    def desks(self) -> list[Desk]:
        rows = self._run("SELECT identity, last_number, last_fetch FROM desks ORDER BY identity")
        return [Desk(row[0], row[1], _day(row[2])) for row in rows]

    def add_desks(self, desks: Iterable[Desk]) -> None:
        for desk in desks:
            day = desk.last_fetch.isoformat() if desk.last_fetch else None
            values = (desk.identity, desk.last_number, day)
            self._run("INSERT INTO desks (identity, last_number, last_fetch) VALUES (?, ?, ?)",
                      *values)  # fmt: skip

    def remove_tables(self) -> None:
        for table in ("addressed", "sealed", "items", "mailboxes", "desks", "store"):
            self._run(f"DROP TABLE {table}")

    def withdrawn(self) -> dict[str, datetime.date]:
        return self._withdrawn.read()


def _day(text: str | None) -> datetime.date | None:
    return datetime.date.fromisoformat(text) if text else None
