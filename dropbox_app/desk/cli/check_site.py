"""The command that checks a site as a visitor sees it."""

from collections.abc import Callable
from pathlib import Path

import click

from dropbox_app.desk.actions import check_site as checks
from dropbox_app.desk.actions.check_site import Checked
from dropbox_app.desk.cli import common, render
from dropbox_app.desk.cli.common import shared
from dropbox_app.desk.cli.terminal import visible
from dropbox_app.desk.cli.threads import still_waiting
from dropbox_app.desk.errors import NotFound, Unfit
from dropbox_app.desk.site_check import words
from dropbox_app.protocol.encoding import Json


@click.command("check-site")
@shared
@click.argument("named", metavar="[SITE]", default="")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
@click.option(
    "--lang", type=click.Choice(words.LANGUAGES), default="en", show_default=True,
    help="The language of the result.",
)  # fmt: skip
@click.option(
    "--manifest", type=click.Path(path_type=Path, dir_okay=False),
    help="The manifest of another release that the site may run; its .minisig is beside it.",
)  # fmt: skip
@click.option(
    "--key", type=click.Path(path_type=Path, dir_okay=False),
    help="With --manifest: the public key that signed it.",
)  # fmt: skip
def check_site(
    named: str, as_json: bool, lang: str, manifest: Path | None, key: Path | None
) -> None:
    """Visit your sites as a reporter does, and compare what they send with this release.

    The command compares the pages, the files that a browser loads, the cards and the policy, in two
    visits at the same time, and says what differs. The comparison cannot show what the server sends
    to somebody else.

    The exit code is 0 if nothing differs, 1 if something differs or the site was not reached, and 2
    if the command was used wrongly.

    \b
    Example:
      klankbord-desk check-site
    """
    if (manifest is None) != (key is None):
        raise click.UsageError("Give --manifest and --key together.")
    try:
        other = checks.read_manifest(manifest, key) if manifest and key else None
        with common.at_work() as place:
            done = checks.check(
                place,
                named or common.site_hint(),
                other=other,
                progress=(lambda _: None) if as_json else _tell(lang),
                waiting=still_waiting,
            )
    except (NotFound, Unfit) as error:
        raise click.UsageError(visible(str(error))) from None
    if as_json:
        click.echo(render.dumps([_fields(one, lang) for one in done]))
    if not all(one.same for one in done):
        click.get_current_context().exit(1)


def _tell(lang: str) -> Callable[[Checked], None]:
    def tell(done: Checked) -> None:
        for result in done.results:
            click.echo(f"{visible(done.employer)} ({visible(result.origin)})")
            for line in words.summary(lang, result, first=done.first):
                click.echo(f"  {visible(line)}")

    return tell


def _fields(done: Checked, lang: str) -> dict[str, Json]:
    return {
        "site": done.site,
        "employer": done.employer,
        "same": done.same,
        "alarm": done.alarm,
        "results": [
            {
                "origin": one.origin,
                "day": one.day.isoformat(),
                "same": one.same,
                "two_circuits": one.circuits,
                "findings": [
                    {
                        "kind": found.kind,
                        "where": found.where,
                        "alarm": found.alarm,
                        "sentence": words.sentence(lang, found),
                        "said": dict(found.said),
                    }
                    for found in one.findings
                ],
            }
            for one in done.results
        ],
    }


COMMANDS = (check_site,)
