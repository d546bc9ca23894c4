"""Commands about files: files, save, preview; and what ``reply`` needs to send some."""

import contextlib
import datetime
import functools
import os
import shutil
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import click

from dropbox_app.desk.cli import common, render
from dropbox_app.desk.cli.common import shared
from dropbox_app.desk.cli.terminal import visible
from dropbox_app.desk.errors import AlreadyThere, DeskError, Unfit
from dropbox_app.desk.session import Desk
from dropbox_app.desk.threads import attachments
from dropbox_app.desk.threads.attachments import CaseFile, Source
from dropbox_app.desk.untrusted_files import metadata, preview
from dropbox_app.desk.untrusted_files.inspect import Findings, inspect, safe_name
from dropbox_app.desk.untrusted_files.preview import Rows
from dropbox_app.desk.untrusted_files.sandbox import NoSandbox, Unseen
from dropbox_app.protocol.encoding import clean_text
from dropbox_app.protocol.messages import MAX_FILE_NAME
from dropbox_app.protocol.stream import CHUNK

_NOT_LOOKED_INTO = "What it holds beside what it shows was not looked into: {0}"


@click.command("files")
@shared
@click.argument("thread")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def list_files(thread: str, as_json: bool) -> None:
    """Show the files of a thread: what they are, and whether they are as they were signed.

    Each is read to its end, but not opened: what it is stands in its first bytes. What it holds
    beside what it shows (a place, a name) is found by mat2 in a closed room (bubblewrap, on Linux).
    Ends with exit code 1 if a file was withheld, swapped, altered or added.

    \b
    Example:
      klankbord-desk files 3f9ac2e1
    """
    with common.at_work() as place:
        desk, case = common.open_thread(place, thread)
        found = [attachments.check(desk, file) for file in attachments.of_case(case)]
        told = [(file, findings, _holds(desk, file, findings)) for file, findings in found]
    if as_json:
        click.echo(render.dumps([_for_programs(*one) for one in told]))
    else:
        for file, findings, holds in told:
            for line in render.file(case, file, findings, holds):
                click.echo(line)
        if not told:
            click.echo("This thread has no files.")
    fine = (*attachments.READY, "early", "elsewhere")
    if any(file.state not in fine for file, _ in found):
        click.get_current_context().exit(1)


@click.command()
@shared
@click.argument("thread")
@click.argument("file")
@click.option(
    "--out",
    required=True,
    type=click.Path(path_type=Path),
    help="A file that is not there yet, or a folder that is.",
)
@click.option("--clean", is_flag=True, help="Save a copy without metadata, made by mat2.")
def save(thread: str, file: str, out: Path, clean: bool) -> None:
    """Save a file of a thread, readable, where you say; FILE is its id as 'files' shows it.

    It is not opened, and nothing is overwritten. Whoever opens this computer can then open it, and
    a file can betray who sent it: look at what this command says of it before you pass it on.

    \b
    Example:
      klankbord-desk save 3f9ac2e1 a1b2c3d4 --out evidence
    """
    with common.at_work() as place:
        desk, case = common.open_thread(place, thread)
        found, attachment, findings = attachments.usable(desk, case, file)
        name = safe_name(attachment.name)
        if clean:
            copy, held = metadata.clean(
                findings.kind, attachments.pieces(desk, found), attachment.size
            )
            target = _target(out, f"{Path(name).stem}.cleaned{findings.kind.extension}")
            _write(target, [copy], desk.today)
        else:
            target = _target(out, name)
            _write(target, attachments.pieces(desk, found), desk.today)
        holds = f"Taken out: {_listed(held)}." if clean else _holds(desk, found, findings)
    click.echo(f"Saved as {visible(str(target))}.")
    click.echo(findings.sentence)
    click.echo(holds)
    if clean:
        click.echo(
            "The copy shows what the file shows: faces, voices, a screen or handwriting can still "
            "tell who it was. The file itself stays as it came."
        )


@click.command("preview")
@shared
@click.argument("thread")
@click.argument("file")
@click.option(
    "--out", required=True, type=click.Path(path_type=Path), help="A folder that is not there yet."
)
def show_preview(thread: str, file: str, out: Path) -> None:
    """Turn a picture or a PDF into plain pictures (PNG), in a closed room.

    Nothing of the file itself gets into them, so they are safe to look at. Needs Linux with
    bubblewrap; without it nothing is opened. Delete the folder when it has served.

    \b
    Example:
      klankbord-desk preview 3f9ac2e1 a1b2c3d4 --out look
    """
    with common.at_work() as place:
        desk, case = common.open_thread(place, thread)
        found, attachment, findings = attachments.usable(desk, case, file)
        preview.job_of(findings.kind)
        with _new_folder(out, desk.today):

            def page(number: int, rows: Rows) -> None:
                with _created(out / f"page-{number:03}.png", desk.today) as write:
                    preview.write_png(rows, write)

            source = attachments.pieces(desk, found)
            count, rest = preview.render(findings.kind, source, attachment.size, page)
    click.echo(f"{count} page{'' if count == 1 else 's'} in {visible(str(out))}.")
    for sentence in (*findings.warnings, rest):
        if sentence:
            click.echo(sentence)


def sources(paths: Iterable[Path], *, clean: bool) -> list[Source]:
    """Files of this computer that go with a message. Raises Unfit, NoSandbox, Unseen."""
    made = []
    for path in paths:
        if not path.is_file():
            raise Unfit(f"{path} is no file. Nothing was sent.")
        name = _own_name(path)
        size = path.stat().st_size
        findings = inspect(_read(path), name, "")
        if clean:
            with _naming(path):
                copy, held = metadata.clean(findings.kind, _read(path), size)
            click.echo(f"{visible(name)}: taken out: {_listed(held)}.")
            made.append(
                Source(name, findings.kind.declared, len(copy), functools.partial(iter, (copy,)))
            )
        else:
            made.append(Source(name, findings.kind.declared, size, functools.partial(_read, path)))
    return made


def _for_programs(file: CaseFile, findings: Findings | None, holds: str) -> dict[str, object]:
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
            "holds": holds,
        }
    return shown


def _holds(desk: Desk, file: CaseFile, findings: Findings | None) -> str:
    """What a file holds beside what it shows, or why that is not known."""
    if findings is None or file.attachment is None:
        return ""
    try:
        source = attachments.pieces(desk, file)
        return metadata.look(findings.kind, source, file.attachment.size).sentence
    except (NoSandbox, Unseen) as error:
        return _NOT_LOOKED_INTO.format(error)


def _listed(held: metadata.Metadata) -> str:
    return ", ".join(held.words) or "nothing, mat2 found nothing in it"


def _target(out: Path, name: str) -> Path:
    return out / name if out.is_dir() else out


def _write(target: Path, pieces: Iterable[bytes], day: datetime.date) -> None:
    with _created(target, day) as write:
        for piece in pieces:
            write(piece)


@contextlib.contextmanager
def _created(path: Path, day: datetime.date) -> Iterator[Callable[[bytes], object]]:
    """A new file, 0600, of midnight of its day; nothing is left of it if something fails."""
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise AlreadyThere(
            f"{path} is there already and is not overwritten; choose another name."
        ) from None
    try:
        with os.fdopen(handle, "wb") as file:
            yield file.write
            file.flush()
            os.fsync(file.fileno())
        _date(path, day)
    except BaseException:
        path.unlink(missing_ok=True)
        raise


@contextlib.contextmanager
def _new_folder(path: Path, day: datetime.date) -> Iterator[None]:
    """A folder that was not there, 0700; it goes again if something fails."""
    try:
        path.mkdir(mode=0o700)
    except FileExistsError:
        raise AlreadyThere(f"{path} is there already; choose a folder that is not.") from None
    try:
        yield
        _date(path, day)
    except BaseException:
        shutil.rmtree(path, ignore_errors=True)
        raise


def _date(path: Path, day: datetime.date) -> None:
    midnight = datetime.datetime.combine(day, datetime.time(), datetime.UTC).timestamp()
    os.utime(path, (midnight, midnight))


@contextlib.contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Say of which file something is said, where there can be several."""
    try:
        yield
    except Unseen as error:
        raise DeskError(f"{path}: {error} Nothing was sent.") from None


def _own_name(path: Path) -> str:
    name = clean_text(safe_name(path.name))
    return name.encode()[:MAX_FILE_NAME].decode("utf-8", "ignore")


def _read(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while piece := file.read(CHUNK):
            yield piece


COMMANDS = (list_files, save, show_preview)
