"""The operator's command.

Exit codes: 0 for success, 1 for failure, 2 for wrong usage, and 141 if the reader of the output
closed the pipe.
"""

import os
from contextlib import suppress
from pathlib import Path

import click

from dropbox_app.server.cli import common
from dropbox_app.server.cli.backup import backup_command, backup_key_command, restore_command
from dropbox_app.server.cli.cards import card
from dropbox_app.server.cli.common import Group, folder_of, folder_option
from dropbox_app.server.cli.doctor import doctor_command
from dropbox_app.server.cli.notify import notify_command, word_command
from dropbox_app.server.cli.purge import purge_command
from dropbox_app.server.cli.sites import init, move, site
from dropbox_app.server.cli.status import status_command
from dropbox_app.server.cli.store import store
from dropbox_app.server.cli.upgrade import upgrade_command
from dropbox_app.server.config import stores
from dropbox_app.server.config.loader import ReadSite
from dropbox_app.server.errors import ServerError, SettingsError, SiteFull


@click.group(cls=Group, context_settings={"help_option_names": ["-h", "--help"]})
@folder_option
@click.version_option(package_name="klankbord", prog_name="klankbord-server")
def main(folder: Path | None) -> None:
    """Run a sealed drop box for confidential counsellors.

    \b
    klankbord-server --dir /var/lib/klankbord init --name "Example" --origin https://drop.example.org
    klankbord-server --dir /var/lib/klankbord card add noor.card
    klankbord-server --dir /var/lib/klankbord serve
    """
    mask = os.umask(0o077)
    click.get_current_context().call_on_close(lambda: os.umask(mask))


for _command in (
    init,
    move,
    card,
    site,
    backup_key_command,
    backup_command,
    restore_command,
    doctor_command,
    word_command,
    notify_command,
    purge_command,
    upgrade_command,
    status_command,
    store,
):
    main.add_command(_command)


@main.command()
@folder_option
@click.option(
    "--bind",
    default="127.0.0.1:8000",
    show_default=True,
    help="HOST:PORT, or unix:PATH for nginx only.",
)
@click.option(
    "--workers",
    default=2,
    show_default=True,
    type=click.IntRange(1, 64),
    help="The number of worker processes.",
)
@click.option(
    "--threads",
    default=128,
    show_default=True,
    type=click.IntRange(2, 256),
    help="The number of threads in each worker.",
)
def serve(folder: Path | None, bind: str, workers: int, threads: int) -> None:
    """Serve all sites until stopped. SIGHUP loads changed settings without interrupting service.

    On a real server, bind to a socket file that only nginx can open. In a header, nginx states by
    which route each request arrived; a request without this header gets status 421. Use a TCP
    address only to try out the program on your own computer.

    \b
    klankbord-server --dir /var/lib/klankbord serve --bind unix:/run/klankbord/app.sock
    """
    # Flask and gunicorn are loaded only for this command.
    from dropbox_app.server.cli.serve import address_of, run, take, try_bind

    target = folder_of(folder)
    try:
        address = address_of(bind)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--bind") from None
    read = take(target)  # faults are reported here once, not by every worker
    if not read.sites:
        raise SettingsError("no site can be served; " + "; ".join(f.said for f in read.faults))
    for served in read.sites:
        try:
            _sweep(served)
        except (ServerError, OSError) as error:
            if len(read.sites) == 1:
                raise
            common.say(f"{served.place.name}: {error}", err=True)
    is_open = try_bind(address)
    # If the server is reachable only from this machine, its log contains no address.
    where = bind
    if not isinstance(address, Path) and not is_open:
        where = f"port {address[1]} of this machine"
    common.say(f"Serving on {where}; Ctrl-C ends it.", err=True)
    if is_open:
        common.say("Warning: that address is open to the network, without encryption.", err=True)
    run(target, bind=bind, workers=workers, threads=threads, read=read)


def _sweep(served: ReadSite) -> None:
    """Remove files left by a crash, and store the site's id. Raises ServerError, OSError."""
    opened = stores.opened(served.place, served.settings, common.today)
    try:
        if opened.site_id() is None:  # an older version created the database
            with opened.writing():
                opened.set_site_id(served.settings.site)
        opened.sweep()
        with suppress(SiteFull):  # a full disk has no space to reserve; the site still serves
            opened.keep_room()
    finally:
        opened.close()  # each worker opens it again after the fork
