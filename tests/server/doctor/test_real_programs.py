"""doctor with the real programs of this machine, where they are installed."""

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from dropbox_app.server.doctor.finding import Finding
from dropbox_app.server.doctor.machine import Machine, memory, nginx, tor
from tests.server.doctor.a_machine import ANSWERS, ONION, PRINTS, AMachine
from tests.server.doctor.test_doctor import everything
from tests.support.server_folder import DAY

NGINX = shutil.which("nginx", path="/usr/sbin:/usr/bin")
TOR = shutil.which("tor", path="/usr/sbin:/usr/bin")
RECORDED = Path(__file__).with_name("recorded")
CONFIG = """
worker_processes 1;
pid {0}/pid;
error_log stderr emerg;
events {{ worker_connections 64; }}
http {{
  access_log off;
  client_body_temp_path {0}/body;  proxy_temp_path {0}/proxy;
  fastcgi_temp_path {0}/fastcgi;  uwsgi_temp_path {0}/uwsgi;  scgi_temp_path {0}/scgi;
  upstream app {{ server unix:/run/klankbord/app.sock; }}
  server {{ listen unix:{0}/onion.sock; location / {{ proxy_pass http://app; }} }}
}}
"""


@pytest.fixture
def made() -> Iterator[AMachine]:
    """Yield a machine with only its programs, in a folder that every account can reach."""
    with TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        made = AMachine(Path(folder))
        made.path("run/systemd/system").mkdir(parents=True)
        shutil.copytree(RECORDED, made.path(ANSWERS))
        made.write("usr/bin/systemctl", PRINTS, 0o755)
        yield made


def looked(made: AMachine) -> Machine:
    return Machine(made.root, made.path("var/lib/klankbord"), DAY, (f"http://{ONION}",))


def test_system_tools_produce_the_output_that_doctor_expects() -> None:
    found: list[Finding] = []
    here = Machine(Path("/"), Path("/"), DAY)
    for check in (memory.swap, memory.disk_encryption):
        found += check(here)
    assert [one for one in found if one.state == "wrong" and one.check != "swap"] == []
    assert here.ask("lsblk", "--json", "--inverse", "--output", "PATH,TYPE")


@pytest.mark.skipif(not NGINX, reason="no nginx here")
def test_checking_a_running_nginx_changes_nothing_and_finds_its_settings(made: AMachine) -> None:
    folder = made.path("nginx")
    folder.mkdir()
    folder.chmod(0o777)
    made.write("nginx.conf", CONFIG.format(folder))
    words = [str(NGINX), "-c", str(made.path("nginx.conf"))]
    made.write("usr/bin/setpriv", f"#!/bin/sh\nexec {' '.join(words)} -T -q\n", 0o755)
    running = subprocess.Popen([*words, "-g", "daemon off;"], stderr=subprocess.DEVNULL)
    try:
        pid = folder / "pid"  # the last file that nginx writes at startup
        while not (pid.exists() and pid.read_text().endswith("\n")):
            assert running.poll() is None
            time.sleep(0.01)
        before = everything(made.root)
        said = [one.fault for one in nginx.proxy(looked(made))]
        assert everything(made.root) == before
    finally:
        running.terminate()
        running.wait(60)
    assert sorted(said) == [f"nginx takes settings from {made.path('nginx.conf')}, which are not "
                            "the project's"]  # fmt: skip


@pytest.mark.skipif(not TOR, reason="no tor here")
def test_checking_tor_changes_nothing_and_reports_a_rejected_line(made: AMachine) -> None:
    made.path("data").mkdir(mode=0o700)
    torrc = made.path("etc/tor/torrc")
    made.write("defaults", f"DataDirectory {made.path('data')}\n")
    made.write("etc/tor/torrc", (RECORDED / "tor").read_text().replace(
        "/var/lib/tor", str(made.path("data"))))  # fmt: skip
    words = f"{TOR} --defaults-torrc {made.path('defaults')} -f {torrc}"
    made.write("usr/bin/tor", f'#!/bin/sh\nshift 4\nexec {words} "$@"\n', 0o755)
    before = everything(made.root)
    known = tor.config(looked(made))
    assert everything(made.root) == before
    assert known is not None
    assert known.lines["log"] == ["warn syslog"]
    (onion,) = known.onions
    assert onion.ports == ["80 unix:/run/klankbord-nginx/onion.sock"]
    made.add("etc/tor/torrc", "SafeLoging 1\n")
    if os.geteuid() == 0:  # Tor lets nobody else look
        (found,) = tor.tor(looked(made))
        assert (found.state, "'SafeLoging'" in found.fault) == ("wrong", True)
