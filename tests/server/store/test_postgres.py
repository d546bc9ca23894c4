"""The store on a real PostgreSQL: data that it keeps, never keeps, and removes completely.

Behaviour that both stores share is tested in ``tests/server/mailboxes``.
"""

import datetime
import os
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psycopg
import pytest

from dropbox_app.protocol.encoding import new_digest, sha256_hex
from dropbox_app.server.errors import OutOfStep, StoreBusy, StoreError, StoreUnsure
from dropbox_app.server.mailboxes import purge
from dropbox_app.server.store import postgres_connections, postgres_schema, postgres_server
from dropbox_app.server.store.interface import ItemInfo
from dropbox_app.server.store.postgres_schema import KEYS
from tests.support.postgres import Address, Postgres, open_store
from tests.support.processes import until
from tests.support.server_folder import ANNA, BRAM, DAY, AServer, file, ids, message
from tests.support.two_stores import OnPostgres

ROOT = Path(__file__).parents[3]


class Here(AServer):
    """A site on PostgreSQL, and a view of its schema that does not need its own role."""

    def __init__(self, folder: Path, running: Postgres) -> None:
        self.running = running
        kind = OnPostgres(running)
        super().__init__(folder, on=kind)
        self.address: Address = kind.addresses[folder]
        self.role = self.address["user"]

    def rows(self, statement: str) -> list[tuple[object, ...]]:
        """Return the rows of a statement, run by a superuser on the site's tables."""
        with self.running.superuser() as connection:
            connection.execute(f"SET search_path = {self.role}")
            return connection.execute(statement).fetchall()

    def item_keys(self) -> dict[str, bytes]:
        """Return the key of every item."""
        both = " UNION ALL ".join(f"SELECT item, key FROM {keys}" for keys in KEYS)  # noqa: S608 - our own names
        return {str(item): bytes(key) for item, key in self.rows(both)}  # type: ignore[call-overload] # bytes


@pytest.fixture
def server(tmp_path: Path, postgres: Postgres) -> Iterator[Here]:
    made = Here(tmp_path / "server", postgres)
    yield made
    made.store.close()


def _busy_life(server: AServer) -> None:
    """Do a bit of everything, so that every table has rows."""
    server.report("one", (ANNA, BRAM))
    server.report("two")
    server.report("three")
    server.fetch()
    server.put_file("one", file(3))
    server.reply("one", 1, to=(ANNA, BRAM))
    server.put_file("two", file(2, 2_000_000))
    server.reply("two", 1)
    server.fetch(BRAM)
    server.add("two", 2)
    server.withdraw("three", 2)


def test_no_column_stores_a_time_and_no_sequence_exists(server: Here) -> None:
    columns = server.rows(
        "SELECT table_name, column_name, data_type, column_default FROM"
        " information_schema.columns WHERE table_schema = current_schema()"
    )
    assert len(columns) > 40
    assert {kind for _, _, kind, _ in columns} == {
        "text", "date", "integer", "bigint", "bytea", "boolean"
    }  # fmt: skip
    defaults = {(table, name): default for table, name, _, default in columns if default}
    assert set(defaults) == {("store", "used"), ("store", "single"), ("desks", "last_number")}
    assert server.rows("SELECT 1 FROM pg_sequences WHERE schemaname = current_schema()") == []


def test_text_columns_contain_only_ids_identities_and_fixed_words(server: Here) -> None:
    _busy_life(server)
    shape = (
        "^([0-9a-f]{64}|[0-9a-f]{32}|[A-Za-z0-9+/]{43}=|message|attachment|reporter|m001_first)$"
    )
    texts = server.rows(
        "SELECT table_name, column_name FROM information_schema.columns"
        " WHERE table_schema = current_schema() AND data_type = 'text'"
    )
    empty = {"staged"}  # has rows only while a file is being received
    for table, column in texts:
        found = server.rows(f"SELECT {column} FROM {table} WHERE {column} IS NOT NULL")  # noqa: S608 - our own names
        assert found or table in empty or str(table).startswith("keys_") or column == "site", table
        bad = server.rows(f"SELECT {column} FROM {table} WHERE {column} !~ '{shape}'")  # noqa: S608 - our own names
        assert bad == [], (table, column)


def test_site_cannot_read_rows_of_another_site(tmp_path: Path, postgres: Postgres) -> None:
    one, other = (Here(tmp_path / name, postgres) for name in ("one", "other"))
    other.report("theirs")
    tables = [row[0] for row in other.rows(
        "SELECT tablename FROM pg_tables WHERE schemaname = current_schema()"
    )]  # fmt: skip
    assert len(tables) > 20
    with postgres_connections.connect(one.address) as connection:
        for table in tables:
            for statement in (
                f"SELECT * FROM {other.role}.{table}",  # noqa: S608 - our own names
                f"LOCK TABLE {other.role}.{table} IN ACCESS SHARE MODE",
                f"DELETE FROM {other.role}.{table}",  # noqa: S608 - our own names
            ):
                with (
                    pytest.raises(psycopg.errors.InsufficientPrivilege),
                    connection.transaction(),
                ):
                    connection.execute(statement)
        for statement in (
            f"SET ROLE {other.role}", f"SET SESSION AUTHORIZATION {other.role}",
            f"CREATE TABLE {other.role}.mine ()", "SELECT pg_read_file('postgresql.conf')",
            "COPY store TO '/tmp/x'", "CREATE TABLE public.mine ()",
        ):  # fmt: skip
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(statement)
    with postgres_connections.connect(one.address) as connection:
        samples = connection.execute(
            "SELECT tablename FROM pg_stats WHERE schemaname = %s", (other.role,)
        )
        assert samples.fetchall() == []
    one.store.close()
    other.store.close()


def test_sealed_files_are_stored_on_disk_only_under_the_second_seal(server: Here) -> None:
    """Any copies of a sealed file that PostgreSQL keeps are useless without the key."""
    sealed = server.report("one")
    large = file(2, 2_000_000)
    server.put_file("one", large)
    server.reply("one", 1)
    disk = server.running.everything_on_disk()
    keys = server.item_keys()
    assert keys[sha256_hex(sealed)] in disk
    assert keys[sha256_hex(large)] in disk
    for start in (0, 4096, len(sealed) - 64):
        assert sealed[start : start + 64] not in disk
    for start in (0, 1_000_000, len(large) - 64):
        assert large[start : start + 64] not in disk


def test_withdrawal_removes_keys_from_disk(server: Here) -> None:
    """No key is left in a table, its index, the planner's samples or the write-ahead log."""
    server.report("one")
    server.put_file("one", file(2, 2_000_000))
    server.reply("one", 1)
    server.report("other")
    with server.running.superuser() as connection:
        connection.execute(f"VACUUM (ANALYZE) {', '.join(f'{server.role}.{k}' for k in KEYS)}")
    before = server.item_keys()
    disk = server.running.everything_on_disk()
    assert all(key in disk for key in before.values())
    server.withdraw("one", 2)
    after = server.item_keys()
    gone = [key for item, key in before.items() if item not in after]
    assert len(gone) == 3
    disk = server.running.everything_on_disk(flush=False)
    assert not any(key in disk for key in gone)
    assert all(key in disk for key in after.values())
    assert server.store.log_size() == 0


def test_purge_removes_expired_keys_from_disk(server: Here) -> None:
    """This includes an item in a mailbox that still exists: each item has its own key."""
    server.report("one")
    server.add("one", 2)
    server.fetch()
    server.report("two")
    server.fetch()
    before = server.item_keys()
    server.later(45)
    server.fetch()
    server.add("one", 3)
    purged = server.purge()
    assert purged.items == 2
    assert purged.log_emptied
    gone = [key for item, key in before.items() if item not in server.item_keys()]
    disk = server.running.everything_on_disk(flush=False)
    assert len(gone) == 2
    assert not any(key in disk for key in gone)


def test_purge_removes_old_write_ahead_log(server: Here) -> None:
    """This holds even if nothing has expired, so no report's time remains for over a day."""
    server.report("one")
    log = server.running.data / "pg_wal"
    before = {path.name for path in log.iterdir() if path.is_file()}
    assert before
    assert server.purge().mailboxes == 0
    after = {path.name for path in log.iterdir() if path.is_file()}
    assert after
    assert not before & after


def test_key_still_in_use_after_a_withdrawal_is_removed_by_the_next_maintenance_run(
    server: Here,
) -> None:
    sealed = server.report("one")
    key = server.item_keys()[sha256_hex(sealed)]
    reading, over = threading.Event(), threading.Event()

    def read() -> None:
        with server.store.reading():
            assert server.store.mailboxes()  # the snapshot begins here
            reading.set()
            assert over.wait(60)
            assert server.store.read(sha256_hex(sealed)) == sealed

    reader = threading.Thread(target=read)
    reader.start()
    assert reading.wait(60)
    server.withdraw("one", 2)
    assert server.store.log_size() > 0
    over.set()
    reader.join(60)
    assert purge.purge(server.site, server.store, DAY).log_emptied
    assert server.store.log_size() == 0
    assert key not in server.running.everything_on_disk()


def test_open_snapshot_is_stable_while_keys_are_rewritten(server: Here) -> None:
    alike = [
        name
        for name in map(str, range(200))
        if postgres_schema.part_of(ids(name)[0]) == 7  # so that both have a key in one table
    ]
    kept = server.report(alike[0])
    server.report(alike[1])
    writer = threading.Thread(target=lambda: server.withdraw(alike[1], 2))
    with server.store.reading():
        assert len(server.store.mailboxes()) == 2
        writer.start()
        writer.join(60)
        assert server.store.items(ids(alike[1])[0])[0].n == 1
        assert server.store.read(sha256_hex(kept)) == kept
    assert server.store.items(ids(alike[1])[0])[0].n == 2


def test_postgres_log_has_no_line_about_a_site(server: Here) -> None:
    """Neither successes nor failures are logged: an id in an error's detail would get a time."""
    _busy_life(server)
    mailbox, access = ids("one")

    def twice() -> None:
        with server.store.writing():
            server.store.add_mailbox(mailbox, access, DAY)

    with pytest.raises(psycopg.errors.UniqueViolation):
        twice()
    with (
        postgres_connections.connect(server.address) as connection,
        pytest.raises(psycopg.errors.UndefinedColumn),
    ):
        connection.execute("SELECT herkenbaar FROM items WHERE item = %s", (access,))
    log = server.running.log.read_text()
    assert "ready to accept connections" in log
    for name in (server.role, mailbox, access, "herkenbaar", "duplicate"):
        assert name not in log, name


def test_statistics_views_show_no_statements_or_times(server: Here) -> None:
    _busy_life(server)
    with server.store.reading():
        shown = server.rows(
            "SELECT application_name, query, state, query_start, xact_start FROM pg_stat_activity"
            " WHERE usename = current_schema()"
        )
    assert shown
    for name, query, state, query_start, transaction_start in shown:
        assert (name, query, state) == ("klankbord", "", "disabled")
        assert (query_start, transaction_start) == (None, None)
    counted = server.rows(
        "SELECT sum(n_tup_ins + n_tup_del + coalesce(seq_scan, 0)) FROM pg_stat_all_tables"
        " WHERE schemaname = current_schema()"
    )
    assert counted == [(0,)]


def test_doctor_reports_settings_that_write_logs(server: Here, postgres: Postgres) -> None:
    with postgres_connections.connect(server.address) as connection:
        assert list(postgres_server.remarks(connection)) == []
    with postgres.superuser() as connection:
        connection.execute(f"ALTER ROLE {server.role} RESET ALL")
        connection.execute(f"REVOKE pg_checkpoint FROM {server.role}")
    with postgres_connections.connect(server.address) as connection:
        said = "\n".join(postgres_server.remarks(connection))
    for name in ("log_min_messages", "track_counts", "track_activities", "pg_checkpoint"):
        assert name in said


def test_guide_lists_the_tested_settings() -> None:
    guide = (ROOT / "deploy" / "guide" / "scale.md").read_text("utf-8")
    shown = "\n".join(line.strip() for line in guide.splitlines())
    silent = "\n".join(f"{name} = {to}" for name, to in postgres_server.SILENT.items())
    assert silent in shown
    assert postgres_server.setup("klankbord_bakery") in shown


def _said(address: Address) -> str:
    with pytest.raises(StoreError) as error:
        open_store(address, lambda: DAY)
    return str(error.value)


def test_failed_connection_is_explained_in_one_sentence(
    server: Here, postgres: Postgres, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = server.address
    wrong = tmp_path / "wrong"
    wrong.write_text(f"*:*:*:{server.role}:another\n")
    wrong.chmod(0o600)
    assert "password" in _said({**address, "passfile": str(wrong)})
    assert "needs a password" in _said({**address, "passfile": "/nowhere"})
    assert "no database nothing" in _said({**address, "dbname": "nothing"})
    assert "nothing answers there" in _said({**address, "host": str(tmp_path)})
    assert "no tables" in _said(postgres.site())
    with pytest.raises(StoreError, match="holds a site already"):
        open_store(address, lambda: DAY, create=True)
    monkeypatch.setattr(postgres_server, "OLDEST", 99)
    assert "too old; it must be 99 or newer" in _said(address)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("ALTER ROLE {} SET synchronous_commit = off", "before it is on a disk"),
        ("ALTER ROLE {} SUPERUSER", "may do too much"),
        ("ALTER SCHEMA {0} RENAME TO {0}_x", "no schema named as its role"),
        ("CREATE SCHEMA {0}_other; GRANT USAGE ON SCHEMA {0}_other TO {0}", "of another site"),
    ],
)
def test_unsafe_server_or_role_is_refused(
    server: Here, postgres: Postgres, change: str, said: str
) -> None:
    with postgres.superuser() as connection:
        for statement in change.format(server.role).split(";"):
            connection.execute(statement)
    assert said in _said(server.address)


def test_newer_schema_is_refused(server: Here) -> None:
    with postgres_connections.connect(server.address) as connection:
        connection.execute("INSERT INTO steps VALUES ('m123_later', '2027-01-01')")
    assert "newer version of this program (m123_later)" in _said(server.address)


def test_long_wait_or_full_connection_pool_raises_the_busy_error(
    server: Here, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(postgres_connections.OPTIONS, "lock_timeout", "200ms")
    monkeypatch.setattr(postgres_connections, "BUSY_SECONDS", 0.2)
    store = open_store(server.address, lambda: DAY)
    with server.store.writing(), pytest.raises(StoreBusy, match="too long"), store.writing():
        pass
    over = threading.Event()
    started = threading.Barrier(postgres_connections.MOST + 1)

    def hold() -> None:
        with store.reading():
            started.wait(60)
            over.wait(60)

    holders = [threading.Thread(target=hold) for _ in range(postgres_connections.MOST)]
    for holder in holders:
        holder.start()
    started.wait(60)
    with pytest.raises(StoreBusy, match="in use for too long"):
        store.mailboxes()
    over.set()
    for holder in holders:
        holder.join(60)
    assert store.mailboxes() == []
    store.close()


def test_transaction_with_a_failed_statement_raises_an_error(server: Here) -> None:
    """PostgreSQL rolls back at its commit, without reporting an error."""
    server.report("one")

    def write() -> None:
        with server.store.writing():
            server.store.add_mailbox(*ids("two"), DAY)
            with suppress(psycopg.errors.UniqueViolation):
                server.store.add_mailbox(*ids("one"), DAY)

    with pytest.raises(StoreError, match="did not store it"):
        write()
    assert server.store.mailbox(ids("two")[0]) is None


def test_report_is_not_confirmed_without_confirmation_from_the_standby(
    server: Here, postgres: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    """PostgreSQL itself reports success, with a warning, if the wait is interrupted."""
    monkeypatch.setattr(postgres_connections, "COMMIT_SECONDS", 0.5)
    store = server.store
    set_to = "ALTER SYSTEM SET synchronous_standby_names = "
    try:
        _configure(postgres, set_to + "'one_that_is_down'")
        with pytest.raises(StoreUnsure, match="no standby"), store.writing():
            store.add_mailbox(*ids("one"), DAY)
    finally:
        _configure(postgres, set_to + "''")
    with store.writing():
        store.add_mailbox(*ids("two"), DAY)


def _configure(postgres: Postgres, statement: str) -> None:
    with postgres.superuser() as connection:
        connection.execute("SET synchronous_commit = local")
        connection.execute(statement)
        connection.execute("SELECT pg_reload_conf()")
        wanted = statement.rpartition("= ")[2].strip("'")
        for _ in range(1000):
            with postgres.superuser() as fresh:
                if fresh.execute("SHOW synchronous_standby_names").fetchone() == (wanted,):
                    return
    raise AssertionError(statement)


def test_confirmed_reports_survive_a_killed_database(
    tmp_path: Path,
) -> None:
    running = Postgres()
    try:
        server = Here(tmp_path / "server", running)
        confirmed: list[str] = []

        def submit() -> None:
            while True:
                name = f"report {len(confirmed)}"
                try:
                    server.report(name)
                except StoreError:
                    return
                confirmed.append(name)

        writer = threading.Thread(target=submit)
        writer.start()
        while len(confirmed) < 20:
            writer.join(0.01)
        running.kill()
        writer.join(60)
        for _ in range(3):  # visitors are told that the server is busy, and may try again
            with pytest.raises(StoreBusy):
                server.store.mailboxes()
        running.start_again()
        for name in confirmed:
            assert server.store.newest(ids(name)[0]) == {"reporter": 1}
        assert len(server.store.mailboxes()) - len(confirmed) in (0, 1)
        server.report("after")
        server.store.close()
    finally:
        running.close()


def test_forked_worker_opens_its_own_connections(server: Here) -> None:
    """Otherwise two processes would read each other's answers."""
    server.report("one")
    ours = "SELECT count(*) FROM pg_stat_activity WHERE usename = current_schema()"
    before = server.rows(ours)
    process = os.fork()
    if process == 0:
        try:
            server.report("two")
            os._exit(0 if server.rows(ours) > before else 1)
        except BaseException:  # otherwise the child would go on to run the other tests
            os._exit(2)
    assert os.waitpid(process, 0)[1] == 0
    assert len(server.store.mailboxes()) == 2
    server.report("three")


def test_process_with_many_sites_keeps_few_idle_connections(
    tmp_path: Path, postgres: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres_connections, "IDLE", 3)
    sites = [Here(tmp_path / str(number), postgres) for number in range(6)]
    for site in sites:
        site.report("one")
    roles = [site.role for site in sites]
    open_now = "SELECT count(*) FROM pg_stat_activity WHERE usename = ANY(%s)"
    with postgres.superuser() as connection:
        until(
            lambda: connection.execute(open_now, (roles,)).fetchone() == (3,),
            "a process keeps more connections than it may",
        )
    for site in sites:
        site.report("two")
        site.store.close()


def test_first_request_after_a_database_restart_succeeds(server: Here) -> None:
    server.report("one")
    ended = server.rows(
        "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity"
        " WHERE usename = current_schema()"
    )
    assert ended
    assert all(done for (done,) in ended)
    server.report("two")


def test_exactly_one_of_many_concurrent_writes_with_the_same_number_succeeds(server: Here) -> None:
    server.report("one")
    together, done = threading.Barrier(8), list[str]()

    def write() -> None:
        together.wait(60)
        try:
            server.add("one", 2)
        except OutOfStep:
            done.append("out of step")
        else:
            done.append("stored")

    threads = [threading.Thread(target=write) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sorted(done) == ["out of step"] * 7 + ["stored"]
    assert len(server.store.items(ids("one")[0])) == 2


def test_concurrent_reports_get_numbers_without_gaps(server: Here) -> None:
    failed: list[BaseException] = []

    def submit(number: int) -> None:
        try:
            for turn in range(4):
                server.report(f"{number}-{turn}")
        except BaseException as error:  # so that the test sees it
            failed.append(error)

    threads = [threading.Thread(target=submit, args=(number,)) for number in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert failed == []
    rows, more = server.mailboxes.inbox(ANNA, 0)
    assert [row.number for row in rows] == list(range(1, 49))
    assert not more


def test_only_one_purge_runs_at_a_time_and_a_killed_purge_releases_its_lock(
    server: Here, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each process has its own store, like two app servers."""
    monkeypatch.setitem(postgres_connections.OPTIONS, "lock_timeout", "200ms")
    other = open_store(server.address, lambda: DAY)
    with server.store.walking():
        with pytest.raises(StoreBusy):
            purge.purge(server.site, other, DAY)
        server.report("meanwhile")
        server.rows(
            "SELECT pg_terminate_backend(pid, 10000) FROM pg_locks"
            " JOIN pg_stat_activity USING (pid) WHERE locktype = 'advisory'"
            " AND usename = current_schema()"
        )
        assert purge.purge(server.site, other, DAY).log_emptied
    other.close()


def test_sweep_removes_abandoned_uploads_only(server: Here) -> None:
    server.report("one")
    with server.mailboxes.stage() as staged:
        staged.write(bytes(3_000_000))
        server.later(1)
        assert server.store.sweep() == 0
        assert server.long_files() == 1
    assert server.long_files() == 0
    left = server.mailboxes.stage()
    left.write(bytes(3_000_000))  # as if its worker was killed: the file is never closed
    assert server.long_files() == 1
    server.later(3)
    assert server.store.sweep() == 1
    assert server.long_files() == 0


def test_staged_file_can_be_stored_after_a_failed_transaction(server: Here) -> None:
    server.report("one")
    data = bytes(range(256)) * 8192
    with server.mailboxes.stage() as staged:
        staged.write(data)
        info = ItemInfo(staged.digest(), "attachment", "reporter", 0, DAY, staged.size)

        def fail() -> None:
            with server.store.writing():
                server.store.add_item(ids("one")[0], info, staged)
                raise InterruptedError

        with pytest.raises(InterruptedError):
            fail()
        assert server.store.item(info.id) is None
        with server.store.writing():
            server.store.add_item(ids("one")[0], info, staged)
    assert server.store.read(info.id) == data
    assert server.long_files() == 1


def test_reading_a_removed_file_raises_an_error(server: Here) -> None:
    server.report("one")
    large = file(2, 3_000_000)
    item = server.put_file("one", large)
    server.reply("one", 1)
    opened = server.store.open(item)
    assert opened is not None
    assert opened.read(100_000) == large[:100_000]
    opened.seek(0)
    assert opened.read(10) == large[:10]
    server.withdraw("one", 2)
    with pytest.raises(StoreError, match="removed while it was being read"):
        opened.read()


def test_used_space_is_counted_and_released(server: Here) -> None:
    assert server.store.used() == 0
    sealed = server.report("one")
    large = file(2, 2_000_000)
    server.put_file("one", large)
    assert server.store.used() == server.store.used_by(ids("one")[0]) == len(sealed) + len(large)
    withdrawal = server.withdraw("one", 2)
    assert server.store.used() == len(withdrawal)


def test_date_column_drops_time_of_day(server: Here) -> None:
    with postgres_connections.connect(server.address) as connection:
        connection.execute(
            "INSERT INTO mailboxes VALUES ('m', 'a', '2026-03-10 12:34:56', '2026-03-10')"
        )
        row = connection.execute("SELECT created FROM mailboxes WHERE mailbox = 'm'").fetchone()
    assert row == (datetime.date(2026, 3, 10),)


def test_keys_are_spread_over_sixteen_tables() -> None:
    parts = [postgres_schema.part_of(ids(str(number))[0]) for number in range(400)]
    assert set(parts) == set(range(16))
    assert {postgres_schema.part_of(name) for name in ("", "z", "é", "'; DROP")} == {0, 15}


def test_large_file_is_stored_and_read_with_little_memory(server: Here) -> None:
    """In a separate process, storing and reading 60 MB raises the memory peak by under 12 MB."""
    mailbox = ids("one")[0]
    server.report("one")
    process = os.fork()
    if process == 0:
        try:
            os._exit(_peak_of_a_large_file(server, mailbox))
        except BaseException:  # as above
            os._exit(255)
    status = os.waitpid(process, 0)[1]
    assert os.waitstatus_to_exitcode(status) < 12


def _peak_of_a_large_file(server: Here, mailbox: str) -> int:
    """Return the rise of the memory peak in MB while a file is stored and read."""

    def peak() -> int:
        text = Path("/proc/self/status").read_text()
        return int(text.partition("VmHWM:")[2].split()[0]) // 1024

    server.store.mailboxes()
    Path("/proc/self/clear_refs").write_text("5")  # resets the peak
    before = peak()
    block = os.urandom(65_536)
    with server.store.stage(new_digest()) as staged:
        for _ in range(960):
            staged.write(block)
        info = ItemInfo(staged.digest(), "attachment", "reporter", 0, DAY, staged.size)
        with server.store.writing():
            server.store.add_item(mailbox, info, staged)
    opened = server.store.open(info.id)
    assert opened is not None
    digest = new_digest()
    while piece := opened.read(65_536):
        digest.update(piece)
    assert digest.hexdigest() == info.id
    return peak() - before


def test_messages_of_every_size_are_stored_unchanged(server: Here) -> None:
    for n, size in enumerate((8192, 32768, 131072)):
        sealed = message(1, size)
        mailbox, access = ids(str(n))
        server.mailboxes.submit(mailbox=mailbox, access=access, to=(ANNA,), sealed=sealed)
        assert server.mailboxes.item(mailbox, sha256_hex(sealed)) == sealed
