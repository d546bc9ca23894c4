"""The command line as a counsellor types it: output, stream and exit code."""

import codecs
import json
import re
import stat
from collections.abc import Callable
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from dropbox_app.desk.actions import writing
from dropbox_app.desk.cli.main import main
from dropbox_app.desk.errors import Unfit
from dropbox_app.protocol import age
from dropbox_app.protocol import card as cards
from dropbox_app.protocol.keys import Seed
from tests.desk.conftest import PASSPHRASE, Office
from tests.support.fake_server import Clock, Peer, Reporter

GROUPS = re.compile(r"([0-9a-f]{4} ){9}[0-9a-f]{4}")


@pytest.fixture
def thread(office: Office, reporter: Reporter) -> str:
    office.run("fetch")
    return reporter.mailbox


def test_commands_cover_the_whole_workflow_from_invitation_to_answer(
    tmp_path: Path, peer: Peer, clock: Clock
) -> None:
    """The test also checks the output that a person reads along the way."""
    office = Office(tmp_path / "desk", peer, clock)
    (tmp_path / "invitation.json").write_bytes(peer.invitation())
    said = office.run(
        "init", str(tmp_path / "invitation.json"), "--name", "Els de Vries", "--kind", "external"
    )
    assert said.stdout.startswith(f"Your desk for Voorbeeld BV is in {office.folder}.\n")
    assert "Els de Vries; does not work at the organisation; for unwanted" in said.stdout
    groups = said.stdout.splitlines()[-1]
    assert GROUPS.fullmatch(groups)

    said = office.run("fetch", code=1)
    assert said.stderr == (
        "The server does not know this desk: either the operator has not added the card yet (see "
        "'klankbord-desk card'), or it was retired.\n"
    )

    said = office.run("card", "--out", str(tmp_path / "els.card"))
    assert said.stdout.splitlines()[-1] == groups
    card = cards.parse((tmp_path / "els.card").read_bytes())
    assert (card.name, card.identity.fingerprint()) == ("Els de Vries", groups)
    peer.add_card(card.raw)

    assert office.run("fetch").stdout == (
        "You can be reached now: the site of Voorbeeld BV shows your card, and people who write "
        "there can choose you.\nVoorbeeld BV: nothing new.\n"
    )
    assert office.run("list").stdout == "No threads here. 'fetch' brings what came in.\n"
    reporter = Reporter(peer, card.identity)
    reporter.report("Er is iets.\nIk durf het niet te zeggen.", needs=["be_heard"], safe="yes")
    thread = reporter.mailbox
    assert office.run("fetch").stdout == f"{thread[:16]}  1 new message\n"
    assert office.run("list").stdout == (
        f"{thread[:16]}  2027-01-05   1 unread  your turn, answer promised by 2027-01-07  "
        "\u201cEr is iets. Ik durf het niet te zeggen.\u201d\n"
    )
    assert office.run("read", thread[:8]).stdout == (
        f"Thread {thread}\n"
        "\n"
        "2027-01-05  the reporter  (report, number 1)\n"
        "  | Er is iets.\n"
        "  | Ik durf het niet te zeggen.\n"
        "  | what would help: someone to listen\n"
        "  | feels safe now: yes\n"
    )
    assert office.run("list").stdout == (
        f"{thread[:16]}  2027-01-05       read  your turn, answer promised by 2027-01-07  "
        "\u201cEr is iets. Ik durf het niet te zeggen.\u201d\n"
    )
    (tmp_path / "answer").write_text("Dank je wel.\n")
    said = office.run("reply", thread[:10], "--text-file", str(tmp_path / "answer"))
    assert said.stdout == f"Sent to thread {thread[:16]}.\n"
    assert reporter.texts()[-1] == "Dank je wel."
    assert "you  (reply, number 1)\n  | Dank je wel.\n" in office.run("read", thread).stdout


def test_list_and_read_commands_can_print_json(office: Office, thread: str) -> None:
    """Other programs depend on this JSON."""
    (listed,) = office.json("list")
    assert listed["id"] == thread
    assert listed["unread"] == 1
    assert listed["last_day"] == "2027-01-05"
    (message,) = office.json("read", thread[:8])["messages"]
    assert message["by"] == "reporter"
    assert message["kind"] == "report"
    assert message["day"] == "2027-01-05"
    assert message["text"] == "Het gaat over mijn chef."
    assert message["verified"] is True
    assert office.json("list")[0]["unread"] == 0


def test_every_kind_of_answer_can_be_sent(
    office: Office, reporter: Reporter, peer: Peer, thread: str, tmp_path: Path
) -> None:
    bas = Office(tmp_path / "bas", peer, office.clock, "Bas de Wit").set_up()
    office.run("notice", thread, "received")
    office.run("notice", thread, "read", "--text-file", "-", given="Ik heb het gelezen.\n")
    (tmp_path / "options.toml").write_text(
        'text = "Dit kan."\n'
        '[[options]]\ntitle = "Praten"\npro = "Snel"\ncon = "Spannend"\n'
        '[[options]]\ntitle = "Wachten"\npro = "Rustig"\ncon = "Het gaat door"\n'
    )
    office.run("options", thread, "--file", str(tmp_path / "options.toml"))
    office.run(
        *("ask", thread, "--step", "Overdragen", "--with", "Bas", "--scope", "alles"),
        *("--successor", str(bas)),
    )
    bodies = [dict(message.body) for message in reporter.thread().genuine()][1:]
    assert bodies == [
        {"status": "received"},
        {"status": "read", "text": "Ik heb het gelezen."},
        {
            "text": "Dit kan.",
            "options": [
                {"title": "Praten", "pro": "Snel", "con": "Spannend"},
                {"title": "Wachten", "pro": "Rustig", "con": "Het gaat door"},
            ],
        },
        {"step": "Overdragen", "with": "Bas", "scope": "alles", "successor": str(bas)},
    ]
    shown = office.run("read", thread).stdout
    for line in ("  | status: received", "  | option 1: Praten", "  |   against: Spannend"):
        assert f"{line}\n" in shown
    refused = office.run(
        *("ask", thread, "--step", "x", "--with", "y", "--scope", "z", "--successor", "Niemand"),
        code=1,
    )
    assert refused.stderr.startswith("No counsellor of this site goes by that name")
    assert [message.lang for message in reporter.thread().genuine()] == ["nl"] * 5
    assert f"  | handed over to: {bas.fingerprint()}\n" in office.run("read", thread).stdout
    asked = list(reporter.thread().genuine())[-1]
    reporter.send("consent-answer", {"request": asked.digest, "answer": "tell-me-more"})
    office.run("fetch")
    shown = office.run("read", thread).stdout
    assert "(answer about consent, number 2)\n  | to the question: Overdragen\n" in shown
    assert "  | answer: wants to know more first\n" in shown


@pytest.mark.parametrize(
    "raw",
    [b"", b"\xff", b"{", b"[1,2]", b'{"options":[]}', b'{"options":[{"title":"a"},{}]}',
     b'{"text":1,"options":[{},{}]}', b'options = "x"'],
)  # fmt: skip
def test_malformed_options_are_refused(raw: bytes) -> None:
    with pytest.raises(Unfit):
        writing.options(raw)


def test_options_in_wrong_encoding_are_reported_as_such() -> None:
    """Windows editors save files in such encodings; the error does not call them invalid TOML."""
    for coding in ("utf-16", "cp1252"):
        with pytest.raises(Unfit, match="Save it as UTF-8 and try again"):
            writing.options('text = "Kies één"'.encode(coding))


def test_answer_options_may_be_given_as_a_plain_list() -> None:
    one = {"title": "a", "pro": "b", "con": "c"}
    made = writing.options(json.dumps([one, one]).encode())
    assert made.body == {"text": "", "options": [one, one]}


def test_command_says_that_answering_a_closed_thread_does_not_reopen_it(
    office: Office, thread: str, tmp_path: Path
) -> None:
    (tmp_path / "answer").write_text("Nog iets.\n")
    reply = ("reply", thread, "--text-file", str(tmp_path / "answer"))
    assert "closed" not in office.run(*reply).stdout
    assert "stays" not in office.run("notice", thread, "closed").stdout
    said = office.run(*reply).stdout
    assert said.endswith(f"It stays closed; 'notice {thread[:16]} reopened' opens it.\n")
    assert "stays" not in office.run("notice", thread[:16], "reopened").stdout
    assert "closed" not in office.run(*reply).stdout


def test_forget_asks_for_confirmation_and_reports_the_result(office: Office, thread: str) -> None:
    runner = CliRunner()
    options = ["--dir", str(office.folder), "--passphrase-file", str(office.passphrase_file)]
    result = runner.invoke(main, [*options, "forget", thread], obj=office.machine, input="n\n")
    assert result.exit_code == 1
    assert "with 1 item for good?" in result.output
    assert len(office.json("list")) == 1
    said = office.run("forget", thread, "--yes").stdout
    assert "is deleted here, with 1 item. The server was not asked" in said
    assert office.json("list") == []
    assert list(office.folder.rglob("items/*")) == []
    office.run("fetch")
    assert office.json("list") == []


def test_export_is_readable_and_private_and_never_overwrites_a_file(
    office: Office, thread: str, tmp_path: Path
) -> None:
    office.run("reply", thread, "--text-file", "-", given="Dank je wel.")
    out = tmp_path / "handover"
    said = office.run("export", thread, "--out", str(out))
    assert said.stderr.startswith("WARNING: ")
    assert json.loads((out / "thread.json").read_text())["id"] == thread
    assert "Het gaat over mijn chef." in (out / "001.txt").read_text()
    assert "  Els de Vries  (reply, number 1)" in (out / "002.txt").read_text()
    modes = {stat.S_IMODE(path.stat().st_mode) for path in (out, *out.iterdir())}
    assert modes == {0o700, 0o600}
    office.run("export", thread, "--out", str(out), code=1)


def test_keys_command_lists_dates_and_reveals_secrets_only_on_request(
    office: Office, peer: Peer, thread: str
) -> None:
    said = office.run("keys")
    assert "key 2027-01-01 to 2027-01-31: a fetch from 2027-03-02 on destroys it" in said.stdout
    assert str(office.identity) in said.stdout
    assert "AGE-SECRET" not in said.output
    loud = office.run("keys", "--reveal")
    assert loud.stderr.startswith("WARNING: ")
    lines = [line for line in loud.stdout.splitlines() if not line.startswith("#")]
    seeds = [Seed.parse(line) for line in lines]  # as stock age reads an identity file
    (sealed,) = (kept.sealed for kept in peer.items.values())
    assert b"Het gaat over mijn chef." in age.open_sealed(sealed, seeds)


def test_absence_can_be_announced_and_ended(office: Office, peer: Peer, tmp_path: Path) -> None:
    bas = Office(tmp_path / "bas", peer, office.clock, "Bas de Wit").set_up()
    mine = str(office.identity)
    said = office.run("away", "--until", "2027-08-15", "--stand-in", bas.fingerprint())
    assert (
        said.stdout
        == "Your card now says that you are away until 2027-08-15; Bas de Wit stands in.\n"
    )
    card = cards.parse(peer.cards[mine])
    assert card.away is not None
    assert (str(card.away.until), card.away.stand_in) == ("2027-08-15", bas)
    assert str(card.sealing[-1].until) >= "2027-08-31"
    office.run("fetch")
    office.run("away", "--back")
    assert cards.parse(peer.cards[mine]).away is None
    windows = {w.first: w.recipient for w in card.sealing}
    for window in cards.parse(peer.cards[mine]).sealing:
        assert windows[window.first] == window.recipient
    office.run("away", code=2)
    office.run("away", "--until", "2027-02-30", code=1)
    office.run("away", "--until", "2026-12-31", code=1)
    office.run("away", "--until", "2029-01-01", code=1)
    assert cards.parse(peer.cards[mine]).away is None
    office.run("fetch")


def test_backup_can_be_restored(office: Office, thread: str, tmp_path: Path) -> None:
    office.run("backup", str(tmp_path / "b.age"))
    assert stat.S_IMODE((tmp_path / "b.age").stat().st_mode) == 0o600
    office.run("backup", str(tmp_path / "b.age"), code=1)
    office.run("restore", str(tmp_path / "b.age"), code=1)
    again = Office(tmp_path / "again", office.peer, office.clock)
    said = again.run("restore", str(tmp_path / "b.age"))
    assert "Now run 'klankbord-desk fetch'" in said.stdout
    assert again.json("list")[0]["id"] == thread
    again.run("fetch")


def test_one_desk_serves_two_sites_with_separate_identities(
    office: Office, thread: str, clock: Clock, tmp_path: Path
) -> None:
    second = Peer(clock)
    joined = Office(office.folder, second, clock)
    (tmp_path / "two.json").write_bytes(second.invitation("Ander BV"))
    joined.run("init", str(tmp_path / "two.json"), "--name", "Els", "--kind", "external")
    assert "say which with --site" in office.run("card", code=1).stderr
    raw = office.run("card", "--site", "ander").stdout.encode()
    card = cards.parse(raw)
    assert card.site == second.site
    second.add_card(raw)
    joined.run("--site", "Ander", "fetch")
    other = Reporter(second, card.identity)
    other.report("Bij de ander")
    joined.run("fetch", "--site", second.site[:8])
    listed = {line["id"]: line["site_name"] for line in office.json("list")}
    assert listed == {thread: "Voorbeeld BV", other.mailbox: "Ander BV"}
    office.run("reply", thread, "--text-file", "-", given="Hier")
    with office.open() as place:
        assert len({desk.own for desk in place.desks()}) == 2
    assert office.run("list", "--site", "geen", code=1).stderr.startswith("No site")


def test_move_command_accepts_only_addresses_of_the_same_site(
    office: Office, peer: Peer, clock: Clock, tmp_path: Path
) -> None:
    line = json.loads(peer.invitation())
    line["origins"] = ["https://drop.example.org"]
    moved = json.dumps(line, sort_keys=True, separators=(",", ":"))
    assert "https://drop.example.org" in office.run("move", "-", given=moved).stdout
    assert "drop.example.org could not be reached" in office.run("fetch", code=1).stderr
    foreign = Peer(clock).invitation().decode()
    assert "another site" in office.run("move", "-", given=foreign, code=1).stderr


def test_move_command_accepts_a_proxy_for_an_address_that_needs_one(
    office: Office, peer: Peer
) -> None:
    line = json.loads(peer.invitation())
    line["desk_origins"] = [f"http://{'a' * 56}.onion"]
    moved = json.dumps(line, sort_keys=True, separators=(",", ":"))

    def kept() -> tuple[str, tuple[str, ...]]:
        with office.open() as place:
            state = place.one().state
            return state.proxy, state.desk_origins

    assert "add --proxy" in office.run("move", "-", given=moved, code=1).stderr
    assert "is written as" in office.run("move", "-", "--proxy", "x", given=moved, code=1).stderr
    assert kept() == ("", ())
    way = "socks5h://127.0.0.1:9050"
    office.run("move", "-", "--proxy", way, given=moved)
    assert kept() == (way, tuple(line["desk_origins"]))
    # Without the option it stays, and an empty one ends it only where the address allows.
    office.run("move", "-", given=moved)
    assert "add --proxy" in office.run("move", "-", "--proxy", "", given=moved, code=1).stderr
    assert kept() == (way, tuple(line["desk_origins"]))
    office.run("move", "-", "--proxy", "", given=peer.invitation().decode())
    assert kept() == ("", ())


@pytest.mark.parametrize(
    ("given", "told"),
    [("", "no invitation"), ("{}", "no invitation"), ("x" * 20_000, "larger"),
     ('{"v":2}', "newer version")],
)  # fmt: skip
def test_invalid_invitation_is_refused(
    tmp_path: Path, peer: Peer, clock: Clock, given: str, told: str
) -> None:
    office = Office(tmp_path / "desk", peer, clock)
    assert (
        told
        in office.run(
            "init", "-", "--name", "Els", "--kind", "external", given=given, code=1
        ).stderr
    )
    assert not office.folder.exists()


@pytest.mark.parametrize(
    "saved",
    [
        lambda line: codecs.BOM_UTF8 + line,
        lambda line: line.decode().replace("\n", "\r\n").encode("utf-16"),
        lambda line: line.replace(b',"site"', b',\r\n"site"'),
        lambda line: b"\n  " + line + b"\n\n",
    ],
    ids=["Notepad", "PowerShell", "broken by a mail program", "pasted"],
)
def test_invitation_can_be_read_in_any_text_encoding(
    tmp_path: Path, peer: Peer, clock: Clock, saved: Callable[[bytes], bytes]
) -> None:
    office = Office(tmp_path / "desk", peer, clock)
    file = tmp_path / "invitation.json"
    file.write_bytes(saved(peer.invitation()))
    office.run("init", str(file), "--name", "Els", "--kind", "external")
    assert "Voorbeeld BV" in office.run("sites").stdout


def test_refused_init_leaves_nothing_behind(tmp_path: Path, peer: Peer, clock: Clock) -> None:
    office = Office(tmp_path / "desk", peer, clock)
    invitation = peer.invitation().decode()
    for arguments in (["--name", ""], ["--name", "Els", "--languages", "Dutch!"],
                      ["--name", "Els", "--proxy", "socks4://x"]):  # fmt: skip
        office.run("init", "-", "--kind", "external", *arguments, given=invitation, code=1)
    clock.to("2026-12-01")  # the invitation is dated later than this computer's clock
    assert (
        "date right"
        in office.run(
            "init", "-", "--name", "Els", "--kind", "external", given=invitation, code=1
        ).stderr
    )
    assert not office.folder.exists()
    office.run("init", "-", "--name", "Els", "--kind", "other", given=invitation, code=2)


def test_existing_passphrase_is_requested_once_and_a_new_one_twice(
    tmp_path: Path, peer: Peer, clock: Clock
) -> None:
    office = Office(tmp_path / "desk", peer, clock)
    (tmp_path / "i.json").write_bytes(peer.invitation())
    call = [
        "--dir",
        str(office.folder),
        "init",
        str(tmp_path / "i.json"),
        "--name",
        "Els",
        "--kind",
        "external",
    ]
    short = CliRunner().invoke(main, call, obj=office.machine, input="kort\nkort\n")
    assert short.exit_code == 1
    assert "at least 16" in short.stderr
    typed = f"{PASSPHRASE}\n{PASSPHRASE}\n"
    done = CliRunner().invoke(main, call, obj=office.machine, input=typed)
    assert done.exit_code == 0
    assert "five words drawn" in done.stderr
    assert PASSPHRASE not in done.output
    listing = ["--dir", str(office.folder), "list"]
    done = CliRunner().invoke(main, listing, obj=office.machine, input=f"{PASSPHRASE}\n")
    assert done.exit_code == 0


def test_desk_folder_is_set_by_option_environment_or_home_folder(
    office: Office, thread: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The option may come before or after the command; the later one counts."""
    secret = ["--passphrase-file", str(office.passphrase_file)]
    here, nowhere = ["--dir", str(office.folder)], ["--dir", str(tmp_path / "none")]
    for arguments in (
        [*here, *secret, "list"],
        ["list", *here, *secret],
        [*nowhere, "list", *secret, *here],
    ):
        result = CliRunner().invoke(main, arguments, obj=office.machine)
        assert (result.exit_code, result.stdout[:16]) == (0, thread[:16])
    monkeypatch.setenv("KLANKBORD_DESK_DIR", str(office.folder))
    assert CliRunner().invoke(main, ["list", *secret], obj=office.machine).exit_code == 0
    monkeypatch.delenv("KLANKBORD_DESK_DIR")
    monkeypatch.setenv("HOME", str(tmp_path))
    lost = CliRunner().invoke(main, ["list", *secret], obj=office.machine)
    assert lost.exit_code == 1
    assert lost.stderr.startswith(f"There is no desk in {tmp_path}/klankbord-desk; make one with")


def test_alarms_are_printed_to_stderr_and_give_exit_code_1(
    office: Office, peer: Peer, thread: str
) -> None:
    peer.shown_cards = {}
    said = office.run("fetch", code=1)
    assert said.stderr.startswith("ALARM: the site shows no card for you")


def test_hostile_site_names_are_harmless(tmp_path: Path, peer: Peer, clock: Clock) -> None:
    office = Office(tmp_path / "desk", peer, clock)
    line = {"v": 1, "origins": ["http://127.0.0.1:8000"], "site": peer.site,
            "name": "B\u202eV\u2066", "day": "2027-01-05"}  # fmt: skip
    raw = json.dumps(line, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    said = office.run("init", "-", "--name", "Els", "--kind", "external", given=raw).stdout
    assert "B<U+202E>V<U+2066>" in said


@pytest.mark.parametrize("name", sorted(main.commands))
def test_every_commands_help_ends_with_a_valid_example(name: str) -> None:
    """The command itself parses the example, so the two cannot diverge."""
    result = CliRunner().invoke(main, [name, "--help"])
    assert result.exit_code == 0
    head, _, examples = result.stdout.rpartition("Example:\n")
    assert head
    for line in examples.replace("\\\n", " ").strip().splitlines():
        program, *words = _words(line)
        assert program == "klankbord-desk"
        with main.make_context("klankbord-desk", words) as context:
            _, after, _ = main.make_parser(context).parse_args(list(words))
            called, command, rest = main.resolve_command(context, after)
            assert called == name
            assert isinstance(command, click.Command)
            for parameter in command.params:
                if isinstance(parameter.type, click.Path):
                    parameter.type.exists = False
            command.make_context(called or "", list(rest), parent=context).close()


def _words(line: str) -> list[str]:
    import shlex

    words = shlex.split(line)
    return words[: words.index(">")] if ">" in words else words
