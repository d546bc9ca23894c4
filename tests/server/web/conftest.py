"""A whole site in a folder, a settable clock, counsellors with real keys, and plain browsers."""

import datetime
import urllib.parse
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient, FlaskCliRunner

from dropbox_app.protocol import card as cards
from dropbox_app.protocol import thread as threads
from dropbox_app.protocol import writing
from dropbox_app.protocol.encoding import Json
from dropbox_app.protocol.keys import Seed, SigningKey, VerifyKey
from dropbox_app.protocol.thread import Arrived, Thread
from dropbox_app.server.config.settings import Limits, Settings
from dropbox_app.server.mailboxes.service import InboxRow
from dropbox_app.server.web.app import create_app
from dropbox_app.server.web.session import new_key
from tests.support.codes import cheap_codes
from tests.support.one_site import OneSite
from tests.support.plain_browser import Form, Page, PlainBrowser

__all__ = ["cheap_codes"]  # a fixture

SITE = "5a" * 16
START = datetime.date(2026, 11, 3)
ORIGIN = "http://127.0.0.1:8000"
SECURE = "https://drop.example.org"
ONION = "http://" + "q" * 56 + ".onion"


class Clock:
    """The server's clock. A server in a separate process uses the real one."""

    def __init__(self, day: datetime.date = START) -> None:
        moment = datetime.datetime(day.year, day.month, day.day, 12, tzinfo=datetime.UTC)
        self.seconds = moment.timestamp()

    def now(self) -> float:
        return self.seconds

    def today(self) -> datetime.date:
        return datetime.datetime.fromtimestamp(self.seconds, datetime.UTC).date()

    def pass_minutes(self, minutes: float) -> None:
        self.seconds += minutes * 60

    def pass_days(self, days: int) -> None:
        self.seconds += days * 86_400


def real_clock() -> Clock:
    """Return a clock set to the real day."""
    return Clock(datetime.datetime.now(datetime.UTC).date())


class Counsellor:
    """A minimal counsellor's desk: an identity, and a key for each month."""

    def __init__(self, house: "House", name: str, kind: cards.Kind = "external") -> None:
        self.house = house
        self.name = name
        self.kind = kind
        self.languages: tuple[str, ...] = ("nl", "en")
        self.register_number = ""
        self.sentence: dict[str, str] = {}
        self.signing = SigningKey.generate()
        self.seeds = [Seed.generate() for _ in range(5)]
        self.serial = 0

    @property
    def identity(self) -> VerifyKey:
        return self.signing.verify_key

    def card(self, away: cards.Away | None = None, months: int = 5) -> bytes:
        self.serial += 1
        issued = self.house.clock.today()
        first = issued - datetime.timedelta(days=2)
        windows = []
        for seed in self.seeds[:months]:
            until = cards.month_window(first)[1]
            windows.append(cards.Window(seed.recipient(), first, until))
            first = until + datetime.timedelta(days=1)
        return cards.issue(
            site=self.house.site.settings.site,
            serial=self.serial,
            issued=issued,
            name=self.name,
            kind=self.kind,
            scope="both",
            languages=self.languages,
            sealing=windows,
            away=away,
            signing=self.signing,
            register_number=self.register_number,
            sentence=self.sentence,
        )

    def renew(self) -> None:
        """Send a new card, as a desk does after its profile changed."""
        self.house.site.update(self.identity, self.card(), self.house.clock.today())

    def threads(self) -> dict[str, Thread]:
        """Fetch and read everything; return the threads by mailbox."""
        rows: list[InboxRow] = []
        more = True
        while more:
            last = rows[-1].number if rows else 0
            page, more = self.house.mailboxes.inbox(self.identity, last)
            rows += page
        found: dict[str, list[Arrived]] = {}
        plain: dict[str, bytes] = {}
        for row in rows:
            opened = self.house.mailboxes.item_for(self.identity, row.item.id)
            assert opened is not None
            with opened.file as file:
                sealed = file.read()
            arrived = threads.open_item(row.item.id, sealed, self.seeds)
            plain[row.item.id] = arrived.plaintext or b""
            found.setdefault(row.mailbox, []).append(arrived)
            self.house.mailboxes.fetched(self.identity, [row.item.id])
        for mailbox, those in found.items():
            self._add_passed_on(mailbox, those, plain)
        return {
            mailbox: threads.read(
                arrived, site=self.house.site.settings.site, mailbox=mailbox, viewer=self.identity
            )
            for mailbox, arrived in found.items()
        }

    def _add_passed_on(
        self, mailbox: str, arrived: list[Arrived], plain: Mapping[str, bytes]
    ) -> None:
        """Insert the forwarded messages in place of the file in which they arrived."""
        read = threads.read(
            arrived, site=self.house.site.settings.site, mailbox=mailbox, viewer=self.identity
        )
        for message in read.genuine():
            if message.thread:
                arrived[:] = [one for one in arrived if one.item != message.thread]
                lines = plain[message.thread].rstrip(b"\0")
                arrived += threads.read_passed_on(message.thread, lines)

    def only_thread(self) -> Thread:
        (thread,) = self.threads().values()
        return thread

    def texts(self) -> list[str]:
        """Return the texts of the only thread, all of them verified."""
        thread = self.only_thread()
        assert all(entry.state == "verified" for entry in thread.entries)
        assert not thread.gaps
        return [message.text for message in thread.genuine()]

    def write(self, kind: str, body: Mapping[str, Json], thread: Thread | None = None) -> None:
        thread = thread or self.only_thread()
        day = self.house.clock.today()
        draft = writing.from_counsellor(
            self.signing,
            site=self.house.site.settings.site,
            day=day,
            lang="nl",
            kind=kind,
            body=body,
            thread=thread,
            cards=self.house.site.open_cards(day),
        )
        self.house.mailboxes.reply(
            identity=self.identity,
            mailbox=thread.mailbox,
            n=draft.n,
            to=draft.to,
            sealed=draft.seal(),
        )


class Browser(PlainBrowser):
    """The browser of the end-to-end tests, connected directly to the app."""

    def __init__(self, house: "House", *, cookies: bool = True, origin: str = ORIGIN) -> None:
        super().__init__(origin, cookies=cookies)
        self.house = house

    def exchange(self, method: str, path: str, body: bytes | None, headers: dict[str, str]) -> Page:
        client = self.house.app.test_client(use_cookies=False)
        answer = client.open(path, method=method, data=body or b"", headers=headers)
        page = Page(answer.status_code, path, answer.headers.to_wsgi_list(), answer.get_data())
        answer.close()
        return page

    def post(
        self, path: str, headers: dict[str, str] | None = None, follow: int = 5, **fields: str
    ) -> Page:
        """Post only these fields; return the response."""
        body = urllib.parse.urlencode(fields).encode()
        return self.request("POST", path, body, headers, follow)

    def tell(self, text: str, lang: str = "nl", **answers: str | list[str]) -> Page:
        page = self.get(f"/{lang}/report")
        return self.submit(page, page.form_with("text"), text=text, **answers)

    def come_back(self, code: str, lang: str = "nl") -> Page:
        page = self.get(f"/{lang}/return")
        return self.submit(page, page.form_with("code"), code=code)

    def write_on(self, text: str, lang: str = "nl") -> Page:
        page = self.get(f"/{lang}/conversation")
        return self.submit(page, page.form_with("text"), text=text)

    def press(self, page: Page, form: Form, **values: str | list[str]) -> Page:
        return self.submit(page, form, **values)


class House(OneSite):
    """One site: its folder, its clock, its people, and the app that serves it."""

    def __init__(
        self,
        folder: Path,
        counsellors: Iterable[str] = ("Noor Visser",),
        clock: Clock | None = None,
        **options: object,
    ) -> None:
        self.clock = clock or Clock()
        values: dict[str, object] = {
            "site": SITE,
            "name": "Bakkerij De Korenaar",
            "origins": (ORIGIN, SECURE, ONION),
            "run_by": "Stichting Hosting",
            "phone": "030 123 45 67",
            "hours": "ma-vr 9-17",
            "limits": Limits(free_bytes=1),
        }
        made = Settings(**(values | options))  # type: ignore[arg-type]  # tests name what differs
        super().__init__(folder, made, self.clock.today)
        self.counsellors: list[Counsellor] = []
        for name in counsellors:
            self.welcome(name)
        self.restart()

    def welcome(self, name: str, **card: object) -> Counsellor:
        """Confirm and return one more counsellor, who then fetches once."""
        made = Counsellor(self, name)
        raw = made.card(**card)  # type: ignore[arg-type]  # passed on as it came
        self.site.pin(name.split()[0].lower(), raw, self.clock.today())
        self.counsellors.append(made)
        made.threads()
        return made

    def restart(self) -> None:
        """Start a new process with a new cookie key and no memory."""
        self.app = create_app(
            self.folder, today=self.clock.today, now=self.clock.now, cookie_key=new_key()
        )

    def browser(self, *, cookies: bool = True, origin: str = ORIGIN) -> Browser:
        return Browser(self, cookies=cookies, origin=origin)

    def stored(self) -> int:
        """Return the number of mailboxes."""
        return len(self.store.mailboxes())

    def close(self) -> None:
        self.store.close()


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    """Yield a site with one counsellor."""
    made = House(tmp_path / "site")
    yield made
    made.close()


@pytest.fixture
def two(tmp_path: Path) -> Iterator[House]:
    """Yield a site with two counsellors."""
    made = House(tmp_path / "site", ("Noor Visser", "Sam Jansen"))
    yield made
    made.close()


@pytest.fixture
def noor(house: House) -> Counsellor:
    return house.counsellors[0]


@pytest.fixture
def app(house: House) -> Flask:
    return house.app


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    return app.test_client()


@pytest.fixture
def runner(app: Flask) -> FlaskCliRunner:
    return app.test_cli_runner()
