"""``klankbord-server word`` and ``notify``: the daily mail to counsellors, in two halves."""

import datetime
from pathlib import Path

import click

from dropbox_app.server import command_line, mail_settings, mail_state, todays_word, word
from dropbox_app.server.command_line import folder_of, folder_option

_FOLDER = click.Path(file_okay=False, path_type=Path)


@click.command("word")
@folder_option
@click.option(
    "--to", "place", type=_FOLDER, default=word.PLACE, show_default=True,
    help="The folder from which notify takes it.",
)  # fmt: skip
def word_command(folder: Path | None, place: Path) -> None:
    """Put today's word for each counsellor, for the daily mail. Needs no network.

    Open the desk: something waits for it there, or it has not fetched for a week.

    \b
    klankbord-server --dir /var/lib/klankbord word
    """
    faults = todays_word.put(folder_of(folder), place, command_line.today())
    _end(faults)


@click.command("notify")
@click.option(
    "--settings", "file", type=click.Path(path_type=Path), default=mail_settings.FILE,
    show_default=True, help="The provider, and who gets a mail.",
)  # fmt: skip
@click.option(
    "--words", type=_FOLDER, default=word.PLACE, show_default=True, help="Where word puts them."
)
@click.option(
    "--state", type=_FOLDER, default=mail_state.PLACE, show_default=True,
    help="Where it keeps what was sent.",
)  # fmt: skip
@click.option("--try", "only_try", is_flag=True, help="Send each a trial, at once; change nothing.")
def notify_command(file: Path, words: Path, state: Path, only_try: bool) -> None:
    """Send each counsellor the mail of today, once. Again later: what could not be sent then.

    \b
    klankbord-server notify --try
    """
    # What talks to a mail server: only for this command.
    from dropbox_app.server import notify

    settings = mail_settings.read(file)
    now = datetime.datetime.now(datetime.UTC)
    if not only_try:
        _end(notify.run(settings, words, state, now))
        return
    _end(notify.trial(settings, now))
    click.echo(f"The mail server took {len(settings.counsellor)}. Ask whether they came.")


def _end(faults: list[str]) -> None:
    for fault in faults:
        click.echo(f"Fault: {fault}", err=True)
    if faults:
        click.get_current_context().exit(1)
