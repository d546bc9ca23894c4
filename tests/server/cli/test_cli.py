"""``klankbord-server`` as the operator types it."""

import datetime
import io
import json
import os
import re
import socket
import stat
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from dropbox_app.protocol import card
from dropbox_app.protocol.encoding import from_line
from dropbox_app.server.cli import common, main, serve
from dropbox_app.server.config import site as sites
from dropbox_app.server.doctor import machine as machine_around
from dropbox_app.server.mailboxes.service import Mailboxes
from dropbox_app.server.store.sqlite import SqliteStore
from tests.support.other_account import give_away, in_a_process
from tests.support.ports import free_port
from tests.vectors import world
from tests.vectors.card_cases import fields_of, sign_card

ORIGIN = "https://drop.example.org"


class Operator:
    """An operator who types commands for one folder, on a date that a test can change."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.day = world.DAY

    def types(self, *arguments: str | Path, given: str = "") -> Result:
        words = ["--dir", str(self.folder), *map(str, arguments)]
        return CliRunner().invoke(main.main, words, input=given)

    def init(self, *more: str) -> Result:
        other = ("--other-contact", "Kim Bos", "030 765 43 21")
        return self.types("init", "--name", "Voorbeeld BV", "--origin", ORIGIN, *other, *more)

    @property
    def site(self) -> str:
        return sites.load(self.folder).settings.site

    def card(self, name: str, **changes: object) -> Path:
        file = self.folder.parent / f"{name}.card"
        made = {"site": self.site, "day": self.day} | changes
        file.write_bytes(world.issue_card(name, **made))  # type: ignore[arg-type] # any change
        return file


@pytest.fixture
def operator(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Operator:
    made = Operator(tmp_path / "server")
    monkeypatch.setattr(common, "today", lambda: made.day)
    # Doctor's findings about the machine that runs the tests are irrelevant here.
    monkeypatch.setattr(machine_around, "ROOT", tmp_path / "machine")
    monkeypatch.delenv("KLANKBORD_DIR", raising=False)
    return made


@pytest.fixture
def ready(operator: Operator) -> Operator:
    assert operator.init().exit_code == 0
    return operator


# init and move


def test_init_prints_only_the_invitation_on_stdout(operator: Operator) -> None:
    done = operator.init("--origin", "http://localhost:8000", "--phone", "030 123 45 67")
    assert done.exit_code == 0
    assert done.stdout.count("\n") == 1
    assert from_line(done.stdout.strip().encode()) == {
        "v": 1,
        "origins": [ORIGIN, "http://localhost:8000"],
        "site": operator.site,
        "name": "Voorbeeld BV",
        "day": "2026-03-10",
    }
    assert re.fullmatch("[0-9a-f]{32}", operator.site)
    for path in (operator.folder, *operator.folder.rglob("*")):
        assert stat.S_IMODE(path.stat().st_mode) in (0o600, 0o700), path


def test_init_never_overwrites(ready: Operator) -> None:
    before = {p: p.read_bytes() for p in ready.folder.rglob("*") if p.is_file()}
    again = ready.init()
    assert again.exit_code == 1
    assert "nothing was changed" in again.stderr
    assert {p: p.read_bytes() for p in ready.folder.rglob("*") if p.is_file()} == before


def test_init_accepts_an_empty_folder(operator: Operator) -> None:
    operator.folder.mkdir(0o755)
    node = operator.folder.stat().st_ino
    assert operator.init().exit_code == 0
    assert operator.folder.stat().st_ino == node
    for path in (operator.folder, *operator.folder.rglob("*")):
        assert stat.S_IMODE(path.stat().st_mode) in (0o600, 0o700), path


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_init_needs_only_its_own_folder(tmp_path: Path, operator: Operator) -> None:
    operator.folder.mkdir()
    tmp_path.chmod(0o500)
    try:
        assert operator.init().exit_code == 0
        operator.folder = tmp_path / "other"
        refused = operator.init()
    finally:
        tmp_path.chmod(0o700)
    assert (refused.exit_code, refused.stderr.count("\n")) == (1, 1)
    assert f"sudo install -d -m 700 -o ACCOUNT -g ACCOUNT {operator.folder}" in refused.stderr


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_files_made_by_root_belong_to_the_folders_owner(operator: Operator) -> None:
    operator.folder.mkdir()
    give_away(operator.folder)
    assert in_a_process(lambda: operator.init().exit_code) == 0
    assert {path.stat().st_uid for path in operator.folder.rglob("*")} == {65534}


@pytest.mark.parametrize(
    "arguments",
    [
        ("init", "--name", "A", "--origin", "http://drop.example.org"),
        ("init", "--name", "", "--origin", ORIGIN),
        ("init", "--name", "a\nb", "--origin", ORIGIN),
        ("init", "--name", "a\u202eb", "--origin", ORIGIN),
    ],
)
def test_failed_init_leaves_nothing_behind(operator: Operator, arguments: tuple[str, ...]) -> None:
    failed = operator.types(*arguments)
    assert failed.exit_code == 1
    assert failed.stderr.count("\n") == 1
    assert list(operator.folder.parent.iterdir()) == []


def test_init_without_write_permission_leaves_nothing_behind(
    operator: Operator, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(SqliteStore, "create", full)
    failed = operator.init()
    assert (failed.exit_code, failed.stderr) == (1, "Error: No space left on device\n")
    assert list(operator.folder.parent.iterdir()) == []
    operator.folder.mkdir()
    assert operator.init().exit_code == 1
    assert list(operator.folder.iterdir()) == []


# cards


def zipped(raw: bytes) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as kept:
        kept.writestr("01.card", raw)
    return packed.getvalue()


def _add(operator: Operator, file: Path, *more: str) -> Result:
    groups = card.parse(file.read_bytes()).identity.fingerprint()
    return operator.types("card", "add", file, "--fingerprint", groups, *more)


def test_file_unreadable_to_the_account_is_reported_as_such(
    ready: Operator, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_path: Path) -> None:
        raise PermissionError

    monkeypatch.setattr(common, "open_untouched", refuse)
    file = ready.card("anna")
    for words in (("card", "add", file), ("restore", file, "--key", file)):
        done = ready.types(*words)
        assert done.exit_code == 2
        assert "cannot be seen by the account" in done.stderr.replace("\n", " ")


def test_several_cards_are_confirmed_one_by_one(ready: Operator) -> None:
    anna, bram = ready.card("anna"), ready.card("bram")
    done = ready.types("card", "add", anna, bram, given="yes\nno\n")
    assert done.exit_code == 1
    assert "anna: in use" in done.stdout
    assert "bram: it was not confirmed" in done.stderr
    assert [named.file_name for named in sites.load(ready.folder).cards()] == ["anna"]
    done = ready.types("card", "add", bram, given="ja\n")
    assert (done.exit_code, done.stdout) == (0, "bram: in use from now on.\n")


def test_invalid_card_among_several_is_reported_before_confirmation(ready: Operator) -> None:
    broken = ready.folder.parent / "broken.card"
    broken.write_bytes(b"x")
    done = ready.types("card", "add", ready.card("anna"), broken, given="yes\nyes\n")
    assert done.exit_code == 1
    assert "broken.card" in done.stderr
    assert "read out" not in done.stderr
    assert sites.load(ready.folder).cards() == ()


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        (lambda raw: raw.replace(b"\n", b"\r\n"), "as an attachment"),
        (lambda raw: b"\xef\xbb\xbf" + raw, "as an attachment"),
        (lambda raw: raw.decode().encode("utf-16"), "as an attachment"),
        (lambda raw: raw.removesuffix(b"\n"), "as an attachment"),
        (zipped, "unpack it"),
    ],
)
def test_card_altered_or_compressed_by_a_mail_program_is_refused_with_advice(
    ready: Operator, changed: Callable[[bytes], bytes], said: str
) -> None:
    file = ready.card("anna")
    file.write_bytes(changed(file.read_bytes()))
    done = ready.types("card", "add", file, given="yes\n")
    assert done.exit_code == 1
    assert said in done.stderr
    assert "read out" not in done.stderr


def test_each_card_is_added_to_the_site_it_was_made_for(ready: Operator) -> None:
    origin = "https://other.example.net"
    added = ready.types("site", "add", "bakery", "--name", "Bakkerij", "--origin", origin)
    bakery = str(from_line(added.stdout.strip().encode())["site"])
    own, other = ready.card("anna"), ready.card("bram", site=bakery)
    done = ready.types("card", "add", other, own, given="yes\nyes\n")
    assert done.exit_code == 0, done.stderr
    assert "at Bakkerij" in done.stderr
    assert "anna:" in ready.types("card", "list").stdout
    assert "bram:" in ready.types("card", "list", "--site", "bakery").stdout


def test_name_or_fingerprint_option_requires_a_single_card(ready: Operator) -> None:
    for option in ("--name", "--fingerprint"):
        done = ready.types("card", "add", ready.card("anna"), ready.card("bram"), option, "x")
        assert done.exit_code == 2
    assert sites.load(ready.folder).cards() == ()


def test_name_with_control_characters_is_refused_and_never_shown(ready: Operator) -> None:
    fields = fields_of(ready.card("anna").read_bytes())
    file = ready.folder.parent / "eve.card"
    file.write_bytes(sign_card({**fields, "name": "Eve\u202egnorw"}))
    done = ready.types("card", "add", file)
    assert (done.exit_code, "\u202e" in done.output) == (1, False)
    assert "cannot be seen" in done.stderr


# doctor and purge


def _open(ready: Operator) -> Mailboxes:
    site = sites.load(ready.folder)
    store = SqliteStore(ready.folder, lambda: ready.day)
    return Mailboxes(site, store, lambda: ready.day)


def test_doctor_finds_no_fault_in_a_healthy_server(ready: Operator) -> None:
    _add(ready, ready.card("anna"))
    _open(ready).inbox(world.ANNA.verify_key, 0)
    done = ready.types("doctor")
    assert done.exit_code == 0, done.output
    assert " 0 wrong, " in done.stdout
    found = json.loads(ready.types("doctor", "--json").stdout)
    assert {f["state"] for f in found} <= {"fine", "note", "unseen"}
    assert all(list(f) == ["check", "site", "state", "fault", "repair"] for f in found)


def test_doctor_names_each_fault_and_its_repair(ready: Operator) -> None:
    _add(ready, ready.card("anna"))
    _open(ready).inbox(world.ANNA.verify_key, 0)
    ready.day += datetime.timedelta(90)
    (ready.folder / "cards" / "broken.card").write_bytes(b"x")
    (ready.folder / "klankbord.db").chmod(0o644)
    (ready.folder / "withdrawn").write_text("x\n")
    done = ready.types("doctor", "--json")
    assert done.exit_code == 1
    wrong = [f for f in json.loads(done.stdout) if f["state"] == "wrong"]
    assert [f["check"] for f in wrong] == ["access", "withdrawn list", "cards", "cards", "desks"]
    assert ["broken" in f["fault"] or "anna" in f["fault"] for f in wrong[2:]] == [True] * 3
    assert all(f["fault"] and f["repair"] and f["site"] == "." for f in wrong)
    ready.day = datetime.date(2026, 2, 1)
    assert any(
        "clock" in line for line in ready.types("doctor").stdout.splitlines() if "wrong" in line
    )


def test_doctor_reports_a_damaged_or_missing_database(ready: Operator) -> None:
    database = ready.folder / "klankbord.db"
    for name in ("klankbord.db-wal", "klankbord.db-shm"):
        (ready.folder / name).unlink(missing_ok=True)
    database.write_bytes(b"damaged" * 1000)
    done = ready.types("doctor")
    assert (done.exit_code, "see Backups in deploy/guide/routine.md" in done.stdout) == (1, True)
    for command in ("serve", "purge"):
        done = ready.types(command)
        assert (done.exit_code, done.stderr.count("\n")) == (1, 1)
        assert "restore it from a backup" in done.stderr
    database.unlink()
    done = ready.types("doctor")
    assert (done.exit_code, "see Backups in deploy/guide/routine.md" in done.stdout) == (1, True)


def test_doctor_reports_a_folder_without_a_server(operator: Operator) -> None:
    done = operator.types("doctor")
    assert (done.exit_code, "check --dir, or make it with init" in done.stdout) == (1, True)
    operator.init()
    path = operator.folder / "site.toml"
    path.write_text("[")
    assert "correct site.toml" in operator.types("doctor").stdout


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
@pytest.mark.parametrize("name", ["", "site.toml", "klankbord.db"])
def test_doctor_reports_that_it_runs_as_another_account(ready: Operator, name: str) -> None:
    path = ready.folder / name
    mode = path.stat().st_mode
    path.chmod(0)
    try:
        done = ready.types("doctor")
    finally:
        path.chmod(mode)
    assert (done.exit_code, "run as the server's own account" in done.stdout) == (1, True)


# the command itself


def test_folder_can_be_given_before_or_after_the_command_or_in_the_environment(
    ready: Operator, monkeypatch: pytest.MonkeyPatch
) -> None:
    runner = CliRunner()
    folder = str(ready.folder)
    assert runner.invoke(main.main, ["card", "list", "--dir", folder]).exit_code == 0
    assert runner.invoke(main.main, ["--dir", folder, "card", "list"]).exit_code == 0
    missing = runner.invoke(main.main, ["card", "list"])
    assert (missing.exit_code, "KLANKBORD_DIR" in missing.stderr) == (2, True)
    monkeypatch.setenv("KLANKBORD_DIR", folder)
    assert runner.invoke(main.main, ["card", "list"]).exit_code == 0


@pytest.mark.parametrize(
    "arguments",
    [("init",), ("nonsense",), ("card", "add"), ("serve", "--workers", "0"), ("purge", "--x")],
)
def test_wrong_usage_gives_exit_code_2(ready: Operator, arguments: tuple[str, ...]) -> None:
    assert ready.types(*arguments).exit_code == 2


BAD_FORMS = (
    "nonsense",
    "8000",
    ":8000",
    "127.0.0.1:80000",
    "h:0",
    "a b:80",
    "::1:80",
    "unix:",
    "fd://3",
)


@pytest.mark.parametrize("bind", BAD_FORMS)
def test_malformed_bind_address_gives_exit_code_2(ready: Operator, bind: str) -> None:
    done = ready.types("serve", "--bind", bind)
    assert (done.exit_code, "--bind" in done.stderr) == (2, True)


def test_unusable_bind_address_is_reported_in_one_sentence(ready: Operator) -> None:
    parent = ready.folder.parent
    (parent / "file").write_text("x")
    with socket.socket() as taken, socket.socket(socket.AF_UNIX) as other:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        other.bind(str(parent / "taken"))
        other.listen()
        for bind, said in (
            (f"127.0.0.1:{taken.getsockname()[1]}", "is taken"),
            (f"unix:{parent}/taken", "is taken"),
            (f"unix:{parent}/nosuch/x.sock", "No such file"),
            (f"unix:{parent}/file", "something else"),
            (f"unix:{parent}/{'long' * 40}", "too long"),
            ("a..b:8000", "cannot be served on"),
            ("192.0.2.1:8000", "cannot be served on"),
        ):
            done = ready.types("serve", "--bind", bind)
            assert (done.exit_code, done.stderr.count("\n")) == (1, 1), done.stderr
            assert "--bind: " in done.stderr
            assert said in done.stderr


def test_serve_prints_its_address_and_whether_it_is_reachable_from_the_network(
    ready: Operator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(serve, "run", lambda *_, **__: None)
    path = ready.folder.parent / "sock"
    with socket.socket(socket.AF_UNIX) as killed:
        killed.bind(str(path))  # a leftover socket without a listener
    port = free_port()
    for bind, said in (
        (f"127.0.0.1:{port}", f"Serving on port {port} of this machine; Ctrl-C ends it.\n"),
        (f"unix:{path}", f"Serving on unix:{path}; Ctrl-C ends it.\n"),
        (
            f"0.0.0.0:{port}",
            f"Serving on 0.0.0.0:{port}; Ctrl-C ends it.\n"
            "Warning: that address is open to the network, without encryption.\n",
        ),
    ):
        done = ready.types("serve", "--bind", bind)
        assert (done.exit_code, done.stdout, done.stderr) == (0, "", said)
    assert not path.exists()


def test_serve_command_names_an_invalid_setting_of_the_only_site_and_exits(ready: Operator) -> None:
    path = ready.folder / "site.toml"
    path.write_text(path.read_text().replace("idle = 90", "idle = -1"))
    done = ready.types("serve")
    assert done.exit_code == 1
    assert "retention.idle" in done.stderr


def test_every_command_has_help_with_an_example(operator: Operator) -> None:
    commands = [("init",), ("move",), ("card", "add"), ("card", "list"), ("card", "retire")]
    commands += [("site", "add"), ("site", "list"), ("site", "check")]
    for command in [*commands, ("serve",), ("doctor",), ("purge",)]:
        shown = operator.types(*command, "--help")
        assert shown.exit_code == 0
        assert f"klankbord-server --dir /var/lib/klankbord {' '.join(command)}" in shown.stdout


def test_commands_restore_the_umask(ready: Operator) -> None:
    mask = os.umask(0o022)
    try:
        ready.types("card", "list")
        assert os.umask(0o022) == 0o022
    finally:
        os.umask(mask)
