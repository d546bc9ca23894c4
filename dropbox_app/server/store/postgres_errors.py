"""Translate PostgreSQL's errors into the server's own errors, each with a short sentence."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from psycopg import errors

from dropbox_app.server.errors import SiteFull, StoreBusy, StoreError, visible

_BUSY = (
    errors.LockNotAvailable,
    errors.QueryCanceled,
    errors.SerializationFailure,
    errors.DeadlockDetected,
    errors.TooManyConnections,
    errors.CannotConnectNow,
    errors.IdleInTransactionSessionTimeout,
)
_LOST = (
    errors.AdminShutdown,
    errors.CrashShutdown,
    errors.ReadOnlySqlTransaction,  # the server has become a standby
)

# PostgreSQL's English messages for a refused connection. libpq gives no error code for these.
_REFUSED = (
    ("password authentication failed", "the password of {user} is not accepted; see `passfile`"),
    ("no password supplied", "{user} needs a password; put it into a file and name it `passfile`"),
    ("empty password", "the password of {user} is empty"),
    ("eer authentication failed", "{user} may not be used by this account; see pg_ident.conf"),
    ("no pg_hba.conf entry", "pg_hba.conf has no line that lets {user} in"),
    ("role .* does not exist", "there is no role {user}"),
    ("database .* does not exist", "there is no database {dbname}"),
    ("too many clients|remaining connection slots|too many connections", ""),
    ("session is read-only|session is not read-only", "no server there takes writes"),
    ("starting up|shutting down|recovery mode|not yet accepting", ""),
    ("server closed the connection", "the connection was closed at once; if stunnel leads there, "
     "check the certificate and the name in its settings"),
    ("onnection refused|No such file or directory|timeout expired|could not translate", "nothing "
     "answers there"),
)  # fmt: skip


@contextmanager
def failures() -> Iterator[None]:
    """Raise the server's own errors for errors of PostgreSQL or of the connection."""
    try:
        yield
    except psycopg.Error as error:
        if isinstance(error, _BUSY):
            raise StoreBusy("the database was busy for too long") from None
        if isinstance(error, errors.DiskFull):
            raise SiteFull("the database's disk is full") from None
        if isinstance(error, _LOST) or lost(error):
            raise StoreBusy("the connection to the database was lost") from None
        if isinstance(error, psycopg.OperationalError | psycopg.InternalError):
            raise StoreError(f"the database failed: {type(error).__name__}") from None
        if isinstance(error, errors.InsufficientPrivilege):
            raise StoreError("the database's role lacks a right; doctor says which") from None
        raise


def lost(error: psycopg.Error) -> bool:
    """Return whether the connection was lost without an answer from the server."""
    return isinstance(error, psycopg.OperationalError) and error.sqlstate is None


def refusal(error: psycopg.Error, user: str, dbname: str) -> StoreError:
    """Return why no connection could be made, as one sentence for the operator."""
    said = str(error)
    for pattern, sentence in _REFUSED:
        if re.search(pattern, said):
            if not sentence:
                return StoreBusy("the database accepts no further connection now")
            return StoreError(f"the database: {sentence.format(user=user, dbname=dbname)}")
    line = next((line for line in said.splitlines() if line.strip()), "no reason was given")
    return StoreError(f"the database cannot be opened: {visible(line.strip())}")
