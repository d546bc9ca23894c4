"""``klankbord-server word`` and ``notify``: write each status, then mail it to counsellors."""

import datetime
from pathlib import Path

import click

from dropbox_app.server.cli import common
from dropbox_app.server.cli.common import folder_of, folder_option
from dropbox_app.server.notify import config, sent_log, status, status_file

_FOLDER = click.Path(file_okay=False, path_type=Path)


@click.command("word")
@folder_option
@click.option(
    "--to", "place", type=_FOLDER, default=status_file.PLACE, show_default=True,
    help="The folder from which notify reads the statuses.",
)  # fmt: skip
def word_command(folder: Path | None, place: Path) -> None:
    """Write each counsellor's status for today's mail, without using the network.

    The status is "open" if something is waiting for the counsellor's desk. The status is also
    "open" if the desk has not fetched messages within the number of working days in which the site
    promises an answer (response_days). Otherwise the status is "rest".

    \b
    klankbord-server --dir /var/lib/klankbord word
    """
    faults = status.put(folder_of(folder), place, common.today())
    _end(faults)


@click.command("notify")
@click.option(
    "--settings", "file", type=click.Path(path_type=Path), default=config.FILE,
    show_default=True, help="The provider, and the counsellors' addresses.",
)  # fmt: skip
@click.option(
    "--words",
    type=_FOLDER,
    default=status_file.PLACE,
    show_default=True,
    help="The folder to which word writes the statuses.",
)
@click.option(
    "--state", type=_FOLDER, default=sent_log.PLACE, show_default=True,
    help="The folder for the record of sent mails.",
)  # fmt: skip
@click.option("--try", "only_try", is_flag=True, help="Send everybody a test mail; change nothing.")
def notify_command(file: Path, words: Path, state: Path, only_try: bool) -> None:
    """Send each counsellor today's mail, once. To retry failed emails, run the command again.

    \b
    klankbord-server notify --try
    """
    # Code that connects to a mail server is loaded only for this command.
    from dropbox_app.server.notify import run

    settings = config.read(file)
    now = datetime.datetime.now(datetime.UTC)
    if not only_try:
        _end(run.run(settings, words, state, now))
        return
    _end(run.trial(settings, now))
    common.say(f"The mail server accepted {len(settings.counsellor)}. Ask whether they arrived.")


def _end(faults: list[str]) -> None:
    for fault in faults:
        common.say(f"Fault: {fault}", err=True)
    if faults:
        click.get_current_context().exit(1)
