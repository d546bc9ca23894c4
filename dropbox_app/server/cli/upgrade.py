"""The command ``klankbord-server upgrade``."""

import os
from pathlib import Path

import click

from dropbox_app.server.cli import common


@click.command("upgrade")
@click.argument("release", type=click.Path(exists=True, file_okay=False, path_type=Path))
def upgrade_command(release: Path) -> None:
    """Upgrade this server to a signed release, as root; roll back if the release serves no pages.

    RELEASE is the folder of a release, with SHA256SUMS and its signature. The signature must be
    made with the key in /etc/klankbord/release.pub. After an interruption, run the same command
    again: it first finishes the upgrade or rolls it back. This command works only on a server that
    deploy/install set up.

    \b
    klankbord-server upgrade klankbord-0.2.0
    """
    from dropbox_app.server.release.upgrade import Machine, Upgrade, UpgradeError

    if os.geteuid():
        raise UpgradeError("run it as root: it replaces the program. Nothing was changed")
    os.umask(0o022)  # everybody may read the program
    # Only root can write in a new folder below the program's. The name is used as it was typed.
    target = release.absolute()
    from importlib.metadata import version  # not loaded by a serving process

    done = Upgrade(Machine(), version("klankbord"), common.say).run(target)
    common.say(
        f"Klankbord {done} is running. Next: doctor. To go back: see deploy/guide/routine.md.",
        err=True,
    )
