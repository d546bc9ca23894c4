"""This code opens files of npm's age-encryption, which opens ours (SPEC section 0)."""

import os
from pathlib import Path

import pytest

from dropbox_app.protocol import age
from dropbox_app.protocol.errors import NoMatch, WrongPassphrase
from dropbox_app.protocol.keys import Recipient, Seed
from tests.protocol.interop.conftest import Ask

PASSPHRASE = "zeven wörter ☂"

# Every number of recipients and every chunk boundary, but not all combinations.
CASES = [
    (count, length)
    for count in range(1, 7)
    for length in (0, 1, 65_535, 65_536, 65_537)
    if count in (1, 6) or length in (1, 65_536)
] + [(3, 10 * 2**20)]


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    return tmp_path / "in", tmp_path / "out"


def test_key_encodings_match_the_other_implementation(peer: Ask) -> None:
    for _ in range(5):
        seed = Seed.generate()
        assert peer("recipient", seed=seed.reveal()) == {"recipient": str(seed.recipient())}
        theirs = Seed.parse(peer("identity")["seed"])
        text = peer("recipient", seed=theirs.reveal())["recipient"]
        assert Recipient.parse(text) == theirs.recipient()


@pytest.mark.parametrize(("count", "length"), CASES)
def test_python_opens_files_sealed_by_javascript(
    peer: Ask, files: tuple[Path, Path], count: int, length: int
) -> None:
    seeds = [Seed.generate() for _ in range(count)]
    plaintext = os.urandom(length)
    files[0].write_bytes(plaintext)
    texts = [str(seed.recipient()) for seed in seeds]
    answer = peer("seal", **{"from": str(files[0])}, to=str(files[1]), recipients=texts)
    assert answer == {}
    sealed = files[1].read_bytes()
    if length:
        assert len(sealed) == age.sealed_length(length, count)
    for seed in seeds:
        assert age.open_sealed(sealed, [seed]) == plaintext
    with pytest.raises(NoMatch):
        age.open_sealed(sealed, [Seed.generate()])


@pytest.mark.parametrize(("count", "length"), CASES)
def test_javascript_opens_files_sealed_by_python(
    peer: Ask, files: tuple[Path, Path], count: int, length: int
) -> None:
    seeds = [Seed.generate() for _ in range(count)]
    plaintext = os.urandom(length)
    files[0].write_bytes(age.seal(plaintext, [seed.recipient() for seed in seeds]))
    for seed in seeds:
        answer = peer("open", **{"from": str(files[0])}, to=str(files[1]), seed=seed.reveal())
        assert answer == {}
        assert files[1].read_bytes() == plaintext
    other = Seed.generate().reveal()
    assert "error" in peer("open", **{"from": str(files[0])}, to=str(files[1]), seed=other)


def test_javascript_detects_a_corrupted_python_file(peer: Ask, files: tuple[Path, Path]) -> None:
    seed = Seed.generate()
    sealed = bytearray(age.seal(bytes(70_000), [seed.recipient()]))
    sealed[-1] ^= 1
    files[0].write_bytes(sealed)
    answer = peer("open", **{"from": str(files[0])}, to=str(files[1]), seed=seed.reveal())
    assert "error" in answer


@pytest.mark.parametrize("length", [0, 1, 65_536, 65_537])
def test_passphrase_files_open_in_both_implementations(
    peer: Ask, files: tuple[Path, Path], length: int
) -> None:
    plaintext = os.urandom(length)
    files[0].write_bytes(plaintext)
    there = {"from": str(files[0]), "to": str(files[1]), "passphrase": PASSPHRASE}
    assert peer("seal", **there, cost=10) == {}
    sealed = files[1].read_bytes()
    assert age.open_with_passphrase(sealed, PASSPHRASE) == plaintext
    with pytest.raises(WrongPassphrase):
        age.open_with_passphrase(sealed, PASSPHRASE.upper())

    files[0].write_bytes(age.seal_with_passphrase(plaintext, PASSPHRASE, 10))
    assert peer("open", **there) == {}
    assert files[1].read_bytes() == plaintext
    assert "error" in peer("open", **{**there, "passphrase": "x"})


def test_passphrase_file_with_default_cost_opens_in_javascript(
    peer: Ask, files: tuple[Path, Path]
) -> None:
    files[0].write_bytes(age.seal_with_passphrase(b"vault", PASSPHRASE))
    there = {"from": str(files[0]), "to": str(files[1]), "passphrase": PASSPHRASE}
    assert peer("open", **there) == {}
    assert files[1].read_bytes() == b"vault"
