"""The installer's announcements, and its treatment of existing files."""

from __future__ import annotations

import argparse
import errno
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from types import ModuleType

import pytest

from tests.support.told import INSTALL, load

ANSWERS = ("--name", "Voorbeeld BV", "--run-by", "Stichting Voorbeeld")
debian = pytest.mark.skipif(
    "ID=debian" not in Path("/etc/os-release").read_text("utf-8").splitlines()
    or not re.search(r'VERSION_ID="?1[2-9]', Path("/etc/os-release").read_text("utf-8")),
    reason="the installer is for Debian 12 or newer",
)


@pytest.fixture
def installer(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    return load(monkeypatch)


def dry_run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [INSTALL, "--dry-run", *arguments],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
    )  # fmt: skip


def traces() -> set[Path]:
    """Return the places where a run that changed something would leave traces."""
    places = (
        "/opt/klankbord",
        "/var/lib/klankbord",
        "/usr/local/bin/klankbord-server",
        "/etc/systemd/system/klankbord.service",
        "/etc/tor/torrc.d/klankbord.conf",
    )
    return {Path(place) for place in places if Path(place).exists()}


@debian
@pytest.mark.skipif(bool(traces()), reason="Klankbord is installed on this machine")
def test_dry_run_shows_every_step_and_changes_nothing() -> None:
    tor = Path("/etc/tor/torrc")
    before = tor.read_bytes() if tor.is_file() else b""
    done = dry_run(*ANSWERS, "--domain", "box.example.org", "--phone", "030 123")
    assert (done.returncode, done.stderr) == (0, "")
    steps = [line for line in done.stdout.splitlines() if line and not line.startswith(" ")]
    assert steps == [
        "Debian packages",
        "An account that nobody logs in to, and its folder",
        "An account for nginx, and a group for Tor's way to it",
        "The journal, in memory alone",
        "The program, with every package checked against its pinned hash",
        "nginx in front of the server",
        "The onion address",
        "HTTPS for https://box.example.org",
        "The site",
        "The service",
        "A backup each day, once there is a key for it",
        "A certificate from Let's Encrypt; by asking for it you agree to its terms of service",
        "Nothing was changed.",
    ]
    for line in (
        r"  \$ useradd --system .* klankbord",
        r"  \$ .*pip .*--require-hashes --only-binary :all: -r .*requirements/server.txt",
        r"  writing /etc/systemd/journald.conf.d/klankbord.conf",
        r"  writing /etc/systemd/system/tor@default.service.d/klankbord.conf",
        r"  writing /etc/tor/torrc.d/klankbord-box.conf",
        r"  \$ tor .* --verify-config",
        r"  \$ .*klankbord-server init --name 'Voorbeeld BV' .*--origin https://box.example.org"
        r" --phone '030 123'",
        r"  writing /etc/systemd/system/klankbord.service",
        r"  \$ systemctl restart klankbord",
        r"  writing /etc/systemd/system/klankbord-backup.service",
        r"  \$ systemctl enable --now klankbord-backup.timer",
        r"  \$ useradd --system .* klankbord-nginx",
        r"  writing /etc/klankbord/nginx/nginx.conf",
        r"  writing /etc/systemd/system/klankbord-nginx.service",
        r"  writing /etc/klankbord/nginx/ways/domain.conf",
        r"  writing /etc/systemd/system/klankbord-nginx.service.d/domain.conf",
        r"  \$ systemctl restart klankbord-nginx",
        r"  \$ certbot certonly .* --domain box.example.org .*",
        r"  \$ systemctl enable --now certbot.timer",
    ):
        assert re.search(f"^{line}$", done.stdout, re.MULTILINE), line
    assert traces() == set()
    assert (tor.read_bytes() if tor.is_file() else b"") == before


@debian
@pytest.mark.skipif(bool(traces()), reason="Klankbord is installed on this machine")
def test_without_a_domain_no_port_is_opened_and_no_certificate_is_requested() -> None:
    done = dry_run(*ANSWERS, "--domain", "")
    assert "certbot" not in done.stdout
    assert "domain.conf" not in done.stdout
    assert "https://" not in done.stdout


@debian
@pytest.mark.skipif(bool(traces()), reason="Klankbord is installed on this machine")
def test_restore_dry_run_shows_every_step(tmp_path: Path) -> None:
    """An operator types this command to rehearse an emergency."""
    (tmp_path / "klankbord-2026-11-29.age").write_bytes(b"age-encryption.org/v1\n")
    (tmp_path / "key").write_text("AGE-SECRET-KEY-PQ-1\n")
    (tmp_path / "onion").write_bytes(b"== ed25519v1-secret: type0 ==".ljust(96, b"\0"))
    given = ("--restore", tmp_path / "klankbord-2026-11-29.age", "--key", tmp_path / "key")
    done = dry_run(*map(str, (*given, "--onion-key", tmp_path / "onion")))
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.rstrip().endswith("Nothing was changed.")


@debian
def test_installer_stops_at_an_unreadable_file_and_reports_it_in_one_sentence(
    tmp_path: Path,
) -> None:
    backup, key = tmp_path / "klankbord-2026-11-29.age", tmp_path / "key"
    backup.write_bytes(b"age-encryption.org/v1\n")
    key.write_text("AGE-SECRET-KEY-PQ-1\n")
    given = ("--restore", str(backup), "--key", str(key))
    done = dry_run(*given, "--onion-key", "/proc/self/mem")  # a file that gives an error
    assert done.returncode == 1
    assert re.fullmatch(r"deploy/install: .*; repair that and run it again, .*\n", done.stderr)


@debian
def test_uninstall_dry_run_changes_nothing() -> None:
    before = traces()
    done = dry_run("--uninstall")
    assert (done.returncode, done.stderr) == (0, "")
    assert "rm -r /var/lib/klankbord /var/lib/tor/klankbord-box" in done.stdout
    assert traces() == before


@debian
@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ((), "nobody is there to answer; give --name, --run-by, --domain"),
        (ANSWERS, "nobody is there to answer; give --domain"),
        (("--name", "", "--run-by", "x"), "the pages need both"),
        ((*ANSWERS, "--domain", "https://box.example"), "'https://box.example' is no domain"),
    ],
)
@pytest.mark.skipif(bool(traces()), reason="Klankbord is installed on this machine")
def test_missing_or_wrong_options_are_reported_before_any_change(
    arguments: tuple[str, ...], sentence: str
) -> None:
    done = dry_run(*arguments)
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.startswith(f"deploy/install: {sentence}")


def test_lines_in_shared_file_are_added_once_and_removed_on_uninstall(
    tmp_path: Path, installer: ModuleType
) -> None:
    file = tmp_path / "torrc"
    file.write_text("# Of somebody else\nContactInfo nobody\n")
    before = file.read_text()
    machine = installer.machine.Machine(dry=False)
    assert machine.block(file, ["%include one"])
    once = file.read_text()
    assert once.startswith(before)
    assert not machine.block(file, ["%include one"])
    assert file.read_text() == once
    assert machine.block(file, ["%include two"])
    assert "one" not in file.read_text()
    assert machine.block(file, [])
    assert file.read_text() == before


def test_file_is_replaced_atomically_and_only_if_changed(
    tmp_path: Path, installer: ModuleType
) -> None:
    machine = installer.machine.Machine(dry=False)
    file = tmp_path / "new" / "unit"
    assert machine.write(file, "one", 0o644)
    assert not machine.write(file, "one", 0o644)
    assert machine.write(file, "two", 0o755)
    assert (file.read_text(), file.stat().st_mode & 0o777) == ("two", 0o755)
    assert [path.name for path in file.parent.iterdir()] == ["unit"]
    assert not installer.machine.Machine(dry=True).write(file, "two")
    assert installer.machine.Machine(dry=True).write(file, "three")
    assert file.read_text() == "two"


def test_every_template_placeholder_is_filled_in(installer: ModuleType) -> None:
    for name in ("tor/torrc.d/klankbord-onion.conf.in", "klankbord/nginx/ways/domain.conf.in"):
        file = f"etc/{name}"
        bare = re.findall(r"@([A-Z_]+)@", installer.machine.settings(file))
        filled = installer.machine.settings(file, **{word.lower(): "x" for word in bare})
        assert bare
        assert not re.search(r"@[A-Z_]+@", filled)


def test_domain_is_kept_until_removed_explicitly(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, installer: ModuleType
) -> None:
    domain = installer.domain
    template = "etc/klankbord/nginx/ways/domain.conf.in"
    monkeypatch.setattr(domain, "WAY", tmp_path / "domain.conf")
    monkeypatch.setattr(domain, "CADDYFILE", tmp_path / "Caddyfile")
    filled = {"domain": "box.example", "certificate": "x", "certificate_key": "x"}
    domain.WAY.write_text(installer.machine.settings(template, onion="x.onion", **filled))
    for given, kept in ((None, "box.example"), ("", ""), ("two.example", "two.example")):
        words = ("name", "run_by", "phone", "hours", "mail", "controller", "other_contact")
        nothing = dict.fromkeys(words)
        asked = argparse.Namespace(**nothing, domain=given, run_by_employer=False)
        installer.questions.ask(asked, there=True)
        assert asked.domain == kept
    domain.WAY.unlink()
    domain.CADDYFILE.write_text(":80 {\n\treverse_proxy unix//run/klankbord/box.sock\n}\n")
    asked = argparse.Namespace(**nothing, domain=None, run_by_employer=False)
    with pytest.raises(SystemExit, match="give it with --domain"):
        installer.questions.ask(asked, there=True)


def test_release_name_is_derived_from_its_contents(installer: ModuleType) -> None:
    assert re.fullmatch(r"0\.\d+\.\d+-[0-9a-f]{12}", installer.program.release())
    assert installer.program.release() == installer.program.release()


INVITATION = '{"origins":["http://one.onion"]}\n'


def test_next_steps_are_shown_until_they_are_done(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    installer: ModuleType,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(installer.site, "DATA", tmp_path)
    installer.site.ending(INVITATION, moved=False)
    first = capsys.readouterr().out
    assert "    http://one.onion\n" in first
    for words in ("invitation.json", INVITATION, "card add FILE", "not open yet"):
        assert words in first
    (tmp_path / "cards").mkdir()
    (tmp_path / "cards" / "els.card").touch()
    installer.site.ending(INVITATION, moved=False)
    again = capsys.readouterr().out
    assert "    http://one.onion\n" in again
    for words in ("nvitation", '{"origins"', "card add", "not open yet"):
        assert words not in again
    # Each desk must be told about a new address.
    installer.site.ending(INVITATION, moved=True)
    moved = capsys.readouterr().out
    assert INVITATION in moved
    assert "klankbord-desk move invitation.json" in moved
    assert "not open yet" not in moved


def test_command_in_the_guide_makes_backup_key_readable_by_owner_only(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    installer: ModuleType,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(installer.site, "DATA", tmp_path)
    installer.site.ending(INVITATION, moved=False)
    (said,) = re.findall(r"^ +(.* backup-key > .*)$", capsys.readouterr().out, re.MULTILINE)
    guide = (INSTALL.parent / "guide" / "install.md").read_text("utf-8")
    (told,) = re.findall(r"^ *(.*ssh .* backup-key > .*)$", guide, re.MULTILINE)
    assert said.replace("THIS-MACHINE", "MACHINE") == told
    assert told.startswith("(umask 077; ")


@debian
@pytest.mark.skipif(bool(traces()), reason="Klankbord is installed on this machine")
def test_requested_daily_mail_is_prepared_but_not_enabled() -> None:
    quiet, done = dry_run(*ANSWERS, "--domain", ""), dry_run(*ANSWERS, "--domain", "", "--mail")
    assert "notify" not in quiet.stdout
    assert (done.returncode, done.stderr) == (0, "")
    for line in (
        r"  \$ useradd --system .* klankbord-notify",
        r"  writing /etc/systemd/system/klankbord-notify.timer",
        r"  \$ chown root:klankbord-notify /etc/klankbord-notify/password",
        r"  \$ chmod 640 /etc/klankbord-notify/notify.toml",
    ):
        assert re.search(f"^{line}$", done.stdout, re.MULTILINE), line
    assert not re.search(r"\$ systemctl (enable|start).* klankbord-notify", done.stdout)


def test_existing_site_keeps_its_old_address_and_gets_the_new_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, installer: ModuleType
) -> None:
    monkeypatch.setattr(installer.site, "DATA", tmp_path)
    (tmp_path / "site.toml").touch()
    ran: list[tuple[str, ...]] = []

    def run(*words: str | Path) -> str:
        ran.append(tuple(map(str, words[1:])))
        return '{"origins":["http://one.onion"]}'

    machine = installer.machine.Machine(dry=False)
    monkeypatch.setattr(machine, "run", run)
    same = installer.site.site(machine, argparse.Namespace(), ["http://one.onion"])
    assert (same[1], ran) == (False, [("move",)])
    more = installer.site.site(
        machine, argparse.Namespace(), ["http://one.onion", "https://box.example"]
    )
    # A running server must be restarted, because it reads its settings at the start.
    assert more[1]
    both = ("--origin", "http://one.onion", "--origin", "https://box.example")
    assert ran[-1] == ("move", *both)


_TYPES = """
import fcntl, os, sys, termios
typed = False
for number in (0, 1, 2):
    if os.isatty(number) and os.ttyname(number) == sys.argv[1]:
        try:
            fcntl.ioctl(number, termios.TIOCSTI, b"x")
            typed = True
        except OSError:
            pass
print("typed" if typed else "kept out")
"""
_AT_A_TERMINAL = "import pty, sys; pty.spawn(sys.argv[1:])"


def at_a_terminal(words: str) -> str:
    """Return the output of a shell on a terminal, run under this account."""
    done = subprocess.run(
        [sys.executable, "-c", _AT_A_TERMINAL, "sh", "-c", words],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, check=True, timeout=60,
    )  # fmt: skip
    return done.stdout


@pytest.mark.skipif(os.geteuid() != 0, reason="another account is to be entered")
@pytest.mark.parametrize("rest", ["", "< /dev/null", "> {out}; cat {out}", "2> /dev/null"])
def test_server_account_cannot_inject_input_into_roots_terminal(
    tmp_path: Path, installer: ModuleType, rest: str
) -> None:
    with tempfile.TemporaryDirectory(dir="/var/tmp") as name:
        Path(name).chmod(0o755)
        program, command = Path(name) / "program", Path(name) / "command"
        program.write_text(_TYPES)
        plain = f'runuser -u nobody -- /usr/bin/python3 {program} "$(tty)"'
        if "typed" not in at_a_terminal(plain):
            pytest.skip("this system lets nobody type into a terminal")
        part = installer.program
        text = part.WRAPPER.replace(f"-u {part.ACCOUNT} ", "-u nobody ")
        text = text.replace(
            f"{part.CURRENT}/bin/klankbord-server --dir {part.DATA}", f"/usr/bin/python3 {program}"
        )
        command.write_text(text)
        assert "python3" in text
        said = at_a_terminal(f'sh {command} "$(tty)" {rest.format(out=tmp_path / "out")}')
        assert said.strip() == "kept out"


@pytest.mark.skipif(os.geteuid() != 0, reason="another account is to be entered")
@pytest.mark.parametrize(
    ("words", "account"), [("upgrade x", "root"), ("status", "nobody"), ("card upgrade", "nobody")]
)
def test_only_the_upgrade_command_keeps_root_privileges(
    tmp_path: Path, installer: ModuleType, words: str, account: str
) -> None:
    part = installer.program
    text = part.WRAPPER.replace(f"-u {part.ACCOUNT} ", "-u nobody ")
    text = text.replace(
        f"{part.CURRENT}/bin/klankbord-server --dir {part.DATA}", "/usr/bin/id -un #"
    )
    command = tmp_path / "command"
    command.write_text(text)
    done = subprocess.run(
        ["sh", command, *words.split()],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout.strip() == account


@debian
@pytest.mark.skipif(os.geteuid() != 0, reason="a disk is to be mounted")
@pytest.mark.parametrize(
    ("options", "said", "status"),
    [
        ("size=100m", "Nothing was changed there; repair that and run it again", errno.ENOSPC),
        ("ro", "Read-only file system; repair that", errno.EROFS),
        # No package is available.
        pytest.param("size=300m", "that failed (", 1, marks=pytest.mark.long),
    ],
)
def test_failed_build_leaves_nothing_on_disk(options: str, said: str, status: int) -> None:
    """A partial build would use space that the server needs. The last line states the reason.

    ``upgrade`` reads the kind of failure from the exit status.
    """
    script = (
        f"mount -t tmpfs -o {options} tmpfs /opt && "
        f"{{ {INSTALL} --prepare; status=$?; find /opt -type f; exit $status; }}"
    )
    done = subprocess.run(
        ["unshare", "--mount", "sh", "-c", script],
        capture_output=True, text=True, check=False,
        env={**os.environ, "PIP_INDEX_URL": "http://127.0.0.1:9/", "PIP_RETRIES": "0"},
    )  # fmt: skip
    if "unshare" in done.stderr or "mount:" in done.stderr:
        pytest.skip(f"mount is not allowed here: {done.stderr.strip()}")
    assert said in done.stderr.splitlines()[-1]
    assert done.returncode == status
    assert "/opt/" not in "".join(line for line in done.stdout.splitlines() if line[:1] == "/")
