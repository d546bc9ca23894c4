"""``klankbord-server init``, ``site`` and ``move``: create, list, check and move sites."""

import re
import secrets
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeVar

import click

from dropbox_app.protocol.encoding import Json, to_line
from dropbox_app.server.cli import common
from dropbox_app.server.cli.common import folder_of, folder_option, place_of, site_option
from dropbox_app.server.config import check, loader, paths, settings, settings_writer, stores
from dropbox_app.server.config import site as sites
from dropbox_app.server.config.loader import Fault, Reading
from dropbox_app.server.config.paths import Place
from dropbox_app.server.config.settings import OtherContact, Settings
from dropbox_app.server.config.site import Site
from dropbox_app.server.errors import ServerError, SettingsError
from dropbox_app.server.store.files import replace_whole

_Command = TypeVar("_Command", bound=Callable[..., object])


def _of_a_new_site(command: _Command) -> _Command:
    """Add the options that describe a new site."""
    for option in reversed(
        (
            click.option("--name", required=True, help="The organisation, as reporters see it."),
            click.option(
                "--origin",
                "origins",
                required=True,
                multiple=True,
                help="An address of the site.",
            ),
            click.option("--run-by", default="", help="The operator's name, as the pages show it."),
            click.option("--run-by-employer", is_flag=True, help="The employer runs the server."),
            click.option("--phone", default="", help="The counsellor's telephone number."),
            click.option("--hours", default="", help="The hours when calls are answered."),
            click.option(
                "--controller",
                default="",
                help="The controller of the personal data, with contact details.",
            ),
            click.option(
                "--other-contact",
                nargs=2,
                metavar="NAME PHONE",
                default=("", ""),
                help="Somebody else to call if the report is about a counsellor.",
            ),
            click.option(
                "--store",
                default="",
                help="A PostgreSQL address for the conversations (default: the site's folder).",
            ),
        )
    ):
        command = option(command)
    return command


@click.command()
@folder_option
@_of_a_new_site
def init(
    folder: Path | None,
    name: str,
    origins: tuple[str, ...],
    run_by: str,
    run_by_employer: bool,
    phone: str,
    hours: str,
    controller: str,
    other_contact: tuple[str, str],
    store: str,
) -> None:
    """Make a new site and print the invitation for its counsellors' desks.

    The folder must not exist yet, or must be empty and belong to your account.

    \b
    klankbord-server --dir /var/lib/klankbord init --name "Example" \\
        --origin https://drop.example.org --run-by "Example Hosting" > invitation.json
    """
    place = paths.own(folder_of(folder))
    other = OtherContact(*other_contact)
    wanted = _wanted(name, origins, run_by, run_by_employer, phone, hours, controller, other, store)
    _make(place, wanted, Reading((), ()))
    common.say(f"The site is in {place.folder}. Give the line above to each counsellor.", err=True)


@click.group()
def site() -> None:
    """Manage this server's sites, one for each organisation."""


@site.command("add")
@folder_option
@click.argument("called", metavar="NAME")
@_of_a_new_site
def site_add(
    folder: Path | None,
    called: str,
    name: str,
    origins: tuple[str, ...],
    run_by: str,
    run_by_employer: bool,
    phone: str,
    hours: str,
    controller: str,
    other_contact: tuple[str, str],
    store: str,
) -> None:
    """Make another site, in DIR/sites/NAME, and print its invitation.

    NAME identifies the site in commands: 1 to 40 characters from a-z, 0-9 and -. Reporters do not
    see the name.

    \b
    klankbord-server --dir /var/lib/klankbord site add bakery --name "Example Bakery" \\
        --origin https://box.example.net > invitation.json
    """
    server = folder_of(folder)
    place = paths.named(server, called)
    if place.name == paths.OWN:
        raise SettingsError("the site in the folder itself is made with init")
    other = OtherContact(*other_contact)
    wanted = _wanted(name, origins, run_by, run_by_employer, phone, hours, controller, other, store)
    there = loader.read(server) if paths.names(server) or _is_site(server) else Reading((), ())
    parent = place.folder.parent
    parent.mkdir(0o700, parents=True, exist_ok=True)
    _make(place, wanted, there)
    common.say(
        f"The site is in {place.folder}. Give the line above to each counsellor; "
        "a running server loads the site on SIGHUP (systemctl reload klankbord).",
        err=True,
    )


@site.command("list")
@folder_option
def site_list(folder: Path | None) -> None:
    """List the sites, with their names in commands, organisations and addresses.

    \b
    klankbord-server --dir /var/lib/klankbord site list
    """
    server = folder_of(folder)
    read = loader.read(server)
    for place in paths.places(server):
        found = read.of(place.name)
        if found is None:
            common.say(f"{place.name}: is not served; site check says why")
        else:
            ended = Site(place.folder, found.settings).ended()
            common.say(
                f"{place.name}: {found.settings.name}; {', '.join(found.settings.origins)}"
                + "".join(f"; desks: {origin}" for origin in found.settings.desk_origins)
                + (f"; retired on {ended}" if ended else "")
            )


@site.command("retire")
@folder_option
@click.argument("called", metavar="NAME")
def site_retire(folder: Path | None, called: str) -> None:
    """Close a site to new reports, and show how many conversations are left.

    Existing codes still work, and both sides can still write, until each conversation expires as
    usual. Run this command again to see how many conversations are left. The site closes at once,
    without SIGHUP.

    \b
    klankbord-server --dir /var/lib/klankbord site retire bakery
    """
    place = paths.chosen(folder_of(folder), called)
    ending = sites.load(place.folder)
    ending.end(common.today())
    store = stores.opened(place, ending.settings, common.today)
    try:
        left = len(store.mailboxes())
    finally:
        store.close()
    said = f"{place.name}: accepts no new reports since {ending.ended()}; "
    if left:
        goes = "conversation is" if left == 1 else "conversations are"
        said += f"{left} {goes} left. Keep serving it, and keep its cards, until none is left."
    else:
        said += f"no conversation is left. Its files in {place.folder} may be removed"
        said += "" if place.name == paths.OWN else ": the whole folder, then SIGHUP to the server"
        said += ". Backups keep them for some days more."
    common.say(said)


@site.command("check")
@folder_option
@click.argument("called", metavar="[NAME]", required=False)
@click.option(
    "--settings",
    "only_settings",
    is_flag=True,
    help="Check only settings and pages: a server loads nothing if one of them is wrong.",
)
def site_check_command(folder: Path | None, called: str | None, only_settings: bool) -> None:
    """Check the sites; show each fault with its file, line and expected value.

    This command changes nothing. Without NAME, the command checks all sites. After you edit a file,
    run this command before you send SIGHUP to the server.

    \b
    klankbord-server --dir /var/lib/klankbord site check
    """
    server = folder_of(folder)
    if called is not None:
        paths.chosen(server, called)
    read = loader.read(server)
    found: list[Fault] = list(read.faults)
    for place in paths.places(server) if not only_settings else ():
        known = read.of(place.name)
        found += check.look(known, common.today()) if known else check.missing(place)
    wrong = False
    for name in dict.fromkeys([p.name for p in paths.places(server)] + [f.site for f in found]):
        if called in (None, name):
            own = [fault for fault in found if fault.site == name]
            wrong = wrong or not all(fault.note for fault in own)
            common.say(f"{name}: " + ("fine" if all(fault.note for fault in own) else "wrong"))
            for fault in own:
                common.say(f"    {'note: ' if fault.note else ''}{fault.said}")
    if wrong:
        click.get_current_context().exit(1)


@click.command()
@folder_option
@site_option
@click.option("--origin", "origins", multiple=True, help="An address of the site.")
@click.option(
    "--desk-origin",
    "desk_origins",
    multiple=True,
    help="An address for desks only; '' removes them all.",
)
def move(
    folder: Path | None,
    site_name: str | None,
    origins: tuple[str, ...],
    desk_origins: tuple[str, ...],
) -> None:
    """Change the site's addresses and print the new invitation.

    The site id and the codes stay the same. Each counsellor enters the new invitation at their
    desk. Without --origin and --desk-origin, nothing changes and the invitation is printed again.

    With --desk-origin, the server responds to desks only at that address.

    \b
    klankbord-server --dir /var/lib/klankbord move --origin https://box.example.org
    """
    place = place_of(folder, site_name)
    path = place.folder / settings.FILE_NAME
    changed = settings.read(place.folder)
    if origins or desk_origins:
        with _said_of_options(path):
            text = settings_writer.with_origins(
                path.read_text("utf-8"),
                path,
                origins or None,
                [origin for origin in desk_origins if origin] if desk_origins else None,
            )
        changed = settings.parse(text, path)
        _refuse_others(changed, place, loader.read(folder_of(folder)))
        replace_whole(path, text.encode("utf-8"), common.today())
        common.say("A running server loads it on SIGHUP (systemctl reload klankbord).", err=True)
    click.echo(_invitation(changed))


def _wanted(
    name: str,
    origins: tuple[str, ...],
    run_by: str,
    employer: bool,
    phone: str,
    hours: str,
    controller: str,
    other_contact: OtherContact,
    store: str,
) -> Settings:
    if employer and not run_by:
        raise click.UsageError("--run-by-employer needs --run-by: name the employer there too.")
    if hours and not phone:
        raise click.UsageError("--hours needs --phone: give the number that is answered then.")
    return Settings(
        site=secrets.token_hex(16),
        name=name,
        origins=origins,
        run_by=run_by,
        run_by_is_employer=employer,
        phone=phone,
        hours=hours,
        controller=controller,
        other_contact=other_contact,
        store=store,
    )


def _is_site(folder: Path) -> bool:
    return (folder / settings.FILE_NAME).exists()


def _make(place: Place, wanted: Settings, there: Reading) -> None:
    """Create a site and print its invitation."""
    target = place.folder
    text = settings_writer.write(wanted)
    with _said_of_options(target / settings.FILE_NAME):
        made = settings.parse(text, target / settings.FILE_NAME)
    _refuse_others(made, place, there)
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise ServerError(f"{target} already exists and is not empty; nothing was changed")
    _build(target, text, made)
    click.echo(_invitation(made))


def _refuse_others(made: Settings, place: Place, there: Reading) -> None:
    """Raise SettingsError for a host name that another site, open or closed, already uses."""
    own = {value for _, value in loader.claims(made)}
    theirs = [(s.place, {value for _, value in loader.claims(s.settings)}) for s in there.sites]
    theirs += [(closed.place, closed.hosts) for closed in there.closed]
    for other, values in theirs:
        taken = sorted(own & values)
        if taken and other != place:
            raise SettingsError(f"--origin: {taken[0]} is that of the site {other.name}")


def _build(target: Path, text: str, made: Settings) -> None:
    """Fill a new or empty folder. A folder counts as a site once it contains settings.

    If filling the folder fails, it is emptied again. A folder that existed before is kept, because
    the account may not be able to create it.
    """
    new = not target.exists()
    try:
        target.mkdir(0o700, parents=True, exist_ok=True)
        target.chmod(0o700)
        (target / sites.CARDS).mkdir(0o700)  # if two processes try, only one succeeds
    except PermissionError as error:
        raise ServerError(
            f"{target} cannot be made ({error.strerror}); have it made for this account: "
            f"sudo install -d -m 700 -o ACCOUNT -g ACCOUNT {target}"
        ) from None
    kept = False
    try:
        store = stores.create(target, made, common.today)
        kept = True
        with store.writing():
            store.set_site_id(made.site)
            store.set_served(common.today())  # so that a later jump of the clock is noticed
        store.close()
        replace_whole(target / settings.FILE_NAME, text.encode("utf-8"), common.today())
    except BaseException:
        if kept:
            with suppress(ServerError):  # the first error is more useful
                stores.discard(made)
        for path in target.iterdir():
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        if new:
            target.rmdir()
        raise


@contextmanager
def _said_of_options(path: Path) -> Iterator[None]:
    """Report a wrong setting as an error in the option that was typed, not in the file."""
    try:
        yield
    except SettingsError as error:
        said = re.sub(f"^{re.escape(str(path))}[^:]*: ", "", str(error))
        said = re.sub("^(desk_)?origins", r"\1origin", said)
        option = re.sub("^[a-z_]+", lambda key: "--" + key[0].replace("_", "-"), said)
        raise SettingsError(option) from None


def _invitation(made: Settings) -> str:
    """Return the line that sets up a desk (SPEC section 7)."""
    said: dict[str, Json] = {
        "v": 1,
        "origins": list(made.origins),
        "site": made.site,
        "name": made.name,
        "day": common.today().isoformat(),
    }
    if made.desk_origins:
        said["desk_origins"] = list(made.desk_origins)
    return to_line(said).decode("utf-8")
