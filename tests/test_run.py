"""The README's first screen, executed: scripts/run starts, stops and starts again."""

from __future__ import annotations

import contextlib
import json
import signal
import socket
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.plain_browser import PlainBrowser
from tests.support.ports import free_port
from tests.support.processes import until
from tests.support.steps import come_back, tell, write_on

ROOT = Path(__file__).resolve().parent.parent
RUN = ROOT / "scripts" / "run"
COUNSELLOR = ROOT / "scripts" / "counsellor"

pytestmark = pytest.mark.skipif(
    not (ROOT / ".venv" / "klankbord-test").exists(),
    reason="the scripts would install into .venv first; scripts/test has done that beforehand",
)


@contextlib.contextmanager
def running(folder: Path, port: int, end: signal.Signals) -> Iterator[dict[str, str]]:
    """Start the demo; yield demo.json; stop it by a signal and check that nothing is left."""
    with subprocess.Popen(
        [RUN, "--port", str(port), "--dir", folder], stdout=subprocess.PIPE, text=True
    ) as process:
        announcement = folder / "demo.json"
        try:
            until(lambda: announcement.exists() or process.poll() is not None, "no demo.json", 180)
            assert process.poll() is None
            yield json.loads(announcement.read_text())
            process.send_signal(end)
            output, _ = process.communicate(timeout=60)
        finally:
            process.kill()
        assert process.returncode == 0
        assert 5 <= len(output.strip().splitlines()) <= 10
    assert not announcement.exists()
    assert still_there(folder) == []


def still_there(folder: Path) -> list[str]:
    """Return the command lines of processes that name this folder."""
    found = []
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            line = file.read_bytes().replace(b"\0", b" ").decode()
            if str(folder) in line:
                found.append(line)
    return found


def desk(demo: dict[str, str], *arguments: str) -> str:
    """Return the output of scripts/counsellor, with options after the command."""
    own = ("--dir", demo["desk_dir"], "--passphrase-file", demo["passphrase_file"])
    done = subprocess.run(
        [COUNSELLOR, *arguments, *own], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_demo_starts_in_a_new_folder_and_again_on_another_port(tmp_path: Path) -> None:
    folder = tmp_path / "demo"
    port = free_port()
    with running(folder, port, signal.SIGTERM) as demo:
        assert demo["url"] == f"http://127.0.0.1:{port}"
        assert set(demo) == {"url", "server_dir", "desk_dir", "passphrase_file"}
        assert stat.S_IMODE(Path(demo["passphrase_file"]).stat().st_mode) == 0o600
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        code = tell(PlainBrowser(demo["url"]), "nl", "Een verhaal.").code
    made = (folder / "server" / "site.toml").read_bytes()

    other = free_port()
    with running(folder, other, signal.SIGINT) as demo:
        # The same site and the same thread, under both names of this machine.
        for host in ("127.0.0.1", "localhost"):
            browser = PlainBrowser(f"http://{host}:{other}")
            page = come_back(browser, "nl", code)
            assert page.path == "/nl/conversation"
            assert write_on(browser, page, f"Verder over {host}.").status == 200
        desk(demo, "fetch")
        (thread,) = json.loads(desk(demo, "list", "--json"))
        assert {"id", "unread", "last_day"} <= set(thread)
        shown = json.loads(desk(demo, "read", thread["id"], "--json"))
        assert {"by", "kind", "day", "text", "verified"} <= set(shown["messages"][0])
        texts = [message["text"] for message in shown["messages"]]
        assert texts == ["Een verhaal.", "Verder over 127.0.0.1.", "Verder over localhost."]
    changed = (folder / "server" / "site.toml").read_bytes()
    assert changed.replace(str(other).encode(), str(port).encode()) == made


def test_port_in_use_is_reported_in_one_sentence(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = subprocess.run(
            [RUN, "--port", str(port), "--dir", tmp_path / "demo"],
            capture_output=True,
            text=True,
            check=False,
        )
    assert done.returncode == 1
    assert done.stderr.splitlines() == [
        f"Port {port} is taken on this machine; choose another, for instance --port 8137."
    ]
    assert not (tmp_path / "demo").exists()


def test_demo_leaves_a_folder_of_another_program_unchanged(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    done = subprocess.run(
        [RUN, "--port", str(free_port()), "--dir", tmp_path],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "choose another --dir" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_unknown_command_gives_exit_code_2() -> None:
    done = subprocess.run([COUNSELLOR, "fetsh"], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
