"""Commands about threads: fetch, list, search, read, label, reply and other messages, forget."""

from collections.abc import Callable, Collection
from pathlib import Path

import click

from dropbox_app.desk.actions import files, sites, threads, today, writing
from dropbox_app.desk.cli import common, render
from dropbox_app.desk.cli.common import shared
from dropbox_app.desk.cli.terminal import visible
from dropbox_app.desk.folder import Workplace
from dropbox_app.desk.session import Desk
from dropbox_app.protocol.errors import KlankbordError
from dropbox_app.protocol.messages import NOTICE_STATUS

NAMED = 5  # employers without a response that are named in one line

_LANGUAGE = click.option(
    "--lang",
    type=click.Choice(["nl", "en"]),
    help="The language you write in (default: the reporter's).",
)


@click.command()
@shared
def fetch() -> None:
    """Fetch new messages, renew your keys and card, and check the site.

    Fetch often enough to meet the site's promised response time: at least every second working day,
    unless the site promises something else. The exit code is 1 if there is a problem.

    \b
    Example:
      klankbord-desk fetch
    """
    with common.at_work() as place:
        several = len(place.vault.sites) > 1
        done = sites.fetch(place, common.site_hint(), _progress(several=several), still_waiting)
        if len(done) == 1 and done[0].failure is not None:
            raise done[0].failure
    if any(one.failure or one.report.alarms for one in done):
        click.get_current_context().exit(1)


def _progress(*, several: bool) -> Callable[[sites.Fetched], None]:
    """Return a function that reports each finished site, by name if there are several sites."""

    def tell(done: sites.Fetched) -> None:
        report, name = done.report, visible(done.employer)
        quiet = not (report.new or report.alarms or done.sent or done.failure)
        if several and not quiet:
            click.echo(f"{name}:")
        for mailbox, count in report.new.items():
            click.echo(f"{mailbox[:16]}  {count} new {_messages(count)}")
        if done.sent:
            click.echo(f"{done.sent} waiting {_messages(done.sent)} sent.")
        common.say(report)
        if done.failure is not None and several:
            click.echo(visible(f"{done.employer}: {done.failure}"), err=True)
        if quiet:
            click.echo(f"{name}: nothing new.")

    return tell


def still_waiting(employers: Collection[str]) -> None:
    """Report on stderr which sites have not responded yet."""
    first, more = list(employers)[:NAMED], len(employers) - NAMED
    names = ", ".join(map(visible, first)) + (f" and {more} more" if more > 0 else "")
    click.echo(f"Still waiting for {names}.", err=True)


def _messages(count: int) -> str:
    return "message" if count == 1 else "messages"


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
        found = threads.list_threads(place, common.site_hint())
        several = len(place.vault.sites) > 1 and not common.site_hint()
    if as_json:
        click.echo(render.dumps([render.summary(one) for one in found]))
        return
    for line in render.listing(found, several=several):
        click.echo(line)
    if not found:
        click.echo("No threads here. 'fetch' brings what came in.")


@click.command("today")
@shared
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def show_today(as_json: bool) -> None:
    """Show the threads that wait for you or a reporter, and messages still to be sent.

    The items for you are in this order: people who do not feel safe, answers about consent, and the
    rest, the oldest first. A message waits until you answer it or close the conversation, or until
    a colleague whom the reporter chose answers it. A notice of receipt or reading is not an answer.

    \b
    Example:
      klankbord-desk today
    """
    with common.at_work() as place:
        found = today.today(place, common.site_hint())
        phases = today.phases(place, (*found.mine, *found.to_send, *found.theirs))
        several = len(place.vault.sites) > 1 and not common.site_hint()
    if as_json:
        groups = {"mine": found.mine, "to_send": found.to_send, "theirs": found.theirs}
        read = [render.read_site(one) for one in found.read]
        shown = {
            name: [{**render.summary(one), "phase": phases.get(one.mailbox)} for one in group]
            for name, group in groups.items()
        }
        click.echo(render.dumps({"day": found.day.isoformat(), **shown, "read": read}))
        return
    lines = [*render.today(found, several=several, phases=phases)]
    for line in lines or ["Nothing waits. 'fetch' brings what came in."]:
        click.echo(line)


@click.command()
@shared
@click.argument("words", nargs=-1, required=True)
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def search(words: tuple[str, ...], as_json: bool) -> None:
    """Find messages and your own notes that contain all WORDS, or words that begin with them.

    The search runs on this computer, and covers only messages that this desk has opened.

    \b
    Example:
      klankbord-desk search rooster chef
    """
    with common.at_work() as place:
        searched = threads.search(place, " ".join(words))
        notes = threads.search_notes(place, " ".join(words))
    found = searched.newest
    if as_json:
        hits = [*map(render.hit, found), *map(render.note_hit, notes)]
        click.echo(render.dumps(hits))
        return
    for one in found:
        for line in render.found(one):
            click.echo(line)
    if searched.more:
        click.echo(f"More messages contain these words; these are the newest {len(found)}.")
    for note in notes:
        click.echo(f"{note.listed.mailbox[:8]}  YOUR OWN NOTE  {visible(note.text)[:200]}")
    if not found and not notes:
        click.echo("No message and no note of yours has all of these words.")


@click.command()
@shared
@click.argument("thread")
@click.argument("text")
def label(thread: str, text: str) -> None:
    """Give a thread your own name, which 'list' shows; '' removes it. It is never sent.

    \b
    Example:
      klankbord-desk label 3f9ac2e1 "Rooster zorgteam"
    """
    with common.at_work() as place:
        done = threads.label(place, thread, text, common.site_hint())
    said = f"is now called {visible(done.label)}" if done.label else "has no label any more"
    click.echo(f"Thread {done.mailbox[:16]} {said}.")


@click.command()
@shared
@click.argument("thread")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def read(thread: str, as_json: bool) -> None:
    """Show a thread; THREAD is its id, or at least its first eight characters.

    Text from other people has a bar in front of it. A message that could not be verified is marked.

    \b
    Example:
      klankbord-desk read 3f9ac2e1
    """
    with common.at_work() as place:
        opened = threads.read(place, thread, common.site_hint())
        if as_json:
            click.echo(render.dumps(render.whole(opened)))
        else:
            for line in render.reading(opened.case):
                click.echo(line)
        threads.mark_seen(opened)


@click.command()
@shared
@click.argument("thread")
@click.option("--text-file", required=True, help="Your answer, in UTF-8; - for standard input.")
@click.option(
    "--file",
    "paths",
    multiple=True,
    type=click.Path(path_type=Path),
    help="A file to send with it.",
)
@click.option("--clean", is_flag=True, help="Send copies of the files without metadata, by mat2.")
@click.option("--again", is_flag=True, help="Send it even if the same text is already waiting.")
@_LANGUAGE
def reply(
    thread: str,
    text_file: str,
    paths: tuple[Path, ...],
    clean: bool,
    again: bool,
    lang: str | None,
) -> None:
    """Answer in a thread. The recipient can show your signed message to others.

    You can attach up to 10 files, of up to 100 MiB each unless the site has other limits. Your
    files can also contain your name, a place or somebody else's name. --clean sends copies without
    metadata, and sends nothing if mat2 cannot make such a copy. The file's name is sent too.

    \b
    Example:
      klankbord-desk reply 3f9ac2e1 --text-file answer.txt --file leaflet.pdf
    """
    text = common.read_text(text_file)
    attached = files.sources(paths, clean=clean)
    for one in attached:
        if one.removed:
            click.echo(f"{visible(one.source.name)}: removed: {one.removed}.")
    sources = [one.source for one in attached]
    _send(thread, writing.reply(text, sources, lang or ""), again=again)


@click.command()
@shared
@click.argument("thread")
@click.argument("status", type=click.Choice(NOTICE_STATUS))
@click.option("--text-file", help="A text to send with it, in UTF-8; - for standard input.")
@_LANGUAGE
def notice(thread: str, status: str, text_file: str | None, lang: str | None) -> None:
    """Tell the reporter the state of the thread: received, read, closed or reopened.

    \b
    Example:
      klankbord-desk notice 3f9ac2e1 received
    """
    text = common.read_text(text_file) if text_file else ""
    _send(thread, writing.notice(status, text, lang or ""))


@click.command()
@shared
@click.argument("thread")
@click.option("--step", required=True, help="What you propose to do.")
@click.option("--with", "with_whom", required=True, help="With whom you would do it.")
@click.option("--scope", required=True, help="What you would and would not tell or use.")
@click.option(
    "--successor",
    metavar="WHO",
    help="For a handover: the counsellor's ten groups or identity, or a name (then it asks).",
)
@_LANGUAGE
def ask(
    thread: str, step: str, with_whom: str, scope: str, successor: str | None, lang: str | None
) -> None:
    """Ask for the reporter's consent to a step. Nothing is done unless the reporter says yes.

    \b
    Example:
      klankbord-desk ask 3f9ac2e1 --step "Talk with the director" --with "the director, alone" \\
        --scope "that it happens in your team; not your name"
    """
    _send(thread, writing.question(step, with_whom, scope, lang or ""), successor=successor or "")


@click.command()
@shared
@click.argument("thread")
@click.option("--file", "file", required=True, help="JSON or TOML: text, and 2 to 6 options.")
@_LANGUAGE
def options(thread: str, file: str, lang: str | None) -> None:
    """Send the reporter options to choose from, with their pros and cons.

    The file is JSON or TOML. In TOML:

    \b
      text = "This is what you can do."
      [[options]]
      title = "Talk to your manager, with me present"
      pro = "It may stop soon"
      con = "Your manager then knows it is you"
      [[options]]
      title = "Wait, and write down what happens"
      pro = "Nobody else needs to know"
      con = "It may continue in the meantime"

    \b
    Example:
      klankbord-desk options 3f9ac2e1 --file options.toml
    """
    _send(thread, writing.options(common.read_file(file), lang or ""))


@click.command()
@shared
@click.argument("thread")
def extend(thread: str) -> None:
    """Keep a thread on the server for longer; a sealed notice informs the reporter.

    The server deletes a thread in which nobody has written for some time: 90 days, unless the
    operator set a different number. The notice counts as writing, so the period starts again.

    \b
    Example:
      klankbord-desk extend 3f9ac2e1
    """
    _sent(thread, writing.extend)


def _send(
    thread: str, message: writing.Message, *, successor: str = "", again: bool = False
) -> None:
    def send(place: Workplace, desk: Desk, mailbox: str) -> writing.Sent:
        return writing.send(
            place, desk, mailbox, message,
            successor=successor, confirmed=common.confirm_groups, again=again,
        )  # fmt: skip

    _sent(thread, send)


def _sent(thread: str, send: Callable[[Workplace, Desk, str], writing.Sent]) -> None:
    """Send a message to a named thread, and report the result."""
    with common.at_work() as place:
        desk, mailbox = threads.find(place, thread, common.site_hint())
        try:
            sent = send(place, desk, mailbox)
        except KlankbordError:
            common.say(desk.report)
            raise
        click.echo(f"Sent to thread {mailbox[:16]}.")
        if sent.closed:
            click.echo(f"It stays closed; 'notice {mailbox[:16]} reopened' opens it.")
        for box, count in desk.report.new.items():
            click.echo(f"{box[:16]}  {count} new, arrived while sending; 'read' shows it.")
        common.tell(desk.report)


def _items(count: int) -> str:
    return f"{count} {'item' if count == 1 else 'items'}"


@click.command()
@shared
@click.argument("thread")
@click.option("--yes", is_flag=True, help="Do not ask whether you are sure.")
def forget(thread: str, yes: bool) -> None:
    """Permanently delete a thread from this computer: its messages, files and recorded keys.

    The server keeps its copies until they expire there, and this desk's backups keep theirs.
    Messages that were fetched before are not fetched again; a new message from the reporter still
    arrives.

    \b
    Example:
      klankbord-desk forget 3f9ac2e1
    """
    with common.at_work() as place:
        desk, mailbox = threads.find(place, thread, common.site_hint())
        if not yes:
            there = _items(len(desk.state.of(mailbox)))
            click.confirm(
                f"Delete thread {mailbox[:16]} with {there} for good?",
                abort=True,
                err=True,
            )
        count = threads.forget(place, mailbox, desk.state.site)
    click.echo(
        f"Thread {mailbox[:16]} is deleted here, with {_items(count)}. The server was not "
        "asked; it removes its sealed copies when they expire."
    )


@click.command()
@shared
@click.argument("thread")
@click.option("--out", required=True, type=click.Path(path_type=Path), help="A new folder.")
def export(thread: str, out: Path) -> None:
    """Write a thread as unencrypted files into a new folder.

    Anyone who can open that folder can read it. Delete it after use.

    \b
    Example:
      klankbord-desk export 3f9ac2e1 --out handover
    """
    with common.at_work() as place:
        case = files.export(place, thread, out, render.pages, common.site_hint()).case
    common.warn_readable(out)
    count = len(case.entries)
    click.echo(
        f"{count} {_messages(count)} {'is' if count == 1 else 'are'} in {visible(str(out))}."
    )
    if any(entry.message and entry.message.attachments for entry in case.entries):
        click.echo(
            "The files sent with them are named there, but are not in it; 'save --all' also "
            "writes the files."
        )


COMMANDS = (
    fetch, show_today, list_threads, search, read, label, reply, notice, ask, options, extend,
    forget, export,
)  # fmt: skip
