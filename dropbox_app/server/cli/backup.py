"""The commands ``klankbord-server backup-key``, ``backup`` and ``restore``."""

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
@click.option("--new", "again", is_flag=True, help="Replace the existing key.")
def backup_key_command(folder: Path | None, again: bool) -> None:
    """Make the key to which backups are sealed, and print its secret half once.

    Keep the secret half in two places outside this server. No backup can be opened without the
    secret half, and nobody else has a copy. The server's folder keeps only the public half. If you
    use --new, also keep the old secret half as long as you keep backups sealed to it.

    \b
    klankbord-server --dir /var/lib/klankbord backup-key > backup-key.txt
    """
    target = folder_of(folder)
    if not paths.places(target)[0].folder.is_dir():
        raise BackupError(f"{target} is not a server's folder; make a site first, with init")
    if (target / directory.KEY).exists() and not again:
        raise BackupError("there is a key already; --new replaces it")
    secret, public = key.make()
    # Print the secret half before the key is used, so that no backup is made that nobody can open.
    click.echo(f"# Opens the backups of a Klankbord server.\n# public key: {public}\n{secret}")
    key.keep(target, public, common.today())
    common.say(
        "Backups are sealed to this key from now on. Keep the printed key away from this machine, "
        "in two places: without it no backup can be opened. Make the first backup now: "
        "systemctl start klankbord-backup, or backup.",
        err=True,
    )


@click.command("backup")
@folder_option
@click.option(
    "--to",
    "target",
    metavar="TARGET",
    help="The folder for the backups (default: DIR/backups), or [USER@]HOST:FOLDER to copy "
    "the existing backups there.",
)
@click.option(
    "--check", "only_check", is_flag=True, help="Make no backup; check the existing ones."
)
def backup_command(folder: Path | None, target: str | None, only_check: bool) -> None:
    """Back up all sites into one sealed file, even while they are in use; remove old backups.

    Neither this command nor --check needs the secret key. If the server's disk is lost, its backups
    are lost too. --to HOST:FOLDER copies the files in DIR/backups to another machine with rsync
    over ssh, and compares them there. With --to, this command makes no new backup, and removes no
    backups from the other machine.

    \b
    klankbord-server --dir /var/lib/klankbord backup
    klankbord-server --dir /var/lib/klankbord backup --to klankbord@elsewhere.example.org:box
    """
    server = folder_of(folder)
    if target is not None and offsite.is_remote(target):
        if only_check:
            raise click.UsageError("--check is for backups on this machine.")
        count = offsite.copy(server / directory.FOLDER, target)
        common.say(f"{target}: {count} files are the same there as here")
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
        raise BackupError(f"there is no backup in {place}")
    for name, fault in directory.faults(place):
        common.say(f"{name}: {fault or 'unchanged'}")
        wrong = wrong or bool(fault)
    if wrong:
        click.get_current_context().exit(1)


@click.command("restore")
@folder_option
@click.argument("file", type=_FILE)
@click.option(
    "--key",
    "keys",
    required=True,
    multiple=True,
    type=_FILE,
    help="The file with the key that backup-key printed.",
)
@click.option(
    "--withdrawn",
    "lists",
    multiple=True,
    type=_FILE,
    help="Another list of withdrawn conversations: the old folder's, or a later backup's.",
)
@click.option("--old", is_flag=True, help="Accept a backup that is too old.")
def restore_command(
    folder: Path | None, file: Path, keys: tuple[Path, ...], lists: tuple[Path, ...], old: bool
) -> None:
    """Restore a backup into a new or empty server folder, and check the result.

    Codes and addresses stay the same. At its next fetch, each desk notices the restore and sends
    the items that the server lacks.

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
            common.say(f" {site.withdrawn} had been withdrawn since, and were left out")
        if site.lost:
            common.say(f" {site.lost} items were not in the backup, or were incomplete")
    if not done.listed and not lists:
        common.say(
            "Warning: there was no list of withdrawn conversations beside the backup. Any "
            "that were withdrawn after it are back until a desk that knows of them fetches.",
            err=True,
        )
    common.say(
        f"{target} is restored. Everything that arrived after the backup is lost, except for the "
        "items that desks still have: at their next fetch they notice this, send them, and tell "
        "their counsellors. Tell the counsellors first. All visits have ended; codes stay valid. "
        "Onion keys are not in a backup. Next: doctor, then serve, then backup.",
        err=True,
    )
