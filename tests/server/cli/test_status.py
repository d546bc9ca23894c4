"""``status`` describes today's state in plain words, without anything about reporters."""

import datetime
import json
import re
from pathlib import Path

from tests.server.cli.test_cli import Operator, operator, ready
from tests.support.server_folder import AServer

__all__ = ["operator", "ready"]


def _open(ready: Operator) -> None:
    done = ready.types("card", "add", ready.card("anna"), "--name", "anna", given="yes\n")
    assert done.exit_code == 0, done.output
    assert ready.types("backup-key").exit_code == 0
    assert ready.types("backup").exit_code == 0


def test_healthy_server_is_reported_with_exit_code_0(ready: Operator) -> None:
    _open(ready)
    done = ready.types("status")
    assert done.exit_code == 0, done.output
    for line in (
        r"Klankbord [0-9.]+",
        r"Site \. \(Voorbeeld BV\): open",
        r"  Desk of anna: no fetch yet",
        rf"Last backup: {ready.day}",
        r"Last daily mail: off",
        r"Disk: [0-9]+ MiB free; below [0-9]+ nothing new is taken",
        r"Certificate: .*doctor, as root, does",
    ):
        assert re.search(f"^{line}$", done.stdout, re.MULTILINE), (line, done.stdout)
    assert "To do" not in done.stdout


def test_status_command_gives_exit_code_1_if_action_is_needed(ready: Operator) -> None:
    done = ready.types("status")
    assert done.exit_code == 1
    assert "closed: no counsellor has a card that can be written to" in done.stdout
    assert "To do: there is no key for backups" in done.stdout
    _open(ready)
    ready.day += datetime.timedelta(days=3)
    done = ready.types("status", "--json")
    assert done.exit_code == 1
    values = json.loads(done.stdout)
    assert values["wrong"] == [f"the newest backup is of {values['backup']}"]


def test_site_with_invalid_settings_is_named_with_its_fault(ready: Operator) -> None:
    (ready.folder / "site.toml").write_text("name = 3\n")
    done = ready.types("status")
    assert done.exit_code == 1
    assert re.search(r"Site \. \(settings that cannot be read\): closed: .*site.toml", done.stdout)
    assert done.exception is None or isinstance(done.exception, SystemExit)


def test_folder_without_a_server_is_refused(operator: Operator) -> None:
    done = operator.types("status")
    assert done.exit_code == 1
    assert "is not a server's folder" in done.stderr


def test_status_output_does_not_depend_on_the_number_of_reports(
    tmp_path: Path, operator: Operator
) -> None:
    server = AServer(tmp_path / "filled")

    def said() -> dict[str, object]:
        done = operator.types("status", "--dir", tmp_path / "filled", "--json")
        values: dict[str, object] = json.loads(done.stdout)
        return {key: value for key, value in values.items() if key != "free"}

    before = said()
    assert "anna" in str(before["sites"])
    server.report("one")
    server.add("one", 2)
    server.report("two")
    assert said() == before


def test_status_command_changes_no_file(ready: Operator) -> None:
    _open(ready)

    def state() -> dict[str, tuple[int, bytes]]:
        return {
            str(path): (path.stat().st_mtime_ns, path.read_bytes())
            for path in ready.folder.rglob("*")
            if path.is_file()
        }

    before = state()
    ready.types("status")
    assert state() == before
