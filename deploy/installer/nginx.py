"""nginx in front of the server: its account, configuration and unit. Part of ``deploy/install``.

Debian's package provides only the program. Its own unit stays masked, because it would open port 80
and keep logs.
"""

from __future__ import annotations

from pathlib import Path

from installer.machine import (
    DEPLOY,
    UNITS,
    Machine,
    account_is_there,
    group_is_there,
    make_account,
    make_group,
    say,
)

PACKAGES = ("nginx", "libnginx-mod-http-headers-more-filter")
ACCOUNT = "klankbord-nginx"  # also its group, which may open the folder of the server's socket
TOR_GROUP = "klankbord-tor"  # this group may open the folder of nginx's sockets
SETTINGS = Path("/etc/klankbord/nginx")
UNIT = UNITS / "klankbord-nginx.service"
TEMPLATE = ".in"  # suffix of a file that is filled in before it is installed
DEBIANS_OWN = "nginx.service"


def accounts(machine: Machine) -> None:
    """Create nginx's account, and the group through which Tor reaches nginx."""
    say("An account for nginx, and a group for Tor's way to it")
    make_account(machine, ACCOUNT)
    make_group(machine, TOR_GROUP)


def settings(machine: Machine) -> bool:
    """Install the configuration and the unit. Returns whether anything changed."""
    say("nginx in front of the server")
    _end_debians_own(machine)
    source = DEPLOY / str(SETTINGS).lstrip("/")
    files = [file.relative_to(source) for file in sorted(source.rglob("*")) if file.is_file()]
    changed = False
    for file in files:
        if file.suffix != TEMPLATE:
            changed |= machine.ship(SETTINGS / file)
    # Files left by an earlier version would be included, so they are removed. Files made from a
    # template stay.
    made = {SETTINGS / str(file).removesuffix(TEMPLATE) for file in files}
    for path in SETTINGS.rglob("*.conf"):
        if path not in made:
            machine.remove(path)
            changed = True
    changed |= machine.ship(UNIT)
    return changed


def _end_debians_own(machine: Machine) -> None:
    """Mask Debian's unit, and stop it if it runs."""
    if machine.systemd and not (UNITS / DEBIANS_OWN).is_symlink():
        asked = ("systemctl", "is-active", "--quiet", DEBIANS_OWN)
        if not machine.dry and machine.try_to_run(*asked):
            machine.service("disable", "--now", DEBIANS_OWN)
            say("  it is not used any more; for a domain: deploy/install --domain NAME")
    machine.mask(DEBIANS_OWN)


def serve(machine: Machine, changed: bool) -> None:
    """Start nginx, now and at boot; if ``changed``, restart it."""
    machine.service("daemon-reload")
    machine.service("enable", UNIT.stem)
    machine.service("restart" if changed else "start", UNIT.stem)


def leave(machine: Machine) -> None:
    """Remove the nginx setup, except Debian's package, whose unit stays masked."""
    say("nginx")
    if UNIT.exists():
        machine.service("disable", "--now", UNIT.stem)
    machine.remove(UNIT, UNIT.with_name(f"{UNIT.name}.d"), SETTINGS)
    machine.remove_empty(SETTINGS.parent)
    machine.service("daemon-reload")
    if account_is_there(ACCOUNT):
        machine.run("userdel", ACCOUNT)
    if group_is_there(TOR_GROUP):
        machine.run("groupdel", TOR_GROUP)
