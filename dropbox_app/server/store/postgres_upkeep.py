"""Upkeep of a site's schema: forgets the keys of what was removed, and uses its room again.

PostgreSQL leaves the bytes of removed rows in its tables and in its write-ahead log.
"""

from dropbox_app.server.store.postgres_connections import Connection
from dropbox_app.server.store.postgres_schema import KEYS, LOG


def forget_keys(connection: Connection) -> None:
    """Rewrite those tables of keys that lost a key, and remove the log up to there.

    What is not done when this raises an error remains in ``owed``, so that any process tries again.
    """
    owed = [row[0] for row in connection.execute("SELECT part FROM owed")]
    for part in owed:
        if part != LOG:
            _rewrite(connection, part)
    end_log(connection)
    if owed:
        connection.execute("DELETE FROM owed WHERE part = %s", (LOG,))


def end_log(connection: Connection) -> None:
    """Remove the log up to here: it holds keys, and the time of each commit.

    A checkpoint removes whole segments, so the current one has to end first.
    """
    connection.execute("SELECT pg_switch_wal()")
    connection.execute("CHECKPOINT")


def reuse_room(connection: Connection) -> None:
    """Let PostgreSQL use the room of removed rows again, and renew what it plans by."""
    connection.execute("VACUUM (ANALYZE) items, mailboxes, addressed, pieces, store, desks, owed")


def _rewrite(connection: Connection, part: int) -> None:
    """Copy a table of keys without what was removed; the old file is unlinked with the commit."""
    with connection.transaction():
        connection.execute("SET LOCAL lock_timeout = '1s'")  # a longer wait would hold up readers
        connection.execute("LOCK TABLE turn IN EXCLUSIVE MODE")
        connection.execute(f"LOCK TABLE {KEYS[part]} IN ACCESS EXCLUSIVE MODE")
        # Not VACUUM FULL, which keeps what an old view elsewhere in the database might still see.
        statement = f"ALTER TABLE {KEYS[part]} ALTER key TYPE bytea USING key || ''::bytea"
        connection.execute(statement)
        connection.execute("DELETE FROM owed WHERE part = %s", (part,))
