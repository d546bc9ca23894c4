"""Every command in README, CONTRIBUTING and guides: parsed, executed, or marked as not tried.

The programs themselves parse this project's commands. Every other command is in a table, with the
test that runs it or the reason why none does.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import click
import pytest

from dropbox_app.desk.cli.main import main as desk
from dropbox_app.server.cli.main import main as server
from tests.support.debian import made
from tests.support.drop_box import ROOT

GUIDES = (
    *(f"deploy/guide/{name}.md"
      for name in ("install", "routine", "emergencies", "extras", "scale", "by-hand", "desk")),
    "README.md",
    "CONTRIBUTING.md",
    "deploy/README.md",
    "deploy/desk/README.md",
)  # fmt: skip
PROGRAMS = {
    "klankbord-server": server,
    "klankbord-desk": desk,
    "scripts/counsellor": desk,
    "klankbord-notify": server,
}
ETC = ROOT / "deploy" / "etc" / "systemd" / "system"
DEBIANS_UNITS = {"stunnel@klankbord", "tor", "tor@mail"}
# Possible values for the placeholders in the documents.
EXAMPLES = {"$D": "--dir desk", "THREAD": "0a1b2c3d", "YYYY-MM-DD": "2026-11-29", "...": ""}

# By the beginning of a command: the test that runs it or compares it.
RUN = {
    "(umask 077; ssh root@MACHINE klankbord-server backup-key": "tests/deploy/test_install.py",
    "age -d -i backup-key.txt": "tests/server/backup/test_other_age.py",
    "minisign -Vm SHA256SUMS": "tests/server/release/test_folder.py",
    "runuser -u klankbord -- ssh-keygen": "tests/server/backup/test_offsite.py",
    "python3 -m venv .venv": "tests/server/web/test_oldest.py",
    ".venv/bin/pip install": "tests/server/web/test_oldest.py",
    "kill -HUP PID": "tests/e2e/test_two_sites.py",
    "git clone ADDRESS klankbord": "tests/deploy/test_guides.py",
    "cd klankbord": "tests/deploy/test_guides.py",
    "scripts/run": "tests/test_run.py",
    "scripts/release": "tests/deploy/test_release.py",
}
# By the beginning of a command: the reason why no test runs it.
NOT_TRIED = {
    "apt-get update": "Debian's own",
    "apt-get install": "Debian's own; the installer's test runs it for its packages",
    "scripts/test": "it runs the tests",
    "scripts/bench": "it measures, for minutes",
    "python3 deploy/desk/build": "for macOS, which no test has",
    "py deploy": "for Windows, which no test has",
    "minisign -G": "minisign's own, and it asks for a passphrase",
    "git pull": "git's own",
    "git checkout OLD": "git's own",
    "install -": "coreutils' own",
    "sudo install -": "coreutils' own",
    "rm -r": "coreutils' own",
    "cp deploy/": "coreutils' own",
    "scp ": "it needs another machine",
    "journalctl -u": "systemd's own",
    "echo ": "the shell's own; tests/deploy/test_tor_journey.py sets the same line",
    "nano ": "an editor",
    "age -p": "it asks for a passphrase at a terminal",
    "age -d -o": "it asks for a passphrase at a terminal",
    "runuser -u klankbord -- sh -c 'ssh-keyscan": "it needs another machine",
    "find /srv/klankbord-backups": "for another machine, and only an example",
    "sha256sum -c": "coreutils' own",
    "tor-instance-create mail": "it needs systemd",
    "cd deploy/container": "the shell's own",
    "podman-compose": "no container runs in tests",
    "podman ": "no container runs in tests",
    "nginx -e stderr": "tests/support/fronts.py starts it with the settings of its test",
    'D="--dir': "a shell variable of the next lines",
}


def shown(name: str) -> list[str]:
    """Return every command in a guide: lines of code blocks, and code spans with a space."""
    text = (ROOT / name).read_text("utf-8")
    lines = "\n".join(re.findall(r"^ *```sh\n(.*?)^ *```", text, re.DOTALL | re.MULTILINE))
    spans = re.findall(r"`([^`]+)`", re.sub(r"```.*?```", "", text, flags=re.DOTALL))
    starts = tuple({*PROGRAMS, "deploy/install", "systemctl", "/opt/", ".venv/", *RUN, *NOT_TRIED})
    found = [line.strip() for line in re.sub(r"\\\n *", " ", lines).splitlines()]
    spans = [" ".join(one.split()) for one in spans]
    found += [one for one in spans if one.startswith(starts) and " " in one]
    return [one for one in found if one and not one.startswith("#")]


COMMANDS = sorted({one for name in GUIDES for one in shown(name)})


def _words(command: str) -> list[str]:
    for left_out, example in EXAMPLES.items():
        command = command.replace(left_out, example)
    words = shlex.split(command.removeprefix("sudo -u klankbord "))
    return words[: words.index(">")] if ">" in words else words


def _parse(command: click.Command, name: str, words: list[str]) -> None:
    """Let click parse the words without executing anything; files need not exist."""
    context = click.Context(command, info_name=name)
    if isinstance(command, click.Group):
        _, left, _ = command.make_parser(context).parse_args([*words])
        if left:
            called, inner, more = command.resolve_command(context, left)
            assert called is not None
            assert inner is not None
            _parse(inner, called, more)
        return
    if not words:  # the command is only mentioned
        return
    try:
        command.make_context(name, [*words])
    except click.BadParameter as error:
        if not re.search(r"does not exist|No such file|is missing", str(error)):
            raise


@pytest.mark.parametrize("command", COMMANDS)
def test_every_guide_command_is_parsed_or_listed_with_its_test_or_a_reason(command: str) -> None:
    words = _words(command) if not command.startswith("(") else [command]
    program = words[0].removeprefix(".venv/bin/").removeprefix("/opt/klankbord/current/bin/")
    if program == "klankbord-notify":
        program, words = "klankbord-server", ["", "notify", *words[1:]]
    if program in PROGRAMS:
        _parse(PROGRAMS[program], program, words[1:])
    elif program == "deploy/install":
        sys.path.insert(0, str(ROOT / "deploy"))
        from installer.main import parser

        if "--help" not in words:
            parser().parse_args(words[1:])
    elif program == "systemctl":
        for unit in (one for one in words[2:] if not one.startswith("-")):
            name = unit if "." in unit else f"{unit}.service"
            assert unit in DEBIANS_UNITS or (ETC / name).is_file(), unit
    else:
        known = [one for one in (*RUN, *NOT_TRIED) if command.startswith(one)]
        assert known, "say in RUN which test runs it, or in NOT_TRIED why none does"


def test_tables_list_only_guide_commands_and_existing_tests() -> None:
    for start in (*RUN, *NOT_TRIED):
        assert any(one.startswith(start) for one in COMMANDS), start
    for test in RUN.values():
        assert (ROOT / test).is_file(), test


@pytest.mark.long
@pytest.mark.timeout(1800)
@pytest.mark.skipif(
    os.geteuid() != 0 or not shutil.which("debootstrap"), reason="needs root and debootstrap"
)
def test_install_guide_steps_produce_a_working_site(tmp_path: Path) -> None:
    """Without systemd, the steps go as far as the site, its check and its first backup."""
    steps = shown("deploy/guide/install.md")
    wanted = (
        "apt-get update && apt-get install git python3", "git clone ADDRESS klankbord",
        "cd klankbord", "deploy/install --dry-run", "deploy/install",
    )  # fmt: skip
    guide = (ROOT / "deploy" / "guide" / "install.md").read_text("utf-8")
    assert [one for one in wanted if f"`{one}`" not in guide] == []
    with made("trixie") as debian:
        subprocess.run(
            ["git", "clone", "--quiet", "--bare", ROOT, debian.path("/srv/source.git")], check=True
        )
        debian.enter("chown", "-R", "root:root", "/srv/source.git")
        answers = "--name Example --run-by Foundation --phone '' --domain ''"
        script = ["set -e", "cd /root", "export DEBIAN_FRONTEND=noninteractive"]
        for step in wanted:
            step = step.replace("ADDRESS", "/srv/source.git")
            step = step.replace("apt-get install", "apt-get install --yes")
            script.append(f"{step} {answers}" if step.startswith("deploy/install") else step)
        said = debian.enter("sh", "-c", "\n".join(script))
        assert "Nothing was changed." in said
        assert re.search(r"http://[a-z2-7]{56}\.onion", said)
        (doctor,) = [one for one in steps if one.endswith(" doctor") and one.startswith("/opt/")]
        assert " fine, " in debian.enter("sh", "-c", doctor, check=False)
        for command in ("site check", "backup-key", "backup", "backup --check", "status", "move"):
            debian.enter("sh", "-c", f"klankbord-server {command}", check=command != "status")
