"""Forward secrecy with real files and a changed clock (SPEC section 3).

Server and desk run as real programs, with a clock that the test sets; "taking the disk" means
copying the folder. Every secret from the copied desk and its passphrase is tried on every sealed
file of the copied server. By default the tests cover one theft and one wrong clock; the others run
with a server in memory in tests/desk/test_forward_secrecy.py, and here with --long.
"""

import base64
import re
import shutil
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from dropbox_app.protocol import age
from dropbox_app.protocol.errors import AgeError, FormatError
from dropbox_app.protocol.keys import Seed
from tests.support.drop_box import PASSPHRASE, Counsellor, DropBox
from tests.support.programs import FAKETIME, needs_faketime
from tests.support.steps import report_and_code, the_only_thread
from tests.support.thief import Thief

pytestmark = needs_faketime


class Calendar:
    """One drop box and one desk whose clocks the test sets, so that no test waits."""

    def __init__(self, folder: Path, port: int | None = None) -> None:
        self.clock = {
            "LD_PRELOAD": str(FAKETIME),
            "FAKETIME": "",
        }
        self.counsellor = Counsellor(folder / "els", env=self.clock)
        self.box = DropBox(folder / "server", env=self.clock, port=port)
        self._told: set[str] = set()

    def turn_to(self, day: str) -> None:
        """Set both clocks to noon of ``day`` and let the server run from there."""
        self.box.stop()
        self.clock["FAKETIME"] = f"@{day} 12:00:00"
        if self.box.folder.exists():
            self.box.serve()

    def begin(self, day: str) -> None:
        self.turn_to(day)
        self.box.add(self.counsellor, self.box.init(), "Els de Vries")
        self.box.serve()
        self.counsellor.desk("fetch")

    def fetch_on(self, *days: str) -> None:
        for day in days:
            self.turn_to(day)
            self.counsellor.desk("fetch")

    def told_on(self, day: str, text: str) -> str:
        """Report on that day; return its thread, once fetched."""
        self.turn_to(day)
        report_and_code(self.box, "nl", text)
        self.counsellor.desk("fetch")
        (new,) = {str(thread["id"]) for thread in self.counsellor.threads()} - self._told
        self._told.add(new)
        return new

    def texts(self, thread: str) -> list[str]:
        return [message["text"] for message in self.counsellor.read(thread)["messages"]]


@pytest.fixture(scope="module")
def begun(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, int]:
    """Return a copy of a drop box and desk set up on the first Monday of January."""
    folder = tmp_path_factory.mktemp("begun")
    made = Calendar(folder)
    try:
        made.begin("2026-01-05")
    finally:
        made.box.stop()
    return folder, made.box.port


@pytest.fixture
def calendar(tmp_path: Path, begun: tuple[Path, int]) -> Iterator[Calendar]:
    for name in ("els", "server"):
        shutil.copytree(begun[0] / name, tmp_path / name)
    made = Calendar(tmp_path, begun[1])
    try:
        yield made
    finally:
        made.box.stop()


def every_seed(desk: Path, reveal: str) -> list[Seed]:
    """Return every 32-byte value in the vault: the keys that a thief could try."""
    found = re.findall(r"AGE-SECRET-KEY-PQ-1[0-9A-Z]+", reveal)
    for file in desk.rglob("*.age"):
        try:
            content = age.open_with_passphrase(file.read_bytes(), PASSPHRASE).decode("latin-1")
        except AgeError:
            continue
        found += re.findall(r"AGE-SECRET-KEY-PQ-1[0-9A-Z]+", content)
        found += re.findall(r"(?<![A-Za-z0-9+/])[A-Za-z0-9+/]{43}=", content)
        found += re.findall(r"(?<![0-9a-f])[0-9a-f]{64}(?![0-9a-f])", content)
    seeds = []
    for text in set(found):
        try:
            seeds.append(_as_seed(text))
        except (FormatError, ValueError):
            continue
    return seeds


def _as_seed(text: str) -> Seed:
    if text.startswith("AGE-"):
        return Seed.parse(text)
    return Seed(bytes.fromhex(text) if len(text) == 64 else base64.b64decode(text))


def sealed_files(server: Path) -> list[bytes]:
    """Return every age file in a copied server folder, in any table or file."""
    found = []
    for database in server.glob("*.db"):
        connection = sqlite3.connect(database)
        tables = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
        for (table,) in tables.fetchall():
            for row in connection.execute(f'SELECT * FROM "{table}"'):  # noqa: S608 - own tables
                found += [
                    value
                    for value in row
                    if isinstance(value, bytes) and value.startswith(b"age-encryption.org/v1")
                ]
        connection.close()
    assert found
    return found


def opened(files: list[bytes], seeds: list[Seed]) -> list[bytes]:
    contents = []
    for sealed in files:
        try:
            contents.append(age.open_sealed(sealed, seeds))
        except AgeError:
            continue
    return contents


def copy_of(folder: Path, name: str) -> Path:
    return Path(shutil.copytree(folder, folder.parent / name))


@pytest.mark.long
def test_forgotten_january_messages_cannot_be_opened_in_april(calendar: Calendar) -> None:
    """All was fetched; three months later neither the desk nor an old server disk opens it."""
    forgotten = calendar.told_on("2026-01-10", "Dit wordt vergeten")
    kept = calendar.told_on("2026-01-11", "Dit blijft bewaard")
    calendar.box.stop()
    server_of_january = copy_of(calendar.box.folder, "server-january")
    stolen_early = every_seed(
        calendar.counsellor.folder, calendar.counsellor.desk("keys", "--reveal").stdout
    )
    assert len(opened(sealed_files(server_of_january), stolen_early)) == 2  # the control
    calendar.counsellor.desk("forget", forgotten, "--yes")
    calendar.fetch_on("2026-02-03", "2026-03-01", "2026-04-04")

    reveal = calendar.counsellor.desk("keys", "--reveal").stdout
    stolen = copy_of(calendar.counsellor.folder, "desk-april")
    seeds = every_seed(stolen, reveal)
    assert Thief(stolen, PASSPHRASE).opens(sealed_files(server_of_january)) == []
    assert len(seeds) >= 4
    assert opened(sealed_files(server_of_january), seeds) == []
    assert calendar.texts(kept) == ["Dit blijft bewaard"]
    assert [thread["id"] for thread in calendar.counsellor.threads()] == [kept]


def test_january_messages_cannot_be_opened_in_september(calendar: Calendar) -> None:
    """A desk unused from January to September destroys the key on its first fetch."""
    forgotten = calendar.told_on("2026-01-10", "Dit wordt vergeten")
    calendar.box.stop()
    server_of_january = copy_of(calendar.box.folder, "server-january")
    calendar.counsellor.desk("forget", forgotten, "--yes")
    calendar.turn_to("2026-09-01")
    calendar.counsellor.desk("fetch", check=False)
    reveal = calendar.counsellor.desk("keys", "--reveal").stdout
    stolen = copy_of(calendar.counsellor.folder, "desk-september")
    seeds = every_seed(stolen, reveal)
    assert Thief(stolen, PASSPHRASE).opens(sealed_files(server_of_january)) == []
    assert opened(sealed_files(server_of_january), seeds) == []


@pytest.mark.long
@pytest.mark.parametrize("back", ["2026-03-08", "2026-05-02"], ids=["five weeks", "three months"])
def test_no_message_is_lost_during_a_long_absence_of_the_counsellor(
    calendar: Calendar, back: str
) -> None:
    """Messages written during the absence can be opened on the day of return."""
    calendar.fetch_on("2026-01-30")
    calendar.turn_to("2026-02-12")
    report_and_code(calendar.box, "nl", "Geschreven tijdens het verlof")
    calendar.fetch_on(back)
    thread = the_only_thread(calendar.counsellor)
    assert calendar.texts(thread) == ["Geschreven tijdens het verlof"]


@pytest.mark.parametrize(
    "wrong",
    [
        pytest.param("2027-01-12", id="a year on"),
        pytest.param("2025-01-12", id="a year back", marks=pytest.mark.long),
    ],
)
def test_wrong_clock_destroys_no_key(calendar: Calendar, wrong: str) -> None:
    """A desk whose clock is a year off says so, keeps every key, and works once it is corrected."""
    thread = calendar.told_on("2026-01-10", "Klok")
    calendar.turn_to("2026-01-12")
    before = calendar.counsellor.desk("keys", "--reveal").stdout
    calendar.clock["FAKETIME"] = f"@{wrong} 12:00:00"
    said = calendar.counsellor.desk("fetch", check=False)
    assert said.returncode == 1
    assert "2026-01-12" in said.stdout + said.stderr
    keys = re.findall(r"AGE-SECRET-KEY-PQ-1[0-9A-Z]+", before)
    after = calendar.counsellor.desk("keys", "--reveal").stdout
    assert set(keys) <= set(re.findall(r"AGE-SECRET-KEY-PQ-1[0-9A-Z]+", after))
    calendar.fetch_on("2026-01-13")
    assert calendar.texts(thread) == ["Klok"]
