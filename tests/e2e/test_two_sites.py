"""Two organisations on one real server, each with its own counsellor's real desk."""

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.drop_box import Counsellor, DropBox
from tests.support.plain_browser import PlainBrowser
from tests.support.processes import until
from tests.support.steps import come_back, tell, write_on


class Two:
    """A server with two sites, one reached by IP address and one by name."""

    def __init__(self, folder: Path) -> None:
        self.box = DropBox(folder / "server")
        self.urls = {"een": self.box.url, "twee": f"http://localhost:{self.box.port}"}
        self.desks: dict[str, Counsellor] = {}
        for site, name in (("een", "Els de Vries"), ("twee", "Sam Jansen")):
            self.desks[site] = self._welcome(folder, site, name)
        self.box.serve()
        for desk in self.desks.values():
            desk.desk("fetch")

    def _welcome(self, folder: Path, site: str, name: str) -> Counsellor:
        invitation = self.box.server(
            "site", "add", site, "--name", f"Organisatie {site}", "--origin", self.urls[site]
        ).stdout
        desk = Counsellor(folder / site)
        self.box.add(desk, invitation, name, site)
        return desk

    def browser(self, site: str) -> PlainBrowser:
        return PlainBrowser(self.urls[site])

    def settings(self, site: str) -> Path:
        return self.box.folder / "sites" / site / "site.toml"

    def take_up(self) -> None:
        assert self.box.process is not None
        self.box.process.send_signal(signal.SIGHUP)


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Two]:
    made = Two(tmp_path_factory.mktemp("two"))
    yield made
    made.box.stop()


def test_reports_and_answers_of_two_sites_do_not_mix(two: Two) -> None:
    inside = two.browser("een")
    code = tell(inside, "nl", "Van de eerste organisatie.").code
    other = tell(two.browser("twee"), "nl", "Van de tweede organisatie.").code
    for site, mine, theirs in (("een", "eerste", "tweede"), ("twee", "tweede", "eerste")):
        desk = two.desks[site]
        desk.desk("fetch")
        (thread,) = desk.threads()
        read = str(desk.read(thread["thread"] if "thread" in thread else thread["id"]))
        assert f"Van de {mine} organisatie." in read
        assert theirs not in read
    # A code, cookie or challenge of one site is invalid at the other.
    wrong = come_back(two.browser("twee"), "nl", code)
    assert "Van de" not in wrong.text
    page = come_back(inside, "nl", code)
    assert "Van de eerste organisatie." in page.text
    stranger = two.browser("twee")
    stranger.cookies.update(inside.cookies)
    assert "Van de" not in stranger.get("/nl/conversation").text
    assert "Van de tweede organisatie." in come_back(two.browser("twee"), "nl", other).text
    for path in ("/nl/", "/nl/nergens", "/nl/technical", "/api/site", "/nl/privacy"):
        seen = two.browser("twee").get(path).html
        assert "Els de Vries" not in seen
        assert "Organisatie een" not in seen
    for path in ("/nl/", "/nl/nergens", "/api/site"):
        lost = two.browser("een").request("GET", path, headers={"Host": "evil.example"})
        assert lost.status == 421
        assert "Organisatie" not in lost.html


def test_desk_gets_no_data_from_another_site(two: Two) -> None:
    """A false invitation sends the desk there; its own site works again afterwards."""
    there = two.box.server("move", "--site", "twee").stdout
    here = two.box.server("move", "--site", "een").stdout
    folder = two.desks["een"].folder.parent
    (folder / "false").write_text(here.replace(two.urls["een"], two.urls["twee"]))
    desk = two.desks["een"]
    desk.desk("move", folder / "false", check=False)
    done = desk.desk("fetch", check=False)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    (folder / "true").write_text(here)
    desk.desk("move", folder / "true")
    assert desk.desk("fetch").returncode == 0
    assert two.urls["twee"] in there


def test_only_a_valid_edit_of_the_settings_is_loaded_and_sessions_continue(two: Two) -> None:
    browser = two.browser("twee")
    code = tell(browser, "en", "Before the edit.").code
    assert "Before the edit." in come_back(browser, "en", code).text
    path = two.settings("twee")
    good = path.read_text()
    path.write_text(good.replace("Organisatie twee", "Organisatie anders"))
    two.take_up()
    until(
        lambda: "Organisatie anders" in two.browser("twee").get("/nl/").html,
        "the edit is not taken up",
        seconds=30,
    )
    assert "Before the edit." in browser.get("/en/conversation").text
    write_on(browser, browser.get("/en/conversation"), "After the edit.")
    path.write_text(good.replace("idle = 90", "idle = -1"))
    two.take_up()
    until(
        lambda: "retention.idle must be" in two.box.log.read_text(),
        "the log does not name the bad edit",
        seconds=30,
    )
    assert "twee/site.toml, line" in two.box.log.read_text()
    for _ in range(20):
        assert "Organisatie anders" in two.browser("twee").get("/nl/").html
        assert two.browser("een").get("/nl/").status == 200
    assert "After the edit." in browser.get("/en/conversation").text
    two.box.restart()
    assert two.browser("een").get("/nl/").status == 200
    closed = two.browser("twee").get("/nl/")
    assert closed.status == 503
    assert "Organisatie" not in closed.html
    assert "Traceback" not in two.box.log.read_text()
    path.write_text(good)
    two.box.restart()
    assert "Organisatie twee" in two.browser("twee").get("/nl/").html
