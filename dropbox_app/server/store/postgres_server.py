"""The requirements for a PostgreSQL server, and warnings about data that it should not keep.

``refuse`` checks the requirements at every start. ``remarks`` is for ``doctor``: it lists what the
server or the role keeps or reveals needlessly (SECURITY.md).
"""

from collections.abc import Iterator

from dropbox_app.server.errors import StoreError
from dropbox_app.server.store.postgres_connections import Connection

OLDEST = 15

# Settings that a superuser makes for the role. PostgreSQL then logs none of its statements, does
# not store the time of the last one, and does not show them to others.
QUIET = {
    "log_statement": "none",
    "log_duration": "off",
    "log_min_duration_statement": "-1",
    "log_min_duration_sample": "-1",
    "log_min_messages": "panic",
    "log_min_error_statement": "panic",
    "log_lock_waits": "off",
    "log_temp_files": "-1",
    "track_counts": "off",
    "track_activities": "off",
    "track_io_timing": "off",
    "track_functions": "none",
}
# Settings in postgresql.conf: no log lines for connections or checkpoints, no times of commits, and
# no segments of the write-ahead log that are kept for reuse.
SILENT = {
    "log_connections": "off",
    "log_disconnections": "off",
    "log_checkpoints": "off",
    "log_autovacuum_min_duration": "-1",
    "track_commit_timestamp": "off",
    "wal_recycle": "off",
    "wal_keep_size": "0",
    "archive_mode": "off",
}


def setup(role: str) -> str:
    """Return the SQL that a superuser runs once for a site: its role, its schema, its rights."""
    quiet = "\n".join(f"ALTER ROLE {role} SET {name} = '{QUIET[name]}';" for name in QUIET)
    return f"""\
CREATE ROLE {role} LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS;
{quiet}
CREATE SCHEMA {role} AUTHORIZATION {role};
GRANT EXECUTE ON FUNCTION pg_switch_wal() TO {role};
GRANT pg_checkpoint TO {role};
"""


def refuse(connection: Connection) -> None:
    """Raise StoreError if this server could lose a confirmed report or reveal it to others."""
    version = _number(connection, "SELECT current_setting('server_version_num')::int / 10000")
    if version < OLDEST:
        raise StoreError(f"PostgreSQL {version} is too old; it must be {OLDEST} or newer")
    if _number(connection, "SELECT pg_is_in_recovery()::int"):
        raise StoreError("the database is a standby, which takes no writes; name the primary")
    faults = [*_unsafe(connection), *_too_mighty(connection)]
    if faults:
        raise StoreError(f"the database: {faults[0]}")


def remarks(connection: Connection) -> Iterator[str]:
    """Yield warnings about what PostgreSQL needlessly keeps or reveals about this role's work."""
    for name, quiet in (QUIET | SILENT).items():
        found = _setting(connection, name)
        if found is not None and found != quiet:
            yield f"{name} is {found}; it should be {quiet}"
    for right, what in (
        ("has_function_privilege('pg_switch_wal()', 'execute')", "EXECUTE ON pg_switch_wal()"),
        ("pg_has_role('pg_checkpoint', 'usage')", "pg_checkpoint"),
    ):
        if not _number(connection, f"SELECT {right}::int"):
            yield f"the role lacks {what}: removed keys stay in the log until it moves on by itself"
    slots = _number(connection, "SELECT count(*)::int FROM pg_replication_slots WHERE NOT active")
    if slots:
        yield f"{slots} replication slots are not in use: the log grows, and keeps removed keys"


def _unsafe(connection: Connection) -> Iterator[str]:
    for name in ("fsync", "full_page_writes"):
        if _setting(connection, name) != "on":
            yield f"{name} is off: a power failure would lose confirmed reports"
    waits = _setting(connection, "synchronous_commit")
    if waits == "off":
        yield "synchronous_commit is off: a report would be confirmed before it is on a disk"
    if waits == "local" and _setting(connection, "synchronous_standby_names"):
        yield "synchronous_commit is local: a report would be confirmed before a standby has it"


def _too_mighty(connection: Connection) -> Iterator[str]:
    """Yield the rights that let this role read other sites, or let other roles read this site."""
    ours = "FROM pg_roles WHERE rolname = current_user"
    if _number(connection, f"SELECT (rolsuper OR rolbypassrls OR rolcreaterole)::int {ours}"):
        yield "its role may do too much; it should own its schema and nothing else"
    owner = "SELECT count(*)::int FROM pg_namespace WHERE nspname = current_user"
    if not _number(connection, owner):
        yield "there is no schema named as its role; a superuser runs the SQL of the guide"
    others = (
        "SELECT count(*)::int FROM pg_namespace WHERE nspname NOT LIKE 'pg\\_%'"
        " AND nspname NOT IN ('information_schema', 'public', current_user)"
        " AND has_schema_privilege(oid, 'usage')"
    )
    if _number(connection, others):
        yield "its role may use the schema of another site; revoke that"


def _setting(connection: Connection, name: str) -> str | None:
    """Return the value of a setting in this session; None if this version does not have it."""
    row = connection.execute("SELECT current_setting(%s, true)", (name,)).fetchone()
    return None if row is None else row[0]


def _number(connection: Connection, statement: str) -> int:
    row = connection.execute(statement).fetchone()
    return 0 if row is None else int(row[0])
