"""Set up the daily mail to counsellors on a machine, or remove it.

Part of ``deploy/install``.
"""

from __future__ import annotations

from pathlib import Path

from installer.machine import (
    CURRENT,
    UNITS,
    Machine,
    account_is_there,
    make_account,
    packages,
    say,
    shipped,
)

ACCOUNT = "klankbord-notify"
SETTINGS = Path("/etc/klankbord-notify/notify.toml")
PASSWORD = SETTINGS.with_name("password")
COMMAND = Path("/usr/local/bin/klankbord-notify")
KEEPS = (Path("/var/lib/klankbord-words"), Path("/var/lib/klankbord-notify"))
OWN_UNITS = ("klankbord-word.service", "klankbord-notify.service", "klankbord-notify.timer")
# The links that ``systemctl enable`` creates.
TURNED_ON = UNITS / "timers.target.wants" / OWN_UNITS[-1]
WRAPPER = f"""\
#!/bin/sh
# The daily mail to counsellors, as its own account; see klankbord-server beside this.
as='setsid --wait runuser'
[ -t 0 ] && [ -t 1 ] && as='runuser --pty'
exec $as -u {ACCOUNT} -- {CURRENT}/bin/klankbord-server notify "$@"
"""


def prepare(machine: Machine) -> None:
    """Set up the daily mail. No mail is sent before the operator turns it on."""
    say("The daily mail to counsellors")
    packages(machine, ["ca-certificates"])
    machine.write(COMMAND, WRAPPER, 0o755)  # first, because ``leave`` looks for this file
    make_account(machine, ACCOUNT)
    for unit in OWN_UNITS:
        machine.ship(UNITS / unit)
    own = ("-o", "root", "-g", ACCOUNT)
    machine.run("install", "-d", "-m", "750", *own, SETTINGS.parent)
    for path, text in ((SETTINGS, shipped(SETTINGS)), (PASSWORD, "")):
        if not path.exists():
            machine.write(path, text, 0o640)
        machine.run("chown", f"root:{ACCOUNT}", path)
        machine.run("chmod", "640", path)
    machine.service("daemon-reload")
    if TURNED_ON.is_symlink():
        say("  it is turned on: one mail a day")
        return
    say(
        f"\nNothing is mailed yet. Fill in {SETTINGS} and the file"
        "\n`password` beside it; deploy/guide/extras.md says what the mail provider learns. Then:"
        "\n\n    klankbord-notify --try"
        "\n    systemctl enable --now klankbord-notify.timer\n"
    )


def leave(machine: Machine) -> None:
    """Remove the daily mail completely, including addresses, password and account."""
    if COMMAND.exists():
        say("No daily mail to counsellors")
        if (UNITS / OWN_UNITS[-1]).exists():
            machine.service("disable", "klankbord-notify.timer")
            machine.service("stop", *reversed(OWN_UNITS))
        machine.remove(*(UNITS / unit for unit in OWN_UNITS))
        machine.remove(SETTINGS.parent, *KEEPS)
        machine.service("daemon-reload")
        if account_is_there(ACCOUNT):
            machine.run("userdel", ACCOUNT)
        machine.remove(COMMAND)
