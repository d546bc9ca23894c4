"""The installer's questions: repeated until an answer is clear, skipped if already answered."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from tests.support.told import load

DECRYPT = r"is encrypted; decrypt it first: \(umask 077; age -d -o"


@pytest.fixture
def installer(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    return load(monkeypatch)


def answered(monkeypatch: pytest.MonkeyPatch, *answers: str) -> Iterator[str]:
    """Answer the questions like a user at a terminal who then leaves."""
    left = iter(answers)

    def answer(_question: str) -> str:
        for one in left:
            return one
        raise EOFError

    monkeypatch.setattr(sys.stdin, "isatty", lambda: True)
    monkeypatch.setattr("builtins.input", answer)
    return left


def unasked(**given: str) -> argparse.Namespace:
    nothing = dict.fromkeys(("name", "run_by", "domain", "phone", "mail"))
    nothing |= dict.fromkeys(("hours", "controller", "other_contact", "restore"))
    return argparse.Namespace(**{**nothing, "run_by_employer": False, **given})


@pytest.mark.parametrize(
    ("said", "employer"),
    [(["yes"], True), (["Ja"], True), (["no"], False), (["nee"], False), (["N"], False),
     (["", "it is", "yes"], True), (["klopt", "yeah", "nee"], False)],
)  # fmt: skip
def test_installer_asks_whether_the_employer_hosts_the_site_until_the_answer_is_clear(
    monkeypatch: pytest.MonkeyPatch, installer: ModuleType, said: list[str], employer: bool
) -> None:
    """A wrong "no" would hide from reporters that the employer could read their messages."""
    left = answered(
        monkeypatch, "Voorbeeld BV", "Stichting Voorbeeld", *said, "030 123", "9-17", "BV", "", ""
    )
    asked = unasked()
    installer.questions.ask(asked, there=False)
    assert vars(asked) == {
        "name": "Voorbeeld BV",
        "run_by": "Stichting Voorbeeld",
        "run_by_employer": employer,
        "phone": "030 123",
        "hours": "9-17",
        "controller": "BV",
        "other_contact": ("", ""),
        "domain": "",
        "mail": None,
        "restore": None,
    }
    assert list(left) == []


def test_invalid_answer_is_refused_at_once(
    monkeypatch: pytest.MonkeyPatch,
    installer: ModuleType,
    capsys: pytest.CaptureFixture[str],
) -> None:
    left = answered(
        monkeypatch, "", " ", "Bakker", "", "Stichting", "no", "", "", "Kim Bos", "", "030 7",
        "https://box.example", "box.example.org",
    )  # fmt: skip
    asked = unasked()
    installer.questions.ask(asked, there=False)
    assert (asked.name, asked.run_by, asked.phone, asked.hours) == ("Bakker", "Stichting", "", "")
    assert asked.other_contact == ("Kim Bos", "030 7")
    assert asked.domain == "box.example.org"
    assert list(left) == []
    said = capsys.readouterr().out.splitlines()
    assert said == ["It cannot be empty."] * 4 + ["That is no domain such as box.example.org."]


def test_aborting_halfway_reports_that_nothing_changed(
    monkeypatch: pytest.MonkeyPatch, installer: ModuleType
) -> None:
    answered(monkeypatch, "Bakker")
    with pytest.raises(SystemExit, match="nothing was changed"):
        installer.questions.ask(unasked(), there=False)


def test_questions_answered_by_an_option_or_the_existing_site_are_skipped(
    monkeypatch: pytest.MonkeyPatch, installer: ModuleType
) -> None:
    answered(monkeypatch)
    given = unasked(name="Bakker", run_by="Stichting", domain="", phone="", controller="")
    given.other_contact = ("", "")
    installer.questions.ask(given, there=False)
    asked = unasked()
    installer.questions.ask(asked, there=True)
    assert (asked.name, asked.run_by, asked.domain, asked.phone) == ("", "", "", "")


@pytest.mark.parametrize(
    ("said", "wanted"),
    [([""], False), (["no"], False), (["yes"], True), (["Ja"], True), (["please", "nee"], False)],
)
def test_daily_mail_is_off_by_default(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    installer: ModuleType,
    said: list[str],
    wanted: bool,
) -> None:
    monkeypatch.setattr(installer.notify, "COMMAND", tmp_path / "klankbord-notify")
    monkeypatch.setattr(sys.stdin, "isatty", lambda: False)
    asked = unasked()
    installer.questions.ask_mail(asked, there=False)
    assert asked.mail is False  # nobody can answer
    left = answered(monkeypatch, *said)
    asked = unasked()
    installer.questions.ask_mail(asked, there=False)
    assert asked.mail is wanted
    assert list(left) == []
    # An update asks nothing and keeps the existing choice.
    if wanted:
        (tmp_path / "klankbord-notify").touch()
    asked = unasked()
    installer.questions.ask_mail(asked, there=True)
    assert asked.mail is wanted


def test_restore_asks_no_questions(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, installer: ModuleType
) -> None:
    """The operator can start the restore and leave."""
    monkeypatch.setattr(installer.notify, "COMMAND", tmp_path / "klankbord-notify")
    answered(monkeypatch)
    asked = restoring(tmp_path)
    installer.questions.ask_mail(asked, there=False)
    assert asked.mail is False


def restoring(folder: Path, **given: object) -> argparse.Namespace:
    """Return the options of a restore with a plausible backup and key."""
    backup, key = folder / "klankbord-2026-11-27.age", folder / "backup-key.txt"
    backup.write_bytes(b"age-encryption.org/v1\n")
    key.write_text("# public key: age1pq1\nAGE-SECRET-KEY-PQ-1QQQQ\n")
    usual = {"restore": backup, "key": key, "onion_key": None, "withdrawn": (), "old": False}
    return unasked(**{**usual, **given})  # type: ignore[arg-type] # as they are parsed


@pytest.mark.parametrize(
    ("option", "name", "held", "said"),
    [
        ("restore", "copy.age", b"age-encryption.org/v1\n", r"copy\.age is not the name"),
        ("restore", "klankbord-2026-13-01.age", b"age-encryption.org/v1\n", "is not the name"),
        ("restore", "withdrawn-2026-11-27.age", b"age-encryption.org/v1\n", "a list of"),
        ("restore", "klankbord-2026-11-26.age", b"other", r"11-26\.age is no backup"),
        ("key", "other.txt", b"age1pq1qqqq\n", r"other\.txt is no key that backup-key printed"),
        ("key", "other.txt", b"", r"other\.txt is no key that backup-key printed"),
        ("key", "other.txt", b"AGE-SECRET-KEY-1QQQQ\n", "is no key that backup-key printed"),
        ("key", "key.age", b"age-encryption.org/v1\n-> scrypt", DECRYPT),
    ],
)
def test_installer_names_an_unusable_backup_or_key_before_installing_anything(
    installer: ModuleType,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    option: str,
    name: str,
    held: bytes,
    said: str,
) -> None:
    monkeypatch.setattr(installer.restore, "DATA", tmp_path / "data")
    (tmp_path / name).write_bytes(held)
    with pytest.raises(SystemExit, match=said):
        installer.restore.check(restoring(tmp_path, **{option: tmp_path / name}))


@pytest.mark.parametrize("written", ["utf-8-sig", "utf-16"])
def test_key_with_windows_line_endings_and_renamed_backup_are_accepted(
    installer: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, written: str
) -> None:
    """The restore accepts the same forms."""
    monkeypatch.setattr(installer.restore, "DATA", tmp_path / "data")
    renamed = tmp_path / "copy.age"
    renamed.write_bytes(b"age-encryption.org/v1\n")
    asked = restoring(tmp_path, restore=renamed, old=True)
    asked.key.write_bytes("# note\r\nAGE-SECRET-KEY-PQ-1QQQQ\r\n".encode(written))
    installer.restore.check(asked)


def test_restore_messages_name_the_given_files(
    installer: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The messages do not name the copies that the server's account reads."""
    machine = installer.machine.Machine(dry=False)
    words = ("sh", "-c", "echo /run/copy: no key >&2; exit 1")
    with pytest.raises(SystemExit, match="/srv/kept/key: no key"):
        machine.show(*words, names={"/run/copy": "/srv/kept/key"})
    assert "/srv/kept/key: no key" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("held", "said"),
    [
        (None, "there is no file"),
        (b"age-encryption.org/v1\n-> scrypt", DECRYPT),
        (b"-----BEGIN AGE ENCRYPTED FILE-----\n", DECRYPT),
        (b"other", "is no hs_ed25519_secret_key of Tor"),
    ],
)
def test_unusable_onion_key_is_refused_before_installation(
    installer: ModuleType,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    held: bytes | None,
    said: str,
) -> None:
    monkeypatch.setattr(installer.restore, "DATA", tmp_path / "data")
    key = tmp_path / "onion-key"
    if held is not None:
        key.write_bytes(held)
    asked = restoring(tmp_path, onion_key=key)
    with pytest.raises(SystemExit, match=said):
        installer.restore.check(asked)
