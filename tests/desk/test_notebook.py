"""The counsellor's texts that stay at this desk: notes, own snippets, settings."""

from pathlib import Path

import pytest

from dropbox_app.desk.actions import backups, notes, settings, snippets, threads
from dropbox_app.desk.actions.settings import Settings
from dropbox_app.desk.errors import NotFound, Unfit
from dropbox_app.protocol.messages import MAX_TEXT
from tests.desk.conftest import PASSPHRASE, Office, without_columns
from tests.support.fake_server import Peer, Reporter

# notes


def test_note_stays_on_the_desk_and_is_never_sent(
    office: Office, peer: Peer, thread: str, tmp_path: Path
) -> None:
    with office.open() as place:
        assert notes.note(place, thread) == ""
        assert notes.write_note(place, thread, " Kent HR al\r\nlang.\x07 ") == "Kent HR al\nlang."
    office.reply(thread, "Dank je")
    office.fetch_quietly()
    with office.open() as place:
        assert notes.note(place, thread) == "Kent HR al\nlang."
    assert not any(b"Kent HR" in str(entry).encode() for entry in peer.log)
    office.run("export", thread, "--out", str(tmp_path / "out"))
    for file in (tmp_path / "out").iterdir():
        assert b"Kent HR" not in file.read_bytes()
    assert "Kent HR" not in office.run("read", thread, "--json").stdout


def test_note_is_deleted_when_its_thread_is_forgotten(
    office: Office, reporter: Reporter, thread: str
) -> None:
    office.run("note", thread, "--text-file", "-", given="Belde op maandag\n")
    office.run("forget", thread, "--yes")
    reporter.write("Ik ben er weer")
    office.fetch()
    with office.open() as place:
        assert notes.note(place, thread) == ""
        assert place.database.run("SELECT text FROM note") == []


def test_note_can_be_shown_replaced_and_removed_from_the_command_line(
    office: Office, thread: str
) -> None:
    assert office.run("note", thread).stdout == "There is no note on this thread.\n"
    office.run("note", thread, "--text-file", "-", given="Een\nTwee\n")
    assert office.run("note", thread).stdout == "  | Een\n  | Twee\n"
    office.run("note", thread, "--text-file", "-", given="Drie\n")
    assert office.run("note", thread).stdout == "  | Drie\n"
    office.run("note", thread, "--clear")
    assert office.run("note", thread).stdout == "There is no note on this thread.\n"
    office.run("note", thread, "--clear", "--text-file", "-", code=2)


def test_overlong_note_is_refused_and_the_earlier_one_kept(office: Office, thread: str) -> None:
    with office.open() as place:
        notes.write_note(place, thread, "Kort")
        with pytest.raises(Unfit, match="at most 20,000"):
            notes.write_note(place, thread, "x" * 20_001)
        assert notes.note(place, thread) == "Kort"
        with pytest.raises(NotFound):
            notes.write_note(place, "f" * 16, "Kort")


def test_backup_contains_notes_snippets_and_settings(
    office: Office, thread: str, tmp_path: Path
) -> None:
    with office.open() as place:
        notes.write_note(place, thread, "Belt liever")
        snippets.edit(place, "listening", "nl", "Dag, fijn dat je schrijft.")
        settings.choose(place, lock_minutes=3)
        backups.backup(place, tmp_path / "b.age")
    again = Office(tmp_path / "again", office.peer, office.clock)
    backups.restore(again.folder, tmp_path / "b.age", PASSPHRASE, office.machine)
    with again.open() as place:
        assert notes.note(place, thread) == "Belt liever"
        assert snippets.snippet(place, "listening", "nl").own
        assert settings.settings(place).lock_minutes == 3


# snippets

SHIPPED = (
    "listening", "doubt", "not_safe", "does_not_want_to_live", "out_of_reach", "appointment",
    "formal_step", "becomes_a_report", "wrong_address", "accused", "closing", "aftercare",
)  # fmt: skip


@pytest.mark.parametrize("language", ["nl", "en"])
def test_each_snippet_exists_in_both_languages_and_fits_a_message(
    office: Office, language: str
) -> None:
    with office.open() as place:
        found = snippets.snippets(place, language)
    assert tuple(one.name for one in found) == SHIPPED
    for one in found:
        assert one.title.strip() == one.title != ""
        assert 100 < len(one.text.encode()) < MAX_TEXT / 10
        assert not one.own
        assert not set("[]{}<>_") & set(one.text), "nothing is left to fill in"
        assert all(len(line) == len(line.rstrip()) for line in one.text.splitlines())


def test_urgent_snippets_name_contacts_and_promise_no_help(office: Office) -> None:
    with office.open() as place:
        for language in ("nl", "en"):
            safe = snippets.snippet(place, "not_safe", language).text
            live = snippets.snippet(place, "does_not_want_to_live", language).text
            assert "112" in safe
            assert "0800-0188" in safe
            assert all(number in live for number in ("112", "113", "0800-0113"))
            said = "niet elke dag" if language == "nl" else "not read messages here every day"
            assert said in safe
            assert said in live


def test_custom_snippet_replaces_the_default_until_removed(office: Office) -> None:
    shipped = office.run("snippet", "listening").stdout
    office.run("snippet", "listening", "--text-file", "-", given="Dag, fijn dat je schrijft.\n")
    assert office.run("snippet", "listening").stdout == "Dag, fijn dat je schrijft.\n"
    assert "your own version" in office.run("snippets", "--lang", "nl").stdout.splitlines()[0]
    assert office.run("snippet", "listening", "--lang", "en").stdout.startswith("Thank you")
    listed = {(one["name"], one["language"]): one for one in office.json("snippets")}
    assert listed["listening", "nl"]["own"]
    assert len(listed) == 2 * len(SHIPPED)
    assert office.run("snippet", "listening", "--reset").stdout == shipped
    office.run("snippet", "listening", "--text-file", "-", given="Mijn eigen\n")
    office.run("snippet", "listening", "--text-file", "-", given=shipped)
    assert not office.json("snippet", "listening")["own"]


@pytest.mark.parametrize("text", [" \n\t ", "x" * 10_001])
def test_refused_snippet_leaves_the_earlier_one_unchanged(office: Office, text: str) -> None:
    with office.open() as place:
        before = snippets.snippet(place, "doubt", "nl")
        with pytest.raises(Unfit, match="as it was"):
            snippets.edit(place, "doubt", "nl", text)
        assert snippets.snippet(place, "doubt", "nl") == before


def test_error_for_unknown_snippet_or_language_lists_the_existing_ones(office: Office) -> None:
    assert "listening" in office.run("snippet", "nothing", code=1).stderr
    with office.open() as place, pytest.raises(NotFound, match="nl, en"):
        snippets.snippets(place, "fr")


# settings


def test_given_settings_are_stored_and_the_others_are_unchanged(office: Office) -> None:
    with office.open() as place:
        assert settings.settings(place) == Settings("nl", 10, 60)
        settings.choose(place, language="en", lock_minutes=5)
    with office.open() as place:
        settings.choose(place, fetch_minutes=0)
        assert settings.settings(place) == Settings("en", 5, 0)
    assert office.json("settings") == {"language": "en", "lock_minutes": 5, "fetch_minutes": 0}
    assert "never" in office.run("settings", "--lock-minutes", "7").stdout


@pytest.mark.parametrize(
    "wrong", [{"language": "fr"}, {"lock_minutes": 0}, {"lock_minutes": 61}, {"fetch_minutes": 14},
              {"fetch_minutes": -1}, {"fetch_minutes": 1_441}],
)  # fmt: skip
def test_out_of_range_setting_changes_nothing(office: Office, wrong: dict[str, int | str]) -> None:
    with office.open() as place:
        with pytest.raises(Unfit):
            settings.choose(place, **{"lock_minutes": 4, **wrong})  # type: ignore[arg-type] # wrong on purpose
        assert settings.settings(place) == Settings()


def test_unsupported_proxy_is_refused_and_a_supported_one_is_stored(
    office: Office,
) -> None:
    with office.open() as place:
        with pytest.raises(Unfit):
            settings.set_proxy(place, "ftp://127.0.0.1:1")
        assert place.one().state.proxy == ""
        assert settings.set_proxy(place, "socks5h://127.0.0.1:9050") == ["Voorbeeld BV"]
        assert place.one().state.proxy == "socks5h://127.0.0.1:9050"


# older and newer databases


def test_database_without_notes_is_upgraded_on_opening(office: Office, thread: str) -> None:
    with office.open() as place:
        for table in ("note", "snippet", "setting", "event"):
            place.database.run(f"DROP TABLE {table}")
        without_columns(place)
        place.database.run("PRAGMA user_version = 1")
    with office.open() as place:
        notes.write_note(place, thread, "Belt liever")
        assert threads.read(place, thread).case.unread == 1
    with office.open() as place:
        place.database.rewrite(place.vault)
    with office.open() as place:
        assert notes.note(place, thread) == "Belt liever"


def test_database_of_newer_version_is_left_unchanged(office: Office) -> None:
    with office.open() as place:
        place.database.run("PRAGMA user_version = 5")
    assert "install the newest" in office.run("list", code=1).stderr


def test_search_finds_the_counsellors_notes_and_marks_them_as_notes(
    office: Office, thread: str
) -> None:
    with office.open() as place:
        notes.write_note(place, thread, "Vraag naar het rooster van Jérôme.")
    for words in (("rooster",), ("ROO", "jerome"), ("jérôme",), ("rooster", "&", "-")):
        (hit,) = office.json("search", *words)
        assert (hit["kind"], hit["thread"]["id"]) == ("note", thread)
    assert "YOUR OWN NOTE" in office.run("search", "rooster").stdout
    for words in (("ooster",), ("rooster", "chef"), ("roo.ter",), ("&",)):
        assert office.json("search", *words) == []
    office.forget(thread)
    assert office.json("search", "rooster") == []
