"""The output of ``klankbord-server``: safe for a terminal, and true."""

import datetime
import os
from pathlib import Path

import pytest

from tests.server.cli.test_cli import Operator, operator, ready
from tests.vectors import world

__all__ = ["operator", "ready"]

# Characters that a terminal would obey, hide or reorder, and a name that is not UTF-8.
HOSTILE = ("\x1b]0;x\x07", "\x1b[2J", "\u202egpj", "\u200b", "\x9b31m", "\r", "\x7f")
EVIL = [f"a{one}b" for one in HOSTILE]


def is_plain(text: str) -> bool:
    return all(letter.isprintable() or letter == "\n" for letter in text)


@pytest.mark.parametrize("name", EVIL)
def test_card_file_name_is_escaped_wherever_it_is_printed(ready: Operator, name: str) -> None:
    (ready.folder / "cards" / f"{name}.card").write_bytes(b"no card")
    for words in (("card", "list"), ("site", "check"), ("doctor",), ("site", "list")):
        done = ready.types(*words)
        assert is_plain(done.output), (words, done.output)
    assert (
        f"<U+{ord(next(c for c in name if not c.isprintable())):04X}>"
        in ready.types("card", "list").output
    )


@pytest.mark.skipif(os.name != "posix", reason="file names are bytes there")
def test_undecodable_file_name_is_also_escaped(ready: Operator) -> None:
    path = os.fsencode(ready.folder / "cards") + b"/a\xff.card"
    with open(path, "wb") as file:
        file.write(b"no card")
    assert "a<U+DCFF>: cannot be used" in ready.types("card", "list").output
    assert ready.types("site", "check").exit_code == 1


@pytest.mark.parametrize("name", EVIL)
def test_refusal_message_escapes_every_name(ready: Operator, tmp_path: Path, name: str) -> None:
    """This covers names from the command line, a folder and the settings."""
    settings = ready.folder / "site.toml"
    kept = settings.read_text()
    for words in (
        ("card", "retire", name),
        ("site", "retire", name),
        ("card", "add", str(tmp_path / name)),
        ("--dir", str(tmp_path / name), "card", "list"),
        ("restore", str(tmp_path / name)),
    ):
        done = ready.types(*words)
        assert done.exit_code
        assert is_plain(done.output), (words, done.output)
    settings.write_text(kept + f'\n["{name.encode("unicode_escape").decode()}"]\nx = 1\n')
    assert is_plain(ready.types("site", "check").output)


def test_card_list_shows_absences_and_stand_ins(ready: Operator) -> None:
    until = world.DAY + datetime.timedelta(days=20)
    bram = ready.card("bram")
    groups = ready.types("card", "add", bram, "--name", "bram", given="yes\n")
    assert groups.exit_code == 0, groups.output
    from dropbox_app.protocol.card import Away

    away = Away(until, world.BRAM.verify_key)
    ready.types("card", "add", ready.card("anna", away=away), "--name", "anna", given="yes\n")
    said = ready.types("card", "list").stdout
    assert f"; away until {until}, stand-in bram" in said.partition("\n")[0]
    assert "away" not in said.partition("bram: ")[2]
    ready.day = until + datetime.timedelta(days=1)
    assert "away" not in ready.types("card", "list").stdout


@pytest.mark.parametrize("command", [("init",), ("site", "add", "two")])
def test_run_by_employer_option_requires_the_employers_name(
    operator: Operator, command: tuple[str, ...]
) -> None:
    made = (*command, "--name", "Voorbeeld BV", "--origin", "https://a.example.org")
    refused = operator.types(*made, "--run-by-employer")
    assert refused.exit_code == 2
    assert "--run-by" in refused.stderr
    assert not operator.folder.exists()
    refused = operator.types(*made, "--hours", "9-17")
    assert refused.exit_code == 2
    assert not operator.folder.exists()


def test_unanswered_question_ends_with_a_message_and_changes_nothing(ready: Operator) -> None:
    done = ready.types("card", "add", ready.card("anna"), given="")
    assert done.exit_code == 1
    assert done.stderr.endswith("The question was not answered; nothing was changed.\n")
    assert not list((ready.folder / "cards").iterdir())
