"""Commands about files: ``files`` and ``save``."""

from pathlib import Path

import click

from dropbox_app.desk.actions import files
from dropbox_app.desk.cli import common, render
from dropbox_app.desk.cli.common import shared
from dropbox_app.desk.cli.terminal import visible
from dropbox_app.desk.untrusted_files.inspect import safe_name


@click.command("files")
@shared
@click.argument("thread")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def list_files(thread: str, as_json: bool) -> None:
    """Show a thread's files: their real type, and whether they match the signature.

    Each file is read completely, but not opened: its first bytes show its type. mat2 looks for
    hidden data (a place, a name) in a sandbox (bubblewrap, Linux only). The exit code is 1 if a
    file was withheld, swapped, altered or added.

    \b
    Example:
      klankbord-desk files 3f9ac2e1
    """
    with common.at_work() as place:
        listing = files.list_files(place, thread, common.site_hint())
    if as_json:
        click.echo(render.dumps([_for_programs(one) for one in listing.files]))
    else:
        for one in listing.files:
            for line in render.file(listing.case, one.file, one.findings, one.holds):
                click.echo(line)
        if not listing.files:
            click.echo("This thread has no files.")
    if not listing.fine:
        click.get_current_context().exit(1)


@click.command()
@shared
@click.argument("thread")
@click.argument("file", required=False)
@click.option(
    "--out",
    required=True,
    type=click.Path(path_type=Path),
    help="A new file, or an existing folder, where a number is added to a name that exists. "
    "With --all, a new folder.",
)
@click.option("--clean", is_flag=True, help="Save a copy without metadata, made by mat2.")
@click.option("--all", "everything", is_flag=True, help="Save all messages and files of THREAD.")
@click.option(
    "--others",
    is_flag=True,
    help="With --all, also save files other than texts, pictures and PDF documents.",
)
def save(
    thread: str, file: str | None, out: Path, clean: bool, everything: bool, others: bool
) -> None:
    """Decrypt a thread's file and save it; FILE is the id that 'files' shows.

    The command does not open the file, and overwrites nothing. Anyone who uses this computer can
    then open the file, and the file can reveal who sent it. Read this command's output before you
    pass the file on. --all saves every message and file in one new folder. Files that could do harm
    when opened are left out, unless you add --others.

    \b
    Example:
      klankbord-desk save 3f9ac2e1 a1b2c3d4 --out evidence
      klankbord-desk save 3f9ac2e1 --all --out evidence
    """
    if everything == (file is not None):
        raise click.UsageError("Give either the id of one FILE or --all.")
    if (clean and everything) or (others and not everything):
        raise click.UsageError("--clean is for one FILE, --others is for --all.")
    if file is None:
        _save_all(thread, out, others=others)
        return
    with common.at_work() as place:
        saved = files.save(place, thread, file, out, clean=clean, site=common.site_hint())
    click.echo(f"Saved as {visible(str(saved.path))}.")
    click.echo(saved.findings.sentence)
    click.echo(f"Removed: {saved.removed}." if clean else saved.holds)
    if clean:
        click.echo(
            "The copy has the same content: faces, voices, a screen or handwriting can still "
            "identify a person. The original file stays unchanged."
        )


def _save_all(thread: str, out: Path, *, others: bool) -> None:
    with common.at_work() as place:
        hint = common.site_hint()
        done = files.save_all(place, thread, out, render.pages, others=others, site=hint)
    common.warn_readable(out)
    count = len(done.files)
    click.echo(f"The messages and {count} file{'' if count == 1 else 's'} are in the folder.")
    for one in done.left_out:
        click.echo(f"Not saved: {render.named(one.file)}: {one.why}")
    if any(one.asks for one in done.left_out):
        click.echo("Add --others to save these too. Do not open them on this computer.")


def _for_programs(one: files.Looked) -> dict[str, object]:
    file, findings = one.file, one.findings
    shown: dict[str, object] = {"item": file.item, "state": file.state}
    if file.attachment is not None:
        shown |= {
            "name": file.attachment.name,
            "safe_name": safe_name(file.attachment.name),
            "type": file.attachment.type,
            "size": file.attachment.size,
        }
    if findings is not None:
        shown |= {
            "found_type": findings.kind.mime,
            "is": findings.kind.word,
            "warnings": [*findings.warnings],
            "holds": one.holds,
        }
    return shown


COMMANDS = (list_files, save)
