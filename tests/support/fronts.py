"""Caddy and nginx with the project's own settings, on loopback, in front of a socket file.

Only what a test cannot have is changed: the names, the ports, TLS, and the folders.
"""

import os
import re
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from tests.support.ports import free_port
from tests.support.unit_file import filtered

DEPLOY = Path(__file__).parents[2] / "deploy"
ONION = "a" * 56 + ".onion"


@dataclass
class Front:
    """A proxy that serves, and where it could have written."""

    url: str
    log: Path
    folder: Path
    process: subprocess.Popen[bytes]


def caddyfile(port: int, box: Path) -> str:
    text = (DEPLOY / "caddy" / "Caddyfile").read_text("utf-8")
    text = text.replace("@DOMAIN@ {", f"http://127.0.0.1:{port} {{\n\tbind 127.0.0.1")
    return text.replace("/run/klankbord/box.sock", str(box)).replace("@ONION@", ONION)


def nginx_conf(port: int, box: Path, folder: Path) -> str:
    text = (DEPLOY / "nginx" / "nginx.conf").read_text("utf-8")
    text = re.sub(r"\tserver \{\n\t\tlisten 80;.*?\n\t\}\n", "", text, flags=re.DOTALL)
    text = re.sub(r"\t\tlisten \[::\].*\n|\t\tssl_certificate.*\n", "", text)
    # Its workers have to reach the test's own folder.
    text = re.sub(r"^user .*\n", "user root;\n" if os.geteuid() == 0 else "", text, flags=re.M)
    text = text.replace("listen 443 ssl http2", f"listen 127.0.0.1:{port}")
    text = text.replace("/run/nginx.pid", f"{folder}/pid").replace("@DOMAIN@", "127.0.0.1")
    temp = "".join(
        f"\t{kind}_temp_path {folder}/{kind};\n"
        for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    text = text.replace("http {\n", "http {\n" + temp, 1)
    return text.replace("/run/klankbord/box.sock", str(box)).replace("@ONION@", ONION)


@contextmanager
def front(
    kind: str,
    folder: Path,
    box: Path,
    port: int | None = None,
    filter_of: Path | None = None,
    under: Sequence[str] = (),
) -> Iterator[Front]:
    """One of both, until the block ends; under the walls of a unit's file, if one is named, and
    under a program that starts it, as strace does."""
    port = port or free_port()
    folder.mkdir()
    if kind == "caddy":
        (folder / "Caddyfile").write_text(caddyfile(port, box))
        line = ["caddy", "run", "--config", str(folder / "Caddyfile")]
    else:
        (folder / "nginx.conf").write_text(nginx_conf(port, box, folder))
        line = ["nginx", "-e", "stderr", "-c", str(folder / "nginx.conf"), "-g", "daemon off;"]
    log = folder / "log"
    env = {"HOME": str(folder), "PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}
    with ExitStack() as held:
        said = held.enter_context(log.open("wb"))
        passed = []
        if filter_of is not None:
            passed = [held.enter_context(filtered(filter_of))]
            walls = ["--ro-bind", "/", "/", "--dev", "/dev", "--bind", str(folder), str(folder)]
            line = ["bwrap", "--die-with-parent", *walls, "--seccomp", str(passed[0]), *line]
        process = subprocess.Popen(
            [*under, *line], stdout=said, stderr=said, env=env, pass_fds=passed
        )
    try:
        deadline = time.monotonic() + 20
        while True:
            with closing(socket.socket()) as probe, suppress(ConnectionRefusedError):
                probe.connect(("127.0.0.1", port))
                break
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.05)
        yield Front(f"http://127.0.0.1:{port}", log, folder, process)
    finally:
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(10)
        process.kill()
        process.wait(10)
