"""What the installer asks: until the answer is clear, and nothing that is answered already."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from tests.support.told import load


@pytest.fixture
def installer(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    return load(monkeypatch)


def answered(monkeypatch: pytest.MonkeyPatch, *answers: str) -> Iterator[str]:
    """Somebody at a terminal, who gives these answers and has then gone."""
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
    nothing |= dict.fromkeys(("controller", "other_contact"))
    return argparse.Namespace(**{**nothing, "run_by_employer": False, **given})


@pytest.mark.parametrize(
    ("said", "employer"),
    [(["yes"], True), (["Ja"], True), (["no"], False), (["nee"], False), (["N"], False),
     (["", "it is", "yes"], True), (["klopt", "yeah", "nee"], False)],
)  # fmt: skip
def test_whether_the_employer_runs_it_is_asked_until_the_answer_is_clear(
    monkeypatch: pytest.MonkeyPatch, installer: ModuleType, said: list[str], employer: bool
) -> None:
    """What is taken for no hides from reporters that the employer could look in."""
    left = answered(
        monkeypatch, "Voorbeeld BV", "Stichting Voorbeeld", *said, "030 123", "BV", "", ""
    )
    asked = unasked()
    installer.questions.ask(asked, there=False)
    assert vars(asked) == {
        "name": "Voorbeeld BV",
        "run_by": "Stichting Voorbeeld",
        "run_by_employer": employer,
        "phone": "030 123",
        "controller": "BV",
        "other_contact": ("", ""),
        "domain": "",
        "mail": None,
    }
    assert list(left) == []


def test_an_invalid_answer_is_refused_at_once(
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
    assert (asked.name, asked.run_by, asked.phone) == ("Bakker", "Stichting", "")
    assert asked.other_contact == ("Kim Bos", "030 7")
    assert asked.domain == "box.example.org"
    assert list(left) == []
    said = capsys.readouterr().out.splitlines()
    assert said == ["It cannot be empty."] * 4 + ["That is no domain such as box.example.org."]


def test_an_operator_who_stops_halfway_is_told_that_nothing_was_changed(
    monkeypatch: pytest.MonkeyPatch, installer: ModuleType
) -> None:
    answered(monkeypatch, "Bakker")
    with pytest.raises(SystemExit, match="nothing was changed"):
        installer.questions.ask(unasked(), there=False)


def test_nothing_is_asked_that_an_option_or_an_existing_site_answers(
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
def test_a_daily_mail_is_off_unless_somebody_wants_it(
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
    assert asked.mail is False  # nobody is there to want it
    left = answered(monkeypatch, *said)
    asked = unasked()
    installer.questions.ask_mail(asked, there=False)
    assert asked.mail is wanted
    assert list(left) == []
    # An update asks nothing: what is there stays.
    if wanted:
        (tmp_path / "klankbord-notify").touch()
    asked = unasked()
    installer.questions.ask_mail(asked, there=True)
    assert asked.mail is wanted


@pytest.mark.parametrize(
    ("held", "said"),
    [
        (None, "there is no file"),
        (b"age-encryption.org/v1\n-> scrypt", r"is encrypted; decrypt it first: \(umask 077; age"),
        (
            b"-----BEGIN AGE ENCRYPTED FILE-----\n",
            r"is encrypted; decrypt it first: \(umask 077; age",
        ),
        (b"other", "is no hs_ed25519_secret_key of Tor"),
    ],
)
def test_an_onion_key_that_cannot_be_used_is_refused_before_anything_is_installed(
    installer: ModuleType,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    held: bytes | None,
    said: str,
) -> None:
    monkeypatch.setattr(installer.restore, "DATA", tmp_path / "data")
    kept = tmp_path / "kept"
    kept.write_bytes(b"x")
    key = tmp_path / "onion-key"
    if held is not None:
        key.write_bytes(held)
    asked = unasked(restore=kept, key=kept, onion_key=key, withdrawn=(), old=False)  # type: ignore[arg-type] # as it is parsed
    with pytest.raises(SystemExit, match=said):
        installer.restore.check(asked)
