"""Programs that inspect untrusted files run in a sandbox with limits."""

import contextlib
import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from dropbox_app.desk.untrusted_files import metadata, sandbox, types
from dropbox_app.desk.untrusted_files.sandbox import NoSandbox, Unseen
from tests.desk.conftest import Office
from tests.support.fake_server import Reporter
from tests.support.hostile_files import (
    NEEDS_PROGRAMS,
    inside,
    sent,
    small_png,
    told,
)

pytestmark = NEEDS_PROGRAMS


def said_inside(monkeypatch: pytest.MonkeyPatch, program: str) -> bytes:
    inside(monkeypatch, program)
    with sandbox.running("show", ".png", [b"x"], 1) as run:
        return run.answer.read()


def test_sandbox_hides_the_network_the_home_folder_the_desk_and_other_processes(
    monkeypatch: pytest.MonkeyPatch, office: Office, tmp_path: Path
) -> None:
    monkeypatch.setenv("SECRET_OF_THE_DESK", "x")
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        program = f"""
import json, os, socket
found = dict(os.environ)
reached = []
for path in ({str(office.folder)!r}, {str(Path.home())!r}, {str(tmp_path)!r}, "/etc/passwd",
             "/var", "/run", "/sys"):
    if os.path.exists(path):
        reached.append(path)
try:
    socket.create_connection(("127.0.0.1", {port}), 2)
    reached.append("network")
except OSError:
    pass
try:
    open("/usr/x", "w")
    reached.append("/usr")
except OSError:
    pass
pids = [name for name in os.listdir("/proc") if name.isdigit()]
status = open("/proc/self/status").read()
caps = [line.split()[1] for line in status.splitlines() if line.startswith("CapEff")]
try:
    os.open("/dev/tty", os.O_RDWR)
    reached.append("terminal")
except OSError:
    pass
fds = []
for fd in os.listdir("/proc/self/fd"):
    try:
        fds.append(os.readlink("/proc/self/fd/" + fd))
    except OSError:
        pass
print(json.dumps([found, reached, len(pids), caps, fds]))
"""
        answer = said_inside(monkeypatch, program)
    environment, reached, processes, caps, handles = json.loads(answer)
    assert reached == []
    assert "SECRET_OF_THE_DESK" not in environment
    assert processes == 1
    assert caps == ["0000000000000000"]
    assert not [h for h in handles if not h.startswith(("pipe:", "/dev/null", "/proc"))]


def test_sandboxed_program_cannot_read_the_host_name_or_environment_of_its_caller(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The program sees neither the host name nor, through any process, the environment."""
    monkeypatch.setenv("SECRET_OF_THE_DESK", "x")
    program = """
import json, os, socket
seen = {}
for pid in filter(str.isdigit, os.listdir("/proc")):
    with open(f"/proc/{pid}/environ", "rb") as file:
        seen[pid] = sorted(set(file.read().decode("latin-1").split("\\0")))
print(json.dumps([seen, socket.gethostname(), os.getpid()]))
"""
    seen, name, pid = json.loads(said_inside(monkeypatch, program))
    ours = ["", "HOME=/tmp", "LANG=C.UTF-8", "PATH=/usr/bin:/bin", "PWD=/tmp"]
    assert seen == {str(pid): ours}
    assert name == sandbox.HOST != socket.gethostname()


# add_key and keyctl, for which no standard library has functions.
KEY_CALLS = {"x86_64": (248, 250), "aarch64": (217, 219)}
# Read a key, and look it up by name; each returns -1 on failure.
LOOK = """
import ctypes
call = ctypes.CDLL(None).syscall
def look(keyctl, key):
    read = call(keyctl, 11, ctypes.c_int(key), ctypes.create_string_buffer(6), 6)
    return [read, call(keyctl, 10, ctypes.c_int(-3), b"user", b"klankbord-test", 0)]
"""
# A logged-in user has a key; the real program is made to look for it instead of doing its job.
LOGGED_IN = f"""
import sys
from dropbox_app.desk.untrusted_files import sandbox
LOOK = {LOOK!r}
exec(LOOK)
add_key, keyctl = CALLS
call(keyctl, 1, None)
key = call(add_key, b"user", b"klankbord-test", b"secret", 6, ctypes.c_int(-3))
if key < 0:
    sys.exit("no keyrings")
print(look(keyctl, key) == [6, key])
source = sandbox.child_program().partition('if __name__ == "__main__"')[0] + LOOK
source += f"def show(path): print(look({{keyctl}}, {{key}}), flush=True); return 0\\n"
source += "sys.exit(main())"
sandbox.child_program = lambda: source
with sandbox.running("show", ".png", [b"x"], 1) as run:
    print(run.answer.read().decode(), end="")
    run.end()
"""


def test_kernel_keyring_of_the_user_is_inaccessible() -> None:
    """Examples: the session's keys for an encrypted folder or a network drive."""
    calls = KEY_CALLS.get(os.uname().machine)
    if calls is None:
        pytest.skip("the numbers of the calls are not known for this machine")
    program = LOGGED_IN.replace("CALLS", str(calls))
    done = subprocess.run(
        (sys.executable, "-c", program), capture_output=True, text=True, check=False
    )
    if "no keyrings" in done.stderr:
        pytest.skip("this system keeps no keys")
    assert done.stdout == "True\n[-1, -1]\n", done.stderr


def test_endless_output_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    """This applies to endless metadata and to an endless cleaned copy."""
    monkeypatch.setattr(sandbox, "SECONDS", 5)
    inside(monkeypatch, "while True: sys.stdout.buffer.write(b'[' * 65536)")
    with pytest.raises(Unseen):
        metadata.look(types.PNG, [small_png()], 100)
    monkeypatch.setattr(metadata, "MAX_CLEAN", 1_000_000)
    monkeypatch.setattr(sandbox, "SECONDS", 60)
    endless = "while True: sys.stdout.buffer.write(bytes(65536))"
    inside(monkeypatch, "sys.stdout.buffer.write(b'[]\\n')\n" + endless)
    with pytest.raises(Unseen, match="larger than it may be"):
        metadata.clean(types.PNG, [small_png()], 100)


def test_hanging_or_hidden_process_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    name = f"klankbord-left-behind-{os.getpid()}"
    monkeypatch.setattr(sandbox, "SECONDS", 2)
    inside(
        monkeypatch,
        "import subprocess, time\n"
        f"subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)', {name!r}],"
        " start_new_session=True)\ntime.sleep(600)",
    )
    with pytest.raises(Unseen, match="seconds"):
        metadata.look(types.PNG, [small_png()], 100)
    end = time.monotonic() + 20
    while _running(name):
        assert time.monotonic() < end, "a process outlived the room"
        time.sleep(0.05)


def _running(name: str) -> bool:
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            if name.encode() in path.read_bytes().split(b"\0"):
                return True
    return False


def test_memory_and_output_are_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    head = (Path(sandbox.__file__).parent / "sandbox_child.py").read_text()
    head = head.partition('if __name__ == "__main__"')[0]
    # The real program's own limits, then what a malicious file could make it do.
    done = "; sys.stdout.buffer.write(b'[]\\n'); return 0"
    for greed in (
        "data = bytearray(3 * 1024**3)" + done,
        "f = open('/tmp/x', 'wb'); [f.write(bytes(1 << 20)) for _ in range(200)]" + done,
    ):
        program = f"{head}\ndef show(path): {greed}\nsys.exit(main())\n"
        monkeypatch.setattr(sandbox, "child_program", lambda program=program: program)
        with pytest.raises(Unseen):
            metadata.look(types.PNG, [small_png()], 100)


def test_sandbox_and_caller_use_the_same_exit_codes() -> None:
    names: dict[str, object] = {}
    source = sandbox.child_program().partition("def main")[0]
    exec(source, names)  # noqa: S102 - our own module, which is never imported
    for code in ("UNREADABLE", "LOCKED", "NO_PROGRAM", "NOT_KNOWN", "FULL"):
        assert names[code] == getattr(sandbox, code)


BAD_ANSWERS = {
    "garbage": b"GIF89a" * 100,
    "no end of a line": b"[" * 2_000_000,
    "another picture": b"[]\n\xff\xd8\xff" + bytes(100),
    "no picture": b"[]\n",
    "nothing": b"",
}


@pytest.mark.parametrize("answer", BAD_ANSWERS)
def test_malformed_result_is_rejected(
    monkeypatch: pytest.MonkeyPatch,
    office: Office,
    reporter: Reporter,
    thread: str,
    tmp_path: Path,
    answer: str,
) -> None:
    item = sent(office, reporter, "p.png", "image/png", small_png())
    inside(monkeypatch, f"sys.stdout.buffer.write({BAD_ANSWERS[answer]!r})")
    office.run("save", thread, item, "--clean", "--out", str(tmp_path / "x"), code=1)
    assert not (tmp_path / "x").exists()


def test_error_on_other_systems_says_that_the_sandbox_requires_linux(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("dropbox_app.desk.untrusted_files.sandbox.sys.platform", "darwin")
    with pytest.raises(NoSandbox, match="Linux only"):
        metadata.look(types.PNG, [small_png()], 100)


def test_without_a_working_sandbox_no_file_is_opened(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    fake = tmp_path / "bwrap"
    fake.write_text("#!/bin/sh\nexit 1\n")
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    with pytest.raises(NoSandbox, match="user namespaces"):
        metadata.look(types.PNG, [small_png()], 100)


def test_without_bubblewrap_no_file_is_opened_and_saving_still_works(
    monkeypatch: pytest.MonkeyPatch, office: Office, reporter: Reporter, thread: str, tmp_path: Path
) -> None:
    item = sent(office, reporter, "p.png", "image/png", small_png())
    monkeypatch.setattr("dropbox_app.desk.untrusted_files.sandbox.shutil.which", lambda _: None)
    out = tmp_path / "look"
    assert "bubblewrap is not installed" in str(told(office, thread)["holds"])
    result = office.run("save", thread, item, "--out", str(out), "--clean", code=1)
    assert "bubblewrap is not installed" in result.output
    assert sandbox.INSTALL in result.output
    assert not out.exists()
    saved = office.run("save", thread, item, "--out", str(out)).output
    assert out.read_bytes() == small_png()
    assert "not looked into" in saved


def test_error_names_the_missing_cleaning_program(
    monkeypatch: pytest.MonkeyPatch, office: Office, reporter: Reporter, thread: str, tmp_path: Path
) -> None:
    item = sent(office, reporter, "p.png", "image/png", small_png())
    inside(monkeypatch, f"sys.exit({sandbox.NO_PROGRAM})")
    result = office.run("save", thread, item, "--out", str(tmp_path / "x"), "--clean", code=1)
    assert "mat2 is not installed" in result.output
    assert not (tmp_path / "x").exists()
