"""``klankbord-server word`` and ``notify``: the daily mail to counsellors, in two halves."""

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
    help="The folder from which notify takes it.",
)  # fmt: skip
def word_command(folder: Path | None, place: Path) -> None:
    """Put today's word for each counsellor, for the daily mail. Needs no network.

    Open the desk: something waits for it there, or it has not fetched for the working days within
    which the site promises an answer (response_days).

    \b
    klankbord-server --dir /var/lib/klankbord word
    """
    faults = status.put(folder_of(folder), place, common.today())
    _end(faults)


@click.command("notify")
@click.option(
    "--settings", "file", type=click.Path(path_type=Path), default=config.FILE,
    show_default=True, help="The provider, and who gets a mail.",
)  # fmt: skip
@click.option(
    "--words",
    type=_FOLDER,
    default=status_file.PLACE,
    show_default=True,
    help="Where word puts them.",
)
@click.option(
    "--state", type=_FOLDER, default=sent_log.PLACE, show_default=True,
    help="Where it keeps what was sent.",
)  # fmt: skip
@click.option("--try", "only_try", is_flag=True, help="Send each a trial, at once; change nothing.")
def notify_command(file: Path, words: Path, state: Path, only_try: bool) -> None:
    """Send each counsellor the mail of today, once. Again later: what could not be sent then.

    \b
    klankbord-server notify --try
    """
    # What talks to a mail server: only for this command.
    from dropbox_app.server.notify import run

    settings = config.read(file)
    now = datetime.datetime.now(datetime.UTC)
    if not only_try:
        _end(run.run(settings, words, state, now))
        return
    _end(run.trial(settings, now))
    common.say(f"The mail server took {len(settings.counsellor)}. Ask whether they came.")


def _end(faults: list[str]) -> None:
    for fault in faults:
        common.say(f"Fault: {fault}", err=True)
    if faults:
        click.get_current_context().exit(1)
