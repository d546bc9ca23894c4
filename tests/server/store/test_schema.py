"""The server's tables are recognised, whichever SQLite version wrote them."""

import re
import sqlite3
from contextlib import closing

from sqlcipher3 import dbapi2 as another  # type: ignore[import-untyped] # as the standard sqlite3

from dropbox_app.server.store import migrations, schema


def test_database_made_by_a_different_sqlite_version_is_accepted() -> None:
    """A backup made on one Debian release may be restored on the next, with a newer SQLite."""
    ran: list[str] = []
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        connection.set_trace_callback(ran.append)
        migrations.migrations.apply(connection)
        assert schema.fault(connection) == ""
    with closing(another.connect(":memory:", isolation_level=None)) as connection:
        for statement in ran:
            if re.match(r"\s*(CREATE|ALTER|DROP|INSERT)", statement):
                connection.execute(statement)
        assert schema.fault(connection) == ""


def test_extra_tables_and_missing_tables_are_reported() -> None:
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        migrations.migrations.apply(connection)
        connection.execute("DROP TABLE addressed")
        assert schema.fault(connection) == (
            "its tables and indexes belong to no version of the server"
        )
        connection.execute("CREATE TABLE visitors (address TEXT)")
        assert schema.fault(connection).endswith("indexes that no server makes: visitors")
