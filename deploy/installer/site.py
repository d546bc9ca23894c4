"""The site in the server's folder, and the operator's next steps. Part of ``deploy/install``."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence

from installer import onions, tor
from installer.machine import Machine, say
from installer.program import COMMAND, DATA


def site(machine: Machine, asked: argparse.Namespace, origins: Sequence[str]) -> tuple[str, bool]:
    """Create the site, or set the addresses of the existing one.

    Returns the invitation, and whether a running server must reload its settings.
    """
    say("The site")
    if not (DATA / "site.toml").is_file() and not asked.restore:
        extra = [word for origin in origins for word in ("--origin", origin)]
        for option in ("phone", "hours", "controller"):
            if value := getattr(asked, option):
                extra += [f"--{option}", value]
        if any(asked.other_contact):
            extra += ["--other-contact", *asked.other_contact]
        extra += ["--run-by-employer"] if asked.run_by_employer else []
        words = ("--name", asked.name, "--run-by", asked.run_by)
        return machine.run(COMMAND, "init", *words, *extra), True
    say("  it is there already, and keeps its name, settings and reports")
    invitation = machine.run(COMMAND, "move")
    known: list[str] = [] if machine.dry else json.loads(invitation)["origins"]
    new = [origin for origin in origins if origin not in known]
    if machine.dry or not new:
        return invitation, False
    words_of_all = [word for origin in (*known, *new) for word in ("--origin", origin)]
    return machine.run(COMMAND, "move", *words_of_all), True


def ending(invitation: str, moved: bool) -> None:
    """Print the operator's next steps, except those already done."""
    say("\nDone. The addresses, for the poster:\n")
    for origin in json.loads(invitation)["origins"]:
        say(f"    {origin}")
    closed = not any((DATA / "cards").glob("*.card"))
    if closed or moved:
        say(
            "\nThe invitation, one line, no secret. Save the line as invitation.json and send that"
            "\nfile to each counsellor; `klankbord-server move` prints the line again:\n"
        )
        say(invitation.strip())
    if closed:
        say(
            "\nNext: the counsellor makes a card from it, and reads out ten groups by telephone."
            "\nThen:"
            "\n\n    klankbord-server card add FILE"
            "\n\nUntil then the site says that it is not open yet."
        )
    elif moved:
        say(
            "\nEach counsellor takes the addresses under 'Keys and cards', or with"
            "\n\n    klankbord-desk move invitation.json"
        )
    say(
        "\nKeep a sealed copy of these two in another place; without the one all codes are lost,"
        "\nwithout the other the address is:"
        f"\n\n    {DATA}/site.toml\n    {tor.ONION}/hs_ed25519_secret_key"
    )
    if not (DATA / "backup-key").is_file():
        say(
            "\nNo backups are made yet: they are sealed to a key that only you have. Make it from"
            "\nyour own computer, so that it never lies on this one; then one comes each day:"
            "\n\n    (umask 077;"
            " ssh root@THIS-MACHINE klankbord-server backup-key > backup-key.txt)"
            "\n\nKeep that file at two places: without it no backup opens."
        )


def take_up(machine: Machine) -> None:
    """Make a running server reload its settings without interrupting visits."""
    machine.service("try-reload-or-restart", "klankbord")


def site_address(machine: Machine, name: str) -> None:
    """Create an onion address for a site in DIR/sites, and add it if the site exists."""
    (address,) = tor.onion(machine, onions.of_site(name))
    if machine.dry:
        return
    origin = f"http://{address}"
    if not (DATA / "sites" / name / "site.toml").is_file():
        say(
            f"\nDone. The address is {origin}; make the site with it:"
            f'\n\n    klankbord-server site add {name} --name "ORGANISATION" --origin {origin}'
            "\n    systemctl reload klankbord"
        )
        return
    say("The site")
    invitation = machine.run(COMMAND, "move", "--site", name)
    known: list[str] = json.loads(invitation)["origins"]
    if origin not in known:
        words = [word for each in (*known, origin) for word in ("--origin", each)]
        invitation = machine.run(COMMAND, "move", "--site", name, *words)
        take_up(machine)
    say(f"\nDone. {name} is at {origin} now too. The invitation:\n\n{invitation.strip()}")


def is_installed() -> bool:
    return (DATA / "site.toml").is_file() and COMMAND.is_file()
