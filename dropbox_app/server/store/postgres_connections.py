"""Connections to PostgreSQL, with all settings on which the site's promises depend.

A process keeps only a few unused connections. Each site has its own role, so connections are not
shared between sites.
"""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import TypeAlias

import psycopg
from psycopg.pq import TransactionStatus
from psycopg.rows import TupleRow

from dropbox_app.server.errors import StoreBusy, StoreError, StoreUnsure
from dropbox_app.server.store.postgres_errors import failures, lost, refusal

Connection: TypeAlias = psycopg.Connection[TupleRow]

BUSY_SECONDS = 10
COMMIT_SECONDS = 10.0  # maximum wait of a commit for a standby; PostgreSQL itself has no limit
MOST = 4  # connections of one process to one site's schema
IDLE = 16  # unused connections that a process keeps, for all sites together
NAME = "klankbord"  # the name that PostgreSQL shows for every connection, whatever its purpose

OPTIONS = {
    "search_path": '"$user"',  # no schema that others can write to
    "lock_timeout": f"{BUSY_SECONDS}s",
    "statement_timeout": "30s",
    "idle_in_transaction_session_timeout": "60s",
    "default_transaction_isolation": "read\\ committed",
    "jit": "off",
}


def connect(address: Mapping[str, str]) -> Connection:
    """Open a connection; the store begins the transactions. Raises StoreBusy, StoreError."""
    options = " ".join(f"-c {name}={value}" for name, value in OPTIONS.items())
    try:
        return psycopg.connect(
            "",
            autocommit=True,
            application_name=NAME,
            connect_timeout=5,
            keepalives_idle=10,
            keepalives_interval=5,
            keepalives_count=3,
            tcp_user_timeout=BUSY_SECONDS * 1000,
            client_encoding="utf8",
            options=options,
            **address,  # type: ignore[arg-type] # all values are text
        )
    except psycopg.Error as error:
        raise refusal(error, address.get("user", ""), address.get("dbname", "")) from None


def commit(connection: Connection) -> None:
    """Commit. Raises StoreUnsure if it is unknown whether the data is on every required disk."""
    warned: list[str] = []
    cancelled = threading.Event()

    def note(said: psycopg.errors.Diagnostic) -> None:
        warned.append(said.severity_nonlocalized or "")

    def cancel() -> None:
        cancelled.set()
        with suppress(psycopg.Error):  # the server is gone; the commit fails as well
            connection.cancel_safe(timeout=BUSY_SECONDS)

    limit = threading.Timer(COMMIT_SECONDS, cancel)
    limit.daemon = True
    connection.add_notice_handler(note)
    limit.start()
    try:
        done = connection.execute("COMMIT").statusmessage
    except psycopg.Error as error:
        if lost(error):
            raise StoreUnsure("the connection was lost while it was being stored") from None
        raise
    finally:
        limit.cancel()
        limit.join()
        connection.remove_notice_handler(note)
        if cancelled.is_set():  # a late cancellation could end another statement
            connection.close()
    if "WARNING" in warned:  # it is on this server's disk, but the wait for a standby was ended
        raise StoreUnsure("no standby has confirmed it")
    if done != "COMMIT":  # a statement in the transaction had failed
        raise StoreError("the database did not store it")


class _Unused:
    """The unused connections of this process, least recently used first."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._all: OrderedDict[Connection, Connections] = OrderedDict()
        self._process = os.getpid()

    def take(self, of: Connections) -> Connection | None:
        """Take the most recently used connection of one site; return None if there is none."""
        with self._lock:
            self._after_fork()
            for connection, owner in reversed(self._all.items()):
                if owner is of:
                    del self._all[connection]
                    return connection
        return None

    def put(self, of: Connections, connection: Connection) -> None:
        """Keep an unused connection; if there are more than IDLE, close the oldest."""
        with self._lock:
            self._after_fork()
            self._all[connection] = of
            beyond = [self._all.popitem(last=False)[0] for _ in range(len(self._all) - IDLE)]
        for old in beyond:
            old.close()

    def drop(self, of: Connections) -> None:
        """Close all unused connections of one site."""
        while (connection := self.take(of)) is not None:
            connection.close()

    def _after_fork(self) -> None:
        if self._process != os.getpid():
            # A child process opens its own connections, because two processes on one connection
            # would read each other's answers. psycopg closes no connection of another process.
            self._process, self._all = os.getpid(), OrderedDict()


_unused = _Unused()


class Connections:
    """The connections of one process to one site's schema; at most MOST at the same time."""

    def __init__(self, address: Mapping[str, str], most: int = MOST) -> None:
        self._address = address
        self._room = threading.BoundedSemaphore(most)
        self._closed = False
        self._reached = False  # whether it has connected since the start

    @contextmanager
    def taken(self) -> Iterator[Connection]:
        """Yield a working connection. Raises StoreBusy, StoreError."""
        if not self._room.acquire(timeout=BUSY_SECONDS):
            raise StoreBusy("every connection to the database was in use for too long")
        try:
            connection = self._answering()
            try:
                yield connection
            finally:
                self._give_back(connection)
        finally:
            self._room.release()

    @contextmanager
    def alone(self) -> Iterator[Connection]:
        """Yield a new connection without a time limit, for maintenance."""
        with connect(self._address) as connection, failures():
            connection.execute("SET statement_timeout = 0")
            yield connection

    def close(self) -> None:
        """Close the unused connections; connections in use are closed when they are released."""
        self._closed = True
        _unused.drop(self)

    def _answering(self) -> Connection:
        kept = _unused.take(self)
        if kept is not None:
            try:
                kept.execute("")
            except psycopg.Error:  # the server was restarted or replaced
                kept.close()
                _unused.drop(self)
            else:
                return kept
        try:
            made = connect(self._address)
        except StoreError:
            if self._reached:  # possibly a failover, which ends soon
                raise StoreBusy("the database cannot be reached now") from None
            raise
        self._reached = True
        return made

    def _give_back(self, connection: Connection) -> None:
        clean = connection.info.transaction_status == TransactionStatus.IDLE
        if clean and not self._closed:
            _unused.put(self, connection)
        else:
            connection.close()
