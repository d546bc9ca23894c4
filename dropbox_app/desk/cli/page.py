"""The command that opens the desk's page."""

from collections.abc import Callable
from typing import TypeVar

import click

from dropbox_app.desk.cli import common
from dropbox_app.desk.cli.common import shared
from dropbox_app.protocol.retrieval_code import LANGUAGES

F = TypeVar("F", bound=Callable[..., object])


def options(command: F) -> F:
    """Add the options of the page, for ``open`` and for the program without a command."""
    port = click.option(
        "--port",
        type=click.IntRange(0, 65535),
        default=0,
        help="A port on 127.0.0.1 (default: a free one).",
    )
    no_browser = click.option(
        "--no-browser", is_flag=True, help="Print the address instead of opening a window."
    )
    lang = click.option(
        "--lang", type=click.Choice(LANGUAGES), help="The page's language, kept for the next time."
    )
    return no_browser(port(lang(command)))


@click.command("open")
@shared
@options
def open_page(no_browser: bool, port: int, lang: str | None) -> None:
    """Open the desk's page in its own window; this is the default command.

    The page is available only on this computer. The address that --no-browser prints works once,
    within a minute. The program ends when the window has been closed for a minute, or on Ctrl-C.

    \b
    Example:
      klankbord-desk open
    """
    # Flask is loaded only for this command.
    from dropbox_app.desk.web.server import serve

    serve(
        common.folder(),
        common.machine(),
        passphrase=common.given_passphrase,
        port=port,
        browser=not no_browser,
        language=lang or "",
        show=click.echo,
    )


COMMANDS = (open_page,)
