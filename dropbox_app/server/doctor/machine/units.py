"""Read systemd's units as systemd has loaded them."""

from dropbox_app.server.doctor.finding import NoAnswer
from dropbox_app.server.doctor.machine import Machine

STATES = ("Id", "LoadState", "ActiveState", "UnitFileState")
PROPERTIES = (
    *STATES, "FragmentPath", "DropInPaths", "ExecStart",
    "User", "UMask", "LimitCORE", "MemorySwapMax", "StandardOutput", "StandardError",
    "CapabilityBoundingSet", "AmbientCapabilities", "NoNewPrivileges", "PrivateTmp",
    "PrivateDevices", "PrivateNetwork", "ProtectHome", "ProtectSystem", "RestrictAddressFamilies",
    "MemoryDenyWriteExecute", "ReadOnlyPaths", "ReadWritePaths",
)  # fmt: skip
# The units that have reports in their memory.
SERVER = "klankbord.service"
NGINX = "klankbord-nginx.service"
TOR = "tor@default.service"
BUSY = ("active", "activating", "reloading")

Unit = dict[str, str]


def units(machine: Machine, *names: str) -> dict[str, Unit]:
    """Return the properties of each of these units that exists here. Raises NoAnswer."""
    found = _shown(machine, PROPERTIES, names)
    return {name: one for name, one in found.items() if one["LoadState"] == "loaded"}


def unit(machine: Machine, name: str) -> Unit | None:
    """Return one unit; None if it does not exist here. Raises NoAnswer."""
    return units(machine, name).get(name)


def used(machine: Machine, *names: str) -> list[str]:
    """Return the units that are running or that start at boot. Raises NoAnswer."""
    return [
        name
        for name, one in _shown(machine, STATES, names).items()
        if one["LoadState"] == "loaded"
        and (one["ActiveState"] in BUSY or one["UnitFileState"].startswith("enabled"))
    ]


def _shown(
    machine: Machine, properties: tuple[str, ...], names: tuple[str, ...]
) -> dict[str, Unit]:
    if not machine.there("/run/systemd/system"):
        raise NoAnswer("systemd does not run here, so its units were not looked at")
    asked = f"--property={','.join(properties)}"
    said = machine.ask("systemctl", "show", "--no-pager", asked, "--", *names)
    found = [_pairs(block) for block in said.strip("\n").split("\n\n")]
    if len(found) != len(names):
        raise NoAnswer("systemctl show told of other units than it was asked for")
    for one in found:
        known = STATES if one.get("LoadState") != "loaded" else properties
        if lacking := [name for name in known if name not in one]:
            raise NoAnswer(f"systemctl show did not tell {lacking[0]}")
    return dict(zip(names, found, strict=True))


def _pairs(block: str) -> Unit:
    return dict(line.split("=", 1) for line in block.splitlines() if "=" in line)
