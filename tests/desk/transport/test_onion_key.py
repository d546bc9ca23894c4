"""A Tor key for an address that only desks can reach."""

import base64
import re
from pathlib import Path

import pytest
from click.testing import CliRunner
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from dropbox_app.desk.cli.main import main
from dropbox_app.desk.errors import Unfit
from dropbox_app.desk.transport import onion_key

ADDRESS = "a2" * 28


def _bytes(text: str) -> bytes:
    return base64.b32decode(text + "====")


@pytest.mark.parametrize("said", [ADDRESS, f"{ADDRESS}.onion", f"http://{ADDRESS}.onion/"])
def test_public_and_secret_halves_belong_to_one_key_in_the_format_that_tor_expects(
    said: str,
) -> None:
    made = onion_key.make(said)
    public = re.fullmatch(r"descriptor:x25519:([A-Z2-7]{52})", made.public)
    secret = re.fullmatch(rf"{ADDRESS}:descriptor:x25519:([A-Z2-7]{{52}})\n", made.secret)
    assert public
    assert secret
    key = X25519PrivateKey.from_private_bytes(_bytes(secret[1]))
    assert key.public_key().public_bytes_raw() == _bytes(public[1])
    assert onion_key.make(said) != made


@pytest.mark.parametrize("said", ["", "x", "https://box.example", f"https://{ADDRESS}.onion", "a1"])
def test_key_is_made_only_for_an_onion_address(said: str) -> None:
    with pytest.raises(Unfit):
        onion_key.make(said)


def test_secret_is_written_only_to_its_own_new_file(tmp_path: Path) -> None:
    file = tmp_path / "klankbord.auth_private"
    words = ["onion-key", f"{ADDRESS}.onion", "--out", str(file)]
    done = CliRunner().invoke(main, words)
    assert done.exit_code == 0
    assert onion_key.make(ADDRESS).public[:18] == done.stdout[:18]
    assert done.stdout.count("\n") == 1
    assert file.stat().st_mode & 0o777 == 0o600
    secret = file.read_text().strip().rpartition(":")[2]
    assert secret not in done.output
    before = file.read_text()
    assert CliRunner().invoke(main, words).exit_code == 1
    assert file.read_text() == before
    wrong = CliRunner().invoke(main, [*words[:-1], str(tmp_path / "key")])
    assert wrong.exit_code == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == [file.name]
