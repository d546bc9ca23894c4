"""The installer's onion addresses: each is separate, and none is open to the wrong clients."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import pytest

from tests.deploy.test_install import debian, dry_run, traces
from tests.support.told import Told, load

KEY = f"descriptor:x25519:{'A' * 52}"
NAME = f"{'a2' * 28}.onion"
ACCOUNT = "debian-tor"
as_tor = pytest.mark.skipif(
    os.geteuid() != 0 or not Path("/var/lib/tor").is_dir(), reason="Tor's account is to be entered"
)


@pytest.fixture
def installer(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    return load(monkeypatch)


def test_desk_address_is_closed_before_tor_starts_and_admits_only_listed_desks(
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


def test_each_address_has_its_own_file_and_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, installer: ModuleType
) -> None:
    """This includes sites called "box" and "desks"."""
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
    # Every install writes the existing files again, so a newer template reaches all of them.
    file = tmp_path / "torrc.d" / "klankbord-site-bakery.conf"
    file.write_text("of an older version\n")
    assert onions.write(told.machine, [onions.OWN])
    assert "HiddenServiceExportCircuitID haproxy" in file.read_text()
    # An address is also found by its key, so it returns if an uninstall removed its file.
    (tmp_path / "tor" / "klankbord-site-bakery").mkdir()
    file.unlink()
    onions.write(told.machine, [onions.OWN])
    assert not file.exists()
    (tmp_path / "tor" / "klankbord-site-bakery" / "hs_ed25519_secret_key").touch()
    assert onions.write(told.machine, [onions.OWN])
    assert "/klankbord-site-bakery\n" in file.read_text()


def test_folder_that_is_a_link_or_has_an_unknown_name_is_not_treated_as_an_address(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    installer: ModuleType,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """An attacker who controls Tor could use such folders to put names into Tor's settings."""
    told, keys = Told(tmp_path, monkeypatch, installer), tmp_path / "tor"
    for name in ("box", "site-a", "site-", "Site-b", "mail", "desks-x\nExitRelay 1", "site-a b"):
        (keys / f"klankbord-{name}").mkdir(parents=True)
        (keys / f"klankbord-{name}" / "hs_ed25519_secret_key").touch()
    (keys / "klankbord-desks").symlink_to(keys / "klankbord-box")
    assert installer.onions.there() == ["box", "site-a"]
    installer.main.uninstall(installer.machine.Machine(dry=True))
    (removal,) = re.findall(r"rm -r (.*)", capsys.readouterr().out)
    assert [path for path in removal.split() if path.startswith(str(keys))] == [
        str(keys / "klankbord-box"), str(keys / "klankbord-site-a")
    ]  # fmt: skip
    assert told.ran == []


@pytest.fixture
def tors_own(monkeypatch: pytest.MonkeyPatch, installer: ModuleType) -> Iterator[Path]:
    """Return a folder like /var/lib/tor, in which root works and Tor's account may change files."""
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
    """Return a folder and everything in it: name, owner, mode."""
    paths = [folder, *sorted(folder.rglob("*"))]
    return [(path.name, path.stat().st_uid, path.stat().st_mode) for path in paths]


@as_tor
def test_link_planted_by_tor_account_gives_no_access_to_root_files(
    tors_own: Path, installer: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    onions, machine = installer.onions, installer.machine.Machine(dry=False)
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
    # A link in the place of the new file, and one in the place of the existing file.
    by_tor("ln", "-s", roots / "planted", clients / "els.auth.new")
    by_tor("ln", "-s", roots / "els.auth", clients / "els.auth")
    assert onions.admit(machine, None, "els", KEY) == NAME
    assert (clients / "els.auth").read_text() == KEY + "\n"
    assert (clients / "els.auth").owner() == ACCOUNT
    # The file with the name is a link to a file of root, or contains anything but a name.
    by_tor("ln", "-sf", roots / "secret", clients.parent / "hostname")
    with pytest.raises(SystemExit):
        onions.admit(machine, None, "els", KEY)
    by_tor("sh", "-c", f"cd {clients.parent}; rm hostname; printf 'x\\033[2J.onion' > hostname")
    with pytest.raises(SystemExit):
        onions.admit(machine, None, "els", KEY)
    # A desk's name is escaped on root's terminal.
    by_tor("touch", f"{clients}/\033[2J.auth")
    assert onions.admitted(None) == ["els"]
    # A folder that is a link.
    by_tor("rm", "-r", clients)
    by_tor("ln", "-s", roots, clients)
    by_tor("ln", "-s", roots, tors_own / "klankbord-desks-x")
    works: list[Callable[[], object]] = [
        lambda: onions.write(machine, [onions.DESKS]),
        lambda: onions.write(machine, [onions.of_desks("x")]),
        lambda: onions.dismiss(machine, None, "els"),
        lambda: onions.admit(machine, None, "els", KEY),
    ]
    for work in works:
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
def test_dry_run_shows_every_step_and_leaves_no_trace(
    words: tuple[str, ...], steps: list[str]
) -> None:
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
def test_malformed_names_and_keys_are_refused(words: tuple[str, ...], sentence: str) -> None:
    done = dry_run(*words)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(f"deploy/install: {sentence}")
