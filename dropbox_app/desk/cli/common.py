"""Code shared by all commands of the desk: options, passphrase, files, error messages."""

import contextlib
import datetime
import getpass
import os
import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import click

from dropbox_app.desk import folder as workplace
from dropbox_app.desk.cli.terminal import visible
from dropbox_app.desk.errors import AlreadyThere, Kept, NotSetUp, Unfit
from dropbox_app.desk.folder import Machine, Workplace
from dropbox_app.desk.session import Report
from dropbox_app.desk.storage import vault
from dropbox_app.desk.storage.atomic_files import write_outside
from dropbox_app.protocol.card import Card
from dropbox_app.protocol.encoding import check_day
from dropbox_app.protocol.errors import FormatError, KlankbordError
from dropbox_app.protocol.keys import VerifyKey

FOLDER_VARIABLE = "KLANKBORD_DESK_DIR"
MAX_TEXT_FILE = 1_048_576  # bytes; the protocol reports a text that is too long for a message
MAX_PASSPHRASE_FILE = 4_096
UNREAD = 141  # the exit code of a program that SIGPIPE ended, as a shell shows it

F = TypeVar("F", bound=Callable[..., object])


class _Calm(click.ClickException):
    """An error as shown to the user: one sentence and nothing else."""

    def show(self, file: Any = None) -> None:  # noqa: ANN401 - click's own signature
        click.echo(visible(self.message), file=file or sys.stderr)


class _Kept(_Calm):
    """The error for a message that was not sent but is stored."""

    exit_code = 3


def leave_unread() -> NoReturn:
    """End the command because its output is no longer read, as in ``list | head -1``."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(AttributeError, OSError, ValueError):  # no stream, or not a file
            os.dup2(nowhere, stream.fileno())  # Python writes the rest to it when it ends
    raise SystemExit(UNREAD)


class DeskGroup(click.Group):
    """A group of commands that turns errors into a sentence and an exit code."""

    def make_context(self, *given: Any, **extra: Any) -> click.Context:  # noqa: ANN401 - click's own signature
        """Parse the command line."""
        try:
            return super().make_context(*given, **extra)
        except BrokenPipeError:  # while the help was printed
            leave_unread()

    def invoke(self, ctx: click.Context) -> Any:  # noqa: ANN401 - click's own signature
        """Run a command."""
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(AttributeError, ValueError):
                stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr] # a text file
        try:
            return super().invoke(ctx)
        except KlankbordError as error:
            raise (_Kept if isinstance(error, Kept) else _Calm)(str(error)) from None
        except BrokenPipeError:
            leave_unread()
        except OSError as error:
            where = f" ({error.filename})" if error.filename else ""
            raise _Calm(
                f"This computer could not do it: {error.strerror or error}{where}."
            ) from None
        except click.Abort:
            click.echo(err=True)  # ends the line with the question
            raise _Calm("The question was not answered, so that was not done.") from None
        except KeyboardInterrupt:
            raise _Calm(
                "Stopped by Ctrl-C before it was finished. Nothing that was here before is lost. "
                "'list' shows messages that wait to be sent."
            ) from None


def shared(command: F) -> F:
    """Add the options that may come before or after the command."""

    def keep(ctx: click.Context, parameter: click.Parameter, value: object) -> object:
        if value is not None and parameter.name:
            ctx.find_root().meta[f"klankbord.{parameter.name}"] = value
        return value

    for option in (
        click.option("--site", "site", metavar="NAME", help="The site, if there are several."),
        click.option(
            "--passphrase-file",
            "passphrase_file",
            type=click.Path(path_type=Path, dir_okay=False),
            help="Read the passphrase from the first line of this file instead of asking.",
        ),
        click.option(
            "--dir",
            "folder",
            type=click.Path(path_type=Path, file_okay=False),
            help=f"The desk's folder (default: {FOLDER_VARIABLE}, or klankbord-desk at home).",
        ),
    ):
        option(command)
    for parameter in getattr(command, "__click_params__", []):
        if parameter.name in ("site", "passphrase_file", "folder"):
            parameter.callback, parameter.expose_value = keep, False
    return command


def _given(name: str) -> Any:  # noqa: ANN401 - a path or a text, as declared above
    return click.get_current_context().find_root().meta.get(f"klankbord.{name}")


def machine() -> Machine:
    """Return the environment of the desk: the real one, or the one that a Python caller set."""
    found = click.get_current_context().find_object(Machine)
    return found or Machine()


def folder() -> Path:
    """Return the desk's folder: from the option, from the environment, or in the home folder."""
    given = _given("folder") or os.environ.get(FOLDER_VARIABLE)
    return Path(given).absolute() if given else Path.home() / "klankbord-desk"


def passphrase(*, new: bool = False) -> str:
    """Return the passphrase from its file or the terminal. A new passphrase is typed twice."""
    file: Path | None = _given("passphrase_file")
    return read_passphrase(file) if file is not None else ask_passphrase(new=new)


def given_passphrase() -> str | None:
    """Return the passphrase from its file; None if no file was named."""
    file: Path | None = _given("passphrase_file")
    return None if file is None else read_passphrase(file)


def ask_passphrase(*, new: bool) -> str:
    """Return the passphrase from the terminal. A new passphrase is typed twice. Raises Unfit."""
    if new:
        click.echo(
            f"Choose a passphrase of at least {vault.MIN_PASSPHRASE} characters; five words drawn "
            "by dice are good. Without it nobody can open this desk, not even you. Write it "
            "down and keep it away from this computer.",
            err=True,
        )
    with warnings.catch_warnings():
        # On a terminal that cannot hide the passphrase, it is not asked for.
        warnings.simplefilter("error", getpass.GetPassWarning)
        try:
            return str(
                click.prompt("Passphrase", hide_input=True, confirmation_prompt=new, err=True)
            )
        except getpass.GetPassWarning:
            raise Unfit("There is no terminal to ask on. Give --passphrase-file.") from None


def read_passphrase(file: Path) -> str:
    """Return the first line of a passphrase file. Raises Unfit."""
    with file.open("rb") as stream:
        mode = os.fstat(stream.fileno()).st_mode if sys.platform != "win32" else 0
        raw = stream.read(MAX_PASSPHRASE_FILE)
    if mode & 0o002:
        raise Unfit(
            f"Everybody on this computer can change {file}. Make it readable by you only "
            f"('chmod 600 {file}') and try again."
        )
    try:
        text = raw.decode("utf-8").partition("\n")[0].removesuffix("\r")
    except UnicodeDecodeError:
        raise Unfit("The passphrase file is not text in UTF-8.") from None
    if not vault.tidy(text):
        raise Unfit("The first line of the passphrase file is empty.")
    return text


@contextlib.contextmanager
def at_work() -> Iterator[Workplace]:
    """Open the desk for this command, and lock its folder."""
    place = machine()
    if not (folder() / vault.NAME).is_file():
        # This error comes before anybody types a passphrase in vain.
        raise NotSetUp(
            f"There is no desk in {folder()}; make one with 'klankbord-desk init INVITATION', or "
            "name its folder with --dir."
        )
    with workplace.opened(folder(), passphrase(), place) as opened:
        yield opened


def site_hint() -> str:
    """Return the site named by ``--site``, or ""."""
    return str(_given("site") or "")


def confirm_groups(card: Card) -> bool:
    """Show the ten groups of a card and ask for confirmation. A missing answer counts as "no"."""
    return confirm_identity(f"The site shows a card of {card.name}", card.identity)


def confirm_identity(said: str, identity: VerifyKey) -> bool:
    """Show the ten groups of an identity with the sentence ``said``, and ask for confirmation.

    A missing answer counts as "no".
    """
    click.echo(f"{visible(said)} with these ten groups:", err=True)
    click.echo(identity.fingerprint(), err=True)
    try:
        return click.confirm("Are they those that your colleague reads out?", err=True)
    except click.Abort:
        click.echo(err=True)
        return False


def say(report: Report) -> None:
    """Print news on stdout and alarms on stderr. Alarms are printed even if stdout was closed."""
    try:
        for sentence in report.notes:
            click.echo(visible(sentence))
    finally:
        for sentence in report.alarms:
            click.echo(visible(sentence), err=True)


def tell(report: Report) -> None:
    """Like ``say``, but end the command with exit code 1 if there are alarms."""
    say(report)
    if report.alarms:
        click.get_current_context().exit(1)


def read_file(path: str, limit: int = MAX_TEXT_FILE) -> bytes:
    """Return the contents of a named file, or of standard input for ``-``. Raises Unfit."""
    with click.open_file(path, "rb") as file:
        raw: bytes = file.read(limit + 1)
    if len(raw) > limit:
        raise Unfit(f"That file is larger than {limit} bytes; it cannot be the right one.")
    return raw


def read_text(path: str) -> str:
    """Return a UTF-8 text without its byte order mark and final line break. Raises Unfit."""
    try:
        text = read_file(path).decode("utf-8-sig")
    except UnicodeDecodeError:
        raise Unfit("That file is not text in UTF-8; save it as UTF-8 and try again.") from None
    text = text.removesuffix("\n").removesuffix("\r")
    if not text.strip():
        raise Unfit("That file is empty; nothing was sent.")
    return text


def read_day(text: str) -> datetime.date:
    """Return a day that a person typed. Raises Unfit."""
    try:
        return check_day(text)
    except FormatError:
        raise Unfit(f"{text!a} is not a date; write it as 2027-01-31.") from None


def write_once(path: Path, data: bytes) -> None:
    """Write a file for another person. An existing file with the same contents is accepted."""
    try:
        write_outside(path, data)
    except AlreadyThere:
        if path.read_bytes() != data:
            raise


def warn_readable(out: Path) -> None:
    """Warn on stderr that an unencrypted folder was written."""
    click.echo(
        f"WARNING: {visible(str(out))} can be read by anybody who opens this computer. Delete it "
        "after use.",
        err=True,
    )
