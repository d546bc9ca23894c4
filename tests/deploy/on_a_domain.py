"""A domain end to end in its own namespaces: installer, nginx, certbot and pebble.

test_domain.py starts this with a copy of /etc, in a separate network. pebble is Let's Encrypt's
test server. It prints one JSON object with the observations of each step.
"""

from __future__ import annotations

import fcntl
import http.client
import json
import os
import shlex
import shutil
import signal
import socket
import ssl
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "deploy"))

from installer import domain, nginx  # noqa: E402 - found on the path set above
from installer.machine import Machine  # noqa: E402 - found on the path set above

NAME, ONION = "box.example.org", "a" * 56 + ".onion"
WORK = Path(sys.argv[1])


class Stage(Machine):
    """A machine on which this script replaces systemd and runs nginx as the unit says."""

    def __init__(self) -> None:
        super().__init__(dry=False)
        self.systemd = True
        self.process: subprocess.Popen[bytes] | None = None

    def service(self, *words: str) -> None:
        if words[-1] == "klankbord-nginx" and words[0] in ("restart", "start"):
            self.stop()
            self._start()

    def stop(self) -> None:
        if self.process is not None:
            self.process.send_signal(signal.SIGQUIT)
            self.process.wait(60)
            self.process = None

    def reload(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGHUP)

    def _start(self) -> None:
        folder = Path("/run/klankbord-nginx")
        self.run(
            "install", "-d", "-m", "750", "-o", "klankbord-nginx", "-g", "klankbord-tor", folder
        )
        unit = nginx.UNIT.read_text("utf-8")
        rights = ("--inh-caps", "-all") if not domain.OPEN.exists() else (
            "--inh-caps", "+net_bind_service", "--ambient-caps", "+net_bind_service"
        )  # fmt: skip
        account = (
            *("setpriv", "--reuid", "klankbord-nginx", "--regid", "klankbord-tor"),
            *("--groups", "klankbord-nginx", *rights, "--"),
        )
        for key in ("ExecStartPre", "ExecStart"):
            (line,) = (one for one in unit.splitlines() if one.startswith(f"{key}="))
            command = [*account, *shlex.split(line.partition("=")[2])]
            if key == "ExecStartPre":
                subprocess.run(command, check=True)
            else:
                self.process = subprocess.Popen(command)
        until(lambda: (folder / "onion.sock").exists(), "nginx does not start")


def until(there: object, what: str) -> None:
    deadline = time.monotonic() + 60
    while not there():  # type: ignore[operator]  # a callable
        assert time.monotonic() < deadline, what
        time.sleep(0.05)


def dials(port: int) -> bool:
    with socket.socket() as made:
        return made.connect_ex(("127.0.0.1", port)) == 0


def network_up() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as made:
        fcntl.ioctl(made, 0x8914, struct.pack("16sH14s", b"lo", 0x49, b""))  # SIOCSIFFLAGS: up


@contextmanager
def authority(port: int) -> Iterator[None]:
    """Run pebble, which validates at ``port``; nginx listens on 80."""
    key, certificate = WORK / "api.key", WORK / "api.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=localhost",
         "-addext", "subjectAltName=DNS:localhost", "-keyout", key, "-out", certificate],
        capture_output=True, check=True,
    )  # fmt: skip
    (WORK / "pebble.json").write_text(json.dumps({"pebble": {
        "listenAddress": "127.0.0.1:14000", "managementListenAddress": "127.0.0.1:15000",
        "certificate": str(certificate), "privateKey": str(key), "httpPort": port, "tlsPort": 443,
        "ocspResponderURL": "", "externalAccountBindingRequired": False,
    }}))  # fmt: skip
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    names = subprocess.Popen(
        ["pebble-challtestsrv", "-http01", "", "-https01", "", "-tlsalpn01", "", "-dns01",
         "127.0.0.1:8053", "-management", "127.0.0.1:8055", "-defaultIPv6", ""], **quiet,
    )  # type: ignore[call-overload]  # fmt: skip
    pebble = subprocess.Popen(
        ["pebble", "-config", WORK / "pebble.json", "-dnsserver", "127.0.0.1:8053"],
        env={**os.environ, "PEBBLE_VA_NOSLEEP": "1", "PEBBLE_WFE_NONCEREJECT": "0"}, **quiet,
    )  # type: ignore[call-overload]  # fmt: skip
    try:
        until(lambda: dials(14000) and dials(8055), "pebble does not start")
        yield
    finally:
        for one in (pebble, names):
            one.terminate()
            one.wait(60)


def served() -> dict[str, str]:
    """Return the issuer and the serial number of the certificate served at port 443."""
    pem = ssl.get_server_certificate(("127.0.0.1", 443))
    told = subprocess.run(
        ["openssl", "x509", "-noout", "-issuer", "-serial", "-checkhost", NAME],
        input=pem, capture_output=True, text=True, check=True,
    ).stdout.splitlines()  # fmt: skip
    return {"issuer": told[0], "serial": told[1], "name": told[2]}


def all_serve(fits: Callable[[dict[str, str]], bool], fault: str) -> dict[str, str]:
    """Return the served certificate once ten readings in a row satisfy ``fits``.

    For a moment after a reload, nginx's old workers accept connections as well as the new ones.
    """
    read: list[dict[str, str]] = []

    def settled() -> bool:
        read[:] = [served() for _ in range(10)]
        return all(fits(one) for one in read)

    until(settled, fault)
    return read[-1]


def asked(path: str) -> dict[str, object]:
    """Return the response at port 80."""
    connection = http.client.HTTPConnection("127.0.0.1", 80, timeout=60)
    connection.request("GET", path, headers={"Host": "somebody.example"})
    answer = connection.getresponse()
    return {
        "status": answer.status,
        "location": answer.getheader("Location"),
        "headers": sorted(name for name, _ in answer.getheaders()),
        "length": len(answer.read()),
    }


def main() -> None:
    network_up()
    seen: dict[str, object] = {}
    machine = Stage()
    settings = Path("/etc/letsencrypt/cli.ini")
    settings.parent.mkdir(exist_ok=True)
    settings.write_text("server = https://localhost:14000/dir\nno-verify-ssl = true\n")
    nginx.accounts(machine)
    nginx.settings(machine)
    with authority(port=81):  # nothing listens there, as where port 80 is blocked
        domain.prepare(machine, NAME, ONION)
        nginx.serve(machine, changed=True)
        seen["first"] = served()
        seen["fault"] = domain.certify(machine, NAME)
        seen["closed"] = not dials(443) and not dials(80)
        seen["left"] = [str(path) for path in (domain.WAY, domain.OPEN, domain.CERTIFICATE)
                        if path.exists()]  # fmt: skip
    shutil.rmtree("/etc/letsencrypt/accounts")  # the next authority is a different one
    with authority(port=80):
        domain.prepare(machine, NAME, ONION)
        nginx.serve(machine, changed=True)
        seen["fault then"] = domain.certify(machine, NAME)
        machine.reload()
        seen["got"] = all_serve(
            lambda one: "CN = " + NAME not in one["issuer"], "no certificate is served"
        )
        seen["modes"] = [oct(path.stat().st_mode & 0o777) for path in
                         (domain.CERTIFICATE.parent, domain.CERTIFICATE)]  # fmt: skip
        seen["again"] = domain.certify(machine, NAME)
        assert served() == seen["got"]
        machine.run("certbot", "renew", "--force-renewal", "--no-random-sleep-on-renew")
        machine.reload()
        seen["renewed"] = all_serve(
            lambda one: one != seen["got"], "no renewed certificate is served"
        )
        seen["plain"] = asked("/nl/?q=een-geheim")
        seen["unknown"] = asked("/.well-known/acme-challenge/nothing")
        seen["known"] = domain.there()
        domain.away(machine)
        nginx.serve(machine, changed=True)
        seen["away"] = not dials(443) and not dials(80)
        seen["kept"] = [str(path) for path in Path("/etc/letsencrypt/live").glob("*/privkey.pem")]
    machine.stop()
    sys.stdout.write(f"\nSEEN {json.dumps(seen)}\n")


main()
