"""``klankbord-server``, the operator's command. Exit codes: 0 done, 1 could not, 2 used wrongly."""

import datetime
import json
import os
import re
import secrets
import shutil
import unicodedata
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

import click

from dropbox_app.protocol import card as cards
from dropbox_app.protocol.card import Card
from dropbox_app.protocol.encoding import to_line
from dropbox_app.protocol.errors import CardError, KlankbordError
from dropbox_app.server import doctor as examination
from dropbox_app.server import settings, sites, upkeep
from dropbox_app.server.errors import ServerError, SettingsError, SiteFull, WrongClock
from dropbox_app.server.settings import Settings
from dropbox_app.server.store.files import replace_whole
from dropbox_app.server.store.sqlite import SqliteStore

_Command = TypeVar("_Command", bound=Callable[..., object])


def today() -> datetime.date:
    """The UTC day; the only clock of these commands."""
    return datetime.datetime.now(datetime.UTC).date()


class _Group(click.Group):
    """Turns every refusal into one sentence and exit code 1."""

    def invoke(self, ctx: click.Context) -> Any:  # noqa: ANN401 - as click has it
        try:
            return super().invoke(ctx)
        except KlankbordError as error:
            sentence = (type(error).__doc__ or "").split("\n")[0].rstrip(".")
            raise click.ClickException(f"{sentence}: {error}") from None
        except OSError as error:
            where = f"{error.filename}: " if error.filename else ""
            raise click.ClickException(f"{where}{error.strerror or error}") from None


def _folder_option(command: _Command) -> _Command:
    return click.option(
        "--dir",
        "folder",
        metavar="DIR",
        type=click.Path(path_type=Path, readable=False),  # doctor says more than click would
        help="The server's own folder. Also from KLANKBORD_DIR.",
    )(command)


def _folder(given: Path | None) -> Path:
    """The folder of ``--dir`` after the command, before it, or in the environment."""
    context = click.get_current_context()
    before: Path | None = context.find_root().params.get("folder")
    known = given or before or os.environ.get("KLANKBORD_DIR")
    if not known:
        raise click.UsageError("Give the server's folder: --dir DIR, or set KLANKBORD_DIR.")
    return Path(known).absolute()


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"]})
@_folder_option
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


@main.command()
@_folder_option
@click.option("--name", required=True, help="The organisation, as reporters read it.")
@click.option(
    "--origin",
    "origins",
    required=True,
    multiple=True,
    help="Where the site is dialled; once for each address.",
)
@click.option("--run-by", default="", help="Who runs this server; the pages say so.")
@click.option("--run-by-employer", is_flag=True, help="That is the employer itself.")
@click.option("--phone", default="", help="The counsellor's telephone.")
@click.option("--hours", default="", help="When that telephone is answered.")
def init(
    folder: Path | None,
    name: str,
    origins: tuple[str, ...],
    run_by: str,
    run_by_employer: bool,
    phone: str,
    hours: str,
) -> None:
    """Make a new site and print the invitation for its counsellors' desks.

    The folder must not exist yet, or be empty and belong to the account that types this.

    \b
    klankbord-server --dir /var/lib/klankbord init --name "Example" \\
        --origin https://drop.example.org --run-by "Example Hosting" > invitation.json
    """
    target = _folder(folder)
    wanted = Settings(
        site=secrets.token_hex(16),
        name=name,
        origins=origins,
        run_by=run_by,
        run_by_is_employer=run_by_employer,
        phone=phone,
        hours=hours,
    )
    text = settings.write(wanted)
    with _said_of_options(target / settings.FILE_NAME):
        made = settings.parse(text, target / settings.FILE_NAME)
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise ServerError(f"{target} is there already and is not empty; nothing was changed")
    _build(target, text)
    click.echo(_invitation(made))
    click.echo(f"The site is in {target}. Give the line above to each counsellor.", err=True)


@main.command()
@_folder_option
@click.option("--origin", "origins", multiple=True, help="An address from now on.")
def move(folder: Path | None, origins: tuple[str, ...]) -> None:
    """Give the site other addresses and print the new invitation.

    Site and codes stay the same. Each counsellor gives the invitation to the desk. Without
    --origin nothing changes and the invitation is printed again.

    \b
    klankbord-server --dir /var/lib/klankbord move --origin https://box.example.org
    """
    target = _folder(folder)
    path = target / settings.FILE_NAME
    changed = settings.read(target)
    if origins:
        with _said_of_options(path):
            text = settings.with_origins(path.read_text("utf-8"), origins, path)
        changed = settings.parse(text, path)
        replace_whole(path, text.encode("utf-8"), today())
        click.echo("Restart the server: it reads its settings at start.", err=True)
    click.echo(_invitation(changed))


@main.group()
def card() -> None:
    """Counsellors' cards: whom reporters can write to."""


@card.command("add")
@_folder_option
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--name", "file_name", help="What to call it here: a-z, 0-9 and -.")
@click.option("--fingerprint", help="The ten groups, as the counsellor read them out.")
def card_add(
    folder: Path | None, file: Path, file_name: str | None, fingerprint: str | None
) -> None:
    """Put a counsellor's card in use, once its ten groups are confirmed.

    Ring the counsellor, on a number you knew before, and have the ten groups read out.

    \b
    klankbord-server --dir /var/lib/klankbord card add noor.card
    """
    site = sites.load(_folder(folder))
    with file.open("rb") as opened:
        raw = opened.read(cards.MAX_BYTES + 1)
    name = file_name or _name_for(cards.parse(raw))
    new = site.check_new(name, raw, today())
    groups = new.identity.fingerprint()
    who = f"{_plain(new.name)}, {_who(new)}"
    click.echo(f"The card of {who}, with the fingerprint\n\n    {groups}\n", err=True)
    if fingerprint is None:
        answer = click.prompt(
            "Did the counsellor read out exactly these ten groups? Type yes", err=True
        )
        if answer.strip().lower() not in ("yes", "ja"):
            raise CardError("it was not confirmed; nothing was changed")
    elif _hex_only(fingerprint) != _hex_only(groups):
        raise CardError("the ten groups that were read out are not this card's; do not use it")
    site.pin(name, raw, today())
    click.echo(f"{name}: in use from now on.")


@card.command("list")
@_folder_option
def card_list(folder: Path | None) -> None:
    """List the cards in use: of whom, for what, until when, and their fingerprints.

    \b
    klankbord-server --dir /var/lib/klankbord card list
    """
    site = sites.load(_folder(folder))
    for named in site.cards():
        until = named.card.sealing[-1].until
        if named.card.over(today()):
            state = f"over since {until}: nobody can write to it"
        elif named.card.sealing_key(today()) is None:
            state = "cannot be written to today"
        else:
            state = f"open, keys until {until}"
        click.echo(f"{named.file_name}: {_plain(named.card.name)}; {state}")
        click.echo(f"    {_who(named.card)}")
        click.echo(f"    {named.card.identity.fingerprint()}")
    for file_name, fault in site.faults():
        click.echo(f"{file_name}: cannot be used: {fault}")
    if not site.cards():
        click.echo("No card is in use: the site is not open yet.", err=True)


@card.command("retire")
@_folder_option
@click.argument("name")
def card_retire(folder: Path | None, name: str) -> None:
    """End a card at once: lost or stolen desk, or a counsellor who leaves.

    Its desk can no longer fetch either, and is never taken again: for a card add, the
    counsellor makes a new desk.

    \b
    klankbord-server --dir /var/lib/klankbord card retire noor
    """
    sites.load(_folder(folder)).retire(name, today())
    click.echo(f"{name}: ended. Reporters can no longer write to it.")


@main.command()
@_folder_option
@click.option("--bind", default="127.0.0.1:8000", show_default=True, help="Address or unix:PATH.")
@click.option("--workers", default=2, show_default=True, type=click.IntRange(1, 64))
@click.option("--threads", default=8, show_default=True, type=click.IntRange(2, 256))
def serve(folder: Path | None, bind: str, workers: int, threads: int) -> None:
    """Serve the site until stopped.

    \b
    klankbord-server --dir /var/lib/klankbord serve --bind unix:/run/klankbord/box.sock
    """
    # Flask and gunicorn: only for this command.
    from dropbox_app.server.serving import address_of, run, try_bind

    target = _folder(folder)
    try:
        address = address_of(bind)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--bind") from None
    sites.load(target)  # what is wrong is said here, not by every worker
    store = SqliteStore(target, today)
    store.sweep()
    with suppress(SiteFull):
        store.keep_room()
    store.close()  # the workers open it for themselves, after the fork
    is_open = try_bind(address)
    # The log of a server that only this machine reaches holds no address at all.
    where = bind
    if not isinstance(address, Path) and not is_open:
        where = f"port {address[1]} of this machine"
    click.echo(f"Serving on {where}; Ctrl-C ends it.", err=True)
    if is_open:
        click.echo("Warning: that address is open to the network, without encryption.", err=True)
    run(target, bind=bind, workers=workers, threads=threads)


@main.command()
@_folder_option
@click.option("--json", "as_json", is_flag=True, help="One JSON list on stdout.")
def doctor(folder: Path | None, as_json: bool) -> None:
    """Look the server over; say what is wrong and what to do. Changes nothing.

    \b
    klankbord-server --dir /var/lib/klankbord doctor
    """
    findings = examination.examine(_folder(folder), today())
    if as_json:
        click.echo(json.dumps([vars(finding) for finding in findings], ensure_ascii=False))
    else:
        for finding in findings:
            click.echo(str(finding))
    if any(finding.state == "wrong" for finding in findings):
        click.get_current_context().exit(1)


@main.command()
@_folder_option
@click.option(
    "--day",
    type=click.DateTime(["%Y-%m-%d"]),
    help="Today's date, read elsewhere: once the clock is right again, or after a month off.",
)
def purge(folder: Path | None, day: datetime.datetime | None) -> None:
    """Remove what has lived its term, for good. A serving site does so itself, once a day.

    \b
    klankbord-server --dir /var/lib/klankbord purge
    """
    target = _folder(folder)
    site = sites.load(target)
    if day is not None and day.date() != today():
        raise WrongClock(f"it says {today()}, you say {day.date()}; set it first")
    store = SqliteStore(target, today)
    try:
        if day is not None:
            upkeep.confirm(store, today())
        purged = upkeep.daily(site, store, today())
    finally:
        store.close()
    click.echo(
        f"removed: {purged.mailboxes} mailboxes, {purged.items} items of others, "
        f"{purged.withdrawn_ids} withdrawn ids, {purged.leftovers} left-over files"
    )
    if not purged.log_emptied:
        click.echo("The log was in use and is emptied by the next purge.", err=True)


def _build(target: Path, text: str) -> None:
    """Fill a new or empty folder; it is a site once its settings are there. Else it is left as it
    was: the parent folder may be one that this account cannot write in."""
    new = not target.exists()
    try:
        target.mkdir(0o700, parents=True, exist_ok=True)
        target.chmod(0o700)
        (target / sites.CARDS).mkdir(0o700)  # of two at once, one goes on
    except PermissionError as error:
        raise ServerError(
            f"{target} cannot be made ({error.strerror}); have it made for this account: "
            f"sudo install -d -m 700 -o ACCOUNT -g ACCOUNT {target}"
        ) from None
    try:
        store = SqliteStore.create(target, today)
        with store.writing():
            store.set_served(today())  # from now on a clock that leaps is known
        store.close()
        if os.geteuid() == 0:  # for the account that the folder belongs to
            for path in target.iterdir():
                os.chown(path, target.stat().st_uid, target.stat().st_gid)
        replace_whole(target / settings.FILE_NAME, text.encode("utf-8"), today())
    except BaseException:
        for path in target.iterdir():
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        if new:
            target.rmdir()
        raise


@contextmanager
def _said_of_options(path: Path) -> Iterator[None]:
    """A wrong setting that was typed is said of its option: the file is not to blame."""
    try:
        yield
    except SettingsError as error:
        said = re.sub(
            "^origins", "origin", re.sub(f"^{re.escape(str(path))}[^:]*: ", "", str(error))
        )
        option = re.sub("^[a-z_]+", lambda key: "--" + key[0].replace("_", "-"), said)
        raise SettingsError(option) from None


def _who(shown: Card) -> str:
    """Kind and scope of a card in words."""
    scope = {
        "unwanted_behaviour": "unwanted behaviour",
        "integrity": "integrity",
        "both": "unwanted behaviour and integrity",
    }[shown.scope]
    return f"{shown.kind} counsellor for {scope}"


def _invitation(made: Settings) -> str:
    """The line that sets up a desk (SPEC section 7)."""
    return to_line(
        {
            "v": 1,
            "origins": list(made.origins),
            "site": made.site,
            "name": made.name,
            "day": today().isoformat(),
        }
    ).decode("utf-8")


def _name_for(new: Card) -> str:
    """A name for the file from the counsellor's own."""
    letters = unicodedata.normalize("NFKD", new.name).encode("ascii", "ignore").decode("ascii")
    return re.sub(r"[^a-z0-9]+", "-", letters.lower()).strip("-")[:40].strip("-") or "counsellor"


def _plain(name: str) -> str:
    """A name from a card, without what could play with a terminal."""
    return "".join(letter if letter.isprintable() else "\ufffd" for letter in name)


def _hex_only(groups: str) -> str:
    return re.sub(r"[^0-9a-f]", "", groups.lower())
