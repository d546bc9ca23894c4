"""Maintain a site's schema: destroy the keys of removed items, and reuse the free space.

PostgreSQL leaves the bytes of removed rows in its tables and in its write-ahead log.
"""

from dropbox_app.server.store.postgres_connections import Connection
from dropbox_app.server.store.postgres_schema import KEYS, LOG


def forget_keys(connection: Connection) -> None:
    """Rewrite the tables of keys that lost a key, and remove the log written so far.

    If an error is raised, the remaining work stays recorded in ``owed``, so that any process can
    try again.
    """
    owed = [row[0] for row in connection.execute("SELECT part FROM owed")]
    for part in owed:
        if part != LOG:
            _rewrite(connection, part)
    end_log(connection)
    if owed:
        connection.execute("DELETE FROM owed WHERE part = %s", (LOG,))


def end_log(connection: Connection) -> None:
    """Remove the log written so far, because it contains keys and the time of each commit.

    A checkpoint removes complete segments only, so the current segment is closed first.
    """
    connection.execute("SELECT pg_switch_wal()")
    connection.execute("CHECKPOINT")


def reuse_room(connection: Connection) -> None:
    """Let PostgreSQL reuse the space of removed rows, and update its query statistics."""
    connection.execute("VACUUM (ANALYZE) items, mailboxes, addressed, pieces, store, desks, owed")


def _rewrite(connection: Connection, part: int) -> None:
    """Rewrite a table of keys without removed bytes. The commit unlinks the old file."""
    with connection.transaction():
        connection.execute("SET LOCAL lock_timeout = '1s'")  # a longer wait would delay readers
        connection.execute("LOCK TABLE turn IN EXCLUSIVE MODE")
        connection.execute(f"LOCK TABLE {KEYS[part]} IN ACCESS EXCLUSIVE MODE")
        # Not VACUUM FULL, which keeps rows that an old snapshot elsewhere in the database might
        # need.
        statement = f"ALTER TABLE {KEYS[part]} ALTER key TYPE bytea USING key || ''::bytea"
        connection.execute(statement)
        connection.execute("DELETE FROM owed WHERE part = %s", (part,))
