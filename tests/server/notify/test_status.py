"""The daily status: its value, when it is written, and what it reveals."""

import datetime
import stat
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from dropbox_app.server.cli import common, main
from dropbox_app.server.config import paths, response
from dropbox_app.server.doctor import checks
from dropbox_app.server.doctor.finding import Finding
from dropbox_app.server.errors import MailError, SettingsError
from dropbox_app.server.notify import sent_log, status, status_file
from tests.support.server_folder import BRAM, DAY, AServer, file

QUIET = {"./anna": "rest", "./bram": "rest"}


class Desk:
    """A server whose two desks have fetched today, and the folder for the statuses."""

    def __init__(self, folder: Path) -> None:
        self.server = AServer(folder / "server")
        self.server.fetch()
        self.server.fetch(BRAM)
        self.place = folder / "words"
        self.place.mkdir()

    def types(self) -> Result:
        words = ["--dir", str(self.server.folder), "word", "--to", str(self.place)]
        return CliRunner().invoke(main.main, words)

    def says(self) -> dict[str, str]:
        done = self.types()
        assert (done.exit_code, done.output) == (0, "")
        found = status_file.read(self.place, self.server.day)
        assert found is not None
        return dict(found)


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Desk:
    made = Desk(tmp_path)
    monkeypatch.setattr(common, "today", made.server.today)
    monkeypatch.delenv("KLANKBORD_DIR", raising=False)
    return made


def test_only_the_addressed_counsellor_is_told_to_open_the_desk(desk: Desk) -> None:
    desk.server.report("one")
    assert desk.says() == {"./anna": "open", "./bram": "rest"}
    desk.server.later(1)
    desk.server.fetch()
    assert desk.says() == QUIET


def test_message_file_or_withdrawal_after_the_report_also_counts_as_new(desk: Desk) -> None:
    desk.server.report("one", to=(BRAM,))
    desk.server.fetch(BRAM)
    assert desk.says() == QUIET
    desk.server.later(1)
    desk.server.add("one", 2, to=(BRAM,))
    assert desk.says()["./bram"] == "open"
    desk.server.fetch()
    desk.server.fetch(BRAM)
    desk.server.later(2)
    assert desk.says() == QUIET
    desk.server.withdraw("one", 3, to=(BRAM,))
    desk.server.later(3)
    assert desk.says()["./bram"] == "open"


def test_counsellors_own_messages_do_not_count_as_new(desk: Desk) -> None:
    desk.server.report("one")
    desk.server.fetch()
    desk.server.put_file("one", file(2))
    desk.server.reply("one", 1)
    assert desk.says() == QUIET


def test_counsellors_are_told_to_open_the_desk_as_often_as_the_site_promises_an_answer(
    desk: Desk,
) -> None:
    """The period is two working days, so "open" need not mean that somebody wrote."""
    days = [DAY + datetime.timedelta(number) for number in range(1, 8)]
    (due, *_) = (day for day in days if response.working_days(DAY, day) == 2)
    desk.server.later((due - DAY).days - 1)
    assert desk.says() == QUIET
    desk.server.later((due - DAY).days)
    assert desk.says() == {"./anna": "open", "./bram": "open"}


def test_daily_status_is_written_once_and_not_changed(desk: Desk) -> None:
    assert desk.says() == QUIET
    desk.server.report("one")
    assert desk.says() == QUIET
    desk.server.later(1)
    assert desk.says()["./anna"] == "open"


def test_status_file_has_a_fixed_size_and_is_valid_for_one_day(desk: Desk) -> None:
    desk.says()
    path = desk.place / status_file.FILE
    first = path.stat()
    desk.server.later(1)
    desk.server.report("one")
    desk.says()
    second = path.stat()
    assert (first.st_size, stat.S_IMODE(first.st_mode)) == (second.st_size, 0o640)
    assert second.st_mtime % 86_400 == first.st_mtime % 86_400 == 0
    assert [one.name for one in desk.place.iterdir()] == [status_file.FILE]
    assert path.read_text() == f"{desk.server.day}\n./anna open\n./bram rest\n"


def test_unreadable_database_is_reported_and_every_counsellor_told_to_open_the_desk(
    desk: Desk,
) -> None:
    """A desk that is opened detects the problem; a desk that is not opened does not."""
    desk.server.store.close()
    (desk.server.folder / "klankbord.db").unlink()
    done = desk.types()
    assert (done.exit_code, done.stdout) == (1, "")
    assert done.stderr == "Fault: .: the database cannot be used: StoreError\n"
    assert status_file.read(desk.place, DAY) == {"./anna": "open", "./bram": "open"}


def test_site_with_invalid_settings_is_named_and_its_counsellors_told_to_open_the_desk(
    desk: Desk,
) -> None:
    path = desk.server.folder / "site.toml"
    path.write_text(path.read_text().replace("idle = 90", "idle = 0"))
    (desk.server.folder / "cards" / "Not a name.card").write_bytes(b"")
    done = desk.types()
    assert (done.exit_code, done.stdout) == (1, "")
    assert done.stderr == "Fault: .: its settings are wrong; site check says why\n"
    assert status_file.read(desk.place, DAY) == {"./anna": "open", "./bram": "open"}


def test_suspended_purging_is_reported_and_blocks_no_email(desk: Desk) -> None:
    desk.server.report("one")
    desk.server.purge()
    desk.server.later(40)
    done = desk.types()
    assert (done.exit_code, done.stdout) == (1, "")
    assert done.stderr == "Fault: .: purging waits: the clock may be wrong; see doctor\n"
    assert status_file.read(desk.place, desk.server.day) is not None


def test_site_with_unreadable_cards_does_not_block_statuses_of_others(desk: Desk) -> None:
    words = ["--dir", str(desk.server.folder)]
    added = ("site", "add", "bakery", "--name", "Bakkerij", "--origin", "https://b.example.org")
    assert CliRunner().invoke(main.main, [*words, *added]).exit_code == 0
    cards = desk.server.folder / "sites" / "bakery" / "cards"
    cards.rmdir()
    cards.write_text("no folder")
    done = desk.types()
    assert (done.exit_code, done.stdout) == (1, "")
    assert done.stderr == "Fault: bakery: the cards cannot be read: Not a directory\n"
    assert status_file.read(desk.place, DAY) == QUIET


def test_no_status_is_written_if_there_is_no_site(desk: Desk, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="no site can be read"):
        status.put(tmp_path / "nothing", desk.place, DAY)
    assert list(desk.place.iterdir()) == []


@pytest.mark.parametrize(
    "text", ["./anna maybe\n", "./anna open\n./anna rest\n", "../x open\n", "\xff open\n"]
)
def test_invalid_status_file_is_rejected(tmp_path: Path, text: str) -> None:
    (tmp_path / status_file.FILE).write_text(f"{DAY}\n{text}", "latin-1")
    with pytest.raises(MailError, match="is damaged"):
        status_file.read(tmp_path, DAY)
    assert status_file.read(tmp_path, DAY + datetime.timedelta(1)) is None


def test_card_name_without_a_site_means_the_top_level_site() -> None:
    assert status_file.full_name("els") == f"{paths.OWN}/els"
    assert status_file.full_name("bakery/noor") == "bakery/noor"


def test_doctor_reports_if_no_email_was_sent_for_two_days(desk: Desk, tmp_path: Path) -> None:
    root = tmp_path / "root"
    place = root / sent_log.PLACE.relative_to("/")

    def found() -> list[Finding]:
        every = checks.examine(desk.server.folder, DAY, root=root)
        return [one for one in every if one.check == "daily mail"]

    assert [one.state for one in found()] == ["fine"]  # the mail is not set up
    place.mkdir(parents=True)
    assert [one.state for one in found()] == ["wrong"]
    for days, state in ((0, "fine"), (1, "fine"), (2, "wrong")):
        day = DAY - datetime.timedelta(days)
        sent_log.State(place, day).all_went()
        assert [one.state for one in found()] == [state], days
    assert str(DAY - datetime.timedelta(2)) in found()[0].fault
    assert stat.S_IMODE((place / sent_log.LAST).stat().st_mode) == 0o644


@pytest.mark.parametrize("text", ["", "{}", '{"day": "2026-11-27"}', "[]", "\x00"])
def test_invalid_state_file_stops_sending(tmp_path: Path, text: str) -> None:
    (tmp_path / sent_log.FILE).write_text(text)
    with pytest.raises(MailError, match="is damaged"):
        sent_log.State(tmp_path, datetime.date(2026, 11, 27))
