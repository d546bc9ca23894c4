"""One server, many organisations: site folders, the effect of mistakes, and messages."""

import contextlib
import datetime
import os
import re
import shutil
import sqlite3
import stat
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from hypothesis import given
from hypothesis import strategies as st

from dropbox_app.server.cli import common, main
from dropbox_app.server.config import loader, settings, settings_writer
from dropbox_app.server.config import paths as layout
from dropbox_app.server.config.loader import Reading
from dropbox_app.server.doctor import machine as machine_around
from dropbox_app.server.errors import SettingsError, StoreError
from dropbox_app.server.mailboxes.scheduler import Rounds
from dropbox_app.server.store import connections
from dropbox_app.server.store.sqlite import SqliteStore
from tests.vectors import world

DAY = world.DAY


class Operator:
    """An operator who types commands for one server's folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def types(self, *arguments: str | Path) -> Result:
        return CliRunner().invoke(main.main, ["--dir", str(self.folder), *map(str, arguments)])

    def adds(self, name: str, *more: str) -> Path:
        done = self.types(
            *("site", "add", name, "--name", f"Organisatie {name}"),
            *("--origin", f"https://{name}.example.org", *more),
        )
        assert done.exit_code == 0, done.output
        return self.folder / "sites" / name

    def read(self) -> Reading:
        return loader.read(self.folder)


@pytest.fixture
def operator(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Operator:
    monkeypatch.setattr(common, "today", lambda: DAY)
    # Doctor's findings about the machine that runs the tests are irrelevant here.
    monkeypatch.setattr(machine_around, "ROOT", tmp_path / "machine")
    monkeypatch.delenv("KLANKBORD_DIR", raising=False)
    return Operator(tmp_path / "server")


@pytest.fixture
def two(operator: Operator) -> Operator:
    operator.adds("een")
    operator.adds("twee")
    return operator


def edit(folder: Path, old: str, new: str) -> None:
    path = folder / "site.toml"
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))


def names(read: Reading) -> list[str]:
    return [site.place.name for site in read.sites]


def said(read: Reading) -> list[str]:
    return [fault.said for fault in read.faults if not fault.note]


# site folders


def test_sites_are_independent_of_each_other_and_of_the_top_level_site(
    operator: Operator,
) -> None:
    operator.types("init", "--name", "X", "--origin", "https://x.example.org")
    operator.adds("een")
    operator.adds("twee")
    assert names(operator.read()) == [".", "een", "twee"]
    ids = {site.settings.site for site in operator.read().sites}
    assert len(ids) == 3
    for path in (operator.folder / "sites").rglob("*"):
        assert stat.S_IMODE(path.stat().st_mode) in (0o600, 0o700), path


@pytest.mark.parametrize("name", ["", "A", "a.b", "../x", "a/b", "a" * 41, "é", "a b"])
def test_malformed_site_name_is_refused(operator: Operator, name: str) -> None:
    with pytest.raises(SettingsError, match="1 to 40"):
        layout.named(operator.folder, name)
    done = operator.types("site", "add", name, "--name", "X", "--origin", "https://x.example.org")
    assert done.exit_code == 1
    assert not operator.folder.exists()


def test_folder_with_an_invalid_site_name_is_reported_as_a_fault(two: Operator) -> None:
    (two.folder / "sites" / "Drie").mkdir()
    read = two.read()
    assert names(read) == ["een", "twee"]
    assert re.search("sites/Drie: the name of a site must be 1 to 40", said(read)[0])
    assert read.wrong
    assert two.types("site", "check").exit_code == 1


# the effect of mistakes


MISTAKES = {
    "no TOML": ("[retention]", "[retention", r"site\.toml, line \d+: this is not valid TOML"),
    "a wrong value": (
        "idle = 90",
        "idle = -1",
        r"line \d+: retention\.idle must be a whole number",
    ),
    "an unknown key": ("idle = 90", "idel = 90", r"line \d+: retention\.idel is not a setting"),
    "a wrong number": ("crisis = []", "crisis = [1]", r"line \d+: crisis must be a list"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_site_with_invalid_settings_is_closed_and_named_and_others_are_served(
    two: Operator, mistake: str
) -> None:
    before = two.read()
    old, new, wanted = MISTAKES[mistake]
    edit(two.folder / "sites" / "een", old, new)
    read = two.read()
    assert names(read) == ["twee"]
    (closed,) = read.closed
    assert (closed.place.name, closed.hosts) == ("een", {"een.example.org"})
    (fault,) = said(read)
    assert re.search(wanted, fault)
    assert "this site stays closed at startup" in fault
    done = two.types("site", "check")
    assert done.exit_code == 1
    assert re.search(wanted, done.stdout)
    assert "twee: fine" in done.stdout
    assert "een: is not served; site check says why" in two.types("site", "list").stdout
    edit(two.folder / "sites" / "een", new, old)
    assert two.read() == before


HOSTS_OF_A_CLOSED_SITE: dict[str, tuple[str, set[str]]] = {
    "of one list of several lines": ('["https://a.example",\n"http://localhost:80"', {"a.example"}),
    "also behind a bracket that is missing": ('["https://a.example"', {"a.example"}),
    "but none that is no origin": ('["https://a.example", "b.example", 3]', {"a.example"}),
    "nor one that an open site has": ('["https://twee.example.org"]', set()),
    "nor any where there is no list": ("3", set()),
}


@pytest.mark.parametrize("case", HOSTS_OF_A_CLOSED_SITE)
def test_readable_host_names_of_a_closed_site_are_kept(two: Operator, case: str) -> None:
    written, hosts = HOSTS_OF_A_CLOSED_SITE[case]
    edit(two.folder / "sites" / "een", '["https://een.example.org"]', written)
    edit(two.folder / "sites" / "een", "idle = 90", "idle = 0")
    (closed,) = two.read().closed
    assert closed.hosts == hosts


@pytest.mark.parametrize("content", [b"\xff\xfe", b"x" * 3_000_000, None])
def test_unreadable_settings_close_their_site(two: Operator, content: bytes | None) -> None:
    path = two.folder / "sites" / "een" / "site.toml"
    path.unlink()
    if content is not None:
        path.write_bytes(content)
    read = two.read()
    assert names(read) == ["twee"]
    assert [(one.place.name, len(one.hosts)) for one in read.closed] == [("een", 0)]
    assert "site.toml" in said(read)[0]


def test_missing_settings_are_reported_with_the_id_in_the_database(two: Operator) -> None:
    folder = two.folder / "sites" / "een"
    site = settings.read(folder).site
    (folder / "site.toml").unlink()
    assert f"its site id is {site}" in said(two.read())[0]


def test_missing_database_is_reported(two: Operator) -> None:
    (two.folder / "sites" / "een" / "klankbord.db").unlink()
    assert names(two.read()) == ["een", "twee"]
    done = two.types("site", "check")
    assert done.exit_code == 1
    assert "een: wrong" in done.stdout
    assert "klankbord.db is missing; restore it from a backup" in done.stdout


def test_host_name_claimed_by_two_sites_belongs_to_neither(two: Operator) -> None:
    """It is unclear which site owns the name, and a reporter must never reach the wrong one."""
    two.adds("drie")
    edit(two.folder / "sites" / "een", "https://een.example.org", "https://twee.example.org:8443")
    read = two.read()
    assert names(read) == ["drie"]
    assert [closed.hosts for closed in read.closed] == [{"twee.example.org"}] * 2
    assert len(said(read)) == 2
    assert re.search(
        r"een/site\.toml, line \d+: origins: the host name twee\.example\.org is that of twee",
        said(read)[0],
    )


def test_copied_site_is_served_under_neither_name(two: Operator) -> None:
    """Codes and cookies of one copy would work at the other."""
    copy = two.folder / "sites" / "drie"
    shutil.copytree(two.folder / "sites" / "een", copy)
    edit(copy, "https://een.example.org", "https://drie.example.org")
    read = two.read()
    assert names(read) == ["twee"]
    assert re.search(
        r"drie/site\.toml, line \d+: site: the site id \w+ is that of een", "".join(said(read))
    )


@pytest.mark.parametrize("known_by", ["the database", "a card, before the first start"])
def test_site_id_differing_from_the_database_is_refused(two: Operator, known_by: str) -> None:
    folder = two.folder / "sites" / "een"
    site = settings.read(folder).site
    if known_by != "the database":  # as an older version left it
        with contextlib.closing(sqlite3.connect(folder / "klankbord.db")) as database, database:
            database.execute("UPDATE store SET site = NULL")
        assert two.read().closed == ()
        (folder / "cards" / "anna.card").write_bytes(world.issue_card("anna", site=site, day=DAY))
    edit(folder, site, "5c" * 16)
    read = two.read()
    assert names(read) == ["twee"]
    assert re.search(
        rf"line \d+: site: the conversations here belong to {site}: .* every code is lost",
        said(read)[0],
    )
    edit(folder, "5c" * 16, site)
    assert names(two.read()) == ["een", "twee"]


def test_last_good_settings_of_older_versions_are_ignored_and_kept(two: Operator) -> None:
    kept = two.folder / "sites" / "een" / "last-good"
    kept.write_text('{"site.toml": "name = \'older\'"}')
    before = kept.stat()
    assert names(two.read()) == ["een", "twee"]
    assert said(two.read()) == []
    assert (kept.stat().st_mtime_ns, kept.stat().st_size) == (before.st_mtime_ns, before.st_size)


def test_missing_database_is_not_created_again(two: Operator) -> None:
    site = two.read().sites[0]
    store = SqliteStore(site.place.folder, lambda: DAY)
    (site.place.folder / "klankbord.db").unlink()
    others = [
        SqliteStore.create(_made(two.folder.parent / str(n)), lambda: DAY)
        for n in range(connections.OPEN)
    ]
    with pytest.raises(StoreError):
        store.store_id()
    assert not (site.place.folder / "klankbord.db").exists()
    for one in (store, *others):
        one.close()


def test_invalid_custom_page_falls_back_to_its_default_text(two: Operator) -> None:
    folder = two.folder / "sites" / "een" / "content"
    for lang in ("nl", "en"):
        (folder / lang).mkdir(parents=True)
        (folder / lang / "what.md").write_text(f"Goed {lang}.\n")
    (folder / "nl" / "what.md").write_text("Slecht\n<script>x</script>\n")
    (folder / "en" / "role.md").write_text("![x](y)")
    read = two.read()
    assert read.wrong
    site = read.of("een")
    assert site is not None
    assert site.html("nl", "what") == ""
    assert site.html("en", "what") == "<p>Goed en.</p>\n"
    assert site.html("en", "role") == ""
    assert any(re.search(r"nl/what\.md, line 2: HTML is not", fault) for fault in said(read))
    assert any(re.search(r"en/role\.md, line 1: pictures", fault) for fault in said(read))
    done = two.types("site", "check", "een")
    assert done.exit_code == 1
    assert "default text" in done.stdout
    assert two.types("site", "check", "twee").exit_code == 0


def test_page_in_only_one_language_is_reported(two: Operator) -> None:
    folder = two.folder / "sites" / "een" / "content" / "nl"
    folder.mkdir(parents=True)
    (folder / "what.md").write_text("Tekst.\n")
    done = two.types("site", "check")
    assert done.exit_code == 0
    assert re.search(r"note: .*content/en/what\.md is missing", done.stdout)
    (folder / "waht.md").write_text("Tekst.\n")
    done = two.types("site", "check")
    assert done.exit_code == 1
    assert "waht.md: this is no page; known are about.md" in done.stdout


@given(st.text(max_size=300))
def test_no_settings_file_causes_a_traceback(text: str) -> None:
    with contextlib.suppress(SettingsError):
        settings.parse(text, Path("site.toml"))


TOML = st.recursive(
    st.one_of(
        st.booleans(), st.integers(), st.text(max_size=5).map(lambda t: f'"{ascii(t)[1:-1]}"')
    ),
    lambda inner: st.lists(inner, max_size=3),
    max_leaves=4,
)


@given(st.sampled_from(["site", "name", "origins", "crisis", "retention", "limits", "phone"]), TOML)
def test_no_setting_value_causes_a_traceback(key: str, value: object) -> None:
    shown = str(value).lower().replace("'", "")
    lines = settings_writer.write(settings.Settings("5a" * 16, "X", ("https://x.example",))).split(
        "\n"
    )
    kept = [line for line in lines if not line.startswith((f"{key} =", f"[{key}]"))]
    with contextlib.suppress(SettingsError):
        settings.parse("\n".join([f"{key} = {shown}", *kept]), Path("site.toml"))


# commands


def test_commands_ask_for_the_site_unless_its_name_is_given(two: Operator) -> None:
    for command in (("card", "list"), ("purge",), ("move",)):
        done = two.types(*command)
        assert done.exit_code == 1
        assert "--site NAME; known are een, twee" in done.stderr
        assert two.types(*command, "--site", "twee").exit_code == 0
        assert "no site called drie" in two.types(*command, "--site", "drie").stderr
    assert two.types("move", "--site", "twee").stdout.count("https://twee.example.org") == 1


def test_command_adds_a_card_to_the_site_it_was_made_for(two: Operator, tmp_path: Path) -> None:
    site = settings.read(two.folder / "sites" / "een").site
    file = tmp_path / "anna.card"
    file.write_bytes(world.issue_card("anna", site=site, day=DAY))
    groups = world.ANNA.verify_key.fingerprint()
    adding = ("card", "add", file, "--name", "anna", "--fingerprint", groups)
    assert "another site" in two.types(*adding, "--site", "twee").stderr
    assert two.types(*adding, "--site", "een").exit_code == 0
    assert "anna" in two.types("card", "list", "--site", "een").stdout
    assert "anna" not in two.types("card", "list", "--site", "twee").stdout


def test_doctor_checks_all_sites_or_a_chosen_one(two: Operator) -> None:
    (two.folder / "sites" / "een" / "klankbord.db").unlink()
    done = two.types("doctor")
    assert done.exit_code == 1
    assert "wrong  een: database" in done.stdout
    assert "fine   twee: database" in done.stdout
    assert "een:" not in two.types("doctor", "--site", "twee").stdout


def test_expired_card_is_reported(two: Operator, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = two.folder / "sites" / "een"
    edit(folder, 'name = "", phone = ""', 'name = "Kim Bos", phone = "030 765 43 21"')
    raw = world.issue_card("anna", site=settings.read(folder).site, day=DAY)
    (folder / "cards" / "anna.card").write_bytes(raw)
    assert two.types("site", "check").exit_code == 0
    monkeypatch.setattr(common, "today", lambda: DAY + datetime.timedelta(400))
    done = two.types("site", "check")
    assert done.exit_code == 1
    assert re.search(r"cards/anna\.card: it expired on", done.stdout)


def test_expired_card_of_one_site_does_not_block_edits_of_another(
    two: Operator, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = two.folder / "sites" / "een"
    raw = world.issue_card("anna", site=settings.read(folder).site, day=DAY)
    (folder / "cards" / "anna.card").write_bytes(raw)
    monkeypatch.setattr(common, "today", lambda: DAY + datetime.timedelta(400))
    assert two.types("site", "check").exit_code == 1
    assert two.types("site", "check", "--settings").exit_code == 0
    edit(folder, "idle = 90", "idle = 0")
    assert two.types("site", "check", "--settings").exit_code == 1


def test_telephone_of_an_unknown_counsellor_is_reported(two: Operator) -> None:
    folder = two.folder / "sites" / "een"
    raw = world.issue_card("anna", site=settings.read(folder).site, day=DAY)
    (folder / "cards" / "anna.card").write_bytes(raw)
    rows = '{ card = "anna", phone = "030 1" }, { card = "bo", phone = "030 2" }'
    edit(folder, "telephones = []", f"telephones = [{rows}]")
    done = two.types("site", "check")
    assert done.exit_code == 1
    assert re.search(r"site\.toml, line \d+: telephones: there is no card called bo", done.stdout)
    assert "Reporters are not shown this telephone." in done.stdout
    assert "called anna" not in done.stdout
    assert names(two.read()) == ["een", "twee"]


# one after the other


def test_worker_thread_keeps_few_databases_open(tmp_path: Path) -> None:
    stores = [SqliteStore.create(_made(tmp_path / str(n)), lambda: DAY) for n in range(12)]
    for _ in range(3):
        for store in stores:
            store.store_id()
    mine = str(tmp_path)
    links = [f"/proc/self/fd/{number}" for number in os.listdir("/proc/self/fd")]
    paths = [os.readlink(link) for link in links if os.path.islink(link)]
    held = [path for path in paths if path.startswith(mine) and path.endswith("klankbord.db")]
    assert len(held) <= connections.OPEN
    with stores[0].writing():  # a database in use stays open
        for store in stores[1:]:
            store.store_id()
        stores[0].set_served(DAY)
    assert stores[0].served() == DAY
    for store in stores:
        store.close()


def test_maintenance_covers_all_sites_and_skips_a_broken_one(two: Operator) -> None:
    operator, spoken = two, list[str]()
    read = operator.read()
    (operator.folder / "sites" / "een" / "klankbord.db").write_bytes(b"nonsense" * 600)
    raw = world.issue_card("anna", site=read.sites[1].settings.site, day=DAY)
    (operator.folder / "sites" / "twee" / "cards" / "anna.card").write_bytes(raw)
    day = DAY + datetime.timedelta(3)
    rounds = Rounds(read, lambda: day, spoken.append)
    for _ in range(3):
        rounds.step()
    assert spoken == ["een: the database cannot be opened and is tried again: StoreError"]
    store = SqliteStore(operator.folder / "sites" / "twee", lambda: day)
    assert store.served() == day
    store.close()
    assert (operator.folder / "reserve").exists()  # one reserve for all sites
    assert not (operator.folder / "sites" / "twee" / "reserve").exists()


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder
