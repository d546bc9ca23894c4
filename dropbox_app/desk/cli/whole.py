"""Commands for the desk as a whole: passphrase, backup, rehearsal, restore."""

from pathlib import Path

import click

from dropbox_app.desk.actions import backups
from dropbox_app.desk.actions import whole as actions
from dropbox_app.desk.actions.backups import Held
from dropbox_app.desk.cli import common, render
from dropbox_app.desk.cli.common import shared
from dropbox_app.desk.cli.terminal import visible


@click.command("passphrase")
@shared
@click.option(
    "--new-file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Read the new passphrase from the first line of this file instead of asking.",
)
def change_passphrase(new_file: Path | None) -> None:
    """Change this desk's passphrase. Earlier backups keep the old passphrase.

    \b
    Example:
      klankbord-desk passphrase
    """
    with common.at_work() as place:
        new = common.read_passphrase(new_file) if new_file else common.ask_passphrase(new=True)
        actions.change_passphrase(place, new)
    click.echo("The passphrase is changed. Make a new backup, and destroy the older ones.")


@click.command()
@shared
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
def backup(file: Path) -> None:
    """Write the whole desk to one new file, sealed with your passphrase.

    Keep the backup away from this computer, and replace it each month. A backup also contains keys
    that the desk destroys later, and threads that you forget later: destroy old backups.

    \b
    Example:
      klankbord-desk backup /media/stick/desk-2027-01.age
    """
    with common.at_work() as place:
        count = backups.backup(place, file)
    click.echo(f"{count} files are in {visible(str(file))}, sealed with this desk's passphrase.")


@click.command()
@shared
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def rehearse(file: Path, as_json: bool) -> None:
    """Test a backup: decrypt all of it and show its contents. Nothing is restored.

    The backup is unpacked next to the desk's folder, still sealed, and the unpacked copy is then
    removed. The passphrase is the one that the desk had when the backup was made.

    \b
    Example:
      klankbord-desk rehearse /media/stick/desk-2027-01.age
    """
    found = backups.rehearse(file, common.passphrase(), common.machine(), common.folder())
    if as_json:
        click.echo(render.dumps([_held(one) for one in found]))
        return
    click.echo("This backup opens, and a desk can be restored from it. It holds:")
    for one in found:
        day = f"fetched to the end on {one.read_to_end}" if one.read_to_end else "never fetched"
        counted = (one.threads, "thread"), (one.messages, "message"), (one.files, "file")
        count = ", ".join(f"{number} {what}{'s'[: number != 1]}" for number, what in counted)
        click.echo(f"  {visible(one.employer)}: {count}, {day}")


def _held(one: Held) -> dict[str, object]:
    read = one.read_to_end.isoformat() if one.read_to_end else None
    return vars(one) | {"read_to_end": read}


@click.command()
@shared
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
def restore(file: Path) -> None:
    """Restore the desk from a backup, into a new or empty folder.

    Do not use the old desk any more. The next 'fetch' asks the server what has happened since the
    backup and, if the site's card differs from the one in the backup, issues a new one. Items that
    were sealed to keys that are not in the backup cannot be opened.

    \b
    Example:
      klankbord-desk --dir ~/klankbord-desk restore /media/stick/desk-2027-01.age
    """
    names = backups.restore(common.folder(), file, common.passphrase(), common.machine())
    click.echo(f"Restored for {visible(', '.join(names))}. Now run 'klankbord-desk fetch'.")
    click.echo("Do not use the old desk any more.")
    click.echo("Threads that you had forgotten since the backup are back; forget them again.")


COMMANDS = (change_passphrase, backup, rehearse, restore)
