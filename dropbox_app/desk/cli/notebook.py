"""Commands for texts that never leave this desk: notes on threads, snippets, settings."""

import click

from dropbox_app.desk.actions import notes, settings, snippets
from dropbox_app.desk.actions.settings import Settings
from dropbox_app.desk.actions.snippets import Snippet
from dropbox_app.desk.cli import common, render
from dropbox_app.desk.cli.common import shared
from dropbox_app.desk.cli.terminal import block
from dropbox_app.protocol.retrieval_code import LANGUAGES

_LANGUAGES = click.Choice(LANGUAGES)


@click.command()
@shared
@click.argument("thread")
@click.option("--text-file", metavar="FILE", help="The new note, in UTF-8; - for standard input.")
@click.option("--clear", is_flag=True, help="Remove the note.")
def note(thread: str, text_file: str | None, clear: bool) -> None:
    """Show your private note on a thread, or replace it.

    The note is never sent, and no export contains it. The note is in this desk's backups, and is
    deleted when you forget the thread.

    \b
    Example:
      klankbord-desk note 3f9ac2e1 --text-file note.txt
    """
    if clear and text_file is not None:
        raise click.UsageError("Give --text-file FILE, or --clear, or neither.")
    text = common.read_text(text_file) if text_file is not None else ""
    with common.at_work() as place:
        if clear or text_file is not None:
            notes.write_note(place, thread, text, common.site_hint())
            click.echo("The note is kept at this desk." if text else "The note is removed.")
            return
        found = notes.note(place, thread, common.site_hint())
    for line in block(found) if found else ["There is no note on this thread."]:
        click.echo(line)


@click.command("snippets")
@shared
@click.option("--lang", type=_LANGUAGES, help="Only those in this language.")
@click.option("--json", "as_json", is_flag=True, help="For programs; with the texts.")
def list_snippets(lang: str | None, as_json: bool) -> None:
    """Show the snippets: texts to start an answer with.

    \b
    Example:
      klankbord-desk snippets --lang nl
    """
    with common.at_work() as place:
        found = snippets.snippets(place, lang or "")
    if as_json:
        click.echo(render.dumps([_as_json(one) for one in found]))
        return
    for one in found:
        own = "  (your own version)" if one.own else ""
        click.echo(f"{one.language}  {one.name:<22}  {one.title}{own}")


@click.command()
@shared
@click.argument("name")
@click.option("--lang", type=_LANGUAGES, default="nl", show_default=True, help="The language.")
@click.option("--text-file", metavar="FILE", help="Your own version; - for standard input.")
@click.option("--reset", is_flag=True, help="Restore the original text.")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def snippet(name: str, lang: str, text_file: str | None, reset: bool, as_json: bool) -> None:
    """Print a snippet, save your own version of it, or restore the original.

    \b
    Example:
      klankbord-desk snippet listening > answer.txt
      klankbord-desk snippet listening --text-file mine.txt
    """
    if reset and text_file is not None:
        raise click.UsageError("Give --text-file FILE, or --reset, or neither.")
    text = common.read_text(text_file) if text_file is not None else ""
    with common.at_work() as place:
        if text_file is not None:
            found = snippets.edit(place, name, lang, text)
        elif reset:
            found = snippets.go_back(place, name, lang)
        else:
            found = snippets.snippet(place, name, lang)
    click.echo(render.dumps(_as_json(found)) if as_json else found.text)


def _as_json(one: Snippet) -> dict[str, object]:
    return {
        "name": one.name,
        "language": one.language,
        "title": one.title,
        "text": one.text,
        "own": one.own,
    }


@click.command("settings")
@shared
@click.option("--language", type=_LANGUAGES, help="The language of the page.")
@click.option("--lock-minutes", type=int, help="Lock after this many minutes without use.")
@click.option("--fetch-minutes", type=int, help="Fetch automatically this often; 0 for never.")
@click.option("--proxy", help="Tor or another proxy for all sites, as for init; '' for none.")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def change_settings(
    language: str | None,
    lock_minutes: int | None,
    fetch_minutes: int | None,
    proxy: str | None,
    as_json: bool,
) -> None:
    """Show or change this desk's settings. With --site, --proxy changes only that site.

    \b
    Example:
      klankbord-desk settings --lock-minutes 5
    """
    with common.at_work() as place:
        found = settings.choose(
            place, language=language, lock_minutes=lock_minutes, fetch_minutes=fetch_minutes
        )
        if proxy is not None:
            settings.set_proxy(place, proxy, common.site_hint())
    if as_json:
        click.echo(render.dumps(vars(found)))
        return
    for line in _lines(found):
        click.echo(line)


def _lines(found: Settings) -> list[str]:
    every = f"every {found.fetch_minutes} minutes" if found.fetch_minutes else "never"
    return [
        f"language: {found.language}",
        f"the page locks after {found.lock_minutes} minutes without use",
        f"the page fetches automatically: {every}",
    ]


COMMANDS = (note, list_snippets, snippet, change_settings)
