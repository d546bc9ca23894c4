"""doctor among hostile files: it finishes, reports what it saw, and runs nothing it read."""

import json
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpcore
import pytest

from dropbox_app.server.cli import common
from dropbox_app.server.doctor import machine as around
from dropbox_app.server.doctor import programs, visit
from dropbox_app.server.doctor.finding import Finding
from dropbox_app.server.doctor.machine import secrets
from tests.server.doctor import a_machine
from tests.server.doctor.a_machine import KEYS, AMachine

SECRET = "AGE-SECRET-KEY-1" + "A" * 58
LINE = "tmp/x\x1b[2J\nfine   secrets\x9b\u202e"  # clears, forges a line and reverses text


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    yield from a_machine.sound(tmp_path_factory.mktemp("machine"))


@pytest.fixture
def machine(sound: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AMachine:
    made = a_machine.copied(sound, tmp_path / "machine")
    monkeypatch.setattr(around, "ROOT", made.root)
    monkeypatch.setattr(common, "today", lambda: made.day)
    return made


def wrong(found: tuple[Finding, ...]) -> set[str]:
    return {one.check for one in found if one.state == "wrong"}


def test_hostile_file_name_is_escaped(machine: AMachine) -> None:
    machine.write(LINE, SECRET)
    with machine.changing():
        machine.write("var/lib/klankbord/a\x1b]0;x\x07\nb", "", 0o666)
    done = machine.types("doctor")
    assert (done.exit_code, done.exception.__class__) == (1, SystemExit)
    lines = done.stdout.split("\n")
    assert all(line.isprintable() for line in lines), done.stdout
    assert "fine   secrets" not in {line[:14] for line in lines}
    assert "x<U+001B>[2J<U+000A>fine   secrets<U+009B><U+202E>" in done.stdout
    assert "a<U+001B>]0;x<U+0007><U+000A>b open to other users" in done.stdout


@pytest.mark.parametrize("name", [b"tmp/\xff\xfe", LINE.encode()])
def test_undecodable_file_name_causes_no_crash(machine: AMachine, name: bytes) -> None:
    Path(os.fsdecode(os.fsencode(machine.root) + b"/" + name)).write_text(SECRET)
    for words in ((), ("--json",)):
        done = machine.types("doctor", *words)
        assert done.exit_code == 1
        done.stdout_bytes.decode("ascii" if words else "utf-8")
        assert "it opens backups" in done.stdout
    for one in json.loads(done.stdout):
        assert all(value.isprintable() for value in one.values())


def test_repair_of_any_file_name_is_a_single_command(machine: AMachine) -> None:
    machine.write("tmp/x; touch y $(z)", SECRET)
    (found,) = [one for one in machine.examined() if one.check == "secrets"]
    assert found.repair.endswith("then shred -u '/tmp/x; touch y $(z)'")


def fifo(path: Path) -> None:
    os.mkfifo(path)


def endless(path: Path) -> None:
    path.symlink_to("/dev/zero")


def large(path: Path) -> None:
    path.touch()
    os.truncate(path, 1 << 40)  # a hole: it takes no disk


def served(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as made:
        here = os.open(path.parent, os.O_RDONLY)
        try:
            made.bind(f"/proc/self/fd/{here}/{path.name}")
        finally:
            os.close(here)


PLACES = {
    "var/lib/klankbord-notify/last": {"daily mail"},
    f"{KEYS}/hostname": {"onion"},
    "proc/sys/kernel/core_pattern": {"core dumps"},
    "SUM": {"backup files"},
    "BACKUP": {"backup files"},
    "var/lib/klankbord/cards/anna.card": {"cards"},
    "var/lib/klankbord/site.toml": {"settings"},
}


@pytest.mark.parametrize(
    ("place", "put"),
    [
        (place, put)
        for place in PLACES
        for put in (fifo, endless, large, served)
        if (place, put) != ("BACKUP", large)  # a backup may be large
    ],
)
def test_special_or_large_file_is_reported_without_blocking(
    machine: AMachine, place: str, put: Callable[[Path], None]
) -> None:
    (backup,) = (machine.server / "backups").glob("klankbord-*.age")
    named = {"BACKUP": backup, "SUM": backup.with_name(backup.name + ".sha256")}
    path = named.get(place) or machine.path(place)
    path.parent.mkdir(exist_ok=True)
    path.unlink(missing_ok=True)
    with machine.changing():
        put(path)
    found = machine.examined()
    assert {one.check for one in found if one.state != "fine"} >= PLACES[place], found


@contextmanager
def folders_in_folders(top: Path, count: int) -> Iterator[None]:
    owner = top.stat()
    here = os.open(top, os.O_RDONLY)
    for _ in range(count):
        os.mkdir("d", 0o700, dir_fd=here)
        below = os.open("d", os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
        os.fchown(here, owner.st_uid, owner.st_gid)
    os.close(here)
    try:
        yield
    finally:  # from the top, because pytest's own removal would recurse into them
        while (top / "d/d").exists():
            (top / "d/d").rename(top / "e")
            (top / "d").rmdir()
            (top / "e").rename(top / "d")


def test_doctor_inspects_deeply_nested_folders(machine: AMachine) -> None:
    with folders_in_folders(machine.server, 1500):
        assert wrong(machine.examined()) == set()
        (machine.server / "d/d").chmod(0o755)
        assert wrong(machine.examined()) == {"access"}


# Misbehaving programs

HOLDS_ON = {
    "says nothing": "#!/bin/sh\nsleep 600\n",
    "says a byte now and then": "#!/bin/sh\nwhile :; do printf x; sleep 0.01; done\n",
    "says more without end": "#!/bin/sh\nexec cat /dev/zero\n",
    "leaves another that goes on": "#!/bin/sh\nsleep 600 &\nexit 0\n",
    "closes its output and goes on": "#!/bin/sh\nexec >&-\nsleep 600\n",
}


@pytest.mark.parametrize("how", HOLDS_ON)
def test_program_that_never_ends_is_killed_and_named(
    machine: AMachine, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(programs, "SECONDS", 0.3)
    for name in ("getent", "lsblk"):
        machine.write(f"usr/bin/{name}", HOLDS_ON[how], 0o755)
    begun = time.monotonic()
    found = machine.examined()
    assert time.monotonic() - begun < 100  # each program would otherwise take 600 seconds
    seen = {one.check: one.fault for one in found if one.state == "unseen"}
    assert set(seen) == {"account", "socket", "disk encryption"}
    assert "getent did not" in seen["account"]


def test_program_output_is_escaped(machine: AMachine) -> None:
    machine.replace(a_machine.UNIT, "User=klankbord", "User=\x1b[2Jfine\u202e")
    machine.add(a_machine.NGINX, "access_log \x1b]0;x\x07;\n")
    done = machine.types("doctor")
    assert all(line.isprintable() for line in done.stdout.split("\n"))
    assert "User=<U+001B>[2Jfine<U+202E>" in done.stdout


def test_many_exposed_secrets_are_counted_and_a_few_are_named(machine: AMachine) -> None:
    for number in range(12):
        machine.write(f"tmp/{number:02}", SECRET)
    said = [one.fault for one in machine.examined() if one.check == "secrets"]
    assert len(said) == 6
    assert "tmp/00" in said[0]
    assert said[-1].startswith("7 more secrets are in ")


def test_too_many_files_to_check_are_reported(
    machine: AMachine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(secrets, "MANY", 200)
    for number in range(201):
        machine.path(f"tmp/{number}").touch()
    (found,) = [one for one in machine.examined() if one.check == "secrets"]
    assert (found.state, "tmp has more than 200 files" in found.fault) == ("unseen", True)


# A hostile web server


@contextmanager
def answering(head: bytes, more: bytes = b"") -> Iterator[str]:
    """Run a server that sends ``head``, and then ``more`` for as long as the client reads."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            while True:
                try:
                    near, _ = listening.accept()
                except OSError:
                    return
                with near:
                    try:
                        near.recv(4000)
                        near.sendall(head)
                        while more:
                            near.sendall(more)
                    except OSError:
                        pass

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        listening.shutdown(socket.SHUT_RDWR)
        thread.join()


def seen(origin: str) -> list[Finding]:
    straight = lambda backend: httpcore.ConnectionPool(network_backend=backend)  # noqa: E731 - one line, used once
    return list(visit.look(origin, straight, origin, (origin,)))


@pytest.mark.parametrize(
    "head",
    [
        b"\x1b]0;taken\x07\nall is fine\r\n\r\n",
        b"HTTP/1.1 all is fine\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nall is fine" + b"x" * 70_000 + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nall is fine\r\n",
        b"all is fine",
    ],
)
def test_response_of_a_visited_server_is_not_quoted(head: bytes) -> None:
    with answering(head) as origin:
        (found,) = seen(origin)
    assert found.state == "wrong"
    assert "all is fine" not in found.told(several=True)


def test_doctor_stops_reading_an_endless_response() -> None:
    with answering(b"HTTP/1.1 200 OK\r\n\r\n", b"x" * 100_000) as origin:
        (found,) = seen(origin)
    assert "has no end" in found.fault


def test_doctor_stops_reading_a_slow_response(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(visit, "LONGEST", 1)
    gone = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            near, _ = listening.accept()
            with near:
                near.recv(4000)
                near.sendall(b"HTTP/1.1 200 OK\r\nX: ")
                while not gone.wait(0.05):
                    try:
                        near.sendall(b"x")
                    except OSError:
                        return

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        (found,) = seen(f"http://127.0.0.1:{listening.getsockname()[1]}")
        gone.set()
        thread.join()
    assert found.state == "wrong"
