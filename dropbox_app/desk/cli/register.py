"""Commands of the register: import and export, a contact in one line, cases, consents."""

from pathlib import Path

import click

from dropbox_app.desk.actions import agenda, earlier, joint, matching, retention, threads
from dropbox_app.desk.actions import register as actions
from dropbox_app.desk.actions.register import Added
from dropbox_app.desk.cli import common, register_contacts, register_files, render
from dropbox_app.desk.cli.common import shared
from dropbox_app.desk.cli.terminal import visible
from dropbox_app.desk.register import categories as c
from dropbox_app.desk.register import fields, lines
from dropbox_app.desk.register.cases import Standing
from dropbox_app.desk.register.due import Due
from dropbox_app.desk.register.events import Contact, Joint
from dropbox_app.desk.register.form import Refused
from dropbox_app.desk.storage.atomic_files import write_outside
from dropbox_app.protocol.retrieval_code import LANGUAGES


@click.group()
def register() -> None:
    """Keep the register of questions and actions, even for contacts without a thread.

    \b
    Example:
      klankbord-desk register import 2026.jsonl
      klankbord-desk register cases
    """


@register.command("import")
@shared
@click.argument("file", metavar="FILE")
@click.option("--into", multiple=True, metavar="CASE", help="Add rows to this existing case.")
def bring_in(file: str, into: tuple[str, ...]) -> None:
    """Import events, one JSON object per line. If any line is wrong, no event is imported.

    FILE is text in UTF-8; - is standard input. FILE may also be a table with data from earlier
    years, as CSV or xlsx. The first row of the table contains the names of the columns, as in
    EVENTS.md or on the page. Each following row is a contact, or the event named in its column
    "event". Events that are already in the register are not imported again. Rows of a table are
    added to an existing case only if you name it with --into. An error names the line and the
    field.

    \b
    Example:
      klankbord-desk register import 2026.jsonl
      klankbord-desk register import --into 2026-1 2026.xlsx
    """
    raw = common.read_file(file, lines.MAX_FILE)
    with common.at_work() as place:
        try:
            added = register_files.taken(place, raw, into)
        except Refused as refused:
            for fault in refused.faults:
                click.echo(visible(str(fault)), err=True)
            if len(refused.faults) == lines.MOST_FAULTS:
                click.echo("There may be more. These are the first.", err=True)
            raise click.ClickException("Nothing of this file was kept.") from None
    _tell(added)


@register.command()
@shared
@click.option("--json", "as_json", is_flag=True, help="For programs: one JSON object per line.")
@click.option("--csv", "as_csv", is_flag=True, help="For spreadsheets: a table.")
def export(as_json: bool, as_csv: bool) -> None:
    """Print everything in the register. Without options, only the total is printed.

    The output is not sealed. If you write the output to a file, anybody who can open the file can
    read the register.

    \b
    Example:
      klankbord-desk register export --json > register.jsonl
    """
    if as_json and as_csv:
        raise click.UsageError("Give --json or --csv, not both.")
    with common.at_work() as place:
        if as_json or as_csv:
            click.echo(actions.export(place) if as_json else earlier.table(place), nl=False)
            return
        count = len(actions.every(place))
    click.echo(f"The register has {count} events. --json prints them.")


@register.command()
@shared
@click.argument("employer")
@click.option("--date", "day", metavar="DAY", help="The day (default: today).")
@click.option("--minutes", type=click.IntRange(0, fields.MAX_MINUTES), help="How long it took.")
@click.option("--how", type=click.Choice(c.CONTACT_KINDS), help="How you were in contact.")
@click.option("--channel", type=click.Choice(c.CHANNELS), help="How it reached you.")
@click.option("--with", "whom", type=click.Choice(c.WITH), multiple=True, help="With whom.")
@click.option("--case", "reference", metavar="CASE", default="", help="An existing case.")
@click.option("--new-case", metavar="LABEL", help="Make a case, with your own name for it.")
@click.option("--topic", type=click.Choice(c.MAIN_GROUPS), help="What it was about.")
@click.option("--help-given", type=click.Choice(c.HELP), multiple=True, help="What you did.")
@click.option(
    "--consent",
    metavar="CONSENT",
    default="",
    help="The consent that a talk with others is based on.",
)
@click.option("--again", is_flag=True, help="Without a case: it continues an earlier contact.")
@click.option("--record-nothing", is_flag=True, help="Only keep the employer, day and minutes.")
def contact(
    employer: str, day: str | None, minutes: int | None, how: str | None, channel: str | None,
    whom: tuple[str, ...], reference: str, new_case: str | None, topic: str | None,
    help_given: tuple[str, ...], consent: str, again: bool, record_nothing: bool,
) -> None:  # fmt: skip
    """Record one contact with somebody at EMPLOYER.

    \b
    Example:
      klankbord-desk register contact "Voorbeeld BV" --minutes 45 --how telephone
      klankbord-desk register contact "Voorbeeld BV" --minutes 20 --record-nothing
    """
    if reference and new_case is not None:
        raise click.UsageError("Give --case or --new-case, not both.")
    if record_nothing and (reference or new_case is not None):
        raise click.UsageError("A contact recorded without details cannot be in a case.")
    with common.at_work() as place:
        date = common.read_day(day) if day else place.machine.today()
        made = Contact(
            date=date, employer=employer, minutes=minutes, how=how or "", channel=channel or "",
            with_whom=whom, topic=topic or "", help=help_given, consent=consent,
            again=again or None, record_nothing=record_nothing or None,
        )  # fmt: skip
        added = actions.record_contact(place, made, reference, new_case)
    _tell(added)


@register.command("cases")
@shared
@click.option("--employer", metavar="NAME", default="", help="Only those at one employer.")
@click.option("--open", "only_open", is_flag=True, help="Only those that are not closed.")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def list_cases(employer: str, only_open: bool, as_json: bool) -> None:
    """List the cases, the newest first. Each thread has a case.

    \b
    Example:
      klankbord-desk register cases --open
    """
    with common.at_work() as place:
        found = actions.all_cases(place, employer)
    found = [one for one in found if not (only_open and one.closed)]
    if as_json:
        click.echo(render.dumps([_as_json(one) for one in found]))
        return
    for one in found:
        name = f"{one.reference}  {one.sheet.label}" if one.sheet.label else one.reference
        click.echo(visible(f"{one.last}  {one.employer}  {name}  {_words(one.phase)}"))
    if not found:
        click.echo("There are no cases.")


@register.command()
@shared
@click.argument("reference", metavar="CASE")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def consents(reference: str, as_json: bool) -> None:
    """Show the steps to which a reporter agreed, and whether each consent is still valid.

    CASE is a case's reference, or your own name for it.

    \b
    Example:
      klankbord-desk register consents 2026-3
    """
    with common.at_work() as place:
        found = actions.consent_ledger(place, reference)
    if as_json:
        click.echo(render.dumps([
            {"consent": one.newest.consent, "date": one.newest.date.isoformat(),
             "step": one.newest.step, "partner": one.newest.partner, "scope": one.newest.scope,
             "answer": one.newest.answer, "source": one.newest.source, "age": one.age,
             "good": one.good}
            for one in found
        ]))  # fmt: skip
        return
    for one in found:
        asked = one.newest
        good = "a step may rest on it" if one.good else "no step may rest on it; ask again"
        click.echo(visible(f"{asked.consent}  {_words(asked.answer)} on {asked.date}: {good}"))
        click.echo(visible(f"  {asked.step} / {asked.partner} / {asked.scope}"))
    if not found:
        click.echo("There is no consent in this case.")


@register.command("colleague-counts")
@shared
@click.argument("reference", metavar="CASE")
@click.option("--off", is_flag=True, help="Remove the mark: you count the situation yourself.")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def colleague_counts(reference: str, off: bool, as_json: bool) -> None:
    """Mark a case whose situation your colleague counts.

    Use this mark if you make a joint report and somebody spoke to both of you. Without the mark,
    that person counts twice. The counsellor to whom the person spoke first counts the situation,
    and the other counsellor marks the case. Your part of the joint report then leaves the situation
    out. Your hours do not change, and a report that you make alone still counts the situation.
    Issued reports and exported counts do not change.

    \b
    Example:
      klankbord-desk register colleague-counts 2026-3
    """
    with common.at_work() as place:
        try:
            found = joint.mark(place, reference, colleague_counts=not off)
        except Refused as refused:
            raise click.ClickException(visible(str(refused))) from None
        closed, year = joint.closed_by(place, found), joint.counted_year(place, found)
    if as_json:
        click.echo(render.dumps(_as_json(found)))
    else:
        who = "You count this situation" if off else "Your colleague counts this situation"
        click.echo(visible(f"{found.name}: {who} in a joint report."))
    if isinstance(closed, Joint):
        to = visible(closed.counsellor)
        click.echo(f"Your counts of {year} were given to {to} and stay as they are.", err=True)
    elif closed is not None:
        click.echo(f"The report of {year} was issued and stays as it is.", err=True)


@register.command("agenda")
@shared
@click.option(
    "--days", type=click.IntRange(0, 10_000), help="Only items that are due within this many days."
)
@click.option("--ics", metavar="FILE", help="Also write a calendar that marks the days.")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def show_agenda(days: int | None, ics: str | None, as_json: bool) -> None:
    """Show the items that are due, the earliest first.

    A calendar written with --ics marks days, without details of the items.

    \b
    Example:
      klankbord-desk register agenda --days 30
    """
    with common.at_work() as place:
        found, today = agenda.agenda(place, days), place.machine.today()
        if ics is not None:
            write_outside(Path(ics), agenda.calendar(found, today))
    if as_json:
        click.echo(render.dumps([vars(one) | {"day": one.day.isoformat()} for one in found]))
        return
    for one in found:
        late = " (overdue)" if one.day < today and one.kind != "absence" else ""
        about = [part for part in (one.employer, one.name) if part]
        click.echo(visible("  ".join([f"{one.day}{late}", *about, _due(one)])))
    if not found:
        click.echo("Nothing is due.")


@register.command()
@shared
@click.argument("reference", metavar="CASE")
@click.option("--yes", is_flag=True, help="Do not ask first.")
def destroy(reference: str, yes: bool) -> None:
    """Permanently destroy a case and its thread, after showing the case once more.

    A row without a name remains, so that the figures for its year do not change. Earlier backups
    still contain the case: replace them.

    \b
    Example:
      klankbord-desk register destroy 2024-3
    """
    with common.at_work() as place:
        found = actions.case(place, reference)
        click.echo(visible(f"{found.employer}  {found.name}  {_words(found.phase)}"))
        click.echo(f"opened {found.opened}, last entry {found.last}, {found.contacts} contacts")
        if not yes:
            click.confirm("Destroy it, and its thread?", abort=True, err=True)
        gone = retention.destroy(place, found)
    thread = " and a thread" if gone.conversation else ""
    click.echo(f"{gone.entries} entries{thread} were destroyed.")


@register.command()
@shared
@click.argument("old")
@click.argument("new")
@click.option("--yes", is_flag=True, help="Do not ask first.")
def rename(old: str, new: str, yes: bool) -> None:
    """Rename the employer OLD to NEW, in the whole register.

    If an employer NEW already exists, the two are merged. The text of an issued report does not
    change.

    \b
    Example:
      klankbord-desk register rename "Voorbeeld" "Voorbeeld BV"
    """
    with common.at_work() as place:
        if not yes:
            click.confirm(visible(f"Make {old} and {new} one employer?"), abort=True, err=True)
        try:
            count = actions.rename(place, old, new)
        except Refused as refused:
            raise click.ClickException(visible(str(refused))) from None
    click.echo(f"{count} events now have that name.")


@register.command("match-words")
@shared
@click.argument("case")
@click.option(
    "--lang", type=click.Choice(LANGUAGES), default="nl", help="The language of the words."
)
def match_words(case: str, lang: str) -> None:
    """Print a case's matching words: two words for a caller who may write later.

    If the words are in the first message of a conversation, the desk's page offers to add the
    conversation to the case. The words do not prove who is writing.

    \b
    Example:
      klankbord-desk register match-words 2026-1
    """
    with common.at_work() as place:
        click.echo(matching.give(place, case, lang))


@register.command()
@shared
@click.argument("thread")
@click.argument("case")
def match(thread: str, case: str) -> None:
    """Add a conversation to an existing case, so that both count as one situation.

    \b
    Example:
      klankbord-desk register match 0f3a 2026-1
    """
    with common.at_work() as place:
        _, mailbox = threads.locate(place, thread, common.site_hint())
        found = matching.join(place, mailbox, case)
    click.echo(visible(f"The conversation and case {found.reference} now count as one situation."))


for _command in (*register_files.COMMANDS, *register_contacts.COMMANDS):
    register.add_command(_command)

_DUE = {
    "answer": "answer the reporter",
    "receipt": "confirm the receipt of a report (7 days)",
    "feedback": "say what was done about a report (3 months)",
    "consent_asked_again": "the reporter wants to know more before consenting",
    "consent_ends": "last day on which the consent is valid",
    "aftercare": "aftercare",
    "last_look": "take a last look at the case and destroy it",
    "no_last_day": "closed, without a day for its destruction",
    "absence": "away from this day on",
    "term_ends": "the agreement ends",
    "certificate_ends": "your certificate expires",
}


def _due(one: Due) -> str:
    if one.kind == "upkeep":
        return f"{one.hours} hours of upkeep to go: {_words(one.upkeep)}"
    return _DUE[one.kind]


def _tell(added: Added) -> None:
    click.echo(f"{added.kept} events were kept in the register.")
    if added.there:
        click.echo(f"{added.there} were already in it.")
    for name, other in added.near:
        click.echo(
            visible(f"{name} is new here, and similar to {other}. If they are the same employer:")
        )
        click.echo(visible(f"klankbord-desk register rename {name!r} {other!r}"))
    if added.left_out:
        fields_ = ", ".join(f"{name} ({n})" for name, n in sorted(added.left_out.items()))
        click.echo(f"Left out, because less is recorded here: {fields_}.")


def _as_json(one: Standing) -> dict[str, object]:
    return {
        "case": one.reference,
        "employer": one.employer,
        "label": one.sheet.label,
        "opened": one.opened.isoformat(),
        "last": one.last.isoformat(),
        "closed": one.closed.isoformat() if one.closed else None,
        "phase": one.phase,
        "main_group": one.sheet.main_group,
        "colleague_counts": bool(one.sheet.colleague_counts),
        "contacts": one.contacts,
        "minutes": one.minutes,
        "thread": one.sheet.thread,
    }


def _words(code: str) -> str:
    return code.replace("_", " ")


COMMANDS = (register,)
