"""``klankbord-server purge``: run the daily purge by hand, for example after a clock fault."""

import datetime
from pathlib import Path

import click

from dropbox_app.server.cli import common
from dropbox_app.server.cli.common import folder_option, place_of, site_option
from dropbox_app.server.config import site as sites
from dropbox_app.server.config import stores
from dropbox_app.server.config.site import Site
from dropbox_app.server.errors import WrongClock
from dropbox_app.server.mailboxes import purge
from dropbox_app.server.store.interface import Store


@click.command("purge")
@folder_option
@site_option
@click.option(
    "--day",
    type=click.DateTime(["%Y-%m-%d"]),
    help="Today's date, read elsewhere: confirms that the clock is right.",
)
@click.option("--yes", is_flag=True, help="With --day: do not ask before removing anything.")
def purge_command(
    folder: Path | None, site_name: str | None, day: datetime.datetime | None, yes: bool
) -> None:
    """Remove expired data permanently. A running server removes expired data itself, once a day.

    The clock may be wrong if the date is before the newest stored day, or more than 31 days after
    the last purge. In that case nothing is removed until you confirm the date with --day. The
    command then shows what it would remove, and asks for confirmation.

    \b
    klankbord-server --dir /var/lib/klankbord purge
    """
    if yes and day is None:
        raise click.UsageError("--yes needs --day.")
    place = place_of(folder, site_name)
    site, today = sites.load(place.folder), common.today()
    if day is not None and day.date() != today:
        raise WrongClock(f"it says {today}, you say {day.date()}; set it first")
    store = stores.opened(place, site.settings, common.today)
    try:
        if day is not None:
            if not _confirmed(site, store, today, yes):
                common.say("Nothing was removed.", err=True)
                click.get_current_context().exit(1)
            purge.confirm(store, today)
        elif said := purge.doubt(store, today):
            raise WrongClock(f"{said}; if {today} is right: purge --day {today}")
        purged = purge.purge(site, store, today)
    finally:
        store.close()
    common.say(
        f"removed: {purged.mailboxes} mailboxes, {purged.items} items of others, "
        f"{purged.withdrawn_ids} withdrawn ids, {purged.leftovers} left-over files"
    )
    if not purged.log_emptied:
        common.say("The log was in use and is emptied by the next purge.", err=True)


def _confirmed(site: Site, store: Store, today: datetime.date, yes: bool) -> bool:
    """List what would be removed, and ask for confirmation if there is anything to remove."""
    mailboxes, items = purge.expired(site, store, today)
    if not mailboxes and not items:
        return True
    common.say(
        f"If {today} is right, {mailboxes} conversations and {items} items of others have expired "
        "and are removed for good.",
        err=True,
    )
    return yes or click.confirm("Remove them?", err=True)
