"""A site's folder: invalid settings are reported, and cards are reloaded each time."""

import dataclasses
import datetime
import os
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from dropbox_app.protocol.errors import CardError
from dropbox_app.server.config import origins, settings, settings_writer, site
from dropbox_app.server.config.settings import Limits, Own, Retention, Settings
from dropbox_app.server.errors import SettingsError
from tests.support.server_folder import ANNA, BRAM, CHRIS, DAY, AServer
from tests.vectors import world
from tests.vectors.card_cases import fields_of, sign_card

PATH = Path("site.toml")
PLAIN = Settings(world.SITE, "Voorbeeld BV", ("https://drop.example.org",))


@pytest.fixture
def server(tmp_path: Path) -> Iterator[AServer]:
    made = AServer(tmp_path / "server")
    yield made
    made.store.close()


# settings


@pytest.mark.parametrize(
    "made",
    [
        PLAIN,
        dataclasses.replace(
            PLAIN,
            name='Bakkerij "De Ster" \\ zoon ☆',
            run_by="De gemeente",
            run_by_is_employer=True,
            phone="030 123 45 67",
            hours="9 tot 17",
            telephones=(Own("els", "06 12", '"alleen" ma'), Own("bo-2", "030-1")),
            origins=("http://abc.onion", "https://x.nl:8443", "http://[::1]:8000"),
            response_days=5,
            retention=Retention(idle=10, notice=3),
            limits=Limits(text=1000),
        ),
    ],
)
def test_settings_round_trip(made: Settings) -> None:
    assert settings.parse(settings_writer.write(made), PATH) == made


def test_init_writes_every_setting_with_a_comment() -> None:
    text = settings_writer.write(PLAIN)
    shown = tomllib.loads(text)
    for kind, table in (
        (Settings, shown),
        (Retention, shown["retention"]),
        (Limits, shown["limits"]),
    ):
        assert set(table) == {item.name for item in dataclasses.fields(kind)}
    assert text.count("#") >= 20


def test_omitted_setting_has_its_default() -> None:
    text = f'site = "{world.SITE}"\nname = "Voorbeeld BV"\norigins = ["https://drop.example.org"]\n'
    assert settings.parse(text, PATH) == PLAIN


@pytest.mark.parametrize(
    ("added", "said"),
    [
        ("response_days = " + "9" * 5000, "too long"),
        ("a = " + "[" * 5000, "nested too deeply"),
        ("# " + "x" * settings.MAX_CHARACTERS, "at most"),
    ],
)
def test_settings_that_crash_the_toml_parser_are_reported(added: str, said: str) -> None:
    """Otherwise one site's file would stop the server for all."""
    with pytest.raises(SettingsError, match=said):
        settings.parse(added, Path("site.toml"))


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('name = "Voorbeeld BV"', "", "name is missing"),
        ('name = "Voorbeeld BV"', 'name = ""', "organisation"),
        ('name = "Voorbeeld BV"', "name = 3", "name must be text in quotes"),
        ('name = "Voorbeeld BV"', 'name = "a\\nb"', "one line"),
        (f'"{world.SITE}"', '"ABC"', "site is not 16 bytes"),
        ("idle = 90", "idle = 0", "retention.idle must be a whole number"),
        ("idle = 90", "idle = 1.5", "retention.idle must be a whole number"),
        ("idle = 90", "idle = true", "retention.idle must be a whole number"),
        ("idle = 90", "idel = 90", "idel is not a setting"),
        ("backup = 30", "backup = 31", "restored backup"),
        ('name = "Voorbeeld BV"', 'name = "a\u200bb"', "invisible character"),
        ("messages = 500", "messages = 9", "limits.messages must be at least 10"),
        ("message_bytes = 8388608", "message_bytes = 1", "limits.message_bytes must be at least"),
        ("text = 60000", 'text = "60000"', "limits.text must be a whole number"),
        ("run_by_is_employer = false", 'run_by_is_employer = "no"', "true or false"),
        ("response_days = 2", "colour = 2", "colour is not a setting"),
        ("telephones = []", 'telephones = ["030 1"]', "must be a list of tables"),
        ("telephones = []", 'telephones = [{ card = "els" }]', "must be a list of tables"),
        ("telephones = []", 'telephones = [{ card = "els", phone = "" }]', "a phone for els"),
        ("telephones = []", 'telephones = [{ card = "els", phone = 30 }]', "must be text in"),
        (
            "telephones = []",
            'telephones = [{ card = "a", phone = "1" }, { card = "a", phone = "2" }]',
            "listed twice",
        ),
        ('"https://www.wikipedia.org/"', '"javascript:alert(1)"', "leave_to"),
        ('"https://www.wikipedia.org/"', '"https://[oops"', "leave_to"),
        ('"https://www.wikipedia.org/"', '"https://"', "leave_to"),
        ("[limits]", "[limits", "not valid TOML"),
        ('["https://drop.example.org"]', "[]", "at least one"),
        ('["https://drop.example.org"]', '"https://drop.example.org"', "list"),
        ('["https://drop.example.org"]', '["https://a.nl", "https://a.nl"]', "twice"),
    ],
)
def test_invalid_setting_is_reported_with_its_file(old: str, new: str, said: str) -> None:
    text = settings_writer.write(PLAIN)
    assert old in text
    with pytest.raises(SettingsError) as refused:
        settings.parse(text.replace(old, new), PATH)
    where = re.match(r"site\.toml(?:, line (\d+))?: ", str(refused.value))
    assert where
    wrong = text.replace(old, new).split("\n")
    if said == "name is missing":  # there is no line to name
        assert not where[1]
    else:
        key = "withdrawn_ids" if said == "restored backup" else new.split(" =")[0].strip("[]")
        assert key in wrong[int(where[1]) - 1] or new in wrong[int(where[1]) - 1]
    assert said in str(refused.value)


@pytest.mark.parametrize(
    "origin",
    [
        "https://drop.example.org",
        "https://drop.example.org:8443",
        "http://" + "a" * 56 + ".onion",
        "https://" + "a" * 56 + ".onion",
        "http://localhost:8000",
        "http://127.0.0.1",
        "http://[::1]:8000",
    ],
)
def test_valid_origins_are_accepted(origin: str) -> None:
    assert origins.check_origin(origin) == origin


@pytest.mark.parametrize(
    ("origin", "said"),
    [
        ("https://Drop.example.org", "lower-case"),
        ("https://drop.example.org/", "nothing after"),
        ("https://drop.example.org/nl", "nothing after"),
        ("https://drop.example.org:443", "default port"),
        ("http://localhost:80", "default port"),
        ("https://a@drop.example.org", "must be written"),
        ("https://drop.example.org:99999", "not an origin"),
        ("https://[::1", "not an origin"),
        ("drop.example.org", "not an origin"),
        ("ftp://drop.example.org", "not an origin"),
        ("https://drop_box.example.org", "not an origin"),
        ("https://", "not an origin"),
        ("http://drop.example.org", "plain http"),
        ("http://192.168.1.4:8000", "plain http"),
        ("http://onion", "plain http"),
    ],
)
def test_origin_in_a_form_that_no_desk_signs_is_refused(origin: str, said: str) -> None:
    with pytest.raises(SettingsError, match=said):
        origins.check_origin(origin)


def test_changing_origins_keeps_the_operators_own_comments() -> None:
    text = "# our own comment\n" + settings_writer.write(PLAIN).replace("idle = 90", "idle = 60")
    changed = settings_writer.with_origins(text, PATH, ("http://localhost:9000",))
    assert changed == text.replace("https://drop.example.org", "http://localhost:9000")
    again = settings_writer.with_origins(changed, PATH, ("http://[::1]:9000", "https://a.nl"))
    back = settings_writer.with_origins(again, PATH, PLAIN.origins)
    kept = dataclasses.replace(PLAIN, retention=Retention(idle=60))
    assert settings.parse(back, PATH) == kept
    with pytest.raises(SettingsError):
        settings_writer.with_origins(text, PATH, ("http://a.nl",))


def test_desk_address_can_also_be_added_to_and_removed_from_older_settings() -> None:
    text = "# our own comment\n" + settings_writer.write(PLAIN)
    older = re.sub(r"(# .*\n)+desk_origins = \[\]\n\n", "", text)
    assert "desk_origins" not in older
    for before in (text, older):
        there = settings_writer.with_origins(before, PATH, desks=("https://desks.example.org",))
        assert "# our own comment" in there
        made = settings.parse(there, PATH)
        assert made == dataclasses.replace(PLAIN, desk_origins=("https://desks.example.org",))
        gone = settings.parse(settings_writer.with_origins(there, PATH, desks=()), PATH)
        assert gone == PLAIN
    with pytest.raises(
        SettingsError, match=r"desk_origins: .* is already an address for reporters"
    ):
        settings_writer.with_origins(text, PATH, desks=PLAIN.origins)


def test_folder_without_settings_is_not_a_server(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="init"):
        site.load(tmp_path)


# cards


def test_cards_are_sorted_by_name_and_reloaded(server: AServer) -> None:
    other_worker = site.load(server.folder)
    assert [c.file_name for c in other_worker.cards()] == ["anna", "bram"]
    server.site.retire("anna")
    assert [c.file_name for c in other_worker.cards()] == ["bram"]
    server.site.pin("a-new-one", world.issue_card("chris"), DAY)
    assert [c.file_name for c in other_worker.cards()] == ["a-new-one", "bram"]
    server.site.update(BRAM, world.issue_card("bram", serial=2), DAY)
    known = other_worker.card_of(BRAM)
    assert known is not None
    assert known.card.serial == 2
    assert other_worker.card_of(ANNA) is None


def test_unchanged_card_is_parsed_only_once(
    server: AServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = server.site.cards()
    assert all(a.card is b.card for a, b in zip(first, server.site.cards(), strict=True))


def test_reporters_can_write_only_to_counsellors_whose_card_has_a_key_for_today(
    server: AServer,
) -> None:
    assert len(server.site.open_cards(DAY)) == 2
    until = server.site.cards()[0].card.sealing[-1].until
    assert len(server.site.open_cards(until)) == 2
    assert server.site.open_cards(until + datetime.timedelta(1)) == ()
    assert len(server.site.cards()) == 2


def test_unsuitable_card_is_not_put_into_use(server: AServer) -> None:
    good = world.issue_card("chris")
    over = datetime.date(2027, 1, 1)
    for name, raw, day, said in (
        ("anna-2", world.issue_card("anna", serial=9), DAY, "already has a card here: anna"),
        ("anna", good, DAY, "already a card called anna"),
        ("chris", world.issue_card("chris", site=world.OTHER_SITE), DAY, "another site"),
        ("chris", good.replace(b"Chris", b"Kris!"), DAY, "signature"),
        ("chris", b"nothing", DAY, "two lines"),
        ("chris", good, over, "expired"),
        ("../chris", good, DAY, "a-z, 0-9"),
        ("Chris", good, DAY, "a-z, 0-9"),
        ("", good, DAY, "a-z, 0-9"),
        ("c" * 41, good, DAY, "a-z, 0-9"),
    ):
        with pytest.raises(CardError, match=said):
            server.site.pin(name, raw, day)
    assert [c.file_name for c in server.site.cards()] == ["anna", "bram"]
    assert sorted(os.listdir(server.folder / "cards")) == ["anna.card", "bram.card"]
    server.site.pin("chris", good, DAY)
    assert server.site.card_of(CHRIS) is not None


def _named(counsellor: str, name: str, serial: int) -> bytes:
    """Return a newer card of a counsellor, with a different name."""
    signing = {"anna": world.ANNA, "bram": world.BRAM, "chris": world.CHRIS}[counsellor]
    fields = fields_of(world.issue_card(counsellor, serial=serial))
    return sign_card({**fields, "name": name}, signing)


@pytest.mark.parametrize("name", ["Bram", "BRAM", "bram", "\uff22ram"])
def test_name_of_a_colleague_cannot_be_reused(server: AServer, name: str) -> None:
    with pytest.raises(CardError, match="another counsellor here has that name: bram"):
        server.site.update(ANNA, _named("anna", name, 2), DAY)
    with pytest.raises(CardError, match="another counsellor here has that name: bram"):
        server.site.pin("chris", _named("chris", name, 1), DAY)
    assert server.site.update(ANNA, _named("anna", "Bram de Wit", 2), DAY).name == "Bram de Wit"
    with pytest.raises(CardError, match="that name: anna"):
        server.site.update(BRAM, _named("bram", "bram\u00a0DE  wit", 2), DAY)
    assert server.site.update(ANNA, _named("anna", "Anna", 3), DAY).name == "Anna"


def test_cards_that_already_share_a_name_can_still_be_renewed(server: AServer) -> None:
    (server.folder / "cards" / "chris.card").write_bytes(_named("chris", "Anna", 1))
    assert server.site.update(CHRIS, _named("chris", "Anna", 2), DAY).serial == 2
    assert server.site.update(ANNA, world.issue_card("anna", serial=2), DAY).serial == 2


def test_name_of_a_retired_counsellor_can_be_reused(server: AServer) -> None:
    server.site.retire("anna")
    server.site.pin("anna", world.issue_card("chris"), DAY)
    assert server.site.cards()[0].card.identity == CHRIS
    for name in ("nobody", "../site.toml", ""):
        with pytest.raises(CardError):
            server.site.retire(name)


def test_retired_identities_are_remembered_with_the_date_of_retirement(server: AServer) -> None:
    path = server.folder / "retired"
    cards = server.folder / "cards"
    (cards / "twice.card").write_bytes(world.issue_card("anna"))
    (cards / "broken.card").write_bytes(b"x")
    for name in ("twice", "broken"):  # retires no identity
        server.site.retire(name, DAY)
    assert not path.exists()
    server.site.retire("anna", DAY)
    server.site.retire("bram", DAY + datetime.timedelta(1))
    lines = sorted([f"{ANNA} {DAY}", f"{BRAM} {DAY + datetime.timedelta(1)}"])
    assert path.read_text().splitlines() == lines
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.stat().st_mtime % 86_400 == 0
    with pytest.raises(CardError, match=f"retired on {DAY}"):
        site.load(server.folder).pin("anna", world.issue_card("anna", serial=2), DAY)


def test_broken_card_is_reported_and_does_not_affect_the_others(server: AServer) -> None:
    folder = server.folder / "cards"
    (folder / "broken.card").write_bytes(b"x")
    (folder / "Wrong Name.card").write_bytes(world.issue_card("chris"))
    (folder / "foreign.card").write_bytes(world.issue_card("chris", site=world.OTHER_SITE))
    (folder / "twice.card").write_bytes(world.issue_card("anna"))
    (folder / "notes.txt").write_bytes(b"x")
    assert [c.file_name for c in server.site.cards()] == ["anna", "bram"]
    assert [name for name, _ in server.site.faults()] == [
        "Wrong Name", "broken", "foreign", "twice",
    ]  # fmt: skip


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_unreadable_card_is_reported(server: AServer) -> None:
    (server.folder / "cards" / "anna.card").chmod(0)
    assert [c.file_name for c in server.site.cards()] == ["bram"]
    assert server.site.faults() == (("anna", "it cannot be read: Permission denied"),)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_files_written_by_root_belong_to_the_server(server: AServer) -> None:
    cards = server.folder / "cards"
    os.chown(cards, 65534, 65534)
    server.site.pin("chris", world.issue_card("chris"), DAY)
    assert (cards / "chris.card").stat().st_uid == 65534


def test_card_is_replaced_atomically_and_dated_midnight(server: AServer) -> None:
    server.site.update(ANNA, world.issue_card("anna", serial=2), DAY)
    path = server.folder / "cards" / "anna.card"
    assert path.read_bytes() == world.issue_card("anna", serial=2)
    assert path.stat().st_mtime % 86_400 == 0
    assert path.stat().st_mode & 0o777 == 0o600
    assert sorted(os.listdir(path.parent)) == ["anna.card", "bram.card"]
