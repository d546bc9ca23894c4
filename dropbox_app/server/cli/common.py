"""Code shared by the ``klankbord-server`` commands: folder, site, day, and errors."""

import contextlib
import datetime
import os
import pwd
import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import click

from dropbox_app.protocol.errors import KlankbordError
from dropbox_app.server import account
from dropbox_app.server.config import paths
from dropbox_app.server.config.paths import Place
from dropbox_app.server.errors import visible
from dropbox_app.server.store.files import open_untouched

UNREAD = 141  # the exit code of a program that SIGPIPE ended, as a shell shows it

_Command = TypeVar("_Command", bound=Callable[..., object])


def today() -> datetime.date:
    """Return the UTC day. The commands read the clock only through this function."""
    return datetime.datetime.now(datetime.UTC).date()


class Refused(click.ClickException):
    """An error message for the operator, in which control characters are escaped."""

    def format_message(self) -> str:
        """Return the message with all control characters escaped."""
        return "\n".join(map(visible, self.message.split("\n")))


def say(text: str, *, err: bool = False) -> None:
    """Print lines, and escape control characters in names from a folder, card or setting."""
    click.echo("\n".join(map(visible, text.split("\n"))), err=err)


def leave_unread() -> NoReturn:
    """End the command because nothing reads its output any more, as in ``site list | head -1``."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(AttributeError, OSError, ValueError):  # no stream, or not a file
            os.dup2(nowhere, stream.fileno())  # Python writes the rest to it when it ends
    raise SystemExit(UNREAD)


class Group(click.Group):
    """A group of commands that turns every error into one sentence and exit code 1."""

    def make_context(self, *given: Any, **extra: Any) -> click.Context:  # noqa: ANN401 - click's own type
        """Parse the command line."""
        try:
            return super().make_context(*given, **extra)
        except BrokenPipeError:  # while the help was printed
            leave_unread()

    def invoke(self, ctx: click.Context) -> Any:  # noqa: ANN401 - click's own type
        """Run the command. A KlankbordError or OSError becomes an error message."""
        try:
            return super().invoke(ctx)
        except KlankbordError as error:
            sentence = (type(error).__doc__ or "").split("\n")[0].rstrip(".")
            raise Refused(f"{sentence}: {error}") from None
        except BrokenPipeError:
            leave_unread()
        except OSError as error:
            where = f"{error.filename}: " if error.filename else ""
            acts = isinstance(error, PermissionError) and os.geteuid() != 0
            acting = f" (this command acts as the account {_account()})" if acts else ""
            raise Refused(f"{where}{error.strerror or error}{acting}") from None
        except click.Abort:
            click.echo(err=True)  # ends the line with the question
            raise Refused("The question was not answered; nothing was changed.") from None
        except KeyboardInterrupt:
            raise Refused(
                "Stopped by Ctrl-C before it was finished. Check, and type it again."
            ) from None


class GivenFile(click.Path):
    """A file named on the command line, which this account may not have permission to read."""

    def __init__(self) -> None:
        super().__init__(exists=True, dir_okay=False, path_type=Path)

    def convert(
        self,
        value: Any,  # noqa: ANN401 - click's own type
        param: click.Parameter | None,
        ctx: click.Context | None,
    ) -> Any:  # noqa: ANN401 - click's own type
        """Return the path if this account can read it."""
        self.check(value, param, ctx)
        return super().convert(value, param, ctx)

    def check(
        self, value: str | Path, param: click.Parameter | None, ctx: click.Context | None
    ) -> None:
        """Reject a file that this account cannot read."""
        try:
            with open_untouched(Path(value)):
                pass
        except PermissionError:
            self.fail(
                f"{value} cannot be seen by the account that this command acts as "
                f"({_account()}); as root, lay it in /tmp meanwhile: "
                f"install -m 600 -o {_account()} {shlex.quote(str(value))} /tmp/",
                param, ctx,
            )  # fmt: skip
        except OSError:
            pass  # click reports this


def _account() -> str:
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return str(os.geteuid())


def folder_option(command: _Command) -> _Command:
    """Add the option ``--dir``, which can be given before or after the command."""
    return click.option(
        "--dir",
        "folder",
        metavar="DIR",
        type=click.Path(path_type=Path, readable=False),  # doctor explains more than click would
        help="The server's folder (default: KLANKBORD_DIR).",
    )(command)


def site_option(command: _Command) -> _Command:
    """Add the option ``--site``, for a command about one site; see ``place_of``."""
    return click.option(
        "--site",
        "site_name",
        metavar="NAME",
        help="The site's name, as site list shows it.",
    )(command)


def folder_of(given: Path | None) -> Path:
    """Return the folder from ``--dir`` (before or after the command) or the environment.

    After this call, root acts as the account that owns the folder; see ``server/account.py``.
    """
    folder = named_folder(given)
    if account.become_owner(folder):
        context = click.get_current_context()
        for param in context.command.params:
            if isinstance(param.type, GivenFile):
                values = context.params[str(param.name)]
                for value in values if isinstance(values, tuple) else (values,):
                    param.type.check(value, param, context)
    return folder


def named_folder(given: Path | None) -> Path:
    """Return the same folder as ``folder_of``, but keep this process's rights."""
    context = click.get_current_context()
    before: Path | None = context.find_root().params.get("folder")
    known = given or before or os.environ.get("KLANKBORD_DIR")
    if not known:
        raise click.UsageError("Give the server's folder: --dir DIR, or set KLANKBORD_DIR.")
    return Path(known).absolute()


def place_of(given: Path | None, site: str | None) -> Place:
    """Return the ``Place`` of the site named by ``--site``, or else of the default site.

    The default is the site in the server's own folder, or else the only site. Raises SettingsError.
    """
    return paths.chosen(folder_of(given), site)
