"""Foreign text in real browsers: markup is shown as text and never acts."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page

from dropbox_app.desk import folder as workplace
from dropbox_app.desk.actions import notes, threads
from dropbox_app.desk.storage.state import Profile
from tests.desk.conftest import PASSPHRASE, Office
from tests.desk.web.conftest import Running, Seconds
from tests.support.browsers import browsers, here
from tests.support.fake_server import Clock, Peer, Reporter
from tests.support.net import Net

BOTH = [
    pytest.param("chromium", marks=[here("chromium"), pytest.mark.slow]),
    pytest.param("firefox", marks=[here("firefox"), pytest.mark.long]),
]
WRITERS = ("report", "answer", "file", "site", "name", "label", "note", "reply", "sentence")


def markup(writer: str) -> str:
    """Return text that sets a flag in the window if a page interprets it as markup."""
    return f"{writer}'\"></title><script>ran=1</script><img src=x onerror=ran=1>"


@pytest.fixture(params=BOTH)
def page(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Page]:
    with Net(tmp_path, {}).running() as net, browsers(net) as start:
        made = start(str(request.param), True).new_context().new_page()
        made.set_default_timeout(60_000)
        yield made


@pytest.fixture
def running(tmp_path: Path, peer: Peer, clock: Clock) -> Iterator[Running]:
    """Yield a desk in which every text field contains markup."""
    office = Office(tmp_path / "desk", peer, clock)
    colleague = Office(tmp_path / "colleague", peer, clock, markup("name"))
    desk = workplace.init(
        office.folder, PASSPHRASE, office.machine,
        invitation=workplace.read_invitation(peer.invitation(markup("site"))),
        profile=Profile(
            office.name, "external", "both", ("nl", "en"), sentence={"nl": markup("sentence")}
        ),
        proxy="",
    )  # fmt: skip
    peer.add_card(desk.state.card)
    office.fetch()
    reporter = Reporter(peer, desk.identity, colleague.set_up())
    reporter.report(markup("report"))
    reporter.attach(markup("answer"), (markup("file").replace("/", ""), "text/html", b"<p>"))
    colleague.fetch()
    colleague.reply(reporter.mailbox, markup("reply"))
    office.fetch()
    office.reply(reporter.mailbox, markup("reply"))
    with office.open() as place:
        threads.label(place, reporter.mailbox, markup("label"))
        notes.write_note(place, reporter.mailbox, markup("note"))
    made = Running(office, Seconds())
    try:
        yield made
    finally:
        made.close()


def test_markup_in_received_text_is_escaped_on_every_page(running: Running, page: Page) -> None:
    refused: list[str] = []
    page.on("console", lambda said: refused.append(said.text))
    page.goto(running.gate.link.address(running.url))
    page.fill("[name=passphrase]", PASSPHRASE)
    page.click("main button[type=submit]")
    page.wait_for_selector("[data-page=today]")
    page.wait_for_load_state("load")
    page.click(".row a")
    page.wait_for_selector("[data-page=thread]")
    page.wait_for_load_state("load")
    thread, shown = page.url, page.content()
    addresses = [
        page.locator(which).first.evaluate("a => a.href")
        for which in ("a[href*='/f/']", "a[href$='save/']", "a[href$=forget]")
    ]
    ways = ("", "threads", "contact", "cases", "employers", "cards", "away", "posters", "settings")
    addresses += [running.url + running.home + way for way in ways]
    page.goto(f"{running.url}{running.home}cards")
    addresses.append(page.locator("a[href*='/cards/site/']").first.evaluate("a => a.href"))
    for address in (thread, *addresses):
        page.goto(address)
        assert page.evaluate("window.ran") is None, address
        # Anything that the policy had to block would have been markup.
        assert page.locator("main img, main script:not([src])").count() == 0, address
        shown += page.content()
    for writer in WRITERS:
        assert f"{writer}'" in shown, f"{writer} is shown nowhere"
    assert [one for one in refused if "Content Security Policy" in one or "CSP" in one] == []
