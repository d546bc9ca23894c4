"""Passphrases for a desk: generated ones are long and unique, chosen ones are judged correctly."""

import pytest

from dropbox_app.desk.actions import passphrase
from dropbox_app.desk.storage import vault
from dropbox_app.protocol.errors import WrongPassphrase
from tests.desk.conftest import PASSPHRASE, Office


@pytest.mark.parametrize("language", ["nl", "en"])
def test_generated_passphrase_has_five_words_and_is_accepted(language: str) -> None:
    drawn = {passphrase.draw(language) for _ in range(200)}
    assert len(drawn) == 200
    for one in drawn:
        assert len(one.split()) == 5
        vault.check_passphrase(one)
        assert passphrase.judge(one) == "unknown"


@pytest.mark.parametrize(
    ("chosen", "verdict"),
    [
        ("", "short"),
        ("vijftien tekens", "short"),
        ("  " + "a" * 13, "short"),
        ("a" * 40, "pattern"),
        ("abcabcabcabcabcabc", "pattern"),
        ("1212 1212 1212 1212", "pattern"),
        ("geheim geheim geheim", "pattern"),
        ("fles vlieg boom water koffie", "unknown"),
        ("welkom in het jaar 2026", "unknown"),
    ],
)
def test_strength_of_a_chosen_passphrase_is_judged_correctly(chosen: str, verdict: str) -> None:
    assert passphrase.judge(chosen) == verdict


def test_passphrase_check_accepts_only_the_passphrase_of_the_open_desk(office: Office) -> None:
    with office.open() as place:
        passphrase.confirm(place, PASSPHRASE)
        passphrase.confirm(place, f"\ufeff{PASSPHRASE}\r\n")
        for wrong in ("", PASSPHRASE + "x", PASSPHRASE.upper()):
            with pytest.raises(WrongPassphrase):
                passphrase.confirm(place, wrong)
