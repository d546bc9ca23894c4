"""Commands about threads: fetch, list, read, reply, notice, ask, options, forget, export."""

import json
import shutil
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from dropbox_app.desk import folder
from dropbox_app.desk.cli import common, files, render
from dropbox_app.desk.cli.common import shared
from dropbox_app.desk.cli.terminal import visible
from dropbox_app.desk.errors import (
    AlreadyThere,
    BadAnswer,
    CannotReach,
    DeskError,
    Unfit,
    Unknown,
)
from dropbox_app.desk.session import Desk
from dropbox_app.desk.storage.atomic_files import write_outside
from dropbox_app.desk.sync import fetch as rounds
from dropbox_app.desk.sync import outbox
from dropbox_app.desk.threads import open_thread
from dropbox_app.desk.threads.attachments import Source
from dropbox_app.protocol.encoding import Json
from dropbox_app.protocol.errors import KlankbordError
from dropbox_app.protocol.messages import NOTICE_STATUS

_LANGUAGE = click.option(
    "--lang",
    type=click.Choice(["nl", "en"]),
    help="The language you write in (else the reporter's).",
)


@click.command()
@shared
def fetch() -> None:
    """Bring home what came in, look after your keys and card, and look at the site.

    Run it at least once a week. Ends with exit code 1 if something is wrong.

    \b
    Example:
      klankbord-desk fetch
    """
    with common.at_work() as place:
        failures = []
        alarms = 0
        for desk in place.desks(common.site_hint()):
            try:
                with place.connected(desk):
                    rounds.fetch(desk)
            except DeskError as error:
                if len(place.vault.sites) == 1:
                    _say(desk, whole=False)
                    raise
                failures.append(f"{desk.state.name}: {error}")
                _say(desk, whole=False)
            else:
                _say(desk, whole=True)
            alarms += len(desk.report.alarms)
        for failure in failures:
            click.echo(visible(failure), err=True)
        if failures or alarms:
            click.get_current_context().exit(1)


def _say(desk: Desk, *, whole: bool) -> None:
    for mailbox, count in desk.report.new.items():
        if mailbox in desk.state.threads:
            plural = "message" if count == 1 else "messages"
            click.echo(f"{mailbox[:16]}  {count} new {plural}")
    common.say(desk.report)
    if whole and not desk.report.new and not desk.report.alarms:
        click.echo(f"{visible(desk.state.name)}: nothing new.")


@click.command("list")
@shared
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def list_threads(as_json: bool) -> None:
    """Show the threads on this computer, the newest first.

    \b
    Example:
      klankbord-desk list
    """
    with common.at_work() as place:
        desks = place.desks(common.site_hint())
        cases = [(desk, case) for desk in desks for case in open_thread.open_all(desk)]
    if as_json:
        click.echo(render.dumps([render.summary(desk, case) for desk, case in cases]))
        return
    for line in render.listing(cases, several=len(desks) > 1):
        click.echo(line)
    if not cases:
        click.echo("No threads here. 'fetch' brings what came in.")


@click.command()
@shared
@click.argument("thread")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def read(thread: str, as_json: bool) -> None:
    """Show a thread; THREAD is its id or a unique beginning of eight or more.

    What others wrote stands behind a bar. What could not be verified says so.

    \b
    Example:
      klankbord-desk read 3f9ac2e1
    """
    with common.at_work() as place:
        desk, case = common.open_thread(place, thread)
        if as_json:
            click.echo(render.dumps(render.whole(desk, case)))
        else:
            for line in render.reading(case):
                click.echo(line)
        unseen = case.unseen
        for item in unseen:
            desk.state.items[item].seen = True
        if unseen:
            desk.save()


@click.command()
@shared
@click.argument("thread")
@click.option("--text-file", required=True, help="Your answer, in UTF-8; - for standard input.")
@click.option(
    "--file",
    "paths",
    multiple=True,
    type=click.Path(path_type=Path),
    help="A file to go with it; may be given several times.",
)
@click.option("--clean", is_flag=True, help="Send copies of the files without metadata, by mat2.")
@_LANGUAGE
def reply(
    thread: str, text_file: str, paths: tuple[Path, ...], clean: bool, lang: str | None
) -> None:
    """Answer in a thread. What you sign can be shown to others by who gets it.

    Files can go with it: 10 at most, of 100 MiB each unless the site takes others. Your own files
    too can hold your name, a place or the name of somebody else: --clean sends copies without, and
    sends nothing if mat2 cannot make one. The file's name goes along.

    \b
    Example:
      klankbord-desk reply 3f9ac2e1 --text-file answer.txt --file leaflet.pdf
    """
    body: dict[str, Json] = {"text": common.read_text(text_file)}
    _write(thread, lang, "reply", body, attached=files.sources(paths, clean=clean))


@click.command()
@shared
@click.argument("thread")
@click.argument("status", type=click.Choice(NOTICE_STATUS))
@click.option("--text-file", help="A text to go with it, in UTF-8; - for standard input.")
@_LANGUAGE
def notice(thread: str, status: str, text_file: str | None, lang: str | None) -> None:
    """Tell the reporter where the thread stands: received, read, closed or reopened.

    \b
    Example:
      klankbord-desk notice 3f9ac2e1 received
    """
    body: dict[str, Json] = {"status": status}
    if text_file:
        body["text"] = common.read_text(text_file)
    _write(thread, lang, "notice", body)


@click.command()
@shared
@click.argument("thread")
@click.option("--step", required=True, help="What you propose to do.")
@click.option("--with", "with_whom", required=True, help="With whom you would do it.")
@click.option("--scope", required=True, help="What you would tell or use, and what not.")
@click.option(
    "--successor",
    metavar="WHO",
    help="For a handover: the counsellor's ten groups or identity, or a name (then it asks).",
)
@_LANGUAGE
def ask(
    thread: str, step: str, with_whom: str, scope: str, successor: str | None, lang: str | None
) -> None:
    """Ask the reporter's consent for a step. Nothing is done without a yes.

    \b
    Example:
      klankbord-desk ask 3f9ac2e1 --step "Talk with the director" --with "the director, alone" \\
        --scope "that it happens in your team; not your name"
    """
    body: dict[str, Json] = {"step": step, "with": with_whom, "scope": scope}
    _write(thread, lang, "consent-request", body, successor=successor)


@click.command()
@shared
@click.argument("thread")
@click.option("--file", "file", required=True, help="JSON or TOML: text, and 2 to 6 options.")
@_LANGUAGE
def options(thread: str, file: str, lang: str | None) -> None:
    """Lay out what the reporter can choose from, with what speaks for and against.

    The file is JSON or TOML. In TOML:

    \b
      text = "This is what you can do."
      [[options]]
      title = "Talk with your manager, with me beside you"
      pro = "It may be over soon"
      con = "Your manager then knows it is you"
      [[options]]
      title = "Wait, and write down what happens"
      pro = "Nobody knows of it"
      con = "It may go on meanwhile"

    \b
    Example:
      klankbord-desk options 3f9ac2e1 --file options.toml
    """
    _write(thread, lang, "options", _read_options(common.read_file(file)))


def _read_options(raw: bytes) -> dict[str, Json]:
    """The body of an options message from JSON or TOML. Raises Unfit."""
    try:
        text = raw.decode("utf-8-sig")
        value: Any = json.loads(text) if text.lstrip()[:1] in "[{" else tomllib.loads(text)
    except (ValueError, RecursionError):
        raise Unfit("The file is neither JSON nor TOML; see 'options --help'.") from None
    if isinstance(value, list):
        value = {"text": "", "options": value}
    given = value.get("options")
    told = value.get("text", "")
    if not isinstance(told, str) or not isinstance(given, list) or not 2 <= len(given) <= 6:
        raise Unfit("The file needs 2 to 6 'options', and may have a 'text'.")
    options: list[Json] = []
    for one in given:
        fields = {key: one.get(key) if isinstance(one, dict) else None for key in _OPTION}
        if not all(isinstance(part, str) for part in fields.values()):
            raise Unfit("Each option needs a 'title', a 'pro' and a 'con', all texts.")
        options.append({key: str(part) for key, part in fields.items()})
    return {"text": told, "options": options}


_OPTION = ("title", "pro", "con")


def _write(
    thread: str,
    lang: str | None,
    kind: str,
    body: dict[str, Json],
    *,
    successor: str | None = None,
    attached: Sequence[Source] = (),
) -> None:
    with common.at_work() as place:
        desk, mailbox = common.find(place, thread)
        language = lang or _language(desk, mailbox)
        before = set(desk.state.items)
        try:
            with place.connected(desk):
                desk.need_day()
                if successor is not None:
                    body["successor"] = str(
                        outbox.counsellor(desk, successor, common.confirm_groups).identity
                    )
                outbox.write(desk, mailbox, lang=language, kind=kind, body=body, attached=attached)
        except (CannotReach, BadAnswer, Unknown) as error:
            common.say(desk.report)
            if any(i.sent == "waiting" for i in desk.state.items.values() if i.id not in before):
                raise
            raise DeskError(
                f"{error} What you give now was not sent and not kept; give the same command again "
                "later."
            ) from None
        except KlankbordError:
            common.say(desk.report)
            raise
        click.echo(f"Sent to thread {mailbox[:16]}.")
        if kind != "notice" and open_thread.open_case(desk, mailbox).closed:
            click.echo(f"It stays closed; 'notice {mailbox[:16]} reopened' opens it.")
        for box, count in desk.report.new.items():
            click.echo(f"{box[:16]}  {count} new, came in while sending; 'read' shows it.")
        common.tell(desk.report)


def _language(desk: Desk, mailbox: str) -> str:
    """The reporter's language, else the first that the counsellor named."""
    case = open_thread.open_case(desk, mailbox)
    last = case.thread.newest.get("reporter")
    return last.lang if last else desk.state.profile.languages[0]


def _items(count: int) -> str:
    return f"{count} {'item' if count == 1 else 'items'}"


@click.command()
@shared
@click.argument("thread")
@click.option("--yes", is_flag=True, help="Do not ask whether you are sure.")
def forget(thread: str, yes: bool) -> None:
    """Delete a thread from this computer for good: its messages, files and keys' notes.

    The server keeps what it has until its own terms are over, and backups of this desk keep what
    they hold. The fetched messages do not come back; a new message of the reporter does.

    \b
    Example:
      klankbord-desk forget 3f9ac2e1
    """
    with common.at_work() as place:
        desk, mailbox = common.find(place, thread)
        if not yes:
            there = _items(len(desk.state.of(mailbox)))
            click.confirm(
                f"Delete thread {mailbox[:16]} with {there} for good?",
                abort=True,
                err=True,
            )
        count = folder.forget(desk, mailbox)
    click.echo(
        f"Thread {mailbox[:16]} is deleted here, with {_items(count)}. The server was not "
        "asked; it removes its sealed copies by its own terms."
    )


@click.command()
@shared
@click.argument("thread")
@click.option(
    "--out", required=True, type=click.Path(path_type=Path), help="A folder that is not there yet."
)
def export(thread: str, out: Path) -> None:
    """Write a thread as readable files into a new folder.

    Whoever can open that folder can read it. Delete it when it has served.

    \b
    Example:
      klankbord-desk export 3f9ac2e1 --out handover
    """
    with common.at_work() as place:
        desk, case = common.open_thread(place, thread)
    try:
        out.mkdir(mode=0o700)
    except FileExistsError:
        raise AlreadyThere(f"{out} is there already; choose a folder that is not.") from None
    try:
        write_outside(out / "thread.json", (render.dumps(render.whole(desk, case)) + "\n").encode())
        for number, entry in enumerate(case.entries, start=1):
            page = "\n".join(render.one(case, entry, desk.state.profile.name)) + "\n"
            write_outside(out / f"{number:03}.txt", page.encode("utf-8", "replace"))
    except BaseException:
        shutil.rmtree(out, ignore_errors=True)
        raise
    click.echo(
        f"WARNING: {visible(str(out))} can be read by anybody who opens this computer. Delete it "
        "when it has served.",
        err=True,
    )
    click.echo(f"{len(case.entries)} messages are in {visible(str(out))}.")
    if any(entry.message and entry.message.attachments for entry in case.entries):
        click.echo(
            "Files that came with them are named there, but are not in it; 'save' writes them, "
            "one at a time."
        )


COMMANDS = (fetch, list_threads, read, reply, notice, ask, options, forget, export)
