"""A desk fetches many messages in batches through nginx, at the onion address for desks."""

import contextlib
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from dropbox_app.desk import folder as workplace
from dropbox_app.desk.threads import open_thread
from dropbox_app.desk.transport.api_client import MOST_IDS
from dropbox_app.server.cli import common
from dropbox_app.server.config import loader, site, stores
from dropbox_app.server.config.stores import SiteStore
from dropbox_app.server.mailboxes.service import Mailboxes
from tests.support.between import Response
from tests.support.codes import hashed_cheaply
from tests.support.drop_box import CHEAP, PASSPHRASE, Counsellor, DropBox
from tests.support.fake_server import Clock, Peer, Reporter
from tests.support.fronted_box import DESKS, Place, placed
from tests.support.recorder import Passed

MAILBOXES, EACH = 8, 14
LARGE = 59_000  # letters of a message; about 130 KiB sealed
BATCH = "/api/desk/items?ids="
CONFIRMATION = "/api/desk/items/fetched?ids="
Texts = dict[str, list[str]]  # of the messages, by mailbox


@contextlib.contextmanager
def stored(box: DropBox) -> Iterator[tuple[SiteStore, Mailboxes]]:
    """Open the store of a running drop box as another process does."""
    (read,) = loader.read(box.folder).sites
    store = stores.opened(read.place, read.settings, common.today)
    yield store, Mailboxes(site.load(box.folder), store, common.today)
    store.close()


@dataclass(frozen=True)
class Written:
    """Messages that wait at the server for one desk, and all their ids."""

    place: Place
    texts: Texts
    items: set[str]

    def confirmed(self) -> set[str]:
        """Return the items of which the server knows that the desk has them."""
        with stored(self.place.box) as (store, _):
            return {
                one.item
                for mailbox in self.texts
                for one in store.addressed(mailbox)
                if one.fetched is not None
            }


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Written]:
    """Yield messages at a site behind nginx, all of whose settings are the installed ones."""
    with placed(tmp_path_factory.mktemp("site"), changes={}) as place:
        yield write(place)


@pytest.fixture
def els(written: Written, tmp_path: Path) -> Iterator[Counsellor]:
    """Yield a copy of the desk, which has fetched none of the messages."""
    shutil.copytree(written.place.els.folder.parent, tmp_path / "els")
    yield Counsellor(tmp_path / "els")
    written.place.quiet()


def write(place: Place) -> Written:
    """Let reporters write more messages than a page of the inbox has, the later ones large."""
    with workplace.opened(place.els.folder, PASSPHRASE, CHEAP) as work:
        desk = work.one()
        identity, card, number = desk.identity, desk.state.card, desk.state.site
    peer = Peer(Clock(common.today().isoformat()), site=number)
    peer.add_card(card)
    with hashed_cheaply():
        reporters = [Reporter(peer, identity) for _ in range(MAILBOXES)]
    texts: Texts = {reporter.mailbox: [] for reporter in reporters}
    with stored(place.box) as (_, mailboxes):
        for n in range(1, EACH + 1):
            for k, reporter in enumerate(reporters):
                text = f"Bericht {n} van {k}."
                if n > EACH / 2 and (n + k) % 4 == 0:
                    text = text.ljust(LARGE, "x")
                item = reporter.report(text) if n == 1 else reporter.write(text)
                texts[reporter.mailbox].append(text)
                sealed, keys = peer.items[item].sealed, reporter.keys
                if n == 1:
                    new = {"mailbox": keys.mailbox, "access": keys.access}
                    mailboxes.submit(**new, to=[identity], sealed=sealed)
                else:
                    mailboxes.add(access=keys.access, n=n, to=[identity], sealed=sealed)
    return Written(place, texts, set(peer.items))


def kept(els: Counsellor) -> set[str]:
    """Return the items that are on the desk's disk."""
    with workplace.opened(els.folder, PASSPHRASE, CHEAP) as work:
        desk = work.one()
        return {item for item in desk.state.items if desk.store.has(item)}


def shown(els: Counsellor) -> Texts:
    """Return the texts that the desk shows."""
    with workplace.opened(els.folder, PASSPHRASE, CHEAP) as work:
        desk = work.one()
        cases = {mailbox: open_thread.open_case(desk, mailbox) for mailbox in desk.state.threads}
    return {
        mailbox: [message.text for message in case.thread.genuine()]
        for mailbox, case in cases.items()
    }


def named(seen: list[Passed], start: str) -> list[list[str]]:
    """Return the ids in each request whose target begins with ``start``."""
    return [
        one.target.partition("?ids=")[2].split(".") for one in seen if one.target.startswith(start)
    ]


def test_desk_fetches_and_confirms_more_than_a_batch_through_nginx(
    written: Written, els: Counsellor
) -> None:
    seen = written.place.tor.seen
    seen.clear()
    assert "ALARM" not in els.desk("fetch").stdout
    assert kept(els) == written.items
    assert shown(els) == written.texts
    # The desk asks for the public facts at a reporters' address, where it tells nobody who it is.
    signed = [one for one in seen if one.target.startswith("/api/desk/")]
    assert {host for one in signed for host in one.header("Host")} == {DESKS}
    assert max(map(len, named(seen, BATCH))) == MOST_IDS
    assert sum(one.target.startswith("/api/desk/items") for one in seen) < 20
    assert {item for ids in named(seen, CONFIRMATION) for item in ids} == written.items
    assert written.confirmed() == written.items
    seen.clear()
    els.desk("fetch")
    assert not named(seen, BATCH)


Act = Callable[[Callable[[], Response]], Response | None]


def cut(forward: Callable[[], Response]) -> Response:
    """Break the connection in the middle of the response."""
    whole = forward()
    return replace(whole, cut=len(whole.body) // 2)


def lose(forward: Callable[[], Response]) -> None:
    """Break the connection after the server has handled the request."""
    forward()


def refuse(_forward: Callable[[], Response]) -> None:
    """Break the connection before the server gets the request."""


class Breaking:
    """A connection that breaks at one request, and stays down until ``quiet``."""

    def __init__(self, act: Act, part: str, number: int = 1) -> None:
        self._act = act
        self._part = part
        self._left = number
        self.broken = False

    def __call__(
        self, _visitor: int, asked: Passed, forward: Callable[[], Response]
    ) -> Response | None:
        if self.broken:
            return None
        self._left -= self._part in asked.target
        if self._left:
            return forward()
        self.broken = True
        return self._act(forward)


def fetch_over(place: Place, els: Counsellor, where: str, breaking: Breaking) -> set[str]:
    """Fetch while the connection breaks; return what is on disk, which all confirmed items are."""
    at = place.behind if where == "behind nginx" else place.tor
    at.handle = breaking
    at.seen.clear()
    els.desk("fetch", check=False)
    place.quiet()
    here = kept(els)
    for ids in named(at.seen, CONFIRMATION):
        assert set(ids) <= here
    return here


BREAKS: tuple[tuple[str, Act, str], ...] = (
    ("behind nginx", cut, "items?ids="),
    ("before nginx", refuse, "items/fetched"),
    ("behind nginx", lose, "items/fetched"),
    ("before nginx", cut, "items?ids="),
    ("before nginx", lose, "inbox"),
    ("behind nginx", refuse, "mailboxes"),
)


def test_connection_that_breaks_during_batches_loses_no_message(
    written: Written, els: Counsellor, long_run: bool
) -> None:
    """Each break lasts until the next fetch, which goes on where the last one ended."""
    had: set[str] = set()
    for number, (where, act, part) in enumerate(BREAKS if long_run else BREAKS[:3]):
        breaking = Breaking(act, part)
        here = fetch_over(written.place, els, where, breaking)
        assert breaking.broken, number
        assert had <= here, number
        had = here
    els.desk("fetch")
    assert kept(els) == written.items
    assert shown(els) == written.texts
    assert written.confirmed() == written.items


@pytest.mark.long
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("where", ["behind nginx", "before nginx"])
@pytest.mark.parametrize("act", [cut, lose, refuse])
def test_break_at_any_request_of_a_fetch_loses_no_message(
    written: Written, els: Counsellor, tmp_path: Path, act: Act, where: str
) -> None:
    for number in range(1, 100):
        shutil.copytree(els.folder.parent, tmp_path / str(number))
        again = Counsellor(tmp_path / str(number))
        breaking = Breaking(act, "/api/", number)
        fetch_over(written.place, again, where, breaking)
        again.desk("fetch")
        assert kept(again) == written.items, number
        assert shown(again) == written.texts, number
        if not breaking.broken:
            break
    assert 10 < number < 99, "every request of a fetch was met"
