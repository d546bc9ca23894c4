"""``klankbord-server backup-key``, ``backup`` and ``restore``."""

from pathlib import Path

import click

from dropbox_app.server.backup import create, directory, key, offsite
from dropbox_app.server.backup import restore as restoring
from dropbox_app.server.backup.key import Keys
from dropbox_app.server.cli import common
from dropbox_app.server.cli.common import GivenFile, folder_of, folder_option
from dropbox_app.server.config import paths
from dropbox_app.server.errors import BackupError

_FILE = GivenFile()


@click.command("backup-key")
@folder_option
@click.option("--new", "again", is_flag=True, help="In the place of the key that is there.")
def backup_key_command(folder: Path | None, again: bool) -> None:
    """Make the key that backups are sealed to, and print its secret half, once.

    Keep that elsewhere, at two places: without it no backup opens, and nobody has it but you. The
    server's folder keeps the public half alone. After --new keep the old one too, for as long as
    there are backups that were sealed to it.

    \b
    klankbord-server --dir /var/lib/klankbord backup-key > backup-key.txt
    """
    target = folder_of(folder)
    if not paths.places(target)[0].folder.is_dir():
        raise BackupError(f"{target} is not the folder of a server; make a site first, with init")
    if (target / directory.KEY).exists() and not again:
        raise BackupError("there is a key already; --new makes another one in its place")
    secret, public = key.make()
    # First the secret half, then the use of it: no backup is made that nobody can open.
    click.echo(f"# Opens the backups of a Klankbord server.\n# public key: {public}\n{secret}")
    key.keep(target, public, common.today())
    common.say(
        "Backups are sealed to this key from now on. Keep what was printed away from this machine, "
        "at two places: without it no backup can be opened. Make the first one now: "
        "systemctl start klankbord-backup, or backup.",
        err=True,
    )


@click.command("backup")
@folder_option
@click.option(
    "--to",
    "target",
    metavar="TARGET",
    help="The folder of the backups, without it DIR/backups; or [USER@]HOST:FOLDER, where they "
    "are copied to.",
)
@click.option("--check", "only_check", is_flag=True, help="Make none: read those that are there.")
def backup_command(folder: Path | None, target: str | None, only_check: bool) -> None:
    """Back up all sites, also while they serve, into one sealed file; remove old ones.

    Needs no secret key, and --check neither. A disk that is lost takes this folder with it: with
    --to HOST:FOLDER what lies in DIR/backups is copied to another machine, by rsync over ssh, and
    compared there. That makes no new backup, and removes none there.

    \b
    klankbord-server --dir /var/lib/klankbord backup
    klankbord-server --dir /var/lib/klankbord backup --to klankbord@elsewhere.example.org:box
    """
    server = folder_of(folder)
    if target is not None and offsite.is_remote(target):
        if only_check:
            raise click.UsageError("--check is for backups on this machine.")
        count = offsite.copy(server / directory.FOLDER, target)
        common.say(f"{target}: {count} files are there as they are here")
        return
    place = Path(target).absolute() if target else server / directory.FOLDER
    if only_check:
        _check(place)
        return
    made = create.make(server, place, common.today())
    common.say(
        f"{made.path}: sites: {made.sites}, items: {made.items}, bytes: {made.size}; "
        f"older backups removed: {made.removed}"
    )
    for said in made.faults:
        common.say(f"Fault: {said}", err=True)
    if made.faults:
        common.say("Older backups were kept.", err=True)
        click.get_current_context().exit(1)


def _check(place: Path) -> None:
    wrong = False
    if not directory.kept(place):
        raise BackupError(f"there is none in {place}")
    for name, fault in directory.faults(place):
        common.say(f"{name}: {fault or 'as it was written'}")
        wrong = wrong or bool(fault)
    if wrong:
        click.get_current_context().exit(1)


@click.command("restore")
@folder_option
@click.argument("file", type=_FILE)
@click.option(
    "--key", "keys", required=True, multiple=True, type=_FILE, help="What backup-key printed."
)
@click.option(
    "--withdrawn",
    "lists",
    multiple=True,
    type=_FILE,
    help="One more list of what was withdrawn: of the old folder, or a later one of the backups.",
)
@click.option("--old", is_flag=True, help="Also a backup that is older than one may be.")
def restore_command(
    folder: Path | None, file: Path, keys: tuple[Path, ...], lists: tuple[Path, ...], old: bool
) -> None:
    """Make the server's folder, new or empty, from a backup and check all of it.

    Codes and addresses stay. Each desk notices at its next fetch, and sends what the server lacks.

    \b
    klankbord-server --dir /var/lib/klankbord restore klankbord-2026-11-27.age --key backup-key.txt
    """
    target = folder_of(folder)
    today = common.today()
    done = restoring.restore(target, file, Keys(keys), lists, today, old=old)
    for site in done.sites:
        back = "conversation is" if site.mailboxes == 1 else "conversations are"
        named = site.organisation or "its settings are wrong, see site check"
        common.say(f"{site.name}: {named}: {site.mailboxes} {back} back")
        if site.withdrawn:
            common.say(f"    {site.withdrawn} had been withdrawn since, and are not")
        if site.lost:
            common.say(f"    {site.lost} items were not in the backup, or not whole")
    if not done.listed and not lists:
        common.say(
            "Warning: there was no list of what was withdrawn beside the backup. What was "
            "withdrawn after it is back until a desk that knows of it fetches.",
            err=True,
        )
    common.say(
        f"{target} is a server again. What came after the backup is lost but for what desks have: "
        "they notice at their next fetch, send it, and tell their counsellors. Tell those first. "
        "All visits have ended; codes stay good. Onion keys are not in a backup. Next: doctor, "
        "then serve, then backup.",
        err=True,
    )
