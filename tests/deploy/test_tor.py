"""Tor's files: Debian's tor accepts them together with Debian's own defaults."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support.unit_file import ETC

TOR = ETC / "tor"
DEBIAN = Path("/usr/share/tor/tor-service-defaults-torrc")
here = pytest.mark.skipif(
    not (shutil.which("tor") and DEBIAN.is_file()), reason="Debian's tor is not installed"
)


def tor(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run Debian's tor on our installed files in this folder; return the result."""
    (folder / "torrc.d").mkdir(exist_ok=True)
    (folder / "data").mkdir(mode=0o700, exist_ok=True)
    shutil.copy(TOR / "torrc.d" / "klankbord.conf", folder / "torrc.d")
    text = (TOR / "torrc.d" / "klankbord-onion.conf.in").read_text("utf-8").replace("@NAME@", "box")
    text = text.replace("/var/lib/tor", str(folder / "data"))
    (folder / "torrc.d" / "klankbord-box.conf").write_text(text)
    text = (
        (TOR / "torrc.d" / "klankbord-desks.conf.in").read_text("utf-8").replace("@NAME@", "desks")
    )
    text = text.replace("/var/lib/tor", str(folder / "data"))
    (folder / "torrc.d" / "klankbord-desks.conf").write_text(text)
    (folder / "torrc").write_text(f"%include {folder}/torrc.d/*.conf\n")
    own = ("--User", "root") if os.geteuid() == 0 else ()
    return subprocess.run(
        ["tor", "--defaults-torrc", DEBIAN, "-f", folder / "torrc", *own, "--RunAsDaemon", "0",
         "--DataDirectory", folder / "data" / "own", *words],
        capture_output=True, text=True, check=False,
    )  # fmt: skip


@here
@pytest.mark.skipif(os.geteuid() != 0, reason="Debian's defaults name a user, as root only")
def test_tor_accepts_every_line_of_the_configuration(tmp_path: Path) -> None:
    done = tor(tmp_path, "--verify-config")
    assert done.returncode == 0, done.stdout
    assert "Configuration was valid" in done.stdout
    warned = [line for line in done.stdout.splitlines() if "[warn]" in line]
    assert [line for line in warned if "running Tor as root" not in line] == []


@here
@pytest.mark.skipif(os.geteuid() != 0, reason="Debian's defaults name a user, as root only")
def test_debian_defaults_for_tor_are_overridden_where_necessary(tmp_path: Path) -> None:
    """Tor accepts only onion connections, logs no visit, and has every defence turned on."""
    shown = tor(tmp_path, "--dump-config", "short").stdout.splitlines()
    set_to: dict[str, list[str]] = {}
    for line in shown:
        name, _, value = line.partition(" ")
        set_to.setdefault(name, []).append(value)
    assert set_to["SocksPort"] == ["0"]
    assert set_to["Log"] == ["warn syslog"]
    assert set_to["HeartbeatPeriod"] == ["0"]
    assert set_to["AvoidDiskWrites"] == ["1"]
    assert set_to["HiddenServicePort"] == [
        f"80 unix:/run/klankbord-nginx/{name}.sock" for name in ("onion", "desks")
    ]
    # Tor must send the circuit first; nginx trusts that line only at these socket files.
    assert set_to["HiddenServiceExportCircuitID"] == ["haproxy"] * 2
    for defence in ("PoWDefensesEnabled", "EnableIntroDoSDefense", "MaxStreamsCloseCircuit"):
        assert set_to[f"HiddenService{defence}"][0] == "1"
    assert int(set_to["HiddenServiceMaxStreams"][0]) > 6
    assert not [name for name in set_to if name in ("ORPort", "DirPort", "HTTPTunnelPort")]


@here
@pytest.mark.skipif(os.geteuid() != 0, reason="Debian's defaults name a user, as root only")
def test_tor_for_the_daily_mail_has_a_port_and_no_socket_file(tmp_path: Path) -> None:
    """The drop box can open files but has no network; a socket file would give it a way out."""
    defaults = DEBIAN.with_name("tor-service-defaults-torrc-instances").read_text("utf-8")
    kept = [line for line in defaults.splitlines() if not line.startswith("User ")]
    (tmp_path / "defaults").write_text("\n".join(kept).replace("@@NAME@@", "mail") + "\n")
    done = subprocess.run(
        ["tor", "--defaults-torrc", tmp_path / "defaults",
         "-f", TOR / "instances" / "mail" / "torrc", "--dump-config", "short"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    shown = done.stdout.splitlines()
    assert [line for line in shown if line.startswith("SocksPort")] == ["SocksPort 127.0.0.1:9050"]
    assert [line for line in shown if line.startswith("Log ")] == ["Log warn syslog"]
    assert not [line for line in shown if line.startswith("HiddenService")]
