"""All parts together: the unit's service without network, Tor's files as installed, a visitor.

The network is Tor's own, on loopback. One thing differs from an installed machine: that systemd
would have started them.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.deploy.test_systemd import UNIT
from tests.deploy.test_tor import TOR
from tests.deploy.unit_file import as_a_service, started
from tests.e2e.conftest import ROOT, mould, run  # noqa: F401 - a fixture
from tests.e2e.steps import come_back, tell
from tests.e2e.tor_network import TorBrowser, TorNetwork, in_tor

STORY = "Een verhaal door Tor, naar een socket."


class Installed(TorNetwork):
    """The network, with our two files for the onion's own tor."""

    def __init__(self, folder: Path, socket_file: Path) -> None:
        super().__init__(folder, 0)
        self._socket_file = socket_file
        self.warnings = folder / "warnings"

    def host(self, hidden: Path) -> str:
        text = (TOR / "klankbord.conf").read_text("utf-8") + (TOR / "onion.conf").read_text("utf-8")
        text = text.replace("Log warn syslog", f"Log warn file {self.warnings}")
        text = text.replace("/var/lib/tor/klankbord-@NAME@", str(hidden))
        return text.replace("/run/klankbord/onion.sock", str(self._socket_file))


@pytest.mark.long
@in_tor
@as_a_service
@pytest.mark.timeout(1800)  # for all steps together; each has its own patience
def test_a_visitor_comes_to_a_server_that_has_no_network(
    tmp_path: Path,
    mould: tuple[Path, int],  # noqa: F811
) -> None:
    state, served = tmp_path / "state", tmp_path / "run"
    shutil.copytree(mould[0] / "server", state)
    served.mkdir(mode=0o750)
    network = Installed(tmp_path / "tor", served / "onion.sock")
    with network.running():
        program = ROOT / ".venv" / "bin" / "klankbord-server"
        run(program, "--dir", state, "move", "--origin", f"http://{network.onion}")
        with started(UNIT, state, served, tmp_path / "log") as service:
            browser = TorBrowser(network)
            browser.first("/nl/")
            code = tell(browser, "nl", STORY).code
            assert come_back(browser, "nl", code).path == "/nl/conversation"
            page = browser.get("/nl/files")
            sent = browser.upload(page, page.form_with("files"), [("een.txt", b"x" * 300_000)])
            assert (sent.status, sent.path) == (200, "/nl/conversation?sent=1")
            assert STORY in browser.get("/nl/conversation").text
            assert service.poll() is None
        assert service.returncode == 0
    # Nothing went wrong, so nothing is said: neither of a visit nor of a count of them.
    said = network.warnings.read_text() if network.warnings.exists() else ""
    told = [line for line in said.splitlines() if "[warn]" in line]
    of_the_test = ("TestingTorNetwork", "DirAuthority", "as root")  # its own network, its account
    assert [line for line in told if not any(words in line for words in of_the_test)] == []
    assert (tmp_path / "log").read_text().count("\n") == 1  # that it serves
