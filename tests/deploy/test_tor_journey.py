"""All parts together: the units' services, with Tor's and nginx's files as installed.

A reporter without JavaScript and a counsellor have a complete conversation over a private Tor
network on loopback. The counsellor uses the address for desks, for which only that desk's Tor has a
key. Meanwhile somebody else visits through the domain, faults are caused, and the server is
restarted. Server, nginx and Tor run under strace. Unlike on an installed machine, systemd does not
start them and the domain has no TLS.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import pytest

from tests.deploy.test_systemd import NGINX, SOCKETS, UNIT
from tests.support.drop_box import ROOT, Counsellor, run
from tests.support.journey import AddressedBrowser
from tests.support.ports import free_port
from tests.support.processes import until
from tests.support.programs import needs_strace
from tests.support.steps import come_back, tell, the_only_thread
from tests.support.syscalls import UNSEEN, WRITES, Call, Watch, forms
from tests.support.told import Told, load
from tests.support.tor_network import TorBrowser, TorNetwork, in_tor
from tests.support.unit_file import ETC, UNITS, as_a_service, merged, started

pytestmark = [
    in_tor,
    as_a_service,
    needs_strace,
    pytest.mark.timeout(1800),  # each step has its own timeout
]
DOMAIN = UNITS / "klankbord-nginx.service.d" / "domain.conf"
SETTINGS = ETC / "klankbord" / "nginx"
SERVER = ROOT / ".venv" / "bin" / "klankbord-server"
STORY, MORE = "Een verhaal door Tor, naar een socket.", "Nog iets, bij een bestand."
ANSWER = "Dank je wel. Hier is een brief."
PICTURE, LETTER = os.urandom(300_000), os.urandom(150_000)
VISITOR, NOBODY, MARK = "127.66.1.7", "127.66.9.9", "eenspoorvaneenbezoek"


class Installed(TorNetwork):
    """The network, with the installer's own files for the onions' tor, and a desk's Tor."""

    def __init__(self, folder: Path, patched: pytest.MonkeyPatch) -> None:
        super().__init__(folder / "net", 0)
        installer = load(patched)
        self._onions = installer.onions
        self._told = Told(folder / "etc", patched, installer)
        self._onions.write(self._told.machine, [self._onions.OWN, self._onions.DESKS])
        self.keys = folder / "etc" / "tor"
        self.hidden = self.keys / "klankbord-box"
        self.served = folder / "run-nginx"
        self.warnings = folder / "warnings"
        self.watch = Watch(folder / "strace-tor")
        self.under = self.watch.command
        self._auth = folder / "auth"
        self.desks, self.proxy = "", ""

    def host(self) -> str:
        folder = self.keys.parent / "torrc.d"
        text = (ETC / "tor" / "torrc.d" / "klankbord.conf").read_text("utf-8")
        text += "".join(file.read_text("utf-8") for file in sorted(folder.glob("*.conf")))
        text = text.replace("Log warn syslog", f"Log warn file {self.warnings}")
        text = text.replace("/run/klankbord-nginx/", f"{self.served}/")
        return text.replace("/var/lib/tor", str(self.keys))

    def start_clients(self) -> None:
        """Create and admit the desk's key as the guide says; the reporter's Tor has none."""
        name = self.keys / "klankbord-desks" / "hostname"
        until(name.exists, "no address for desks", seconds=60)
        self._auth.mkdir(mode=0o700)
        key = run(
            ROOT / ".venv" / "bin" / "klankbord-desk", "onion-key", name.read_text().strip(),
            "--out", self._auth / "els.auth_private",
        ).stdout.strip()  # fmt: skip
        self.desks = "http://" + self._onions.admit(self._told.machine, None, "els", key)
        assert "systemctl reload tor" in self._told.ran
        self.send_host(signal.SIGHUP)
        super().start_clients()
        self.proxy = f"socks5h://127.0.0.1:{self.client('desk', self._key())}"

    def _key(self) -> str:
        return f"ClientOnionAuthDir {self._auth}\n"


class Journey:
    """The whole journey, played once. ``minutes``: the minutes in which somebody visited."""

    def __init__(self, folder: Path, network: Installed) -> None:
        self.folder = folder
        self.network = network
        self.log = folder / "log"
        self.state = folder / "state"
        self.watches = {"tor": network.watch, "server": Watch(folder / "strace-server")}
        self.watches["nginx"] = Watch(folder / "strace-nginx")
        self.url = f"http://127.0.0.1:{free_port()}"
        self.nginx_log = folder / "nginx-log"
        self.els = Counsellor(folder / "els")
        self.code = self.thread = ""
        self.logs: dict[Path, str] = {}  # logs of Tor and the proxies before the first visit
        self.logs_after: dict[Path, str] = {}
        self.began = self.ended = 0.0

    def calls(self) -> Iterator[tuple[str, Call]]:
        """Yield the system calls of each program, as recorded by strace."""
        for name, watch in self.watches.items():
            for call in watch.calls():
                yield name, call

    def remember(self, *logs: Path) -> None:
        self.logs |= {log: log.read_text() for log in logs}

    def look_again(self) -> None:
        self.logs_after = {log: log.read_text() for log in self.logs}

    def make(self) -> None:
        """Create the site, the card and the desk, with the desk address in the invitation."""
        network = self.network
        origins = (f"http://{network.onion}", self.url)
        self._server("init", "--name", "Voorbeeld BV", *_each("--origin", origins))
        invitation = self._server("move", "--desk-origin", network.desks)
        (self.folder / "invitation").write_text(invitation)
        said = self.els.desk(
            "init", self.folder / "invitation", "--name", "Els", "--proxy", network.proxy
        ).stdout
        self.els.desk("card", "--out", self.folder / "els.card")
        groups = next(line for line in said.splitlines() if len(line.split()) == 10)
        self._server(
            "card", "add", self.folder / "els.card", "--name", "els", "--fingerprint", groups
        )

    def _server(self, *words: str | Path) -> str:
        return run(SERVER, "--dir", self.state, *words).stdout

    @contextmanager
    def served(self) -> Iterator[None]:
        under = self.watches["server"].command
        folder = self.folder / "run-server"
        with started(UNIT, self.state, folder, self.log, under=under) as service:
            yield
            assert service.poll() is None, self.log.read_text()

    @contextmanager
    def in_front(self) -> Iterator[None]:
        """Run nginx under its unit's restrictions, at the Tor sockets and a domain without TLS."""
        settings = self.folder / "nginx"
        shutil.copytree(SETTINGS, settings)
        template = settings / "ways" / "domain.conf.in"
        text = template.read_text("utf-8").replace("@DOMAIN@", "127.0.0.1")
        text = text[text.rindex("\nserver {") :]  # without the server at port 80
        text = re.sub(r"\tlisten \[::\].*\n|\tssl_.*\n", "", text)
        port = self.url.rpartition(":")[2]
        text = re.sub(r"listen 443 .*;", f"listen 127.0.0.1:{port};", text)
        template.with_suffix("").write_text(text.replace("@ONION@", self.network.onion))
        (self.folder / "run-server").mkdir()
        with started(
            *(merged(NGINX, DOMAIN, self.folder), None, self.network.served, self.nginx_log),
            under=self.watches["nginx"].command, sockets=SOCKETS,
            shown={
                "/etc/klankbord/nginx": settings, "/run/klankbord": self.folder / "run-server",
            },
        ) as nginx:  # fmt: skip
            yield
            assert nginx.poll() is None, self.nginx_log.read_text()

    # the steps

    def report(self) -> None:
        browser = TorBrowser(self.network)
        browser.first("/nl/")
        self.code = tell(browser, "nl", STORY).code
        assert browser.get(f"/nl/{MARK}").status == 404
        assert come_back(browser, "nl", f"{self.code[:-2]}xx").status == 422
        # Other clients find nothing for desks here, and cannot reach the desk address.
        assert browser.get("/api/desk/challenge").status == 404

    def no_way_without_the_key(self) -> None:
        """Check that a desk whose Tor has no key for the address cannot connect."""
        other = Counsellor(self.folder / "other")
        proxy = f"socks5h://127.0.0.1:{self.network.port('client')}"
        invitation = self.folder / "invitation"
        other.desk("init", invitation, "--name", "Els", "--proxy", proxy)
        refused = other.desk("fetch", check=False)
        assert refused.returncode == 1
        assert "this machine's Tor has no key for that address" in refused.stderr

    def answer(self) -> None:
        els = self.els
        self.network.until(lambda: els.desk("fetch", check=False).returncode == 0, "desk's way")
        thread = self.thread = the_only_thread(els)
        assert els.read(thread)["messages"][0]["text"] == STORY
        (self.folder / "brief.pdf").write_bytes(LETTER)
        els.reply(thread, ANSWER, self.folder / "brief.pdf")
        els.desk("ask", thread, "--step", "Gesprek", "--with", "de directie", "--scope", "alles")

    def write_on(self) -> None:
        browser = TorBrowser(self.network)
        page = come_back(browser, "nl", self.code)
        assert ANSWER in page.text
        given = [browser.get(link) for link in page.links if link.startswith("/nl/files/")]
        assert [a.body for a in given if a.header("Content-Disposition")] == [LETTER]
        form = page.form_with("answer", "remark")
        page = browser.submit(page, form, answer="yes", remark="Graag.")
        files = browser.get("/nl/files")
        sent = browser.upload(
            files, files.form_with("files"), [(f"{MARK}.jpg", PICTURE)], text=MORE
        )
        assert (sent.status, sent.path) == (200, "/nl/conversation?sent=1")

    def read_on(self) -> None:
        self.els.desk("fetch")
        thread = self.thread
        texts = [message["text"] for message in self.els.read(thread)["messages"]]
        assert texts[:2] == [STORY, ANSWER]
        assert MORE in texts
        listed = self.els.desk("files", thread, "--json").stdout
        (item,) = (file["item"] for file in json.loads(listed) if file["size"] == len(PICTURE))
        self.els.desk("save", thread, item, "--out", self.folder / "saved")
        assert (self.folder / "saved").read_bytes() == PICTURE

    def by_domain(self) -> None:
        """Send a report through the domain, along with requests that must be refused."""
        browser = AddressedBrowser(self.url, VISITOR, MARK)
        code = tell(browser, "nl", STORY).code
        assert come_back(browser, "nl", code).path == "/nl/conversation"
        assert browser.get(f"/nl/{MARK}").status == 404
        files = browser.get("/nl/files")
        sent = browser.upload(files, files.form_with("files"), [("a.jpg", PICTURE)])
        assert (sent.status, sent.path) == (200, "/nl/conversation?sent=1")
        for said in (
            f"GET /{MARK}\0 HTTP/1.1\r\n\r\n",
            f"POST /nl/report HTTP/1.1\r\nHost: x\r\nContent-Length: 900\r\n\r\ntext={MARK}",
            f"GET /nl/ HTTP/1.1\r\nHost: {MARK}\r\nConnection: close\r\n\r\n",
        ):
            _say(self.url, said)

    def while_it_is_down(self) -> None:
        """Check nginx's page for a server that is down."""
        for browser in (TorBrowser(self.network), AddressedBrowser(self.url, VISITOR, MARK)):
            assert browser.get(f"/nl/{MARK}").status == 503

    def take_back(self) -> None:
        browser = TorBrowser(self.network)
        come_back(browser, "nl", self.code)
        page = browser.get("/nl/withdraw")
        assert browser.submit(page, page.form_with("sure"), sure="y").path == "/nl/withdrawn"


def _each(option: str, values: tuple[str, ...]) -> list[str]:
    return [word for value in values for word in (option, value)]


def _say(url: str, text: str) -> None:
    """Send something over a connection from the visitor's address; ignore the response."""
    port = int(url.rpartition(":")[2])
    with (
        closing(
            socket.create_connection(("127.0.0.1", port), 20, source_address=(VISITOR, 0))
        ) as made,
        suppress(OSError),
    ):
        made.sendall(text.encode())
        made.shutdown(socket.SHUT_WR)
        made.recv(1000)


@pytest.fixture(scope="module")
def journey(tmp_path_factory: pytest.TempPathFactory) -> Journey:
    folder = tmp_path_factory.mktemp("journey")
    with pytest.MonkeyPatch.context() as patched:
        network = Installed(folder, patched)
        network.served.mkdir(mode=0o750)
        with network.running():
            way = Journey(folder, network)
            way.make()
            with way.in_front():
                with way.served():
                    way.began = time.time()
                    way.remember(network.warnings, way.nginx_log)
                    way.report()
                    way.answer()
                    way.no_way_without_the_key()
                    way.by_domain()
                way.while_it_is_down()
                with way.served():
                    way.write_on()
                    way.read_on()
                    way.take_back()
                    way.look_again()
            way.ended = time.time()
    for watch in way.watches.values():
        watch.wait()
    return way


def test_complete_journey_works_over_tor(journey: Journey) -> None:
    """Each step checks its own result, and none of it is logged."""
    said = journey.log.read_text().splitlines()
    assert said == ["Serving on unix:/run/klankbord/app.sock; Ctrl-C ends it."] * 2  # two starts
    assert journey.logs_after == journey.logs
    assert journey.nginx_log.read_text() == ""
    told = [line for line in journey.network.warnings.read_text().splitlines() if "[warn]" in line]
    # The test provides its network, account and folders.
    of_the_test = [
        *("TestingTorNetwork", "DirAuthority", "as root", "Fixing permissions"),
        # On a very busy machine, so small a network may briefly have no relay to choose.
        "No available nodes when trying to choose node",
    ]
    assert [line for line in told if not any(words in line for words in of_the_test)] == []


def test_no_program_file_contains_visitor_data_or_message_text(journey: Journey) -> None:
    three = journey.code.split()[:3]
    secrets = set().union(*(forms(one.encode()) for one in (VISITOR, NOBODY, MARK, STORY, MORE)))
    secrets |= {between.join(three).encode() for between in (" ", "+", ", ")}
    secrets |= {PICTURE[:16], LETTER[:16], PICTURE[-16:]}
    on_its_way = set()
    for name, call in journey.calls():
        data = b"".join(call.strings)
        if any(secret in data for secret in secrets):
            assert not call.target.startswith("/"), (name, call.target)
            assert not call.for_writing, (name, data)
            on_its_way.add(name)
    # Data sent to sockets was seen, so it would have been seen in a file too.
    assert on_its_way >= {"server", "nginx"}


def test_no_visit_time_is_written_to_a_file(journey: Journey) -> None:
    """Tor's files reveal only when the consensus changed and Tor started; other files nothing."""
    seconds = range(int(journey.began) - 1, int(journey.ended) + 2)
    times = {str(second).encode() for second in seconds}
    for shown in (time.gmtime, time.localtime):
        times |= {time.strftime("%H:%M:%S", shown(second)).encode() for second in seconds}
    written: dict[str, set[str]] = {name: set() for name in journey.watches}
    for name, call in journey.calls():
        if call.target.startswith("/") and call.name in WRITES:
            written[name].add(Path(call.target).name)
            data = b"".join(call.strings)
            if name != "tor" and Path(call.target) not in journey.logs:
                assert not any(moment in data for moment in times), (name, call.target)
    # Tor's keys, state and descriptors, and a log of the test.
    own = (
        r"(hs_ed25519_(secret|public)_key|hostname|state|(cached|unverified)-[a-z-]+)(\.tmp|\.new)?"
    )
    test = {"notice.log", "warnings"}
    assert {one for one in written["tor"] - test if not re.fullmatch(own, one)} == set()
    room = {"uid_map", "gid_map", "setgroups"}  # files of bubblewrap, which replaces systemd here
    assert written["nginx"] - room <= {"nginx.pid"}
    database = {"klankbord.db", "klankbord.db-wal", "klankbord.db-shm"}
    others = written["server"] - room - database - {"log", ".withdrawn.new"}
    assert {one for one in others if not re.fullmatch(r"[0-9a-f]{64}|\.[0-9a-f.-]+", one)} == set()


def test_every_file_write_is_traced(journey: Journey) -> None:
    for name, call in journey.calls():
        assert call.name not in UNSEEN or "<UNIX" in call.rest or "<TCP" in call.rest, name
        if name != "server":  # the server's database has an index in shared memory
            assert call.mapped == "", (name, call.mapped)
