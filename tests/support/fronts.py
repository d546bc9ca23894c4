"""nginx with the project's own settings, in front of an app's socket file.

Only folders, names, ports and TLS differ, because a test cannot use the real ones. A test of
something other than the limits can turn the limits off.
"""

import os
import re
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from tests.support.processes import kill_group

SETTINGS = Path(__file__).parents[2] / "deploy" / "etc" / "klankbord" / "nginx"
RUN = "/run/klankbord-nginx/"
APP = "/run/klankbord/app.sock"
ONION = "a" * 56 + ".onion"
# Changes that turn the limits off, so that one address can do whatever a test wants.
UNLIMITED = {
    r"rate=\d+r/[ms]": "rate=10000r/s",
    r"(limit_conn \w+) \d+;": r"\1 20000;",
    r" burst=\d+ delay=\d+;": " burst=20000 nodelay;",
}
# The same, with short timeouts for silent clients.
QUICK = UNLIMITED | {
    r"client_(header|body)_timeout [12]0s": r"client_\1_timeout 2s",
    "client_body_timeout 60s": "client_body_timeout 5s",
    r"lingering_time(out)? \d+s": r"lingering_time\1 1s",
    "keepalive_timeout 15s": "keepalive_timeout 400ms",
}


@dataclass
class Front:
    """A running nginx, and the places where it could have written."""

    folder: Path
    port: int | None  # the domain's port on loopback
    log: Path
    process: subprocess.Popen[bytes]

    @property
    def onion(self) -> Path:
        """Return the socket at which Tor connects for reporters."""
        return self.folder / "onion.sock"

    @property
    def desks(self) -> Path:
        """Return the socket at which Tor connects for desks."""
        return self.folder / "desks.sock"

    @property
    def temp(self) -> Path:
        """Return the folder where nginx would put a request body."""
        return self.folder / "nginx" / "temp"

    def processes(self) -> list[int]:
        """Return the master, then the workers."""
        first = self.process.pid
        while _name(first) != "nginx":  # started by strace, for example
            first = _children(first)[0]
        return [first, *_children(first)]


def settings(
    folder: Path,
    app: Path,
    port: int | None = None,
    changes: Mapping[str, str] | None = None,
    certificate: Path | None = None,
) -> Path:
    """Write the settings for an app's socket to a folder; return the main file.

    ``port``: the domain's, on loopback; None: no domain. ``changes``: regular expressions and their
    replacements; each must be found. ``certificate``: the file with the domain's certificate and
    key; None: no TLS.
    """
    made = folder / "nginx"
    shutil.copytree(SETTINGS, made)
    domain = made / "ways" / "domain.conf.in"
    if port is not None:
        text = domain.read_text("utf-8")
        text = text[text.rindex("server {") :]
        text = re.sub(r"\tlisten \[::\].*\n", "", text)
        ways = "" if certificate is None else " ssl http2"
        text = re.sub(r"listen 443 ssl http2 .*;", f"listen 127.0.0.1:{port}{ways};", text)
        if certificate is None:
            text = re.sub(r"\tssl_.*\n", "", text)
        text = re.sub("@CERTIFICATE(_KEY)?@", str(certificate), text)
        text = text.replace("@DOMAIN@", "127.0.0.1").replace("@ONION@", ONION)
        (made / "ways" / "domain.conf").write_text(text)
    domain.unlink()
    left = set(changes or {})
    for file in made.rglob("*.conf"):
        text = file.read_text("utf-8")
        text = text.replace(RUN, f"{folder}/").replace(APP, str(app))
        if certificate is None:
            text = text.replace('domain "max-age=63072000";', 'domain "";')  # only for https
        for old, new in (changes or {}).items():
            text, found = re.subn(old, new, text)
            left -= {old} if found else set()
        file.write_text(text)
    assert not left, left
    return made / "nginx.conf"


@contextmanager
def nginx(
    folder: Path,
    app: Path,
    *,
    port: int | None = None,
    changes: Mapping[str, str] | None = None,
    certificate: Path | None = None,
    under: Sequence[str] = (),
) -> Iterator[Front]:
    """Serve until the block ends. ``under``: a program that starts it, such as strace.

    Under root its workers stay root, because they must reach the test's own folder.
    """
    folder.mkdir()
    main = settings(folder, app, port, changes, certificate)
    line = ["nginx", "-e", "stderr", "-p", f"{main.parent}/", "-c", main.name]
    if os.geteuid() == 0:
        line += ["-g", "user root;"]
    log = folder / "log"
    with log.open("wb") as said:
        process = subprocess.Popen(
            [*under, *line],
            stdout=said,
            stderr=said,
            # As in the unit.
            env={
                "HOME": str(folder),
                "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
                "MALLOC_PERTURB_": "165",
            },
            start_new_session=True,
        )
    made = Front(folder, port, log, process)
    try:
        deadline = time.monotonic() + 60
        while not _listens(made):
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.02)
        yield made
    finally:
        _end(made)


def _end(front: Front) -> None:
    """End nginx itself; a strace that started it ignores the signal and ends after it."""
    try:
        os.kill(front.processes()[0], signal.SIGTERM)
    except (IndexError, OSError):  # it did not start, or has already ended
        front.process.terminate()
    with suppress(subprocess.TimeoutExpired):
        front.process.wait(60)
    kill_group(front.process)


def _listens(front: Front) -> bool:
    probe = socket.socket(socket.AF_INET if front.port else socket.AF_UNIX)
    with closing(probe), suppress(ConnectionRefusedError, FileNotFoundError):
        probe.connect(("127.0.0.1", front.port) if front.port else str(front.desks))
        return True
    return False


def _name(pid: int) -> str:
    return Path(f"/proc/{pid}/comm").read_text().strip()


def _children(pid: int) -> list[int]:
    return [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
