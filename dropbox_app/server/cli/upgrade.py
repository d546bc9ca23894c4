"""``klankbord-server upgrade``."""

import os
from pathlib import Path

import click

from dropbox_app.server.cli import common


@click.command("upgrade")
@click.argument("release", type=click.Path(exists=True, file_okay=False, path_type=Path))
def upgrade_command(release: Path) -> None:
    """Upgrade this server to a signed release, as root; roll back if it does not serve.

    RELEASE is a release's folder, with SHA256SUMS and its signature. The signature must be made
    with the key in /etc/klankbord/release.pub. If it was interrupted, the same command first
    finishes it or rolls back. Only for a server that deploy/install made.

    \b
    klankbord-server upgrade klankbord-0.2.0
    """
    from dropbox_app.server.release.upgrade import Machine, Upgrade, UpgradeError

    if os.geteuid():
        raise UpgradeError("run it as root: it replaces the program. Nothing was changed")
    os.umask(0o022)  # the program is for everybody to read
    # A new folder below the program's own is root's alone; a name is taken as it was typed.
    target = release.absolute()
    from importlib.metadata import version  # what serves does not load it

    done = Upgrade(Machine(), version("klankbord"), common.say).run(target)
    common.say(
        f"Klankbord {done} is running. Next: doctor. To go back: see deploy/guide/routine.md.",
        err=True,
    )
