"""``klankbord-server store``: where a site's conversations are stored."""

import fcntl
import os
from pathlib import Path

import click

from dropbox_app.server.cli import common
from dropbox_app.server.cli.common import folder_of, folder_option, place_of, site_option
from dropbox_app.server.config import moving
from dropbox_app.server.errors import ServerError


@click.group()
def store() -> None:
    """Choose where a site's conversations are stored."""


@store.command("move")
@folder_option
@site_option
@click.option(
    "--to",
    required=True,
    metavar="ADDRESS",
    help="A PostgreSQL address, or '' for the site's folder.",
)
def store_move(folder: Path | None, site_name: str | None, to: str) -> None:
    """Move a site's conversations to PostgreSQL, or back to its folder. Stop the server first.

    Each sealed file is read back and compared. Then the settings are changed to the new store, and
    the original is removed. If the move fails, nothing is changed. Codes and desks keep working.

    \b
    klankbord-server --dir /var/lib/klankbord store move --to "postgresql://klankbord@/klankbord"
    """
    place = place_of(folder, site_name)
    handle = os.open(folder_of(folder), os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)  # a running server holds this lock
    except BlockingIOError:
        raise ServerError("a server is running; stop it first: systemctl stop klankbord") from None
    else:
        copied = moving.move(place, to, common.today)
    finally:
        os.close(handle)
    common.say(
        f"moved and compared: {copied.mailboxes} mailboxes, {copied.items} sealed files. "
        "Start the server, then run doctor."
    )
