"""``klankbord-desk``: the counsellor's desk, as a page and on the command line.

Without a command, the program opens the page, so that a double click is enough. Exit codes: 0
success; 1 failure or an alarm; 2 wrong usage; 3 a message was not sent but is stored, and the next
fetch sends it; 141 the reader of the output closed the pipe. An error is one sentence on stderr.
``--dir``, ``--passphrase-file`` and ``--site`` can be given before or after the command.
"""

import click

from dropbox_app.desk.cli import (
    annual,
    check_site,
    files,
    keys,
    notebook,
    page,
    printables,
    register,
    setup,
    threads,
    whole,
)
from dropbox_app.desk.cli.common import DeskGroup, shared


@click.group(
    cls=DeskGroup,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)
@shared
@page.options
@click.version_option(package_name="klankbord", prog_name="klankbord-desk")
@click.pass_context
def main(context: click.Context, no_browser: bool, port: int, lang: str | None) -> None:
    """The counsellor's desk: fetch, read and answer messages that are sealed to you.

    \b
    Example:
      klankbord-desk init invitation.json --name "Noor Jansen"
      klankbord-desk fetch
    """
    if context.invoked_subcommand is None:
        context.invoke(page.open_page, no_browser=no_browser, port=port, lang=lang)
    elif no_browser or port or lang:
        raise click.UsageError(
            "--no-browser, --port and --lang are for the page: give them after 'open', or without "
            "a command."
        )


for _command in (
    *setup.COMMANDS,
    *keys.COMMANDS,
    *check_site.COMMANDS,
    *whole.COMMANDS,
    *threads.COMMANDS,
    *files.COMMANDS,
    *notebook.COMMANDS,
    *register.COMMANDS,
    *annual.COMMANDS,
    *page.COMMANDS,
    *printables.COMMANDS,
):
    # The example comes last, below the options, because readers look there.
    for _one in (_command, *getattr(_command, "commands", {}).values()):
        _one.help, _mark, _example = (_one.help or "").rpartition("\b\n")
        _one.epilog = _mark + _example
    main.add_command(_command)
