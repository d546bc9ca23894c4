"""The contract of scripts/run and scripts/counsellor, from a checkout."""

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.drop_box import ROOT, run
from tests.support.plain_browser import PlainBrowser
from tests.support.ports import free_port
from tests.support.steps import come_back, tell

Start = Callable[..., dict[str, Any]]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Start scripts/run and wait for demo.json; whatever is started is ended."""
    running: list[subprocess.Popen[str]] = []

    def begin(port: int) -> dict[str, Any]:
        demo = tmp_path / "demo" / "demo.json"
        demo.unlink(missing_ok=True)
        process = subprocess.Popen(
            [ROOT / "scripts" / "run", "--port", str(port), "--dir", tmp_path / "demo"],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        running.append(process)
        deadline = time.monotonic() + 120
        while not demo.exists():
            assert process.poll() is None, process.stdout.read() if process.stdout else ""
            assert time.monotonic() < deadline, "demo.json was not written"
            time.sleep(0.05)
        found: dict[str, Any] = json.loads(demo.read_text()) | {"process": process}
        return found

    yield begin
    for process in running:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(10)
        if process.stdout:
            process.stdout.close()


def _end(process: "subprocess.Popen[str]", how: int) -> str:
    """Send the signal; what it printed. Afterwards nobody of its group may be left."""
    os.kill(process.pid, how)
    said, _ = process.communicate(timeout=30)
    assert process.returncode == 0, said
    with pytest.raises(ProcessLookupError):
        os.killpg(process.pid, 0)
    return said


def _counsellor(demo: dict[str, Any], *arguments: str) -> str:
    where = ("--dir", demo["desk_dir"], "--passphrase-file", demo["passphrase_file"])
    return run(ROOT / "scripts" / "counsellor", *arguments, *where).stdout


def test_a_second_start_on_another_port_goes_on_with_the_same_data(start: Start) -> None:
    """Ctrl-C and SIGTERM end it cleanly; report, code and desk survive a change of port."""
    first = start(free_port())
    assert set(first) >= {"url", "server_dir", "desk_dir", "passphrase_file"}
    code = tell(PlainBrowser(first["url"]), "nl", "Eerste keer").code
    said = _end(first["process"], signal.SIGINT)
    assert "Traceback" not in said
    assert len(said.strip().splitlines()) <= 25

    second = start(free_port())
    assert second["url"] != first["url"]
    by_name = second["url"].replace("127.0.0.1", "localhost")
    conversation = come_back(PlainBrowser(by_name), "nl", code)
    assert "Eerste keer" in conversation.text
    _counsellor(second, "fetch")
    (thread,) = json.loads(_counsellor(second, "list", "--json"))
    assert {"id", "unread", "last_day"} <= set(thread)
    shown = json.loads(_counsellor(second, "read", thread["id"], "--json"))
    assert {"by", "kind", "day", "text", "verified"} <= set(shown["messages"][0])
    assert shown["messages"][0]["text"] == "Eerste keer"
    _end(second["process"], signal.SIGTERM)


def test_a_taken_port_is_one_sentence(start: Start, tmp_path: Path) -> None:
    """Exit code 1 and a sentence that names the port; what runs goes on."""
    port = free_port()
    demo = start(port)
    again = run(
        ROOT / "scripts" / "run", "--port", str(port), "--dir", tmp_path / "other", check=False
    )
    assert again.returncode == 1
    assert str(port) in again.stderr
    assert "Traceback" not in again.stderr
    assert PlainBrowser(demo["url"]).get("/nl/").status == 200
    _end(demo["process"], signal.SIGTERM)


def test_wrong_use_is_told_with_exit_code_2() -> None:
    """An unknown option, a port that is none."""
    assert run(ROOT / "scripts" / "run", "--prot", "8000", check=False).returncode == 2
    assert run(ROOT / "scripts" / "run", "--port", "many", check=False).returncode == 2
    assert run(ROOT / "scripts" / "counsellor", "fetsh", check=False).returncode == 2
