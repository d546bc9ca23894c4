"""Release signatures: those of the real minisign are accepted, and nothing else."""

import shutil
import subprocess
from pathlib import Path

import pytest

from dropbox_app.protocol.release_signature import BadRelease, ReleaseKey
from tests.support.releases import Signer

pytestmark = pytest.mark.skipif(not shutil.which("minisign"), reason="needs Debian's minisign")


@pytest.fixture
def signer(tmp_path: Path) -> Signer:
    return Signer(tmp_path / "key")


@pytest.mark.parametrize("signed", [b"", b"a  b\n", bytes(range(256)) * 300])
def test_minisign_signature_is_accepted_with_its_comment(signer: Signer, signed: bytes) -> None:
    key = ReleaseKey.read(signer.public.read_text())
    assert key.check(signed, signer.sign(signed, "klankbord 1.2.3")) == "klankbord 1.2.3"


def test_any_changed_byte_is_detected(signer: Signer) -> None:
    """This covers the file and the significant parts of the signature, not the first comment."""
    key, signed = ReleaseKey.read(signer.public.read_text()), b"0123  klankbord.tar.gz\n"
    signature = signer.sign(signed, "klankbord 1.2.3")
    for place in range(len(signed)):
        flipped = bytearray(signed)
        flipped[place] ^= 1
        with pytest.raises(BadRelease):
            key.check(bytes(flipped), signature)
    start = signature.index("\n") + 1
    for place in range(start, len(signature)):
        if signature[place] == "\n" or signature[place] == "=":
            continue
        other = "A" if signature[place] != "A" else "B"
        with pytest.raises(BadRelease):
            key.check(signed, signature[:place] + other + signature[place + 1 :])


def test_signature_by_another_key_is_reported_as_such(signer: Signer, tmp_path: Path) -> None:
    other = ReleaseKey.read(Signer(tmp_path / "other").public.read_text())
    with pytest.raises(BadRelease, match="another key"):
        other.check(b"x", signer.sign(b"x", ""))


def test_legacy_signature_format_is_refused(signer: Signer) -> None:
    signature = signer.sign(b"x", "", "-l")
    with pytest.raises(BadRelease, match="older form"):
        ReleaseKey.read(signer.public.read_text()).check(b"x", signature)


@pytest.mark.parametrize(
    "text", ["", "x", "untrusted comment: a\n", "untrusted comment: a\nRWQ=\n"]
)
def test_invalid_key_is_refused_with_an_explanation(text: str) -> None:
    with pytest.raises(BadRelease, match="public key"):
        ReleaseKey.read(text)


def test_minisign_agrees_on_which_signatures_are_valid(signer: Signer, tmp_path: Path) -> None:
    """The guide's command is run on the same file."""
    file = tmp_path / "SHA256SUMS"
    file.write_bytes(b"x")
    file.with_name("SHA256SUMS.minisig").write_text(signer.sign(b"x", "a"))
    look = ["minisign", "-Vm", str(file), "-p", str(signer.public)]
    assert subprocess.run(look, capture_output=True, check=False).returncode == 0
    file.write_bytes(b"y")
    assert subprocess.run(look, capture_output=True, check=False).returncode
