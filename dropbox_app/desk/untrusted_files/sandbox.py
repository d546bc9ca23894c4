"""A sandbox for programs that read untrusted files: bubblewrap, on Linux only.

The sandbox contains the system's own /usr, read-only, a folder in memory, and an empty keyring. The
sandbox has no network, home folder, desk, terminal, other processes or inherited environment.
Memory, time, processes and written bytes are limited. A program that a file has taken over cannot
leave the sandbox, and only the form of its output is trusted. Without bubblewrap, no program that
reads untrusted files is run.
"""

import contextlib
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterable, Iterator, Sequence
from importlib import resources
from typing import BinaryIO

from dropbox_app.desk.errors import DeskError

PYTHON = "/usr/bin/python3"
HOST = "room"  # this computer's name inside the sandbox
MEMORY = 1_536 * 1024 * 1024  # bytes of one program
SECONDS = 90  # for the whole job
MOST_IN = 256 * 1024 * 1024  # bytes of a file that is sent in
UNREADABLE, LOCKED, NO_PROGRAM, NOT_KNOWN, FULL = range(20, 25)  # as in sandbox_child
_READY = b"ready\n"
# This is also bubblewrap's own environment: programs inside can read the environment of the process
# that started them, even if it is cleared later. /tmp is the sandbox's own, in memory.
_ENVIRONMENT = {"PATH": "/usr/bin:/bin", "HOME": "/tmp", "LANG": "C.UTF-8"}  # noqa: S108 - inside the sandbox
INSTALL = "apt-get install bubblewrap mat2"
_SAID = {
    UNREADABLE: "It is damaged, or not what it seems; mat2 could not read it.",
    LOCKED: "It is locked with a password, so it was left closed.",
    NOT_KNOWN: "mat2 does not know this kind of file, or it is damaged.",
    FULL: "Unpacked it is too large to be looked into.",
}


class NoSandbox(DeskError):
    """This computer has no safe way to inspect a file."""


class Unseen(DeskError):
    """The sandboxed program did not respond as expected."""


class Running:
    """A running job in the sandbox, and its output so far."""

    def __init__(self, process: "subprocess.Popen[bytes]") -> None:
        self._process = process
        assert process.stdout is not None  # noqa: S101 - opened as a pipe below
        self.answer: BinaryIO = process.stdout  # type: ignore[assignment] # a buffered reader

    def end(self) -> None:
        """Wait for the job to end. Raises Unseen with the reason, if there is one."""
        code = self._process.wait()
        if code == NO_PROGRAM:
            raise NoSandbox(f"mat2 is not installed. On Debian: {INSTALL}")
        if code:
            raise Unseen(_sentence(code))


@contextlib.contextmanager
def running(job: str, ending: str, pieces: Iterable[bytes], size: int) -> Iterator[Running]:
    """Run ``job`` on a file in the sandbox. The job's processes end with the context.

    Raises NoSandbox, Unseen, and the errors of ``pieces``. If an error is raised, the file was not
    inspected.
    """
    if size > MOST_IN:
        raise Unseen(f"It is larger than {MOST_IN // 1024 // 1024} MiB, too large to look into.")
    process = subprocess.Popen(  # noqa: S603 - no shell, and no data from the file in the arguments
        _command(job, ending, size),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=_ENVIRONMENT,
    )
    watch = threading.Timer(SECONDS, process.kill)
    watch.daemon = True
    watch.start()
    try:
        run = Running(process)
        if run.answer.readline(len(_READY)) != _READY:
            raise NoSandbox(
                "bubblewrap could not make its sandbox on this computer, so nothing looked "
                "into the file. It needs user namespaces; some systems switch them off."
            )
        _feed(process, pieces)
        yield run
    finally:
        watch.cancel()
        process.kill()
        process.wait()
        for stream in (process.stdin, process.stdout):
            if stream is not None:
                with contextlib.suppress(BrokenPipeError):
                    stream.close()


def _feed(process: "subprocess.Popen[bytes]", pieces: Iterable[bytes]) -> None:
    """Send the whole file, and then close the input; for a damaged file, leave the input open."""
    if process.stdin is None:
        return
    # The program inside responds only after the end of the file, so neither side blocks the other.
    with contextlib.suppress(BrokenPipeError):  # the program has ended; the exit code tells why
        for piece in pieces:
            process.stdin.write(piece)
        process.stdin.close()


def _command(job: str, ending: str, size: int) -> Sequence[str]:
    if sys.platform != "linux":
        raise NoSandbox(
            "Reading and removing metadata needs bubblewrap, which exists on Linux only. "
            "Nothing was opened."
        )
    program = shutil.which("bwrap")
    if program is None or not os.path.exists(PYTHON):
        raise NoSandbox(
            "bubblewrap is not installed, and without it a file of a stranger is not opened for "
            f"you. On Debian: {INSTALL}"
        )
    command = [
        program, "--unshare-all", "--unshare-user", "--disable-userns", "--die-with-parent",
        "--new-session", "--cap-drop", "ALL", "--as-pid-1", "--hostname", HOST,
        "--ro-bind", "/usr", "/usr",
    ]  # fmt: skip
    for name in ("/bin", "/sbin", "/lib", "/lib64", "/lib32"):
        if os.path.islink(name):
            command += ["--symlink", os.readlink(name), name]
        elif os.path.isdir(name):
            command += ["--ro-bind", name, name]
    for name in ("/etc/fonts", "/etc/ld.so.cache", "/etc/alternatives"):
        command += ["--ro-bind-try", name, name]
    room = 3 * size + 64 * 1024 * 1024
    return [
        *command,
        "--proc", "/proc", "--dev", "/dev", "--remount-ro", "/dev",
        "--size", str(room), "--tmpfs", "/tmp", "--chdir", "/tmp",  # noqa: S108 - its own, in memory
        "--remount-ro", "/",  # otherwise the rest of the root would be memory without a limit
        PYTHON, "-I", "-c", child_program(), job, ending, str(MEMORY), str(SECONDS),
    ]  # fmt: skip


def _sentence(code: int) -> str:
    if code < 0:
        return f"It took more than {SECONDS} seconds, so it was left closed."
    return _SAID.get(code, "It could not be read within bounds of memory and time; left closed.")


def child_program() -> str:
    """Return the source of the program that runs inside the sandbox."""
    return (
        resources.files("dropbox_app.desk.untrusted_files")
        .joinpath("sandbox_child.py")
        .read_text("utf-8")
    )
