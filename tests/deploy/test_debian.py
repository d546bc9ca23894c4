"""The installer on fresh Debian systems: install, repeat, serve, back up, upgrade, uninstall."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import stat
import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import get_args

import pytest

from dropbox_app.protocol.encoding import to_line
from dropbox_app.server.doctor.finding import State
from tests.deploy.test_systemd import Both, both
from tests.deploy.test_tor_unit import assert_closed
from tests.server.store.test_migrations import Old, rows
from tests.support.circuit import CircuitBrowser
from tests.support.circuit import line as of_circuit
from tests.support.debian import ENTER, NAMES, PYTHON, Debian, made
from tests.support.drop_box import ROOT, Counsellor
from tests.support.plain_browser import PlainBrowser
from tests.support.ports import free_port
from tests.support.processes import until
from tests.support.steps import come_back, tell, the_only_thread
from tests.support.unit_file import HERE, Bridge, command, filtered, values

pytestmark = [
    pytest.mark.timeout(1800),
    pytest.mark.skipif(
        os.geteuid() != 0 or not shutil.which("debootstrap") or not HERE,
        reason="needs root, debootstrap, bubblewrap and systemd's tools",
    ),
]


@pytest.mark.long
def test_install_is_idempotent_on_debian_12_and_uninstall_removes_everything() -> None:
    """This is the short form; another test covers the full journey."""
    with made("bookworm") as debian:
        said = debian.install()
        assert re.search(r"http://[a-z2-7]{56}\.onion", said)
        _nothing_is_open_to_others(debian)
        again = debian.install()
        assert [line for line in again.splitlines() if line.startswith("  writing")] == []
        debian.enter("/src/deploy/install", "--uninstall")
        assert not list(debian.path("/etc").rglob("*klankbord*"))


BEFORE = "6dce3cf"  # the last version in which Tor and Caddy connected to the server itself
DOMAIN = "box.example.org"


@pytest.mark.long
@pytest.mark.parametrize("suite", sorted(PYTHON))
def test_installation_with_caddy_is_upgraded_and_keeps_its_data(suite: str, tmp_path: Path) -> None:
    """This includes its domain, which uses Caddy's certificate."""
    before = _checkout(BEFORE, tmp_path / "before")
    with made(suite) as debian:
        debian.source = before
        debian.fetch(before)  # some of its packages have other versions
        said = debian.enter("/src/deploy/install", *NAMES, "--domain", DOMAIN)
        onion, domain = json.loads(next(line for line in said.splitlines() if line[0:1] == "{"))[
            "origins"
        ]
        code = _told_to_the_program_of_that_version(debian, tmp_path, [onion, domain])
        caddys = debian.path("/var/lib/caddy/.local/share/caddy/certificates/acme")
        _put_a_certificate(debian, caddys / DOMAIN)

        debian.source = ROOT
        said = debian.enter("/src/deploy/install")
        assert "the certificate that Caddy got is used until certbot has one" in said
        assert _left_of_before(debian) == []
        assert debian.path("/etc/systemd/system/nginx.service").readlink() == Path("/dev/null")
        again = debian.enter("/src/deploy/install")
        assert [line for line in again.splitlines() if line.startswith("  writing")] == []
        assert f"https://{DOMAIN}" in again
        # nginx starts with this certificate, as its unit's ExecStartPre checks.
        debian.enter("install", "-d", "-o", "klankbord-nginx", "/run/klankbord-nginx")
        (check,) = values(
            debian.path("/etc/systemd/system/klankbord-nginx.service"), "ExecStartPre"
        )
        debian.enter(
            *("setpriv", "--reuid", "klankbord-nginx", "--regid", "klankbord-tor"),
            *("--groups", "klankbord-nginx", "--inh-caps", "+net_bind_service"),
            *("--ambient-caps", "+net_bind_service", "--", *check.split()),
        )
        debian.enter("rm", "-r", "/run/klankbord-nginx")
        debian.install("--domain", "")
        assert not debian.path("/etc/klankbord/nginx/ways/domain.conf").exists()
        assert not debian.path("/etc/klankbord/nginx/tls").exists()
        with _serving(debian) as served:
            browser = CircuitBrowser(onion, served.onion, 7)
            assert "Een verhaal van vroeger." in come_back(browser, "nl", code).text


def _checkout(commit: str, folder: Path) -> Path:
    """Return the files of an earlier version; skip if the git history is missing."""
    folder.mkdir()
    archive = subprocess.run(
        ["git", "archive", commit], cwd=ROOT, stdout=subprocess.PIPE, check=False
    )
    if archive.returncode:
        pytest.skip(f"the history of {commit} is not here")
    subprocess.run(["tar", "-x", "-C", folder], input=archive.stdout, check=True)
    return folder


def _told_to_the_program_of_that_version(debian: Debian, folder: Path, origins: list[str]) -> str:
    """Send a report to the installed program of that version; return its code."""
    port = free_port()
    local = f"http://127.0.0.1:{port}"
    words = [word for each in (*origins, local) for word in ("--origin", each)]
    invitation = json.loads(debian.enter("klankbord-server", "move", *words))
    els = Counsellor(folder / "els")
    (folder / "invitation").write_bytes(to_line({**invitation, "origins": [local]}))
    els.desk("init", folder / "invitation", "--name", "Els de Vries", "--kind", "external")
    said = els.desk("card", "--out", folder / "els.card").stdout
    groups = next(line for line in said.splitlines() if len(line.split()) == 10)
    card = debian.path("/var/tmp/els.card")  # noqa: S108 - in its own root folder
    shutil.copy(folder / "els.card", card)
    card.chmod(0o644)
    debian.enter(
        *("klankbord-server", "card", "add", "/var/tmp/els.card"),  # noqa: S108 - in its own root folder
        *("--fingerprint", groups.strip()),
    )
    serving = subprocess.Popen(
        [*debian.entering(), "klankbord-server", "serve", "--bind", f"127.0.0.1:{port}"],
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        browser = PlainBrowser(local)
        until(lambda: _answers(port), "the earlier version does not answer", seconds=60)
        code = tell(browser, "nl", "Een verhaal van vroeger.").code
    finally:
        serving.kill()  # and all processes in its namespace
        serving.wait(60)
    return code


def _answers(port: int) -> bool:
    with closing(socket.socket()) as made:
        return made.connect_ex(("127.0.0.1", port)) == 0


def _put_a_certificate(debian: Debian, folder: Path) -> None:
    """Put a key and certificate where Caddy keeps them, signed by an authority."""
    folder.mkdir(parents=True)
    key, request = folder / f"{DOMAIN}.key", folder / "request"
    authority = ("-CA", folder / "ca", "-CAkey", folder / "ca.key", "-CAcreateserial")
    for words in (
        ("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=An authority",
         "-keyout", folder / "ca.key", "-out", folder / "ca"),
        ("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj",
         f"/CN={DOMAIN}", "-addext", f"subjectAltName=DNS:{DOMAIN}", "-keyout", key,
         "-out", request),
        ("x509", "-req", "-in", request, *authority, "-copy_extensions", "copy", "-days", "30",
         "-out", folder / f"{DOMAIN}.crt"),
    ):  # fmt: skip
        subprocess.run(["openssl", *words], capture_output=True, check=True)
    debian.enter("chown", "-R", "caddy:caddy", "/var/lib/caddy")


def _left_of_before(debian: Debian) -> list[str]:
    """Return the settings that still point Tor or a web server to the old paths."""
    found = [
        str(path)
        for place in ("tor", "apparmor.d", "systemd", "caddy")
        for path in debian.path(f"/etc/{place}").rglob("*")
        if path.is_file() and re.search(r"/run/klankbord/(box|onion|desks)", path.read_text())
    ]
    group = re.search(r"^klankbord:x:\d+:(.*)$", debian.path("/etc/group").read_text(), re.M)
    assert group is not None
    return found + ([group[1]] if group[1] else [])


# CI also installs on Debian 12, in test_restore.py.
@pytest.fixture(params=["trixie", pytest.param("bookworm", marks=pytest.mark.spare)])
def debian(request: pytest.FixtureRequest) -> Iterator[Debian]:
    with made(request.param) as system:
        yield system


@pytest.mark.long
def test_install_and_uninstall_succeed_on_fresh_debian(debian: Debian, tmp_path: Path) -> None:
    said = debian.install()
    invitation = next(line for line in said.splitlines() if line.startswith("{"))
    (origin,) = json.loads(invitation)["origins"]
    assert re.fullmatch(r"http://[a-z2-7]{56}\.onion", origin)
    assert debian.path("/var/lib/tor/klankbord-box/hostname").read_text().strip() in origin
    assert "No backups are made yet" in said
    _nothing_is_open_to_others(debian)
    _doctor_finds_nothing_but_what_is_broken(debian)
    assert_closed(debian.path("/usr/lib/systemd/system/tor@default.service"), tmp_path)

    again = debian.install()
    assert [line for line in again.splitlines() if line.startswith("  writing")] == []
    assert origin in again

    code = _serves_as_the_unit_says(debian, tmp_path, origin)
    _mails_and_reads_nothing_but_the_word(debian)
    key = _is_backed_up_as_the_unit_says(debian)
    assert "No backups are made yet" not in debian.install()
    _newer_and_back(debian, tmp_path, key)
    with _serving(debian) as served:
        browser = CircuitBrowser(origin, served.onion, 7)
        assert "Dank je wel." in come_back(browser, "nl", code).text
    _what_the_first_version_left_is_taken_on(debian, tmp_path)

    # Tor and the others write no log of their own: the files that Debian prepared are empty.
    logs = debian.path("/var/log")
    kept = [
        path for name in ("tor", "caddy", "nginx", "journal") for path in (logs / name).rglob("*")
    ]
    assert [path for path in kept if path.is_file() and path.stat().st_size] == []
    withdrawn = debian.enter("/src/deploy/install", "--uninstall")
    assert "userdel klankbord" in withdrawn
    left = {name for name in debian.all_files() if "klankbord" in name}
    assert {name.split("/")[2] if name.startswith("var/lib/k") else name.split("/")[3]
            for name in left} == {"klankbord", "klankbord-box"}  # fmt: skip
    for place in ("system/tor@default.service.d", "journald.conf.d"):
        assert not debian.path(f"/etc/systemd/{place}").exists()
    for file in ("/etc/tor/torrc", "/etc/apparmor.d/local/system_tor", "/etc/group"):
        text = debian.path(file).read_text()
        assert "klankbord: begin" not in text
        assert "klankbord:x:" not in text or re.search(r"^klankbord:x:\d+:$", text, re.MULTILINE)
    # The remaining files suffice for the same site at the same address.
    assert origin in debian.install()


def _nothing_is_open_to_others(debian: Debian) -> None:
    data = debian.path("/var/lib/klankbord")
    for path in [data, *data.rglob("*")]:
        assert stat.S_IMODE(path.lstat().st_mode) & 0o077 == 0, path
        assert path.lstat().st_uid != 0, path
    for path in debian.path("/opt/klankbord").rglob("*"):
        if not path.is_symlink():
            assert path.stat().st_uid == 0, path
            assert path.stat().st_mode & 0o022 == 0, path


# The kernel's memory settings belong to the machine that runs the tests.
_KERNEL = """
echo Filename > /run/swaps
echo core > /run/core
mount --bind /run/swaps /proc/swaps
mount --bind /run/core /proc/sys/kernel/core_pattern
exec "$@"
"""
AS_ROOT = ("/opt/klankbord/current/bin/klankbord-server", "--dir", "/var/lib/klankbord")


def _doctor(debian: Debian, *command: str) -> dict[str, set[str]]:
    """Return doctor's checks by state."""
    words = ("sh", "-c", _KERNEL, "sh", *command, "doctor", "--json")
    found: dict[str, set[str]] = {state: set() for state in get_args(State)}
    for finding in json.loads(debian.enter(*words, check=False)):
        found[finding["state"]].add(finding["check"])
    return found


def _doctor_finds_nothing_but_what_is_broken(debian: Debian) -> None:
    ours = _doctor(debian, "klankbord-server")
    assert ours["wrong"] == set()
    assert {"secrets", "onion"} <= ours["unseen"], "which only root may look at"
    roots = _doctor(debian, *AS_ROOT)
    assert roots["wrong"] == set()
    assert {"secrets", "program", "account", "onion", "versions"} <= roots["fine"]
    # No systemd runs here; the notes are for the operator, or about the test machine.
    assert roots["unseen"] <= {
        "core dumps", "disk encryption", "service", "socket", "tor", "proxy", "logs",
        "machine clock",
    }  # fmt: skip
    assert roots["note"] <= {"counsellors", "settings", "backups", "disk encryption"}
    for check, word, undo in (
        # Tor itself refuses such a folder with a message.
        ("tor", "chmod 755 /var/lib/tor/klankbord-box", "chmod 700 /var/lib/tor/klankbord-box"),
        ("program", "chmod 777 /opt/klankbord", "chmod 755 /opt/klankbord"),
        ("account", "usermod --shell /bin/sh klankbord",
         "usermod --shell /usr/sbin/nologin klankbord"),
        ("tor", "sed -i s/^Log.warn/Log\\ info/ /etc/tor/torrc.d/klankbord.conf",
         "sed -i s/^Log.info/Log\\ warn/ /etc/tor/torrc.d/klankbord.conf"),
    ):  # fmt: skip
        debian.enter("sh", "-c", word)
        assert _doctor(debian, *AS_ROOT)["wrong"] == {check}
        debian.enter("sh", "-c", undo)
    assert _doctor(debian, *AS_ROOT)["wrong"] == set()


@contextmanager
def _serving(debian: Debian) -> Iterator[Both]:
    """Run server and nginx by the installed units, with their accounts, groups and folders."""
    with both(debian.folder.parent, debian.path("/var/lib/klankbord"), debian.folder) as served:
        yield served


def _serves_as_the_unit_says(debian: Debian, folder: Path, origin: str) -> str:
    """Play both sides of a conversation; return the reporter's code."""
    # The desk dials a port of this machine, which leads to the socket.
    sockets = debian.folder.parent / "run-nginx"
    bridge = Bridge(sockets / "onion.sock", first=of_circuit(8))
    local = f"http://127.0.0.1:{bridge.port}"
    invitation = debian.enter("klankbord-server", "move", "--origin", origin, "--origin", local)
    els = Counsellor(folder / "els")
    (folder / "invitation").write_bytes(to_line({**json.loads(invitation), "origins": [local]}))
    els.desk("init", folder / "invitation", "--name", "Els de Vries", "--kind", "external")
    card = debian.path("/var/tmp/els.card")  # noqa: S108 - in its own root folder
    groups = next(
        line for line in els.desk("card", "--out", folder / "els.card").stdout.splitlines()
        if len(line.split()) == 10
    )  # fmt: skip
    shutil.copy(folder / "els.card", card)
    card.chmod(0o644)
    debian.enter(
        *("klankbord-server", "card", "add", "/var/tmp/els.card"),  # noqa: S108 - in its own root folder
        *("--fingerprint", groups.strip()),
    )

    with _serving(debian) as served:
        assert stat.S_IMODE(served.app.stat().st_mode) == 0o660
        _each_socket_is_for_one_program(debian, served)
        browser = CircuitBrowser(origin, served.onion, 7)
        code = tell(browser, "nl", "Een verhaal op een nieuwe machine.").code
        with bridge:
            els.desk("fetch")
            thread = the_only_thread(els)
            els.reply(thread, "Dank je wel.")
        assert "Dank je wel." in come_back(browser, "nl", code).text
    return code


def _each_socket_is_for_one_program(debian: Debian, served: Both) -> None:
    """Check, using the units' groups, that Tor reaches only nginx, and only nginx the server."""
    for path, account, groups, comes_in in (
        (served.onion, "debian-tor", "klankbord-tor", True),
        (served.app, "debian-tor", "klankbord-tor", False),
        (served.app, "klankbord-nginx", "klankbord-nginx", True),
        (served.onion, "nobody", "", False),
        (served.app, "nobody", "", False),
    ):
        inside = debian.path("/run/klankbord-x")
        socket_file = f"/run/{inside.name}/{path.name}"
        knock = f"import socket; socket.socket(socket.AF_UNIX).connect('{socket_file}')"
        inside.mkdir()
        try:
            # Mounted in its own namespace, and removed with it.
            words = f"mount --bind {path.parent} {inside}; {ENTER}"
            more = ["--groups", groups] if groups else ["--clear-groups"]
            done = subprocess.run(
                ["unshare", "--mount", "--pid", "--fork", "sh", "-c",
                 words.replace("mount --make-rprivate /\n", ""), "sh", debian.folder,
                 debian.source, debian.wheels, "setpriv", "--reuid", account,
                 "--regid", "nogroup", *more, "--", "python3", "-c", knock],
                capture_output=True, text=True, check=False,
            )  # fmt: skip
            assert (done.returncode == 0) is comes_in, (path, account, done.stderr)
        finally:
            inside.rmdir()


def _mails_and_reads_nothing_but_the_word(debian: Debian) -> None:
    """Check what the accounts may read, by the modes that installer and units set."""
    assert "Nothing is mailed yet" in debian.install("--mail")
    wants = "/etc/systemd/system/timers.target.wants"
    timer = "/etc/systemd/system/klankbord-notify.timer"
    debian.enter("install", "-d", wants)
    debian.enter("ln", "-s", timer, wants)  # as systemctl enable does
    assert "Nothing is mailed yet" not in debian.install("--mail")
    debian.enter("rm", f"{wants}/klankbord-notify.timer")
    program = "/opt/klankbord/current/bin/klankbord-server"
    words = "/var/lib/klankbord-words"
    # systemd creates this folder for klankbord-word.service, and starts that service.
    debian.enter(
        *("install", "-d", "-m", "750", "-o", "klankbord", "-g", "klankbord-notify", words)
    )
    debian.enter(
        *("runuser", "-u", "klankbord", "-g", "klankbord-notify", "--"),
        *(program, "--dir", "/var/lib/klankbord", "word"),
    )
    for account, place, reads in (
        ("klankbord-notify", words + "/words", True),
        ("klankbord-notify", "/etc/klankbord-notify/notify.toml", True),
        ("klankbord-notify", "/var/lib/klankbord/site.toml", False),
        ("klankbord-notify", "/var/lib/klankbord/klankbord.db", False),
        ("klankbord", "/etc/klankbord-notify/notify.toml", False),
        ("klankbord", "/etc/klankbord-notify/password", False),
        ("nobody", words + "/words", False),
    ):
        told = debian.enter("runuser", "-u", account, "--", "cat", place, check=False)
        assert bool(told) is reads, (account, place)
    debian.enter(
        *("runuser", "-u", "klankbord-notify", "--", "sh", "-c"), f"! echo x >> {words}/words"
    )
    assert debian.enter("klankbord-notify", "--try", check=False) == ""
    again = debian.install()
    assert [line for line in again.splitlines() if line.startswith("  writing")] == []
    debian.install("--no-mail")
    left = {name for name in debian.all_files() if "notify" in name or "words" in name}
    # The program stays, with its source, which every visitor may get.
    assert {name for name in left if not name.startswith("opt/klankbord/releases/")} == set()
    assert "klankbord-notify" not in debian.path("/etc/passwd").read_text()


def _is_backed_up_as_the_unit_says(debian: Debian) -> str:
    """Run the installed backup unit's command as its account; return the operator's key."""
    unit = debian.path("/etc/systemd/system/klankbord-backup.service")
    state = debian.path("/var/lib/klankbord")
    waits_for = debian.path(values(unit, "ConditionPathExists")[0])
    assert not waits_for.exists()
    key = debian.enter("klankbord-server", "backup-key")
    assert waits_for.exists()
    (line,) = values(unit, "ExecStart")
    with filtered(unit) as program:
        done = subprocess.run(
            command(unit, state, None, ["--seccomp", str(program), *line.split()], debian.folder),
            pass_fds=[program], capture_output=True, text=True, check=False,
        )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert len(list((state / "backups").glob("klankbord-*.age"))) == 1
    return key


def _newer_and_back(debian: Debian, folder: Path, key: str) -> None:
    """Install a version that migrates the database; the older one refuses it and has its backup."""
    before = debian.release()
    data = debian.path("/var/lib/klankbord")
    site = (data / "site.toml").read_bytes()
    newer = folder / "newer"
    left_out = (".git", ".venv", "tests", "var", "node_modules", "__pycache__", "*_cache")
    ignored = shutil.ignore_patterns(*left_out)
    shutil.copytree(ROOT, newer, ignore=ignored)
    with (newer / "dropbox_app" / "server" / "store" / "migrations.py").open("a") as file:
        file.write(
            "\n\n@migrations()\ndef m900_later(db: Database) -> None:\n"
            '    db.execute("CREATE TABLE later (id TEXT PRIMARY KEY) STRICT, WITHOUT ROWID")\n'
        )
    debian.source = newer
    debian.install()
    assert debian.release() != before
    assert debian.path(before).is_dir()
    with _serving(debian):
        pass  # this migrates the database
    assert _wrong(debian) == set()

    debian.enter("ln", "-sfn", before, "/opt/klankbord/current")
    debian.source = ROOT
    assert "leads to" in debian.install()
    assert debian.release() == before
    assert _wrong(debian) == {"database"}

    backups = debian.path("/var/tmp/backups")  # noqa: S108 - in its own root folder
    shutil.copytree(data / "backups", backups)
    shutil.rmtree(data)
    (backups / "key").write_text(key)
    debian.enter("chown", "-R", "klankbord:", "/var/tmp/backups")  # noqa: S108 - in its own root folder
    debian.enter("install", "-d", "-m", "700", "-o", "klankbord", "/var/lib/klankbord")
    (made,) = backups.glob("klankbord-*.age")
    debian.enter(
        *("klankbord-server", "restore", f"/var/tmp/backups/{made.name}"),  # noqa: S108 - in its own root folder
        *("--key", "/var/tmp/backups/key"),  # noqa: S108 - in its own root folder
    )
    shutil.rmtree(backups)
    assert (data / "site.toml").read_bytes() == site


def _wrong(debian: Debian) -> set[str]:
    """Return the faults that doctor finds."""
    return _doctor(debian, "klankbord-server")["wrong"]


def _what_the_first_version_left_is_taken_on(debian: Debian, folder: Path) -> None:
    """Temporarily replace this site's data with data of the first schema."""
    data = debian.path("/var/lib/klankbord")
    aside = data.with_name("aside")
    data.rename(aside)
    old = Old(folder / "old")
    before = rows(old.database)
    shutil.copytree(old.folder, data)
    debian.enter("chown", "-R", "klankbord:klankbord", "/var/lib/klankbord")
    assert "it is there already" in debian.install()
    assert "database" not in _wrong(debian)  # its cards expired long ago, which is irrelevant here
    with _serving(debian):
        pass
    assert rows(data / "klankbord.db") == before
    assert "database" not in _wrong(debian)
    shutil.rmtree(data)
    aside.rename(data)
