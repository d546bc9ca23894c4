"""The documents match the code: every command, option, setting and script, and no others."""

from __future__ import annotations

import ast
import functools
import importlib.metadata
import re
import subprocess
import tomllib
from pathlib import Path
from typing import get_args

import click
import pytest

from dropbox_app.desk.cli.main import main as desk
from dropbox_app.server.backup import directory, manifest
from dropbox_app.server.cli.main import main as server
from dropbox_app.server.doctor.finding import FIELDS, Check, State
from dropbox_app.server.store.sqlite import DATABASE, RESERVE
from tests.support import reference

ROOT = Path(__file__).resolve().parent.parent
SCRIPTS = (*(ROOT / "scripts").iterdir(), *(ROOT / "scripts" / "dev").iterdir())
PROGRAMS: dict[str, click.Command] = {"klankbord-server": server, "klankbord-desk": desk}
REFERENCE = "deploy/reference.md"
OPERATOR = (
    "deploy/README.md",
    REFERENCE,
    *(f"deploy/guide/{name}.md"
      for name in ("install", "routine", "emergencies", "extras", "scale", "by-hand")),
)  # fmt: skip
DOCUMENTS = (
    "README.md",
    "SECURITY.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "keys/README.md",
    *OPERATOR,
    "deploy/guide/desk.md",
    "deploy/desk/README.md",
)
# Options of other programs that the documents name in code spans.
FOREIGN = {"--require-hashes", "--only-binary", "--no-deps", "--no-build-isolation"}
FOREIGN |= {"--help", "--rm"}


def text(name: str) -> str:
    return (ROOT / name).read_text("utf-8")


def options(command: click.Command) -> set[str]:
    """Return every long option of a command and its subcommands."""
    found = {
        option
        for parameter in command.params
        if isinstance(parameter, click.Option)
        for option in (*parameter.opts, *parameter.secondary_opts)
        if option.startswith("--")
    }
    if isinstance(command, click.Group):
        for inner in command.commands.values():
            found |= options(inner)
    return found - {"--help", "--version"}


def script_options() -> set[str]:
    """Return every long option of the project's own scripts."""
    return {
        option
        for script in (*(ROOT / "deploy" / "installer").glob("*.py"), *SCRIPTS)
        if script.is_file()
        for option in re.findall(r"--[a-z][a-z-]+", script.read_text("utf-8"))
    }


def code_of(*documents: str) -> str:
    """Return all code in documents: blocks and spans."""
    source = "\n".join(text(name) for name in documents)
    blocks = re.findall(r"```.*?\n(.*?)```", source, re.DOTALL)
    rest = re.sub(r"```.*?```", "", source, flags=re.DOTALL)
    return "\n".join([*blocks, *re.findall(r"`([^`]+)`", rest)])


@pytest.mark.parametrize("document", DOCUMENTS)
def test_documents_mention_only_existing_options(document: str) -> None:
    known = options(server) | options(desk) | script_options() | FOREIGN
    assert set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", code_of(document))) - known == set()


@pytest.mark.parametrize("document", DOCUMENTS)
def test_documents_mention_only_existing_commands(document: str) -> None:
    """The word after a program's name, its options and their values is one of its commands."""
    wrong = []
    source = code_of(document).replace("\\\n", " ")
    for line in source.splitlines():
        for program, command in (*PROGRAMS.items(), ("scripts/counsellor", desk)):
            found = re.search(rf"{program} +(.*)", line)
            if not found:
                continue
            words = re.sub(r"--[a-z-]+ +[^-\s]\S*|\$D|\.\.\.|--\S+", " ", found[1]).split()
            assert isinstance(command, click.Group)
            if words and words[0].isalpha() and words[0].islower():
                wrong += [line] if words[0] not in command.commands else []
    assert wrong == []


def test_reference_matches_the_code() -> None:
    """This covers settings, commands and refusals, which ``scripts/dev/reference`` writes."""
    assert reference.PAGE.read_text("utf-8") == reference.written(), "run scripts/dev/reference"


def test_guide_index_lists_exactly_the_files_in_the_folder() -> None:
    source = text("deploy/guide/by-hand.md")
    (part,) = re.findall(
        r"^One folder contains all of a server's data:\n\n((?:- .*\n)+)", source, re.M
    )
    named = {name.rstrip("/") for name in re.findall(r"`([^`]+)`", part)}
    beside = {f"{DATABASE}-wal", f"{DATABASE}-shm"}
    assert named == manifest.TOP | {RESERVE, directory.FOLDER} | beside


def test_every_script_is_described_and_every_described_script_exists() -> None:
    scripts = {
        str(path.relative_to(ROOT))
        for path in SCRIPTS
        if path.is_file() and path.stat().st_mode & 0o100
    }
    name = r"scripts/(?:dev/)?\w+"
    named = {found for document in DOCUMENTS for found in re.findall(name, text(document))}
    assert scripts - set(re.findall(name, text("CONTRIBUTING.md"))) == set()
    assert named <= scripts


def test_readme_starts_with_two_existing_commands() -> None:
    """A newcomer copies the first two blocks; test_run.py runs one, and this test the other."""
    blocks = re.findall(r"```sh\n(.*?)```", text("README.md"), re.DOTALL)
    assert [block.strip() for block in blocks[:2]] == ["scripts/run", "scripts/test"]
    done = subprocess.run(
        [ROOT / "scripts" / "run", "--help"], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("usage: run")


@pytest.mark.parametrize("arguments", [("--port", "0"), ("--port", "x"), ("--nonsense",)])
def test_run_with_wrong_arguments_prints_usage(arguments: tuple[str, ...]) -> None:
    done = subprocess.run(
        [ROOT / "scripts" / "run", *arguments], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "usage:" in done.stderr


@pytest.mark.parametrize("document", ["CHANGELOG.md", "dropbox_app/protocol/SPEC.md"])
def test_lines_outside_tables_have_at_most_140_characters(document: str) -> None:
    lines = enumerate(text(document).splitlines(), 1)
    assert [n for n, line in lines if len(line) > 140 and "| " not in line[:4]] == []


def test_every_file_states_the_same_version() -> None:
    version = tomllib.loads(text("pyproject.toml"))["project"]["version"]
    first = re.search(r"^## \[([^\]]+)\]", text("CHANGELOG.md"), re.MULTILINE)
    assert first is not None
    assert first[1] == version == importlib.metadata.version("klankbord")
    assert f"version {version}" in text("README.md")


@pytest.mark.parametrize("document", DOCUMENTS)
def test_links_resolve(document: str) -> None:
    folder = (ROOT / document).parent
    for target in re.findall(r"\]\((?!https?:)([^)\s]+)\)", text(document)):
        path, _, anchor = target.partition("#")
        place = (folder / path).resolve() if path else ROOT / document
        assert place.exists(), target
        if anchor:
            headings = re.findall(r"^#+ (.*)$", place.read_text("utf-8"), re.MULTILINE)
            assert anchor in {re.sub(r"[^\w-]", "", h.lower().replace(" ", "-")) for h in headings}


def test_pinned_requirements_are_complete_and_name_no_host() -> None:
    """Every pinned package has hashes; the small sets use the versions of the large one."""
    pins: dict[str, dict[str, str]] = {}
    for path in sorted((ROOT / "requirements").glob("*.txt")):
        source = path.read_text("utf-8")
        assert not re.search(r"://|^ *--(?!hash)", source, re.MULTILINE), path.name
        blocks = re.findall(
            r"^([a-z0-9-]+)==(\S+) \\\n((?: +--hash=sha256:[0-9a-f]{64}.*\n)+)",
            source,
            re.MULTILINE,
        )
        assert len(blocks) == len(re.findall(r"^[a-z]", source, re.MULTILINE)), path.name
        pins[path.stem] = {name: version for name, version, _ in blocks}
    assert set(pins) == {"desk", "folder", "oldest", "run", "server", "test"}
    assert pins["desk"].items() <= pins["folder"].items()
    for small in ("desk", "run", "server"):
        assert pins[small].items() <= pins["test"].items()


def test_no_registry_host_and_no_machine_path_is_mentioned() -> None:
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if listed.returncode:
        pytest.skip("this is no git checkout, so what belongs to it is not known")
    # Written so that this file does not contain the strings that it searches for.
    hosts = "|".join(
        ("pypi[.]org", "python" + "hosted", "npmjs[.](org|com)", "/" + "root/", "/" + "home/")
    )
    found = []
    for name in listed.stdout.split("\0"):
        path = ROOT / name
        if not path.is_file():
            continue
        held = path.read_bytes().decode("utf-8", "ignore")
        if name.endswith("viewer/built/frame.js"):  # the home folder that wasm programs see
            held = held.replace("/" + "home/web_user", "")
        if hit := re.search(hosts, held):
            found.append(f"{name}: {hit[0]}")
    assert found == []


def test_every_promise_names_existing_tests() -> None:
    rows = re.findall(r"^\| .* \| (`tests/.*`) \|$", text("SECURITY.md"), re.MULTILINE)
    assert len(rows) > 20
    for row in rows:
        for path, name in re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", row):
            assert f"def {name}(" in text(path), (path, name)


def test_ci_runs_every_test_named_in_the_security_document() -> None:
    """CI's first call skips some files and the --long tests; its second call runs them."""
    first, _, second = text(".ci/run").partition("exec scripts/test --long")
    left_out = re.findall(r"--ignore=(tests/[\w/.]+)", first)
    assert left_out
    assert [one for one in left_out if not (ROOT / one).exists()] == []
    promised = set(re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", text("SECURITY.md")))
    only_long = {f"{path}::{name}" for path, name in promised if is_only_long(path, name)}
    assert only_long
    assert "-m 'not spare'" in second
    assert not [f"{path}::{name}" for path, name in promised if is_marked(path, name, "spare")]
    for path, name in re.findall(r"(tests/[\w/]+\.py)::(\w+)", second):
        assert f"def {name}(" in text(path), (path, name)
    named = tuple(re.findall(r"tests/[^\s\[\"]+", second))
    assert [one for one in {*left_out, *only_long} if not one.startswith(named)] == []


@functools.cache
def parsed(path: str) -> ast.Module:
    return ast.parse(text(path))


def is_only_long(path: str, name: str) -> bool:
    return is_marked(path, name, "long")


def is_marked(path: str, name: str, how: str) -> bool:
    """Return whether a test, or its whole file, has this mark."""
    marks = [
        ast.unparse(mark)
        for node in parsed(path).body
        for mark in (
            node.decorator_list
            if isinstance(node, ast.FunctionDef) and node.name == name
            else [node.value]
            if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "pytestmark"
            else []
        )
    ]
    return any(re.search(rf"\bmark\.{how}\b", one) and "param" not in one for one in marks)


def test_guide_describes_every_installer_option() -> None:
    said = subprocess.run(
        [ROOT / "deploy" / "install", "--help"], capture_output=True, text=True, check=True
    ).stdout
    options_of_it = set(re.findall(r"--[a-z][a-z-]+", said)) - {"--help"}
    assert len(options_of_it) > 5
    for option in options_of_it:
        assert re.search(rf"{option}(?![\w-])", code_of(*OPERATOR)), option


def test_doctor_table_lists_exactly_the_checks_that_doctor_makes() -> None:
    guide = text(REFERENCE)
    table = guide.partition("<!-- checks: compared with the code -->")[2].partition("<!--")[0]
    rows = re.findall(r"^\| ([a-z ]+) \| (site|server|machine) \| .+ \|$", table, re.MULTILINE)
    assert [name for name, _ in rows] == list(get_args(Check))
    assert len(table.strip().splitlines()) == len(rows) + 2
    for name in (*FIELDS, *get_args(State)):
        assert f"`{name}`" in guide, name


def test_guide_names_every_file_that_belongs_to_it() -> None:
    guide = "".join(text(name) for name in OPERATOR)
    for folder in ("etc", "container", "papers/nl", "papers/en"):
        named = re.findall(rf"\]\((?:\.\./)?{folder}/([^)]+)\)", guide)
        assert named, folder
    for path in (ROOT / "deploy").glob("[ec]*/**/*"):
        if path.is_file() and path.suffix != ".containerignore":
            assert f"(../{path.relative_to(ROOT / 'deploy')})" in guide, path


def test_guide_states_the_same_paths_as_the_files() -> None:
    guide = "".join(text(name) for name in OPERATOR)
    unit = text("deploy/etc/systemd/system/klankbord.service")
    parts = ("machine", "onions", "program", "tor")
    installer = "".join(text(f"deploy/installer/{name}.py") for name in parts)
    assert "--dir /var/lib/klankbord " in unit
    assert "HiddenServiceDir /var/lib/tor/klankbord-@NAME@" in text(
        "deploy/etc/tor/torrc.d/klankbord-onion.conf.in"
    )
    for place in (
        "/var/lib/klankbord/",
        "/var/lib/tor/klankbord-box/",
        "/opt/klankbord/releases/",
        "/etc/apparmor.d/local/system_tor",
    ):
        assert place in guide
        assert place.rstrip("/").rpartition("/")[2] in installer
