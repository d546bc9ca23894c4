"""A real PostgreSQL server from Debian's packages, started once per run, on a socket only."""

from __future__ import annotations

import os
import pwd
import secrets
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import psycopg
import pytest
from psycopg.rows import TupleRow

from dropbox_app.protocol import second_seal
from dropbox_app.server.store import postgres_server
from dropbox_app.server.store.postgres_copy import PostgresCopy
from tests.support.processes import children, until

NOWHERE = "/nonexistent/postgresql"  # a folder of sockets in which no server listens
BINARIES = max(Path("/usr/lib/postgresql").glob("*/bin"), default=None)
NO_POSTGRES = (
    "" if BINARIES and (BINARIES / "initdb").exists() else "Debian's postgresql is not installed"
)
Address = dict[str, str]

_CONF = """
listen_addresses = ''
unix_socket_directories = '{socket}'
unix_socket_permissions = 0777
shared_buffers = '16MB'
max_connections = 40
log_line_prefix = '%m %u '
"""
# The account that runs the tests may be the superuser; a site's role needs its password.
_HBA = """\
local all postgres peer map=tests
local replication postgres peer map=tests
local all all scram-sha-256
hostssl all all 127.0.0.0/8 password
"""


@dataclass(frozen=True)
class Tls:
    """The address on which a server accepts connections with TLS, and its certificate and key."""

    address: str
    certificate: Path
    key: Path


class Postgres:
    """A running server in its own folder; ``close`` ends the server and removes the folder.

    ``primary``: the primary, if this is a standby. ``disk``: where to create the folder. ``tls``:
    how to accept connections over a network, in addition to those on the socket.
    """

    def __init__(
        self, primary: Postgres | None = None, disk: Path | None = None, tls: Tls | None = None
    ) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="klankbord-postgres-", dir=disk))
        self.data = self.folder / "data"
        self.log = self.folder / "log"
        account = self._account()
        os.chown(self.folder, account.pw_uid, account.pw_gid)
        self._as = {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}
        if os.geteuid() != 0:
            self._as = {}
        self._network = self._certified(tls) if tls else []
        if primary is None:
            self._initialise(account.pw_name)
        else:
            self._copy(primary)
        self._start()

    def _account(self) -> pwd.struct_passwd:
        """Return the account that runs the server: PostgreSQL refuses to run as root."""
        if os.geteuid() != 0:
            return pwd.getpwuid(os.geteuid())
        names = {one.pw_name for one in pwd.getpwall()}
        return pwd.getpwnam("postgres" if "postgres" in names else "nobody")

    def _initialise(self, account: str) -> None:
        assert BINARIES is not None
        command = (BINARIES / "initdb", "-D", self.data, "-U", "postgres", "-E", "UTF8",
                   "--locale=C.UTF-8", "--auth=reject")  # fmt: skip
        subprocess.run(command, check=True, capture_output=True, cwd="/", **self._as)  # type: ignore[call-overload] # the same for all
        silent = "\n".join(f"{name} = '{to}'" for name, to in postgres_server.SILENT.items())
        with (self.data / "postgresql.conf").open("a") as file:
            file.write(_CONF.format(socket=self.folder) + silent + "\n")
        (self.data / "pg_hba.conf").write_text(_HBA)
        names = {account, pwd.getpwuid(os.geteuid()).pw_name}
        lines = "".join(f"tests {name} postgres\n" for name in sorted(names))
        (self.data / "pg_ident.conf").write_text(lines)

    def _certified(self, tls: Tls) -> list[str]:
        """Return the settings for connections with TLS. The server's account owns the files."""
        words = ["-c", f"listen_addresses={tls.address}", "-c", "ssl=on"]
        for setting, path in (("ssl_cert_file", tls.certificate), ("ssl_key_file", tls.key)):
            own = Path(shutil.copy(path, self.folder / setting))
            os.chown(own, self._account().pw_uid, -1)
            own.chmod(0o600)
            words += ["-c", f"{setting}={own}"]
        return words

    def _copy(self, primary: Postgres) -> None:
        """Make this a standby of a running server."""
        assert BINARIES is not None
        command = (BINARIES / "pg_basebackup", "-d", f"host={primary.folder} user=postgres",
                   "-D", self.data, "-R", "-X", "stream", "-c", "fast")  # fmt: skip
        subprocess.run(command, check=True, capture_output=True, cwd="/", **self._as)  # type: ignore[call-overload] # as above

    def _start(self) -> None:
        assert BINARIES is not None
        own = ("-c", f"unix_socket_directories={self.folder}", "-c", "cluster_name=standby")
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(  # type: ignore[call-overload] # as above
                (BINARIES / "postgres", "-D", self.data, *own, *self._network),
                stderr=log,
                cwd="/",
                **self._as,
            )
        for _ in range(600):
            try:
                self.superuser().close()
            except psycopg.OperationalError:
                assert self._process.poll() is None, self.log.read_text()
                time.sleep(0.05)  # there is no other sign that the server accepts connections
            else:
                return
        raise AssertionError(self.log.read_text())

    def superuser(self) -> psycopg.Connection[TupleRow]:
        """Return a connection that may do anything."""
        return psycopg.connect(
            host=str(self.folder), user="postgres", dbname="postgres", autocommit=True
        )

    def site(self) -> Address:
        """Make a role with its schema and password; return its connection parameters."""
        role, password = f"site_{secrets.token_hex(6)}", secrets.token_hex(16)
        with self.superuser() as connection:
            connection.execute(postgres_server.setup(role))
            connection.execute(f"ALTER ROLE {role} PASSWORD '{password}'")
        passfile = self.folder / role
        passfile.touch(0o600)
        passfile.write_text(f"*:*:*:{role}:{password}\n")
        return {
            "host": str(self.folder),
            "user": role,
            "dbname": "postgres",
            "passfile": str(passfile),
        }

    @staticmethod
    def url(address: Address) -> str:
        """Return the setting ``store`` for this address."""
        here = f"host={address['host']}&passfile={address['passfile']}"
        return f"postgresql://{address['user']}@/{address['dbname']}?{here}"

    def kill(self) -> None:
        """Kill all processes of the server with SIGKILL."""
        for pid in (self._process.pid, *children(self._process.pid)):
            with suppress(ProcessLookupError):  # it ended together with the first one
                os.kill(pid, signal.SIGKILL)
        self._process.wait(60)

    @contextmanager
    def stopped(self) -> Iterator[None]:
        """Stop all processes of the server inside the block, as if the network were cut."""
        pids = (self._process.pid, *children(self._process.pid))
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            for pid in pids:
                os.kill(pid, signal.SIGCONT)

    def wait_for(self, standby: Postgres) -> None:
        """Make every commit wait until the standby has it on disk."""
        with self.superuser() as connection:
            connection.execute("SET synchronous_commit = local")
            connection.execute("ALTER SYSTEM SET synchronous_standby_names = 'standby'")
            connection.execute("SELECT pg_reload_conf()")
            synced = "SELECT 1 FROM pg_stat_replication WHERE sync_state = 'sync'"
            until(
                lambda: connection.execute(synced).fetchone() is not None,
                f"the standby does not follow: {standby.log.read_text()}",
            )

    def promote(self) -> None:
        """Make this standby accept writes."""
        with self.superuser() as connection:
            assert connection.execute("SELECT pg_promote()").fetchone() == (True,)

    def start_again(self) -> None:
        """Start the server again after a kill."""
        self._start()

    def everything_on_disk(self, *, flush: bool = True) -> bytes:
        """Return the contents of the data folder, including the write-ahead log.

        ``flush``: first write the data that is only in memory, which also shortens the log.
        """
        if flush:
            with self.superuser() as connection:
                connection.execute("CHECKPOINT")
        return b"".join(path.read_bytes() for path in self.data.rglob("*") if path.is_file())

    def close(self) -> None:
        """Stop the server if it is running, and remove its folder."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGINT)
            self._process.wait(60)
        shutil.rmtree(self.folder)


def open_store(
    address: Address, today: Callable[[], date], *, create: bool = False
) -> PostgresCopy:
    """Return the store of a site's role."""
    return PostgresCopy(address, second_seal, today, create=create)


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    if NO_POSTGRES:
        pytest.skip(NO_POSTGRES)
    running = Postgres()
    yield running
    running.close()
