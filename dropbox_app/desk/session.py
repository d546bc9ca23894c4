"""A desk at work on one site: its vault, local store, state and connection."""

import datetime
from collections.abc import Iterable
from dataclasses import dataclass, field

from dropbox_app.desk.errors import ClocksDiffer
from dropbox_app.desk.keys import schedule
from dropbox_app.desk.storage.item_store import LocalStore
from dropbox_app.desk.storage.state import Item, State
from dropbox_app.desk.storage.vault import Vault
from dropbox_app.desk.transport.api_client import Courier
from dropbox_app.protocol.keys import SigningKey, VerifyKey


@dataclass(frozen=True)
class News:
    """A fact to report to the user. ``key`` identifies the fact for other wordings or languages.

    ``thread`` is the mailbox that the news concerns; "" if there is none or more than one.
    """

    sentence: str
    key: str
    thread: str = ""
    is_alarm: bool = False


@dataclass
class Report:
    """The messages for the user after the work: ordinary news, and alarms."""

    news: list[News] = field(default_factory=list)
    new: dict[str, int] = field(default_factory=dict)  # new messages by mailbox

    @property
    def notes(self) -> list[str]:
        """Return the ordinary news, as sentences."""
        return [one.sentence for one in self.news if not one.is_alarm]

    @property
    def alarms(self) -> list[str]:
        """Return the alarms, as sentences."""
        return [one.sentence for one in self.news if one.is_alarm]

    def note(self, sentence: str, key: str, thread: str = "") -> None:
        """Add an item of news, unless it was already added."""
        self._tell(News(sentence, key, thread))

    def alarm(self, sentence: str, key: str, thread: str = "") -> None:
        """Add an alarm, unless it was already added. The command then ends with exit code 1."""
        self._tell(News(sentence, key, thread, is_alarm=True))

    def _tell(self, news: News) -> None:
        if news not in self.news:
            self.news.append(news)


@dataclass
class Desk:
    """The resources for work on one site. ``today`` is this computer's day."""

    vault: Vault
    store: LocalStore
    state: State
    today: datetime.date
    report: Report = field(default_factory=Report)
    server_day: datetime.date | None = None
    brought: int = 0  # bytes of items fetched in this round
    _courier: Courier | None = None

    @property
    def signing(self) -> SigningKey:
        """Return the signing key for this site."""
        return self.vault.signing(self.state.site)

    @property
    def identity(self) -> VerifyKey:
        """Return the public half of the signing key."""
        return self.signing.verify_key

    @property
    def own(self) -> str:
        """Return the identity as it appears in messages and the inbox."""
        return str(self.identity)

    @property
    def courier(self) -> Courier:
        """Return the connection to the server."""
        if self._courier is None:
            raise RuntimeError("this desk was opened without a way to the server")
        return self._courier

    def connect(self, courier: Courier) -> None:
        """Set the connection and compare clocks.

        Call this before any work that depends on the day.
        """
        self._courier = courier
        self.server_day = courier.challenge()
        if not self.agreed:
            self.report.alarm(self.clocks, "clocks")

    @property
    def agreed(self) -> bool:
        """Return whether the server's day confirms this computer's day."""
        return self.server_day is not None and schedule.agree(self.today, self.server_day)

    @property
    def day(self) -> datetime.date:
        """Return the earlier of the two days, for actions that must not happen too early.

        Raises ClocksDiffer.
        """
        self.need_day()
        return min(self.today, self.server_day or self.today)

    def need_day(self) -> None:
        """Raise ClocksDiffer unless the two days confirm each other."""
        if not self.agreed:
            raise ClocksDiffer(self.clocks)

    @property
    def clocks(self) -> str:
        """Return the sentence to show if the days differ."""
        return (
            f"This computer says it is {self.today}, the server says {self.server_day}. No key "
            "was made or destroyed and nothing can be written. Set this computer's date right; "
            "if it is right, tell the operator."
        )

    def take_in(self, items: Iterable[Item]) -> None:
        """Open items with the keys that still exist, and move these items into the database."""
        self.store.take_in(items, self.vault.openers(self.state.site))

    def save(self) -> None:
        """Write the state to the database."""
        self.store.save(self.state)
