"""The installer: what it says it will do, and how it treats what was there before."""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from tests.deploy.told import INSTALL, Told, load

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
    """Where a run that changed something would show."""
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
def test_a_dry_run_says_every_step_and_does_none() -> None:
    tor = Path("/etc/tor/torrc")
    before = tor.read_bytes() if tor.is_file() else b""
    done = dry_run(*ANSWERS, "--domain", "box.example.org", "--phone", "030 123")
    assert (done.returncode, done.stderr) == (0, "")
    steps = [line for line in done.stdout.splitlines() if line and not line.startswith(" ")]
    assert steps == [
        "Debian packages",
        "An account that nobody logs in to, and its folder",
        "The journal, in memory alone",
        "The program, with every package checked against its pinned hash",
        "The onion address",
        "The site",
        "The service",
        "A backup each day, once there is a key for it",
        "Caddy, for https://box.example.org",
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
        r"  writing /etc/systemd/system/caddy.service.d/klankbord.conf",
        r"  \$ caddy validate --config /etc/caddy/Caddyfile",
    ):
        assert re.search(f"^{line}$", done.stdout, re.MULTILINE), line
    assert traces() == set()
    assert (tor.read_bytes() if tor.is_file() else b"") == before


@debian
@pytest.mark.skipif(bool(traces()), reason="Klankbord is installed on this machine")
def test_without_a_domain_there_is_no_web_server() -> None:
    done = dry_run(*ANSWERS, "--domain", "")
    assert "addy" not in done.stdout
    assert "https://" not in done.stdout


@debian
def test_a_dry_run_of_taking_it_away_changes_nothing() -> None:
    before = traces()
    done = dry_run("--uninstall")
    assert (done.returncode, done.stderr) == (0, "")
    assert "rm -r /var/lib/klankbord /var/lib/tor/klankbord-box" in done.stdout
    assert traces() == before


@debian
@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ((), "nobody is there to answer; give --name"),
        (ANSWERS, "nobody is there to answer; give --domain"),
        (("--name", "", "--run-by", "x"), "the pages need both"),
        ((*ANSWERS, "--domain", "https://box.example"), "'https://box.example' is no domain"),
    ],
)
@pytest.mark.skipif(bool(traces()), reason="Klankbord is installed on this machine")
def test_what_is_missing_or_wrong_is_said_before_anything_is_done(
    arguments: tuple[str, ...], sentence: str
) -> None:
    done = dry_run(*arguments)
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.startswith(f"deploy/install: {sentence}")


def test_lines_in_a_file_of_others_come_once_and_go_again(
    tmp_path: Path, installer: ModuleType
) -> None:
    file = tmp_path / "torrc"
    file.write_text("# Of somebody else\nContactInfo nobody\n")
    before = file.read_text()
    machine = installer.Machine(dry=False)
    assert machine.block(file, ["%include one"])
    once = file.read_text()
    assert once.startswith(before)
    assert not machine.block(file, ["%include one"])
    assert file.read_text() == once
    assert machine.block(file, ["%include two"])
    assert "one" not in file.read_text()
    assert machine.block(file, [])
    assert file.read_text() == before


def test_a_file_is_replaced_whole_and_only_when_it_differs(
    tmp_path: Path, installer: ModuleType
) -> None:
    machine = installer.Machine(dry=False)
    file = tmp_path / "new" / "unit"
    assert machine.write(file, "one", 0o644)
    assert not machine.write(file, "one", 0o644)
    assert machine.write(file, "two", 0o755)
    assert (file.read_text(), file.stat().st_mode & 0o777) == ("two", 0o755)
    assert [path.name for path in file.parent.iterdir()] == ["unit"]
    assert not installer.Machine(dry=True).write(file, "two")
    assert installer.Machine(dry=True).write(file, "three")
    assert file.read_text() == "two"


def test_every_word_of_a_template_is_filled_in(installer: ModuleType) -> None:
    for name in ("tor/onion.conf", "caddy/Caddyfile"):
        bare = re.findall(r"@([A-Z]+)@", installer.settings(name))
        filled = installer.settings(name, **{word.lower(): "x" for word in bare})
        assert bare
        assert not re.search(r"@[A-Z]+@", filled)
    text = installer.settings("caddy/Caddyfile", domain="box.example", onion="x.onion")
    assert not re.search(r"@[A-Z]+@", text)
    assert "\nbox.example {" in text


def test_the_release_is_named_by_what_is_in_it(installer: ModuleType) -> None:
    assert re.fullmatch(r"0\.\d+\.\d+-[0-9a-f]{12}", installer.release())
    assert installer.release() == installer.release()


@pytest.mark.parametrize(
    ("said", "employer"), [("yes", True), ("Ja", True), ("", False), ("no", False)]
)
def test_three_questions_are_asked_and_an_empty_domain_is_the_onion_alone(
    monkeypatch: pytest.MonkeyPatch, installer: ModuleType, said: str, employer: bool
) -> None:
    answers = iter(["Voorbeeld BV", "Stichting Voorbeeld", said, ""])
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True)
    monkeypatch.setattr("builtins.input", lambda _question: next(answers))
    asked = argparse.Namespace(name=None, run_by=None, run_by_employer=False, domain=None)
    installer.ask(asked)
    assert vars(asked) == {
        "name": "Voorbeeld BV",
        "run_by": "Stichting Voorbeeld",
        "run_by_employer": employer,
        "domain": "",
    }
    assert list(answers) == []


@pytest.mark.parametrize(
    ("said", "wanted"), [("", False), ("no", False), ("yes", True), ("Ja", True)]
)
def test_a_daily_mail_is_off_unless_somebody_wants_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, installer: ModuleType, said: str, wanted: bool
) -> None:
    monkeypatch.setattr(installer, "DATA", tmp_path)
    monkeypatch.setattr(installer.daily_mail, "COMMAND", tmp_path / "klankbord-notify")
    asked = argparse.Namespace(mail=None)
    monkeypatch.setattr(installer.sys.stdin, "isatty", lambda: False)
    installer.ask_mail(asked)
    assert asked.mail is False  # nobody is there to want it
    asked = argparse.Namespace(mail=None)
    monkeypatch.setattr(installer.sys.stdin, "isatty", lambda: True)
    monkeypatch.setattr("builtins.input", lambda _question: said)
    installer.ask_mail(asked)
    assert asked.mail is wanted
    # An update asks nothing: what is there stays.
    monkeypatch.setattr(installer.os, "geteuid", lambda: 0)
    (tmp_path / "site.toml").touch()
    if wanted:
        (tmp_path / "klankbord-notify").touch()
    monkeypatch.setattr("builtins.input", lambda _question: pytest.fail("asked"))
    asked = argparse.Namespace(mail=None)
    installer.ask_mail(asked)
    assert asked.mail is wanted


@debian
@pytest.mark.skipif(bool(traces()), reason="Klankbord is installed on this machine")
def test_a_daily_mail_that_is_wanted_is_prepared_and_not_turned_on() -> None:
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


def test_a_site_that_is_there_gets_a_new_address_beside_the_old(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, installer: ModuleType
) -> None:
    monkeypatch.setattr(installer, "DATA", tmp_path)
    (tmp_path / "site.toml").touch()
    ran: list[tuple[str, ...]] = []

    def run(*words: str | Path) -> str:
        ran.append(tuple(map(str, words[1:])))
        return '{"origins":["http://one.onion"]}'

    machine = installer.Machine(dry=False)
    monkeypatch.setattr(machine, "run", run)
    same = installer.site(machine, argparse.Namespace(), ["http://one.onion"])
    assert (same[1], ran) == (False, [("move",)])
    more = installer.site(
        machine, argparse.Namespace(), ["http://one.onion", "https://box.example"]
    )
    # A server that runs has to be started again: it reads its settings at start.
    assert more[1]
    both = ("--origin", "http://one.onion", "--origin", "https://box.example")
    assert ran[-1] == ("move", *both)


# onion addresses


KEY = f"descriptor:x25519:{'A' * 52}"
NAME = f"{'a2' * 28}.onion"
ACCOUNT = "debian-tor"
as_tor = pytest.mark.skipif(
    os.geteuid() != 0 or not Path("/var/lib/tor").is_dir(), reason="Tor's account is to be entered"
)


def test_an_address_for_desks_is_closed_before_tor_sees_it_and_lets_in_who_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, installer: ModuleType
) -> None:
    told, onions = Told(tmp_path, monkeypatch, installer), installer.onions
    assert onions.write(told.machine, [onions.of_desks(None)])
    clients = tmp_path / "tor" / "klankbord-desks" / "authorized_clients"
    (nobody,) = clients.iterdir()
    assert re.fullmatch(r"descriptor:x25519:[A-Z2-7]{52}\n", nobody.read_text())
    assert nobody.stat().st_mode & 0o777 == 0o600
    once = nobody.read_text()
    assert not onions.write(told.machine, [onions.of_desks(None)])
    assert nobody.read_text() == once
    (clients.parent / "hostname").write_text(f"{NAME}\n")
    assert onions.admit(told.machine, None, "els", KEY) == NAME
    assert (clients / "els.auth").read_text() == KEY + "\n"
    assert onions.admitted(None) == ["els"]
    assert "systemctl reload tor" in told.ran
    onions.dismiss(told.machine, None, "els")
    assert (onions.admitted(None), told.ran[-1]) == ([], "systemctl restart tor")
    with pytest.raises(SystemExit):
        onions.dismiss(told.machine, None, "els")
    with pytest.raises(SystemExit):
        onions.admit(told.machine, "bakery", "els", KEY)


def test_each_address_has_a_file_and_a_key_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, installer: ModuleType
) -> None:
    """Whatever a site is called: "box" and "desks" too."""
    told, onions = Told(tmp_path, monkeypatch, installer), installer.onions
    names = [kind(site) for kind in (onions.of_site, onions.of_desks) for site in
             (None, "box", "desks", "site-box", "bakery")]  # fmt: skip
    assert len(set(names)) == len(names)
    for name in names:
        onions.write(told.machine, [name])
    assert onions.there() == sorted(names)
    for name in names:
        text = (tmp_path / "torrc.d" / f"klankbord-{name}.conf").read_text()
        assert f"\nHiddenServiceDir /var/lib/tor/klankbord-{name}\n" in text
        assert (tmp_path / "tor" / f"klankbord-{name}").exists() == name.startswith("desks")
    # What is there is made anew with every install: a newer template reaches all of them.
    file = tmp_path / "torrc.d" / "klankbord-site-bakery.conf"
    file.write_text("of an older version\n")
    assert onions.write(told.machine, [onions.OWN])
    assert "HiddenServiceExportCircuitID haproxy" in file.read_text()
    # And by its key: where the file went, with an uninstall too, the address comes back.
    (tmp_path / "tor" / "klankbord-site-bakery").mkdir()
    file.unlink()
    onions.write(told.machine, [onions.OWN])
    assert not file.exists()
    (tmp_path / "tor" / "klankbord-site-bakery" / "hs_ed25519_secret_key").touch()
    assert onions.write(told.machine, [onions.OWN])
    assert "/klankbord-site-bakery\n" in file.read_text()


def test_a_folder_with_another_name_and_a_link_are_no_address(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    installer: ModuleType,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Whoever breaks into Tor may make them; the name would stand in Tor's settings."""
    told, keys = Told(tmp_path, monkeypatch, installer), tmp_path / "tor"
    for name in ("box", "site-a", "site-", "Site-b", "mail", "desks-x\nExitRelay 1", "site-a b"):
        (keys / f"klankbord-{name}").mkdir(parents=True)
        (keys / f"klankbord-{name}" / "hs_ed25519_secret_key").touch()
    (keys / "klankbord-desks").symlink_to(keys / "klankbord-box")
    assert installer.onions.there() == ["box", "site-a"]
    installer.uninstall(installer.Machine(dry=True))
    (removal,) = re.findall(r"rm -r (.*)", capsys.readouterr().out)
    assert [path for path in removal.split() if path.startswith(str(keys))] == [
        str(keys / "klankbord-box"), str(keys / "klankbord-site-a")
    ]  # fmt: skip
    assert told.ran == []


@pytest.fixture
def tors_own(monkeypatch: pytest.MonkeyPatch, installer: ModuleType) -> Iterator[Path]:
    """As /var/lib/tor: Tor's account may do there what it likes, and root works in it."""
    with tempfile.TemporaryDirectory(dir="/var/tmp") as name:
        Path(name).chmod(0o711)
        keys = Path(name) / "tor"
        keys.mkdir(mode=0o700)
        shutil.chown(keys, ACCOUNT, ACCOUNT)
        monkeypatch.setattr(installer.onions, "KEYS", keys)
        monkeypatch.setattr(installer.onions, "TOR_FILES", Path(name) / "torrc.d")
        yield keys


def by_tor(*words: str | Path) -> None:
    subprocess.run(["runuser", "-u", ACCOUNT, "--", *words], check=True)


def whole_of(folder: Path) -> list[tuple[str, int, int]]:
    """Everything in a folder and itself: name, owner, mode."""
    paths = [folder, *sorted(folder.rglob("*"))]
    return [(path.name, path.stat().st_uid, path.stat().st_mode) for path in paths]


@as_tor
def test_who_is_in_tor_gets_nothing_of_roots_by_a_link(
    tors_own: Path, installer: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    onions, machine = installer.onions, installer.Machine(dry=False)
    machine.systemd = False
    roots = tors_own.parent / "roots"
    roots.mkdir(mode=0o755)
    (roots / "secret").write_text("what only root may read\n")
    (roots / "secret").chmod(0o600)
    (roots / "els.auth").write_text("root's\n")
    before = whole_of(roots)
    onions.write(machine, [onions.DESKS])
    clients = tors_own / "klankbord-desks" / "authorized_clients"
    by_tor("sh", "-c", f"echo {NAME} > {clients.parent}/hostname")
    # A link where the new file is to come, and one where it stands.
    by_tor("ln", "-s", roots / "planted", clients / "els.auth.new")
    by_tor("ln", "-s", roots / "els.auth", clients / "els.auth")
    assert onions.admit(machine, None, "els", KEY) == NAME
    assert (clients / "els.auth").read_text() == KEY + "\n"
    assert (clients / "els.auth").owner() == ACCOUNT
    # The name is a link to what only root may read, or anything but a name.
    by_tor("ln", "-sf", roots / "secret", clients.parent / "hostname")
    with pytest.raises(SystemExit):
        onions.admit(machine, None, "els", KEY)
    by_tor("sh", "-c", f"cd {clients.parent}; rm hostname; printf 'x\\033[2J.onion' > hostname")
    with pytest.raises(SystemExit):
        onions.admit(machine, None, "els", KEY)
    # A desk's name is written out on root's terminal.
    by_tor("touch", f"{clients}/\033[2J.auth")
    assert onions.admitted(None) == ["els"]
    # A folder that is a link.
    by_tor("rm", "-r", clients)
    by_tor("ln", "-s", roots, clients)
    by_tor("ln", "-s", roots, tors_own / "klankbord-desks-x")
    for work in (
        lambda: onions.write(machine, [onions.DESKS]),
        lambda: onions.write(machine, [onions.of_desks("x")]),
        lambda: onions.dismiss(machine, None, "els"),
        lambda: onions.admit(machine, None, "els", KEY),
    ):
        with pytest.raises(SystemExit):
            work()
    assert whole_of(roots) == before
    told = capsys.readouterr()
    assert "only root" not in told.out + told.err
    assert "\033" not in told.out + told.err


@debian
@pytest.mark.parametrize(
    ("words", "steps"),
    [
        (("--site", "bakery"), ["/klankbord-site-bakery.conf", "systemctl restart tor"]),
        (("--desks",), ["/klankbord-desks.conf", "debian-tor -- install -d -m 700"]),
        (("--desks", "--site", "x"), ["/klankbord-desks-x.conf"]),
        (("--uninstall",), ["Debian's packages stay"]),
    ],
)
def test_what_comes_later_is_shown_first_too(words: tuple[str, ...], steps: list[str]) -> None:
    before = traces()
    done = dry_run(*words)
    assert (done.returncode, done.stderr) == (0, "")
    for step in steps:
        assert step in done.stdout
    assert "Done" not in done.stdout
    assert done.stdout.endswith("\nNothing was changed.\n")
    assert traces() == before


@debian
@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--site", "../x"), "'../x' is no name"),
        (("--desk", "Els", KEY), "'Els' is no name"),
        (("--desk", "nobody", KEY), "nobody keeps the address closed"),
        (("--desk", "els", "descriptor:x25519:abc"), "that is no key"),
        (("--no-desk", "nobody"), "nobody keeps the address closed"),
    ],
)
def test_names_and_keys_are_held_to_their_form(words: tuple[str, ...], sentence: str) -> None:
    done = dry_run(*words)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(f"deploy/install: {sentence}")
