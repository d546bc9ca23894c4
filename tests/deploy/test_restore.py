"""Recovery from a dead machine with a backup, its key, the onion key and a fresh Debian."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from dropbox_app.protocol.encoding import to_line
from tests.deploy import test_debian
from tests.deploy.test_systemd import Both, both
from tests.support.circuit import CircuitBrowser
from tests.support.circuit import line as of_circuit
from tests.support.debian import Debian, made
from tests.support.drop_box import Counsellor
from tests.support.steps import come_back, tell, the_only_thread
from tests.support.unit_file import Bridge

pytestmark = test_debian.pytestmark
STORY, ANSWER = "Een verhaal van voor de brand.", "Dank je wel."
KEPT = "/srv/kept"
ONION_KEY = "/var/lib/tor/klankbord-box/hs_ed25519_secret_key"


@pytest.fixture
def machines() -> Iterator[tuple[Debian, Debian]]:
    """Yield two fresh systems."""
    with made("bookworm") as first:
        folder = first.folder.parent / "second"
        folder.mkdir()
        second = Debian(folder / "system", first.suite)
        shutil.copytree(first.wheels, second.wheels)
        subprocess.run(["cp", "-a", first.folder, second.folder], check=True)
        yield first, second


@contextmanager
def serving(debian: Debian) -> Iterator[Both]:
    with both(debian.folder.parent, debian.path("/var/lib/klankbord"), debian.folder) as served:
        yield served


def bridge_of(debian: Debian) -> Bridge:
    return Bridge(debian.folder.parent / "run-nginx" / "onion.sock", first=of_circuit(8))


@pytest.mark.long
def test_restored_machine_keeps_its_address_and_accepts_existing_codes_and_desks(
    machines: tuple[Debian, Debian], tmp_path: Path
) -> None:
    old, new = machines
    said = old.install()
    (origin,) = json.loads(next(line for line in said.splitlines() if line[:1] == "{"))["origins"]
    els, code = _used(old, tmp_path, origin)
    _kept_elsewhere(old, new)
    backup = next(new.path(KEPT).glob("klankbord-*.age")).name
    given = ("--restore", f"{KEPT}/{backup}", "--key", f"{KEPT}/backup-key.txt")

    began = time.monotonic()
    said = new.enter("/src/deploy/install", *given, "--onion-key", f"{KEPT}/onion-key")
    took = time.monotonic() - began
    assert took < 600
    assert "1 conversation is back" in said
    assert re.findall(r"http://[a-z2-7]{56}\.onion", said)[-1] == origin
    assert not new.path("/run/klankbord-restore").exists()
    assert not new.path("/var/lib/klankbord-restore").exists()
    assert new.path("/var/lib/tor/klankbord-box/hostname").read_text().strip() in origin

    bridge = bridge_of(new)
    local = f"http://127.0.0.1:{bridge.port}"
    moved = new.enter("klankbord-server", "move", "--origin", origin, "--origin", local)
    (tmp_path / "moved").write_bytes(to_line({**json.loads(moved), "origins": [local]}))
    with serving(new) as served:
        browser = CircuitBrowser(origin, served.onion, 7)
        page = come_back(browser, "nl", code)
        assert STORY in page.text
        assert ANSWER in page.text
        with bridge:
            els.desk("move", tmp_path / "moved")
            els.desk("fetch", check=False)  # reports that the server was restored
            els.desk("fetch")
        assert STORY in json.dumps(els.read(the_only_thread(els)))


@pytest.mark.long
def test_restore_without_the_onion_key_names_only_reachable_addresses(
    machines: tuple[Debian, Debian], tmp_path: Path
) -> None:
    old, new = machines
    said = old.install()
    (origin,) = json.loads(next(line for line in said.splitlines() if line[:1] == "{"))["origins"]
    _kept_elsewhere(old, new)
    backup = next(new.path(KEPT).glob("klankbord-*.age")).name
    given = ("--restore", f"{KEPT}/{backup}", "--key", f"{KEPT}/backup-key.txt")
    # With another address's key nothing is kept, and the command can be repeated.
    stranger = new.path(f"{KEPT}/stranger")
    stranger.write_bytes(b"== ed25519v1-secret: type0 ==\0\0\0" + bytes([64]) + bytes(range(63)))
    with pytest.raises(AssertionError, match="no address of this site"):
        new.enter("/src/deploy/install", *given, "--onion-key", f"{KEPT}/stranger")
    assert list(new.path("/var/lib/klankbord").iterdir()) == []

    said = new.enter("/src/deploy/install", *given)
    invitation = json.loads(next(line for line in said.splitlines() if line[:1] == "{"))
    (now,) = invitation["origins"]
    assert now != origin
    assert f"{origin} does not lead here any more" in said
    assert said.rpartition("The addresses, for the poster:")[2].count(origin) == 0
    # Existing files are not changed.
    with pytest.raises(AssertionError, match="is for a new machine"):
        new.enter("/src/deploy/install", *given)


def _used(debian: Debian, folder: Path, origin: str) -> tuple[Counsellor, str]:
    """Send a report and an answer; return the counsellor and the reporter's code."""
    bridge = bridge_of(debian)
    local = f"http://127.0.0.1:{bridge.port}"
    invitation = debian.enter("klankbord-server", "move", "--origin", origin, "--origin", local)
    els = Counsellor(folder / "els")
    (folder / "invitation").write_bytes(to_line({**json.loads(invitation), "origins": [local]}))
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
    with serving(debian) as served:
        browser = CircuitBrowser(origin, served.onion, 7)
        code = tell(browser, "nl", STORY).code
        with bridge:
            els.desk("fetch")
            els.reply(the_only_thread(els), ANSWER)
    debian.enter("klankbord-server", "move", "--origin", origin)
    return els, code


def _kept_elsewhere(old: Debian, new: Debian) -> None:
    """Copy to the new machine only the files that the operator kept from the old one."""
    kept = new.path(KEPT)
    kept.mkdir(mode=0o700)
    key = old.enter("klankbord-server", "backup-key")
    (kept / "backup-key.txt").write_text(key)
    old.enter("klankbord-server", "backup")
    for path in old.path("/var/lib/klankbord/backups").iterdir():
        shutil.copy(path, kept)
    shutil.copy(old.path(ONION_KEY), kept / "onion-key")
    for path in kept.iterdir():
        path.chmod(0o600)
