"""Two organisations on one server: neither learns anything about the other."""

import os
import re
import threading
import urllib.parse
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from dropbox_app.protocol import desk_request
from dropbox_app.protocol.encoding import sha256_hex
from dropbox_app.protocol.retrieval_code import generate
from dropbox_app.server.config import loader
from dropbox_app.server.config.loader import ReadSite
from dropbox_app.server.errors import SettingsError
from dropbox_app.server.store import connections
from dropbox_app.server.store.sqlite import DATABASE
from dropbox_app.server.web import sites
from dropbox_app.server.web.app import create_app
from dropbox_app.server.web.session import new_key
from tests.server.web.conftest import Clock, Counsellor, House
from tests.server.web.test_before import ADDRESSES, check_shape
from tests.server.web.test_report import kept
from tests.support.plain_browser import Page

BAKER, BANK = "https://stil.example.org", "https://rust.example.net"
SECRETS = ("Bakkerij De Korenaar", "Noor Visser", "030 123 45 67", "Onze klachtenregeling")


class Server:
    """A server with two sites in one app, each with one counsellor."""

    def __init__(self, folder: Path, *, others: int = 0) -> None:
        self.folder = folder
        self.clock = Clock()
        (folder / "sites").mkdir(parents=True, mode=0o700)
        self.baker = House(
            folder / "sites" / "bakker", ("Noor Visser",), self.clock, origins=(BAKER,)
        )
        self.bank = House(
            folder / "sites" / "bank", ("Sam Jansen",), self.clock,
            site="6b" * 16, origins=(BANK,), name="Spaarbank", run_by="Wij", phone="", hours="",
        )  # fmt: skip
        self.others = [
            House(
                folder / "sites" / f"site{n}", (), self.clock,
                site=f"{n:032x}", origins=(f"https://site{n}.example.org",),
            )
            for n in range(others)
        ]  # fmt: skip
        self.restart()

    @property
    def houses(self) -> tuple[House, ...]:
        return (self.baker, self.bank, *self.others)

    def restart(self) -> None:
        app = create_app(
            self.folder, today=self.clock.today, now=self.clock.now, cookie_key=new_key()
        )
        for house in self.houses:
            house.app = app

    def close(self) -> None:
        for house in self.houses:
            house.close()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    made = Server(tmp_path / "server")
    yield made
    made.close()


def of(house: House) -> str:
    return house.site.settings.origins[0]


def told(page: Page) -> list[str]:
    """Return the texts of a page that belong only to the bakery."""
    return [secret for secret in SECRETS if secret in page.html.replace("\u00a0", " ")]


def alike(*pages: Page) -> None:
    """Check that the responses are identical."""
    answers = {(page.status, page.body, tuple(page.headers)) for page in pages}
    assert len(answers) == 1


def test_each_host_shows_only_its_own_site(server: Server) -> None:
    page = server.baker.folder / "content" / "nl" / "options.md"
    page.parent.mkdir(parents=True)
    page.write_text("## Onze klachtenregeling\n\nBel de commissie.\n")
    server.restart()
    shown = ""
    for address in (*ADDRESSES, "/nl/nergens", "/api/site", "/nl/conversation"):
        baker = server.baker.browser(origin=BAKER).get(address)
        bank = server.bank.browser(origin=BANK).get(address)
        shown += baker.html.replace("\u00a0", " ")
        assert not told(bank), address
        assert "Sam Jansen" not in baker.html
        assert "Spaarbank" not in baker.html
    assert all(secret in shown for secret in SECRETS)


def test_reports_reach_the_counsellor_of_their_own_site_and_codes_work_only_there(
    server: Server,
) -> None:
    baker, bank = server.baker, server.bank
    code = baker.browser(origin=BAKER).tell("Van de bakker.").code
    other = bank.browser(origin=BANK).tell("Van de bank.").code
    assert baker.counsellors[0].texts() == ["Van de bakker."]
    assert bank.counsellors[0].texts() == ["Van de bank."]
    unknown = bank.browser(origin=BANK)
    wrong = unknown.come_back(code)
    assert (wrong.status, "Van de bakker." in wrong.text) == (422, False)
    assert "Van de bank." in bank.browser(origin=BANK).come_back(other).text
    assert "Van de bakker." in baker.browser(origin=BAKER).come_back(code).text


def test_code_of_another_site_gets_the_same_response_as_an_unusable_code(server: Server) -> None:
    code = server.baker.browser(origin=BAKER).tell("Iets.").code
    typed = [code, " ".join(generate("nl"))]
    pages = [server.bank.browser(origin=BANK).come_back(words) for words in typed]
    assert [page.status for page in pages] == [422, 422]
    assert not any(page.header("Set-Cookie") for page in pages)
    one, other = (
        page.html.replace(words, "").rstrip() for page, words in zip(pages, typed, strict=True)
    )
    assert one == other


@pytest.mark.parametrize("path", ["conversation", "code", "report", "withdraw", "files"])
def test_cookie_of_one_site_is_invalid_at_the_other(server: Server, path: str) -> None:
    inside = server.baker.browser(origin=BAKER)
    inside.come_back(inside.tell("Iets geheims.").code)
    (name,) = inside.cookies
    stranger = server.bank.browser(origin=BANK)
    stranger.cookies[name] = inside.cookies[name]
    noise = server.bank.browser(origin=BANK)
    value = inside.cookies[name]
    noise.cookies[name] = value[:-8] + ("A" if value[-8] != "A" else "B") + value[-7:]
    alike(stranger.get(f"/nl/{path}"), noise.get(f"/nl/{path}"))
    assert "Iets geheims." not in stranger.get(f"/nl/{path}").text


def test_session_token_is_invalid_in_a_session_of_the_other_site(server: Server) -> None:
    inside = server.baker.browser(origin=BAKER)
    page = inside.come_back(inside.tell("Hier.").code)
    token = dict(page.form_with("text").fields)["csrf_token"]
    there = server.bank.browser(origin=BANK)
    there.come_back(there.tell("Daar.").code)
    answer = there.post("/nl/conversation", csrf_token=token, text="Meegestuurd.")
    assert answer.status == 403
    assert "Meegestuurd." not in server.bank.counsellors[0].texts()


def ask(server: Server, house: House, by: Counsellor, *, origin: str, site: str) -> Page:
    """Send a signed desk request for an origin and a site; return the response."""
    browser = house.browser(origin=of(house))
    challenge = browser.get("/api/desk/challenge").text
    token = challenge.rpartition('"token":"')[2].partition('"')[0]
    signed = desk_request.header(
        by.signing, origin=origin, site=site, token=token,
        method="GET", target="/api/desk/inbox?after=0", body_hash=sha256_hex(b""),
    )  # fmt: skip
    return browser.request("GET", "/api/desk/inbox?after=0", headers={"Authorization": signed})


def test_desk_of_one_site_is_unknown_at_the_other(server: Server) -> None:
    server.baker.browser(origin=BAKER).tell("Iets.")
    noor, bank = server.baker.counsellors[0], server.bank
    here, there = server.baker.site.settings.site, bank.site.settings.site
    assert ask(server, server.baker, noor, origin=BAKER, site=here).status == 200
    stranger = Counsellor(bank, "Niemand")
    alike(
        ask(server, bank, noor, origin=BANK, site=there),
        ask(server, bank, noor, origin=BAKER, site=here),
        ask(server, bank, stranger, origin=BANK, site=there),
    )


def test_challenge_of_one_site_is_not_consumed_by_the_other(server: Server) -> None:
    noor = server.baker.counsellors[0]
    challenge = server.bank.browser(origin=BANK).get("/api/desk/challenge").text
    token = challenge.rpartition('"token":"')[2].partition('"')[0]
    signed = desk_request.header(
        noor.signing, origin=BAKER, site=server.baker.site.settings.site, token=token,
        method="GET", target="/api/desk/mailboxes", body_hash=sha256_hex(b""),
    )  # fmt: skip
    page = server.baker.browser(origin=BAKER).request(
        "GET", "/api/desk/mailboxes", headers={"Authorization": signed}
    )
    assert page.status == 401


WRONG_HOSTS = (
    "evil.example", "", "example.org", "stil.example.org.", "bakker", "xn--stil", "[::1",
    "stil.example.org.evil.example", "user@evil", "a b",
)  # fmt: skip
PATHS = (
    "/",
    "/nl/",
    "/en/report",
    "/api/site",
    "/api/desk/challenge",
    "/static/x.css",
)


def test_unknown_host_gets_the_same_response_whatever_sites_exist(tmp_path: Path) -> None:
    two = Server(tmp_path / "two")
    many = Server(tmp_path / "many", others=3)
    alone = House(tmp_path / "alone")
    for path in PATHS:
        for method in ("GET", "POST", "PUT"):
            pages = [
                house.browser(origin=BAKER).request(method, path, headers={"Host": host})
                for house in (two.bank, many.bank, alone)
                for host in WRONG_HOSTS
            ]
            assert pages[0].status == 421
            alike(*pages)
            assert not told(pages[0])
    page = pages_of(two)
    check_shape(page)
    telephones = ["tel:112", "tel:113", "tel:08000113"]
    assert page.links == ["#main", "/nl/leave", "#help", *telephones]
    two.close()
    many.close()
    alone.close()


@pytest.mark.parametrize("path", ["/nl/leave", "/en/leave"])
def test_leaving_from_an_unknown_host_redirects_identically_whatever_sites_exist(
    tmp_path: Path, path: str
) -> None:
    two = Server(tmp_path / "two")
    alone = House(tmp_path / "alone", leave_to="https://weg.example.org/")
    pages = [
        house.browser(origin=BAKER).request("GET", path, headers={"Host": host})
        for house in (two.bank, alone)
        for host in WRONG_HOSTS
    ]
    alike(*pages)
    assert (pages[0].status, pages[0].header("Location")) == (303, "https://www.wikipedia.org/")
    two.close()
    alone.close()


def test_page_for_an_unknown_host_has_its_style_sheet(server: Server) -> None:
    (style,) = re.findall('href="(/static/[^"]+)"', pages_of(server).html)
    browser = server.bank.browser(origin=BANK)
    wrong = browser.request("GET", style, headers={"Host": "x.example"})
    assert (wrong.status, wrong.body) == (200, browser.get(style).body)


def pages_of(server: Server) -> Page:
    return server.bank.browser(origin=BANK).request("GET", "/nl/", headers={"Host": "x.example"})


def test_unknown_host_opens_no_site(server: Server) -> None:
    hosted = server.bank.app.extensions["sites"].sites
    for path in (*PATHS, "/nl/leave"):
        server.bank.browser().request("GET", path, headers={"Host": "evil.example"})
    assert [site.is_open for site in hosted] == [False, False]
    server.bank.browser(origin=BANK).get("/nl/")
    assert [site.is_open for site in hosted] == [False, True]


def test_broken_database_of_one_site_is_reported_and_the_other_site_is_served(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sites, "RETRY_AFTER", 0.0)
    path = server.bank.folder / "klankbord.db"
    path.rename(path.with_name("away"))
    server.restart()
    for address in ("/nl/", "/en/report", "/nl/nergens"):
        page = server.bank.browser(origin=BANK).get(address)
        assert page.status == 503
        assert not told(page)
    assert server.bank.browser(origin=BANK).get("/api/site").status == 503
    assert server.baker.browser(origin=BAKER).tell("Iets.").code
    path.with_name("away").rename(path)
    assert server.bank.browser(origin=BANK).get("/nl/").status == 200


def test_site_closed_by_its_settings_says_so_and_the_other_sites_are_served(
    server: Server,
) -> None:
    path = server.bank.folder / "site.toml"
    path.write_text(path.read_text().replace("idle = 90", "idle = 0"))
    server.restart()
    for address in ("/nl/", "/en/report", "/nl/nergens", "/api/site"):
        page = server.bank.browser(origin=BANK).get(address)
        assert page.status == 503
        assert not told(page)
    form = urllib.parse.urlencode({"text": "Een verhaal."}).encode()
    refused = server.bank.browser(origin=BANK).request("POST", "/nl/report", form)
    assert (refused.status, kept(refused)) == (503, "Een verhaal.")
    assert server.baker.browser(origin=BAKER).tell("Iets.").code
    read = loader.read(server.folder)
    with pytest.raises(SettingsError, match=r"retention\.idle"):
        create_app(server.folder, read=replace(read, sites=()))


def test_sites_keep_their_own_terms_and_limits(tmp_path: Path) -> None:
    server = Server(tmp_path / "server")
    text = (server.bank.folder / "site.toml").read_text()
    (server.bank.folder / "site.toml").write_text(text.replace("text = 60000", "text = 1000"))
    server.restart()
    assert server.baker.browser(origin=BAKER).tell("a" * 5000).code
    assert server.bank.browser(origin=BANK).tell("a" * 5000).status == 422
    server.close()


def test_many_sites_keep_few_databases_open(tmp_path: Path) -> None:
    """This is a small version of scripts/bench --sites, which uses three hundred sites."""
    server = Server(tmp_path / "server", others=10)
    lengths = set()
    for _ in range(2):
        for house in server.houses:
            page = house.browser(origin=of(house)).get("/nl/")
            assert page.status == 200
            lengths.add(len(page.body))
    assert len(lengths) == 1
    files = [os.path.realpath(f"/proc/self/fd/{fd}") for fd in os.listdir("/proc/self/fd")]
    # A set: SQLite keeps a second descriptor of a database that was looked at while it is in use.
    here = {file for file in files if file.startswith(str(tmp_path)) and file.endswith(DATABASE)}
    assert 0 < len(here) <= connections.OPEN
    server.close()


# a site's own texts


def write(house: House, lang: str, page: str, text: str) -> None:
    path = house.folder / "content" / lang / f"{page}.md"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


@pytest.mark.parametrize("page", ["what", "options", "role"])
def test_custom_page_replaces_the_default(house: House, page: str) -> None:
    default = house.browser().get(f"/nl/{page}")
    write(house, "nl", page, "Van *onszelf*.\n\n## Eigen kop\n\n- [bel](/nl/safety)\n")
    house.restart()
    own = house.browser().get(f"/nl/{page}")
    assert "<p>Van <em>onszelf</em>.</p>" in own.html
    assert len(own.body) == len(default.body)
    assert not own.header("Set-Cookie")
    headings = re.findall("<(h[1-6])[^>]*>", own.html)
    # The title, the site's heading, whom to call, and on one page the contact about a counsellor.
    assert headings == ["h1", "h2", "h2", *(["h2"] if page == "role" else [])]
    check_shape(own)
    assert "Eigen kop" not in house.browser().get(f"/en/{page}").html


@pytest.mark.parametrize("page", ["about", "exceptions", "privacy"])
def test_promises_are_shown_above_the_sites_own_text(house: House, page: str) -> None:
    before = house.browser().get(f"/en/{page}")
    write(house, "en", page, "## Who we are\n\nA bakery.\n")
    house.restart()
    after = house.browser().get(f"/en/{page}")
    start = before.text.partition("To the beginning")[0].split()[:150]
    assert " ".join(start) in " ".join(after.text.split())
    assert "A bakery." in after.text
    check_shape(after)


def test_emergency_numbers_are_configurable(house: House) -> None:
    path = house.folder / "site.toml"
    row = '{ number = "0900 8844", nl = "De politie, zonder spoed", en = "The police, no haste" }'
    path.write_text(path.read_text().replace("crisis = []", f"crisis = [{row}]"))
    house.restart()
    for address in ("/", "/nl/", "/nl/nergens", "/nl/conversation"):
        text = house.browser().get(address).text.replace("\u00a0", " ")
        assert "De politie, zonder spoed" in text
        assert "0900 8844" in text
        assert "0800-0113" not in text
    assert "The police, no haste: 0900" in house.browser().get("/en/").text


def test_all_forms_and_pages_work_on_one_of_several_sites(server: Server) -> None:
    browser = server.bank.browser(origin=BANK)
    page = browser.tell("Eerste.")
    cookie = page.header("Set-Cookie") or ""
    assert cookie.startswith("__Host-s=")
    browser.come_back(page.code)
    browser.write_on("Tweede.")
    sam = server.bank.counsellors[0]
    assert sam.texts() == ["Eerste.", "Tweede."]
    sam.write("reply", {"text": "Antwoord."})
    assert "Antwoord." in browser.get("/nl/conversation").text
    taken = browser.get("/nl/withdraw")
    browser.submit(taken, taken.form_with("sure"), sure="y")
    assert "Eerste." not in browser.come_back(page.code).text


def test_slow_opening_of_one_site_does_not_delay_the_others(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Opening a database may take long, and all sites share the threads."""
    monkeypatch.setattr(sites, "OPENING_WAIT", 0.1)
    begun, on = threading.Event(), threading.Event()
    opened = sites.OpenSite.open

    def slowly(read: ReadSite, *more: Any) -> sites.OpenSite:  # noqa: ANN401 - passed on
        if read.settings.name == "Spaarbank":
            begun.set()
            assert on.wait(60)
        return opened(read, *more)

    monkeypatch.setattr(sites.OpenSite, "open", slowly)
    server.restart()
    first = threading.Thread(target=server.bank.browser(origin=BANK).get, args=("/nl/",))
    first.start()
    try:
        assert begun.wait(60)
        assert server.bank.browser(origin=BANK).get("/nl/").status == 503
        form = urllib.parse.urlencode({"text": "Een verhaal."}).encode()
        refused = server.bank.browser(origin=BANK).request("POST", "/nl/report", form)
        assert (refused.status, kept(refused)) == (503, "Een verhaal.")
        assert server.baker.browser(origin=BAKER).get("/nl/").status == 200
    finally:
        on.set()
        first.join()
    assert server.bank.browser(origin=BANK).get("/nl/").status == 200


def test_fault_while_rendering_the_error_page_still_gives_a_response(server: Server) -> None:
    """The cards cannot be read, so no page that names the counsellors can be rendered."""
    cards = server.bank.folder / "cards"
    cards.rename(cards.with_name("moved"))
    cards.write_text("no folder")
    form = urllib.parse.urlencode({"text": "Een verhaal."}).encode()
    for answer in (
        server.bank.browser(origin=BANK).get("/nl/"),
        server.bank.browser(origin=BANK).request("POST", "/nl/report", form),
    ):
        assert answer.status == 500
        assert "Klankbord" in answer.text
    assert kept(answer) == "Een verhaal."
    assert server.baker.browser(origin=BAKER).get("/nl/").status == 200
