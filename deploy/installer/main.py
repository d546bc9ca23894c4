"""Turn a dedicated machine (Debian 12 or newer) into a drop box. Run it as root.

    deploy/install                asks questions, then installs; run it again to repair or update
    deploy/install --dry-run      shows every step and changes nothing; also works without root
    deploy/install --mail         with a daily mail to counsellors; --no-mail removes it again
    deploy/install --site NAME    a separate onion address for another site
    deploy/install --desks        an onion address that only desks can reach; --desk NAME KEY
                                  gives one access, --no-desk NAME revokes it; --site names the site
    deploy/install --restore BACKUP --key KEY --onion-key FILE
                                  on a new machine: installs and restores a backup
    deploy/install --prepare      installs the program next to the one in use, without switching
    deploy/install --uninstall    removes the installation; reports and the onion key stay

It creates a separate account, the program with its pinned packages, one site and a systemd service
without network access. nginx and an onion address are set up in front of it, and HTTPS for a domain
if you want one. It shows every program that it runs and every file that it writes. It needs only
Python's standard library.
"""

from __future__ import annotations

import argparse
import os
import re
import sys
from pathlib import Path

from installer import domain, nginx, notify, onions, program, questions, restore, site, tor
from installer.machine import PROGRAM, Machine, packages, say, stop
from installer.program import ACCOUNT, BACKUP, COMMAND, DATA, UNIT

JOURNAL = Path("/etc/systemd/journald.conf.d/klankbord.conf")


def journal(machine: Machine) -> None:
    say("The journal, in memory alone")
    if machine.ship(JOURNAL):
        machine.service("restart", "systemd-journald")


def install(machine: Machine, asked: argparse.Namespace) -> None:
    of_domain = domain.PACKAGES if asked.domain else []
    packages(machine, ["python3-venv", "tor", *nginx.PACKAGES, *of_domain])
    program.account(machine)
    nginx.accounts(machine)
    journal(machine)
    changed = program.program(machine)
    before: list[str] = []
    if asked.restore:
        before = restore.data(machine, asked)
        if asked.domain is None and (found := restore.domain_of(before)):
            asked.domain = found
            packages(machine, domain.PACKAGES)
        if asked.onion_key:
            restore.onion_key(machine, asked.onion_key)
    name = asked.domain
    front = nginx.settings(machine)
    (address,) = tor.onion(machine, onions.OWN)
    others = bool(asked.restore) and restore.addresses(machine, asked, before, address, name or "")
    if name:
        front |= domain.prepare(machine, name, address)
    elif domain.WAY.exists():
        domain.away(machine)
        front = True
    origins = [f"http://{address}", *([f"https://{name}"] if name else [])]
    invitation, moved = site.site(machine, asked, origins)
    moved |= others
    serve(machine, changed=changed or moved)
    domain.caddy_ends(machine)
    tor.leave_group(machine, ACCOUNT)
    nginx.serve(machine, changed=front)
    program.backups(machine)
    fault = domain.certify(machine, name) if name else ""
    (notify.prepare if asked.mail else notify.leave)(machine)
    if machine.dry:
        return
    site.ending(invitation, moved)
    if fault:
        stop(fault)


def serve(machine: Machine, changed: bool) -> None:
    """Start the server, now and at boot. If ``changed``, restart it."""
    say("The service")
    changed |= machine.ship(UNIT)
    machine.service("daemon-reload")
    machine.service("enable", UNIT.stem)
    machine.service("restart" if changed else "start", UNIT.stem)


def uninstall(machine: Machine) -> None:
    notify.leave(machine)
    say("The service")
    for unit in (UNIT, BACKUP[1]):
        if unit.exists():
            machine.service("disable", "--now", unit.name)
    machine.remove(UNIT, *BACKUP, COMMAND, PROGRAM, program.TRUSTED)
    if JOURNAL.exists():
        machine.remove(JOURNAL)
        machine.remove_empty(JOURNAL.parent)
        machine.service("restart", "systemd-journald")
    tor.leave(machine)
    domain.away(machine)
    domain.caddy_ends(machine)
    tor.leave_group(machine, ACCOUNT)
    nginx.leave(machine)
    keys = " ".join(map(str, dict.fromkeys([tor.ONION, *onions.kept()])))
    say(
        "\nDebian's packages stay, and so do the reports, the account and the keys of addresses."
        f"\nDebian's own nginx stays masked; to use it: systemctl unmask {nginx.DEBIANS_OWN}"
        "\nTo end the reports and keys too, for good and for every reporter who has a code:"
        f"\n\n    rm -r {DATA} {keys}\n    userdel {ACCOUNT}"
    )


def check(machine: Machine) -> None:
    release_file = Path("/etc/os-release")
    told = release_file.read_text("utf-8") if release_file.is_file() else ""
    number = re.search(r'^VERSION_ID="?(\d+)', told, re.MULTILINE)
    if not re.search(r"^ID=debian$", told, re.MULTILINE) or not number or int(number[1]) < 12:
        stop("this is for Debian 12 or newer; deploy/guide/by-hand.md says how to do it by hand")
    if sys.version_info < (3, 11):  # noqa: UP036 - this message is for an older Python
        stop("Python 3.11 or newer is needed")
    if os.geteuid() and not machine.dry:
        stop("run it as root: sudo deploy/install")


def parser() -> argparse.ArgumentParser:
    """Return the options of the installer. ``deploy/reference.md`` lists them."""
    about, _, more = (__doc__ or "").partition("\n\n")
    made = argparse.ArgumentParser(
        prog="deploy/install", description=about, epilog=more,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    made.add_argument("--name", help="the organisation, as reporters see it")
    made.add_argument("--run-by", help="the operator's name, as the pages show it")
    made.add_argument("--run-by-employer", action="store_true", help="the employer runs the server")
    made.add_argument("--domain", help="a domain of your own with HTTPS; '' for onion only")
    made.add_argument("--phone", help="the counsellor's telephone number; '' for none")
    made.add_argument("--hours", help="the hours when calls are answered; '' for none")
    made.add_argument(
        "--controller",
        help="the controller of the personal data, with contact details; '' for none",
    )
    made.add_argument(
        "--other-contact", nargs=2, metavar=("NAME", "PHONE"),
        help="somebody else to call if the report is about a counsellor; '' '' for none",
    )  # fmt: skip
    made.add_argument(
        "--mail", action=argparse.BooleanOptionalAction,
        help="a daily mail that tells each counsellor whether to open the desk",
    )  # fmt: skip
    made.add_argument("--site", metavar="NAME", help="an onion address for another site")
    made.add_argument("--desks", action="store_true", help="an onion address for desks only")
    made.add_argument(
        "--desk", nargs=2, metavar=("NAME", "KEY"), help="give a desk access by its key"
    )
    made.add_argument("--no-desk", metavar="NAME", help="revoke a desk's access")
    made.add_argument(
        "--restore",
        metavar="BACKUP",
        type=Path,
        help="on a new machine: the backup, klankbord-DAY.age",
    )
    made.add_argument("--key", type=Path, help="the file with the key that backup-key printed")
    made.add_argument("--onion-key", type=Path, help="the old machine's hs_ed25519_secret_key")
    made.add_argument(
        "--withdrawn", metavar="LIST", type=Path, action="append", default=[],
        help="another list of withdrawn conversations",
    )  # fmt: skip
    made.add_argument("--old", action="store_true", help="accept a backup that is too old")
    made.add_argument("--dry-run", action="store_true", help="show every step, change nothing")
    made.add_argument(
        "--prepare", action="store_true", help="only install the program; for upgrade"
    )
    made.add_argument("--uninstall", action="store_true", help="remove the installation")
    return made


def main() -> None:
    asked = parser().parse_args()
    os.umask(0o022)
    machine = Machine(asked.dry_run)
    check(machine)
    if not asked.uninstall:
        restore.check(asked)
        onions.check(asked, asked.dry_run or site.is_installed())
    if asked.uninstall:
        uninstall(machine)
    elif asked.prepare:
        say(str(program.prepare(machine)))  # the last line, which ``upgrade`` reads
    elif asked.desks or asked.desk or asked.no_desk:
        onions.desks(machine, asked, tor.onion)
    elif asked.site:
        site.site_address(machine, asked.site)
    else:
        there = os.geteuid() == 0 and (DATA / "site.toml").is_file()
        if not asked.restore:
            questions.ask(asked, there)
        questions.ask_mail(asked, there)
        install(machine, asked)
    if machine.dry:
        say("\nNothing was changed.")
