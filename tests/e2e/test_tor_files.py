"""A large file arrives intact through a local Tor test network, without extra memory."""

import hashlib
import json
import os
from pathlib import Path

import pytest

from tests.e2e.test_files import MIB, peak
from tests.support.drop_box import Counsellor, DropBox
from tests.support.steps import come_back, tell, the_only_thread
from tests.support.tor_network import TorBrowser, TorNetwork, in_tor

NAME = "opname van één gesprek.mp4"


@in_tor
@pytest.mark.timeout(1800)  # for all steps together; each has its own timeout
def test_large_file_through_tor_arrives_intact_without_extra_memory(
    tmp_path: Path, box: DropBox, counsellor: Counsellor, long_run: bool
) -> None:
    mib = 100 if long_run else 8
    block = os.urandom(MIB)
    with TorNetwork(tmp_path / "tor", box.port).running() as network:
        box.server("move", "--origin", box.url, "--origin", f"http://{network.onion}")
        box.restart()
        browser = TorBrowser(network)
        browser.first("/nl/")
        code = tell(browser, "nl", "Het begin.").code
        come_back(browser, "nl", code)
        workers = box.workers()
        idle = peak(workers, reset=True)
        page = browser.get("/nl/files")
        form = page.form_with("files")
        sent = browser.stream(page, form, NAME, mib * MIB, (block for _ in range(mib)))
        assert (sent.status, sent.header("Location")) == (303, "/nl/conversation?sent=1#last")
        assert peak(workers) - idle < 64 * MIB
        assert box.workers() == workers

        page = browser.get("/nl/conversation")
        assert NAME in page.text
        wanted = hashlib.sha256(block * mib).hexdigest()
        counsellor.desk("fetch")
        thread = the_only_thread(counsellor)
        (file,) = json.loads(counsellor.desk("files", thread, "--json").stdout)
        assert (file["name"], file["size"]) == (NAME, mib * MIB)
        counsellor.desk("save", thread, file["item"], "--out", tmp_path / "saved")
        assert hashlib.sha256((tmp_path / "saved").read_bytes()).hexdigest() == wanted

        (tmp_path / "brief.pdf").write_bytes(block * 2)
        counsellor.reply(thread, "Voor jou.", tmp_path / "brief.pdf")
        page = browser.get("/nl/conversation")
        given = [link for link in page.links if link.startswith("/nl/files/")]
        answers = [browser.get(link) for link in given]
        (got,) = [a.body for a in answers if a.header("Content-Disposition")]
        assert got == block * 2
    assert "Traceback" not in box.log.read_text()
