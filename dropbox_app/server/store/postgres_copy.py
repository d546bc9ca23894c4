"""The store on PostgreSQL with the steps that a copy needs; see ``copying.Copyable``."""

import datetime
from collections.abc import Iterable

from dropbox_app.server.store import postgres_schema, postgres_upkeep
from dropbox_app.server.store.copying import Desk, Numbered
from dropbox_app.server.store.postgres import PostgresStore
from dropbox_app.server.store.postgres_errors import failures


class PostgresCopy(PostgresStore):
    """Implements ``Copyable``."""

    _removed = False  # whether the tables were removed

    def set_store_id(self, store: str) -> None:
        self._change("UPDATE store SET id = %s", store)

    def numbered(self, mailbox: str) -> list[Numbered]:
        rows = self._rows(
            "SELECT item, identity, number, fetched FROM addressed JOIN items USING (item)"
            " WHERE mailbox = %s ORDER BY identity, number",
            mailbox,
        )
        return [Numbered(*row) for row in rows]

    def add_numbered(self, rows: Iterable[Numbered]) -> None:
        for row in rows:
            values = (row.identity, row.number, row.item, row.fetched)
            self._change("INSERT INTO addressed VALUES (%s, %s, %s, %s)", *values)

    def desks(self) -> list[Desk]:
        rows = self._rows("SELECT identity, last_number, last_fetch FROM desks ORDER BY identity")
        return [Desk(*row) for row in rows]

    def add_desks(self, desks: Iterable[Desk]) -> None:
        for desk in desks:
            values = (desk.identity, desk.last_number, desk.last_fetch)
            self._change("INSERT INTO desks VALUES (%s, %s, %s)", *values)

    def remove_tables(self) -> None:
        held = self._held()
        if held is None:
            raise ValueError("tables are removed inside a transaction")
        with failures():
            postgres_schema.remove_all(held)
        self._removed = True

    def truncate_log(self) -> bool:
        if not self._removed:
            return super().truncate_log()
        with self._connections.alone() as connection:
            postgres_upkeep.end_log(connection)
        return True

    def withdrawn(self) -> dict[str, datetime.date]:
        return dict(self._rows("SELECT mailbox, day FROM withdrawn"))
