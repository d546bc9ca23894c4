"""Backups of a busy real server, and a desk that connects to the restored one."""

import http.client
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
import urllib.parse
from pathlib import Path

import pytest

from dropbox_app.protocol import age, messages
from dropbox_app.protocol.retrieval_code import derive_root, reporter_keys
from dropbox_app.server.backup import directory
from dropbox_app.server.cli import common
from dropbox_app.server.config import site as sites
from dropbox_app.server.store.sqlite import SqliteStore
from tests.e2e.faults.conftest import SmallDisk, calls_in_order, faults_of, moved
from tests.e2e.faults.stories import Story, told, withdraw_form, write_form
from tests.support.drop_box import BIN, Counsellor, DropBox
from tests.support.processes import until
from tests.support.programs import needs_root, needs_strace
from tests.support.server_folder import AServer, faults_in, file
from tests.support.syscalls import Secrets, Watch

TEXT = "Kwartaalcijfers en een grap die geen grap is, nummer {}."
RATE = 50  # reports a second
CALLS = "pwrite64,write,fsync,fdatasync,ftruncate,rename,unlink,flock,utimensat,mkdir,rmdir"


class Backups:
    """The operator's commands on a drop box, with a key in its own file."""

    def __init__(self, box: DropBox, folder: Path) -> None:
        self.box = box
        self.key = folder / "key.txt"
        self.key.write_text(box.server("backup-key").stdout)

    def make(self) -> Path:
        self.box.server("backup")
        return directory.kept(self.box.folder / "backups")[-1].path

    def restored(self, file: Path, *more: str | Path) -> DropBox:
        """Return the restored server at the same address in another folder, not serving yet."""
        new = DropBox(self.box.folder.with_name("restored"), port=self.box.port)
        new.server("restore", file, "--key", self.key, *more)
        return new


@pytest.fixture
def operator(box: DropBox, tmp_path: Path) -> Backups:
    return Backups(box, tmp_path)


class Crowd:
    """Sends reports at a set rate, and records each code and its time of confirmation."""

    def __init__(self, box: DropBox, clients: int = 24) -> None:
        form = box.browser().get("/nl/report").form_with("text")
        self._fields = [pair for pair in form.fields if pair[0] != "text"]
        self._fields += [(n, v[0]) for n, v in form.choices.items() if n == "counsellor"]
        self._port = box.port
        self._next = 0
        self._began = time.monotonic()
        self._lock, self._stop = threading.Lock(), threading.Event()
        self.confirmed: list[tuple[float, str, str]] = []
        self.failed: list[str] = []
        self._threads = [threading.Thread(target=self._run) for _ in range(clients)]
        for thread in self._threads:
            thread.start()

    def _run(self) -> None:
        while not self._stop.is_set():
            with self._lock:
                number = self._next
                self._next += 1
            self._stop.wait(max(0.0, self._began + number / RATE - time.monotonic()))
            if not self._stop.is_set():
                self._send(TEXT.format(number))

    def _send(self, text: str) -> None:
        body = urllib.parse.urlencode([*self._fields, ("text", text)])
        headers = {
            "Content-Type": "application/x-www-form-urlencoded",
            "Origin": f"http://127.0.0.1:{self._port}",
        }
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=60)
        try:
            connection.request("POST", "/nl/report", body, headers)
            answer = connection.getresponse()
            page = answer.read().decode()
        except OSError as error:
            self.failed.append(repr(error))
            return
        finally:
            connection.close()
        found = re.search(r'id="code".*?</ol>', page, re.DOTALL)
        if answer.status != 200 or found is None:
            self.failed.append(f"{answer.status}")
            return
        code = " ".join(re.findall(r"<li>([a-z]+)</li>", found[0]))
        self.confirmed.append((time.monotonic(), code, text))

    def end(self) -> float:
        """Stop; return how many were confirmed a second."""
        self._stop.set()
        for thread in self._threads:
            thread.join()
        return len(self.confirmed) / (time.monotonic() - self._began)


def _opens(store: SqliteStore, site: str, code: str, text: str) -> None:
    """Check that the code finds the mailbox and that its key opens the report."""
    keys = reporter_keys(derive_root(code.split(" "), site))
    info = store.mailbox_of(keys.access)
    assert info is not None, "a confirmed report is lost"
    (item,) = store.items(info.id)
    sealed = store.read(item.id)
    assert sealed is not None
    assert messages.parse(age.open_sealed(sealed, [keys.reply])).text == text


def test_backup_contains_every_report_that_was_confirmed_before_the_backup_began(
    box: DropBox, operator: Backups, counsellor: Counsellor, long_run: bool
) -> None:
    crowd = Crowd(box)
    try:
        enough = 500 if long_run else 20
        until(lambda: len(crowd.confirmed) >= enough, "nothing is confirmed", 60)
        asked = time.monotonic()
        made = operator.make()
        took = time.monotonic() - asked
        after = len(crowd.confirmed) + 10
        until(lambda: len(crowd.confirmed) >= after, "nothing more is confirmed", 60)
    finally:
        rate = crowd.end()
    box.stop()
    new = operator.restored(made)
    before = [(code, text) for moment, code, text in crowd.confirmed if moment <= asked]
    print(f"{rate:.0f} reports a second; a backup took {took:.2f} s; {len(before)} before it")  # noqa: T201 - a figure shown with -s
    assert crowd.failed == []
    assert len(before) > 10
    site = sites.load(new.folder).settings.site
    store = SqliteStore(new.folder, common.today)
    for code, text in before if long_run else before[-40:]:
        _opens(store, site, code, text)
    assert len(store.mailboxes()) >= len(before)
    assert faults_in(new.folder) == []
    store.close()
    assert faults_of(new.folder) == []
    new.serve()
    try:
        Story(before[0][0], [before[0][1]]).holds(new)
        counsellor.desk("fetch")
        assert len(counsellor.threads()) >= len(before)
    finally:
        new.stop()


def test_desks_lose_no_data_when_the_server_is_restored(
    box: DropBox, operator: Backups, counsellor: Counsellor, tmp_path: Path
) -> None:
    """This covers answers, files, a withdrawal known only to the desk, and a lost report."""
    stays, goes = told(box, "Dit blijft"), told(box, "Dit gaat weg")
    counsellor.desk("fetch")
    threads = {t["id"]: counsellor.read(t["id"])["messages"] for t in counsellor.threads()}
    of = {shown[0]["text"]: thread for thread, shown in threads.items()}
    made = operator.make()
    # The restored server will lack everything that arrives from now on.
    counsellor.reply(of["Dit blijft"], "Een antwoord")
    attached = tmp_path / "brief.txt"
    attached.write_bytes(b"een bijlage " * 200_000)
    counsellor.reply(of["Dit blijft"], "Een bijlage", attached)
    write_form(box, stays.code)("Verloren bij de server, niet bij de desk")
    assert withdraw_form(box, goes.code)().path == "/nl/withdrawn"
    lost = told(box, "Na de back-up")
    counsellor.desk("fetch")
    box.stop()
    new = operator.restored(made)
    new.serve()
    try:
        Story(goes.code, ["Dit gaat weg"]).holds(new)  # nobody has told the server yet
        said = counsellor.desk("fetch")
        assert "restored from a backup" in said.stdout + said.stderr
        assert "ALARM" not in said.stdout + said.stderr
        assert "got back 3 messages" in said.stdout + said.stderr
        goes.withdrawn = True
        goes.holds(new)
        stays.sure += ["Een antwoord", "Een bijlage"]
        stays.holds(new)
        again = counsellor.desk("fetch")
        assert "ALARM" not in again.stdout + again.stderr
        assert "restored" not in again.stdout + again.stderr
        texts = [
            m["text"] for t in counsellor.threads() for m in counsellor.read(t["id"])["messages"]
        ]
        assert "Verloren bij de server, niet bij de desk" in texts
        assert "Na de back-up" in texts
        # Both sides continue to write as if nothing had happened.
        write_form(new, stays.code)("Ik ben er nog")
        stays.sure.append("Ik ben er nog")
        counsellor.reply(of["Dit blijft"], "Ik ook")
        stays.sure.append("Ik ook")
        stays.holds(new)
        assert lost.code
        assert faults_of(new.folder) == []
        left = b"".join(p.read_bytes() for p in new.folder.rglob("*") if p.is_file())
        assert b"Dit gaat weg" not in left
    finally:
        new.stop()


@pytest.mark.long
def test_withdrawal_survives_a_restore_for_a_desk_that_never_fetched(
    box: DropBox, operator: Backups
) -> None:
    """Both the list next to the backup and the old folder's list preserve it."""
    first, second = told(box, "Eerst"), told(box, "Dan")
    made = operator.make()
    kept = made.read_bytes()
    withdraw_form(box, first.code)()
    first.withdrawn = True
    operator.make()
    # The folder keeps one backup a day; today's first one was copied elsewhere, as advised.
    assert not made.exists()
    made.write_bytes(kept)
    withdraw_form(box, second.code)()
    second.withdrawn = True
    box.stop()
    shutil.copy(box.folder / "withdrawn", box.folder.with_name("last-list"))
    new = operator.restored(made, "--withdrawn", box.folder.with_name("last-list"))
    new.serve()
    try:
        first.holds(new)
        second.holds(new)
    finally:
        new.stop()


@needs_strace
def test_backup_and_restore_write_no_plaintext(
    box: DropBox, operator: Backups, tmp_path: Path
) -> None:
    """No text, code or secret key is written, nor any file outside the two folders."""
    story = told(box, TEXT.format("een"))
    box.stop()
    secrets = Secrets()
    secrets.add("the text", TEXT.format("een"))
    secrets.add_code("the code", story.code.split(), None)
    secrets.add_keys("the reporter", story.code.split(), sites.load(box.folder).settings.site)
    key = operator.key.read_text().splitlines()[-1]
    secrets.add("the operator's key", key)
    for name, folder, words in (
        ("backup", box.folder, ("backup",)),
        ("restore", box.folder.with_name("restored"), ("restore", "FILE", "--key", operator.key)),
    ):
        newest = [one.path for one in directory.kept(box.folder / "backups")][-1:]
        given = [str(newest[0]) if word == "FILE" else str(word) for word in words]
        watch = Watch(tmp_path / f"calls-{name}")
        done = subprocess.run(
            (*watch.command, str(BIN / "klankbord-server"), "--dir", str(folder), *given),
            capture_output=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        watch.wait()
        # SQLite's own shared memory contains no texts, only positions in the log, and locks.
        known = (f"mkdir: {folder} is opened", "klankbord.db-shm is written through memory")
        found = watch.leaks(secrets, folder)
        assert [one for one in found if not any(part in one for part in known)] == [], name


@pytest.mark.parametrize("command", ["backup", "restore"])
@needs_strace
def test_killed_backup_leaves_no_file_that_looks_complete(
    command: str, tmp_path: Path, long_run: bool
) -> None:
    """The next backup is complete; no partial file is taken for a backup or a server."""
    server = AServer(tmp_path / "server")
    server.report("one")
    server.put_file("one", file(2, 1_500_000))
    server.reply("one", 1)
    server.withdraw("one", 2)
    server.report("two")
    server.store.close()
    box = DropBox(server.folder)
    operator = Backups(box, tmp_path)
    made = operator.make()
    target = tmp_path / "new"
    words = {
        "backup": ("--dir", str(box.folder), "backup"),
        "restore": ("--dir", str(target), "restore", str(made), "--key", str(operator.key)),
    }[command]
    out = tmp_path / "calls"

    def run(*point: object) -> list[tuple[str, int]]:
        kill = ("-e", "inject={}:signal=KILL:when={}".format(*point)) if point else ()
        done = subprocess.run(
            (
                *("strace", "-f", "-qq", "-o", str(out)),
                *("-e", f"trace={CALLS}", *kill),
                *(sys.executable, str(BIN / "klankbord-server"), *words),
            ),
            capture_output=True,
            timeout=120,
            check=False,
        )
        killed = done.returncode in (-signal.SIGKILL, 128 + signal.SIGKILL)
        assert killed if point else done.returncode == 0, done.stderr
        return calls_in_order(out)

    points = run()
    shutil.rmtree(target, ignore_errors=True)
    assert len(points) > 40
    # Each of the last steps, in which files get their final names, and some of the others.
    few = points[:: 1 if long_run else 60]
    for point in few + ([] if long_run else points[-8::3]):
        run(*point)
        if command == "backup":
            place = box.folder / "backups"
            assert directory.kept(place)
            assert [name for name, fault in directory.faults(place) if fault] == [], point
        elif target.exists() and (target / ".restoring").exists():
            assert _broken_off(target), point
        elif target.exists() and any(target.iterdir()):
            assert faults_of(target) == [], "whole, and killed after its last step"
            shutil.rmtree(target)
    run()
    if command == "backup":
        assert not [p for p in (box.folder / "backups").iterdir() if p.name.startswith(".")]
        box.server("purge")
        assert faults_of(box.folder) == []
    else:
        assert faults_of(target) == []
        assert not (target / ".restoring").exists()


def _broken_off(folder: Path) -> bool:
    done = DropBox(folder).server("site", "check", check=False)
    return done.returncode == 1 and "interrupted" in done.stdout + done.stderr


@needs_root
def test_backup_on_a_full_disk_is_refused_and_the_site_keeps_running(
    box: DropBox, disk: SmallDisk, tmp_path: Path
) -> None:
    """The backup leaves no file, and the next report is stored as before."""
    place = disk("size=96m")
    box = moved(box, place)
    settings = box.folder / "site.toml"
    settings.write_text(re.sub("(?m)^free_bytes = .*", "free_bytes = 1", settings.read_text()))
    operator = Backups(box, tmp_path)
    (place / "junk").write_bytes(bytes(70 * 1024 * 1024))
    box.serve()
    try:
        refused = box.server("backup", check=False)
        assert refused.returncode == 1
        assert "there is no room" in refused.stderr
        assert refused.stderr.count("\n") == 1
        # The disk may also fill up only during the backup.
        small = disk("size=1m")
        told(box, TEXT.format(1))
        refused = box.server("backup", "--to", small, check=False)
        assert refused.returncode == 1
        assert list(small.iterdir()) == []
        told(box, TEXT.format(2)).holds(box)
        assert not list((box.folder / "files").glob("*.part"))
        assert operator.key.exists()
    finally:
        box.stop()


def test_memory_used_by_a_backup_does_not_depend_on_the_data_size(
    tmp_path: Path, long_run: bool
) -> None:
    """The peak memory of a backup and of a restore is compared with that of an empty server."""
    peaks: dict[str, list[int]] = {"backup": [], "restore": []}
    for size in (0, 300 if long_run else 40):
        server = AServer(tmp_path / f"server{size}")
        server.report("one")
        for number in range(size // 20):
            server.put_file("one", file(2, 20 * 1_000_000))
            server.reply("one", number + 1)
        server.store.close()
        box = DropBox(server.folder)
        operator = Backups(box, tmp_path)
        target = tmp_path / f"new{size}"
        peaks["backup"].append(_peak("--dir", box.folder, "backup"))
        newest = directory.kept(box.folder / "backups")[-1].path
        assert newest.stat().st_size > size * 1_000_000
        peaks["restore"].append(_peak("--dir", target, "restore", newest, "--key", operator.key))
    print(f"peak kB: {peaks}")  # noqa: T201 - shown with -s
    for little, much in peaks.values():
        assert much < little + 16_000


def _peak(*arguments: str | Path) -> int:
    """Return the peak memory of a server command in kilobytes."""
    program = (
        "import resource, subprocess, sys\n"
        "subprocess.run(sys.argv[1:], check=True, stdout=subprocess.DEVNULL,"
        " stderr=subprocess.DEVNULL)\n"
        "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)\n"
    )
    command = (sys.executable, "-c", program, str(BIN / "klankbord-server"), *map(str, arguments))
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    return int(done.stdout)
