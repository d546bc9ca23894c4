"""Checks of Tor in front of the drop box: its settings, and access to its keys."""

import os
import re
import shlex
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from dropbox_app.server.doctor.finding import Finding, NoAnswer, note, unseen, wrong
from dropbox_app.server.doctor.machine import Faults, Machine
from dropbox_app.server.doctor.machine.units import BUSY, TOR, unit

TORRC = "/etc/tor/torrc"
SOCKETS = "/run/klankbord"
# The sockets on which nginx listens for Tor: one for reporters, one for desks.
_REPORTERS = "unix:/run/klankbord-nginx/onion.sock"
_DESKS = "unix:/run/klankbord-nginx/desks.sock"
# The folder of an onion address that lists the authorised clients. If it is empty, anyone can
# connect.
_KEYS = "authorized_clients"
_AGAINST_FLOODS = (
    ("HiddenServicePoWDefensesEnabled 1", "one who floods {} keeps others out"),
    ("HiddenServiceEnableIntroDoSDefense 1", "one who knocks at {} without end keeps others out"),
)
_QUIET = ("warn", "err")
# Each entry is a setting, its required value, and the effect of any other value.
_NEEDED = (
    ("HeartbeatPeriod", "0", "it may count visits in its log, hour by hour"),
    ("SocksPort", "0", "programs of this machine can visit through it"),
)
# The same, for settings that may be missing.
_LEFT = (
    ("SafeLogging", "1", "its log names addresses"),
    ("MetricsPort", "0", "another program can count visits"),
    ("ControlPort", "0", "another program can see circuits and count visits"),
    ("ORPort", "0", "it is a relay too, and what both do at once tells which address is here"),
    ("HiddenServiceSingleHopMode", "0", "the address hides this machine no more"),
    ("HiddenServiceNonAnonymousMode", "0", "the address hides this machine no more"),
)
_OWN = "/etc/tor/torrc.d/klankbord.conf"
_BOX = "/etc/tor/torrc.d/klankbord-box.conf"
_TORS = "/var/lib/tor"
_MEND = "deploy/install puts {} back; then systemctl restart tor"


@dataclass
class Onion:
    """One onion address in Tor's settings."""

    folder: str
    ports: list[str] = field(default_factory=list)
    settings: dict[str, str] = field(default_factory=dict)

    @property
    def ours(self) -> bool:
        """Return whether this address leads to the drop box."""
        return any(f"unix:{SOCKETS}" in port for port in self.ports)


@dataclass
class Config:
    """Tor's settings that differ from its defaults, with names in lower case."""

    lines: dict[str, list[str]]
    onions: list[Onion]

    def last(self, key: str) -> str:
        """Return a setting's effective value; "" if it is not set."""
        return self.lines.get(key, [""])[-1]


# Tor is run as Debian's unit runs it. It needs root's rights to check the folders of its keys.
_ASK = (
    "tor", "--defaults-torrc", "/usr/share/tor/tor-service-defaults-torrc", "-f", TORRC,
    "--RunAsDaemon", "0", "--hush",
)  # fmt: skip


def _refusal(machine: Machine) -> str:
    """Return Tor's own reason for rejecting its settings; "" if it accepts them.

    Raises NoAnswer if this account is not root.
    """
    if os.geteuid() != 0 or not machine.there(TORRC):
        return ""
    try:
        machine.ask(*_ASK, "--verify-config")
        return ""
    except NoAnswer:
        said = machine.ask(*_ASK, "--verify-config", codes=(1,))
    warnings = [line.partition("[warn] ")[2] for line in said.splitlines() if "[warn] " in line]
    return warnings[-1] if warnings else "it does not say why"


def config(machine: Machine) -> Config | None:
    """Return Tor's effective settings; None if there are none. Raises NoAnswer, Unseen."""
    if not machine.there(TORRC):
        return None
    said = machine.ask(*_ASK, "--dump-config", "short")
    found = Config({"log": ["notice stdout"]}, [])
    for key, _, value in (line.partition(" ") for line in said.splitlines()):
        if key == "HiddenServiceDir":
            found.onions.append(Onion(value.rstrip("/")))
        elif key.startswith("HiddenService") and found.onions:
            if key == "HiddenServicePort":
                found.onions[-1].ports.append(value)
            else:
                found.onions[-1].settings[key.lower()] = value
        found.lines.setdefault(key.lower(), []).append(value)
    if found.lines["log"][1:]:
        found.lines["log"] = found.lines["log"][1:]  # the first is Tor's default
    return found


def tor(machine: Machine) -> Faults:
    """Check that Tor records no visits and limits floods."""
    if said := _refusal(machine):
        yield wrong(
            "tor", f"Tor does not take its settings: {said}",
            f"correct {TORRC} and what it includes, then ask again: tor --verify-config",
        )  # fmt: skip
        return
    known = config(machine)
    onions = [onion for onion in known.onions if onion.ours] if known else []
    wanted = any(origin.endswith(".onion") for origin in machine.origins)
    if known is None or not onions:
        if known is None or not wanted:
            yield unseen(
                "tor", "no onion address of this machine leads to the drop box, so there was "
                "nothing to look at", "run doctor where Tor runs; or add one with deploy/install",
            )  # fmt: skip
        else:
            yield wrong(
                "tor", f"no HiddenServicePort in {TORRC} leads to {_REPORTERS}",
                _MEND.format(_BOX),
            )  # fmt: skip
        return
    yield from _told(known)
    yield from _ways_in(machine, known)
    for onion in onions:
        yield from _bounded(onion)
    loose = [one for one in onions if any(_missing(one, *setting) for setting in _AGAINST_FLOODS)]
    if len(loose) < len(onions):  # only root may be able to see which addresses need authorisation
        loose = [one for one in loose if not machine.inside(f"{one.folder}/{_KEYS}", "*.auth")]
    for one in loose:
        for setting in _AGAINST_FLOODS:
            yield from _missing(one, *setting)


def _told(known: Config) -> Faults:
    """Yield the settings through which Tor reveals visits."""
    for line in known.lines["log"]:
        severities = re.sub(r"\[[^\]]*\]", "", line).replace(",", " ").split()
        first = severities[0].partition("-")[0] if severities else "notice"
        if first not in _QUIET:
            yield wrong(
                "tor", f"its log tells more than faults, and so of visits: Log {line}",
                f"Log warn syslog, and no other Log line; {_MEND.format(_OWN)}",
            )  # fmt: skip
    for name, right, means in _NEEDED:
        if not re.match(rf"{right}\b", known.last(name.lower())):
            yield wrong(
                "tor", f"{means}: no {name} {right}", f"{name} {right}; {_MEND.format(_OWN)}"
            )
    for name, right, means in _LEFT:
        if known.last(name.lower()) not in ("", right):
            yield wrong(
                "tor", f"{means}: {name} {known.last(name.lower())}",
                f"{name} {right}, or take it out of {TORRC}; systemctl restart tor",
            )  # fmt: skip


def _ways_in(machine: Machine, known: Config) -> Faults:
    running = unit(machine, TOR)
    if running and running["ActiveState"] not in BUSY:
        yield wrong("tor", "Tor does not run", f"systemctl status {TOR} says why")
    for onion in known.onions:
        if onion.ours:
            yield from _joined(onion)
        else:
            yield note(
                "tor", f"{onion.folder} leads to something else on this machine: what can be "
                "broken into there is beside the drop box", "one machine for this alone",
            )  # fmt: skip
    told = machine.text("/etc/apparmor.d/local/system_tor") or ""
    held = machine.there("/sys/module/apparmor") and machine.there("/etc/apparmor.d/system_tor")
    dialled = {_target(port) for one in known.onions if one.ours for port in one.ports}
    for file in sorted(dialled) if held else ():
        if file.removeprefix("unix:") not in told:
            yield wrong(
                "tor", f"AppArmor keeps Tor from the socket: no line for {file}",
                _MEND.format("/etc/apparmor.d/local/system_tor"),
            )  # fmt: skip


def _target(port: str) -> str:
    return port.split()[-1]


def _joined(onion: Onion) -> Faults:
    """Yield a fault if an address does not lead to the socket on which nginx expects it."""
    name = PurePosixPath(onion.folder).name
    right = _DESKS if name.startswith("klankbord-desks") else _REPORTERS
    for port in onion.ports:
        if _target(port) != right:
            yield wrong(
                "tor", f"{onion.folder} leads to {_target(port)}, where it is not answered: it has "
                f"to be {right}", _MEND.format(f"/etc/tor/torrc.d/{name}.conf"),
            )  # fmt: skip
    yield from _missing(
        onion, "HiddenServiceExportCircuitID haproxy", "nobody comes in at {}, since nginx "
        "waits for the number of the circuit",
    )  # fmt: skip


def _missing(onion: Onion, said: str, means: str) -> list[Finding]:
    name, _, value = said.partition(" ")
    if onion.settings.get(name.lower()) == value:
        return []
    repair = f"{said}; {_MEND.format(_BOX)}"
    return [wrong("tor", f"{means.format(onion.folder)}: no {said}", repair)]


def _bounded(onion: Onion) -> Faults:
    """Check the limits on the number of connections that one visitor can open."""
    yield from _missing(
        onion, "HiddenServiceMaxStreamsCloseCircuit 1", "who opens too much at {} goes on",
    )  # fmt: skip
    if onion.settings.get("hiddenservicemaxstreams", "0") == "0":
        yield wrong(
            "tor", f"one visitor may open any number of connections at {onion.folder}: no "
            "HiddenServiceMaxStreams 32",
            f"HiddenServiceMaxStreams 32; {_MEND.format(_BOX)}",
        )  # fmt: skip


def onion(machine: Machine) -> Faults:
    """Check that this machine alone serves a site's onion addresses, and has their keys."""
    known = config(machine)
    onions = [one for one in known.onions if one.ours] if known else []
    wanted = {
        origin.partition("://")[2].partition(":")[0]
        for origin in machine.origins
        if origin.endswith(".onion")
    }
    if not onions:
        yield unseen(
            "onion", "there is no key of an onion address here, as far as can be seen, so none was "
            "looked at", "run doctor where Tor runs",
        )  # fmt: skip
        return
    served = set()
    for one in onions:
        found = machine.stat(one.folder)
        key = machine.stat(f"{one.folder}/hs_ed25519_secret_key") if found else None
        if found is None or key is None:
            yield wrong(
                "onion", f"the key of an address is not there: {one.folder}/hs_ed25519_secret_key",
                "stop tor and put the sealed copy back; with a new key the address is another one",
            )  # fmt: skip
            continue
        if found.mode & 0o077 or key.mode & 0o077 or key.owner != found.owner:
            yield wrong(
                "onion", f"the key in {one.folder} is open to other accounts: who has it can be "
                "the site",
                "chown -R debian-tor: {0}; chmod -R go= {0}".format(shlex.quote(one.folder)),
            )  # fmt: skip
        served.add((machine.text(f"{one.folder}/hostname") or "").strip())
    keys = {
        (machine.text(f"{folder}/hostname") or "").strip(): folder
        for folder in (machine.inside(_TORS, "klankbord-*") if wanted - served else [])
        if machine.stat(f"{folder}/hs_ed25519_secret_key")
    }
    for address in sorted(wanted - served):
        yield wrong(
            "onion", f"{address} is in site.toml, and Tor here serves another address",
            f"deploy/install makes Tor serve it again: its key lies in {keys[address]}"
            if address in keys
            else "klankbord-server move with the right --origin, or put the key of that address "
            "back",
        )  # fmt: skip
