"""The parts of ``deploy/reference.md`` that are generated from the code.

``scripts/dev/reference`` writes them, and ``tests/test_docs.py`` compares them. Text between two
markers is generated; text outside them is written by hand.
"""

from __future__ import annotations

import argparse
import dataclasses
import inspect
import re
import sys
import textwrap
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import click

from dropbox_app.desk.cli.main import main as desk
from dropbox_app.server.cli.main import main as server
from dropbox_app.server.config import settings_writer
from dropbox_app.server.config.settings import Law, Limits, Reporter, Retention, Settings
from dropbox_app.server.notify.config import Mailed, MailSettings
from tests.server.web import test_refusals as refusals

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "deploy" / "reference.md"
NOTIFY = ROOT / "deploy" / "etc" / "klankbord-notify" / "notify.toml"
TYPES = {
    "str": "text", "bool": "true or false", "int": "whole number", "datetime.date | None": "day",
    "tuple[str, ...]": "list of texts", "OtherContact": "table",
}  # fmt: skip
# Options that all commands of a program accept, listed once above them.
SHARED = {"klankbord-server": {"--dir"}, "klankbord-desk": {"--dir", "--passphrase-file", "--site"}}
Field = dataclasses.Field[object]


def written() -> str:
    """Return the page with every generated part renewed."""
    text = PAGE.read_text("utf-8")
    for name, make in PARTS.items():
        begin, end = f"<!-- {name}: from the code -->\n", f"<!-- {name}: end -->\n"
        before, found, rest = text.partition(begin)
        _, closed, after = rest.partition(end)
        if not found or not closed:
            raise ValueError(f"{PAGE} has no part {name}")
        text = before + begin + make() + end + after
    return text


def cell(words: str) -> str:
    """Return the text for one cell of a table."""
    return " ".join(words.split()).replace("|", "\\|")


def explained(toml: str) -> dict[str, str]:
    """Return the comment above each setting, by ``table.key``."""
    found: dict[str, str] = {}
    table = ""
    said: list[str] = []
    for line in toml.splitlines():
        if heading := re.fullmatch(r"\[+(\w+)\]+", line):
            table, said = f"{heading[1]}.", []
        elif line.startswith("# "):
            said.append(line[2:])
        elif named := re.match(r"(\w+) = ", line):
            if said:
                found[table + named[1]] = " ".join(said)
            said = []
        elif not line:
            said = []
    return found


def default(item: Field) -> str:
    """Return a setting's default as written; empty if it is required."""
    if item.default is not dataclasses.MISSING:
        value = item.default
    elif item.default_factory is not dataclasses.MISSING:
        value = item.default_factory()
    else:
        return ""
    if dataclasses.is_dataclass(value):
        values = dataclasses.asdict(value).items()  # type: ignore[arg-type]  # an instance, not a class
        return f"`{{ {', '.join(f'{key} = {_toml(one)}' for key, one in values)} }}`"
    return f"`{_toml(value)}`"


def _toml(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return f"[{', '.join(map(_toml, value))}]"
    return str(value) if isinstance(value, int) else f'"{value or ""}"'


def shown(item: Field) -> bool:
    """Return whether it is set in the file itself: it is not a table or read from elsewhere."""
    name = item.type if isinstance(item.type, str) else getattr(item.type, "__name__", "")
    return item.repr and name not in ("Retention", "Limits", "Law", "Reporter")


def type_of(item: Field) -> str:
    """Return a setting's type in words."""
    kind = item.type
    name = kind if isinstance(kind, str) else getattr(kind, "__name__", "")
    if not isinstance(kind, str | type):
        name = str(kind)
    return TYPES.get(name, "list of tables" if name.startswith("tuple") else name)


def settings() -> str:
    """Return the tables of all settings of a site and of the daily mail."""
    example = Settings("5a" * 16, "X", ("https://x.example",))
    site = explained(settings_writer.write(example))
    mail = NOTIFY.read_text("utf-8")
    mail += re.sub("^# ?", "", mail[mail.index("# [[counsellor]]") :], flags=re.MULTILINE)
    tables = (
        ("In `site.toml`", Settings, site, ""),
        ("In its table `[reporter]`", Reporter, site, "reporter."),
        ("In its table `[retention]`, in days", Retention, site, "retention."),
        ("In its table `[limits]`", Limits, site, "limits."),
        ("In its table `[law]`", Law, site, "law."),
        ("In `notify.toml`, of the daily mail", MailSettings, explained(mail), ""),
        ("In each `[[counsellor]]` of `notify.toml`", Mailed, explained(mail), "counsellor."),
    )
    lines: list[str] = []
    for heading, group, said, table in tables:
        lines += [
            f"### {heading}",
            "",
            "| setting | type | default | meaning |",
            "|---|---|---|---|",
        ]
        lines += [
            f"| `{item.name}` | {type_of(item)} | {default(item) or 'none: give it'} "
            f"| {cell(said[table + item.name])} |"
            for item in dataclasses.fields(group)
            if shown(item) and item.name != "counsellor"
        ]
        lines.append("")
    return "\n".join(lines)


def commands(command: click.Command, words: tuple[str, ...]) -> Iterator[tuple[str, click.Command]]:
    """Yield every command of a program by its typed words, in the program's order."""
    if not isinstance(command, click.Group):
        yield " ".join(words), command
        return
    for name, inner in command.commands.items():
        yield from commands(inner, (*words, name))


def _flags(option: click.Option) -> str:
    names = "`, `".join((*option.opts, *option.secondary_opts))
    if option.is_flag:
        return f"`{names}`"
    kind = option.type
    if option.metavar:
        value = option.metavar
    elif isinstance(kind, click.Choice):
        value = "\\|".join(map(str, kind.choices))
    elif isinstance(kind, click.IntRange):
        value = f"{kind.min}-{kind.max}"
    elif isinstance(kind, click.types.IntParamType):
        value = "NUMBER"
    elif isinstance(kind, click.DateTime):
        value = "DAY"
    else:
        value = "FILE" if isinstance(kind, click.Path) else "TEXT"
    return f"`{names} {value}`"


def _meaning(option: click.Option) -> str:
    said = cell(option.help or "")
    marks = ["needed"] if option.required else []
    marks += ["can be repeated"] if option.multiple else []
    known = option.default
    if isinstance(known, str | int | Path) and not option.is_flag and str(known):
        marks.append(f"default `{known}`")
    return f"{said} ({'; '.join(marks)})" if marks else said


def described(program: str, root: click.Command) -> Iterator[str]:
    """Yield the description of a program: its commands, help, arguments and options."""
    shared = {
        option.opts[0]: option
        for _, command in commands(root, (program,))
        for option in command.params
        if isinstance(option, click.Option) and option.opts[0] in SHARED[program]
    }
    yield f"### {program}\n"
    yield "Options of most commands, before or after the command:\n"
    yield from _options(shared.values())
    for words, command in commands(root, (program,)):
        arguments = [one for one in command.params if isinstance(one, click.Argument)]
        own = [
            one for one in command.params
            if isinstance(one, click.Option) and one.opts[0] not in shared and not one.hidden
        ]  # fmt: skip
        usage = " ".join([words, *(one.make_metavar(click.Context(command)) for one in arguments)])
        yield f"#### `{usage}`\n"
        yield from _help(command)
        yield from _options(own)


def _help(command: click.Command) -> Iterator[str]:
    for part in re.split(r"\n\s*\n", inspect.cleandoc(command.help or "").replace("\f", "")):
        if part.startswith("\b"):
            example = textwrap.dedent(part.removeprefix("\b\n").rstrip())
            yield f"```sh\n{example}\n```\n"
        elif part.strip():
            yield " ".join(part.split()) + "\n"


def _options(given: Iterable[click.Option]) -> Iterator[str]:
    rows = [f"| {_flags(one)} | {_meaning(one)} |" for one in given]
    if rows:
        yield "\n".join(["| option | meaning |", "|---|---|", *rows]) + "\n"


def installer() -> Iterator[str]:
    """Yield the options of ``deploy/install``."""
    sys.path.insert(0, str(ROOT / "deploy"))
    try:
        from installer.main import parser
    finally:
        sys.path.pop(0)
    found: list[argparse.Action] = []

    class Collected(argparse.HelpFormatter):
        def add_argument(self, action: argparse.Action) -> None:
            found.append(action)

    made: argparse.ArgumentParser = parser()
    made.formatter_class = Collected
    made.format_help()
    yield "### deploy/install\n"
    rows = []
    for action in found:
        names = "`, `".join(one for one in action.option_strings if one.startswith("--"))
        value = action.metavar or (action.dest.upper() if action.nargs != 0 else "")
        value = " ".join(value) if isinstance(value, tuple) else value
        rows.append(f"| `{names}{' ' + value if value else ''}` | {cell(action.help or '')} |")
    yield "\n".join(["| option | meaning |", "|---|---|", *rows]) + "\n"


def programs() -> str:
    """Return the commands and options of the three programs."""
    parts = [*described("klankbord-server", server), *described("klankbord-desk", desk)]
    return "\n".join([*parts, *installer()])


PARTS: dict[str, Callable[[], str]] = {
    "settings": settings,
    "commands": programs,
    "refusals": refusals.table,
}
