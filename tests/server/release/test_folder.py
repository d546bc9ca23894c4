"""A release folder: complete and signed, or refused with a reason and without effect."""

import os
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from dropbox_app.protocol.release_signature import BadRelease
from dropbox_app.server.release import folder
from tests.support.drop_box import ROOT
from tests.support.releases import Signer

pytestmark = pytest.mark.skipif(not shutil.which("minisign"), reason="needs Debian's minisign")

FILES = {"klankbord-1.2.0.tar.gz": b"the source", "requirements-server.txt": b"pins"}


@pytest.fixture
def signer(tmp_path: Path) -> Signer:
    return Signer(tmp_path / "key")


@pytest.fixture
def target(tmp_path: Path) -> Path:
    made = tmp_path / "target"
    made.mkdir()
    return made


def test_signed_files_are_copied(signer: Signer, tmp_path: Path, target: Path) -> None:
    given = signer.release(tmp_path / "release", FILES)
    taken = folder.take(given, folder.read_key(signer.public), target)
    assert (taken.version, taken.source.read_bytes()) == ("1.2.0", b"the source")
    assert {path.name: path.read_bytes() for path in target.iterdir()} == FILES


def _flip(release: Path) -> None:
    path = release / "klankbord-1.2.0.tar.gz"
    path.write_bytes(b"The source")


def _lengthen(release: Path) -> None:
    with (release / "requirements-server.txt").open("ab") as file:
        file.write(b"\n")


def _lose(name: str) -> Callable[[Path], None]:
    return lambda release: (release / name).unlink()


def _alter_list(release: Path) -> None:
    path = release / "SHA256SUMS"
    path.write_text(path.read_text().replace("0", "1"))


def _device(release: Path) -> None:
    path = release / "requirements-server.txt"
    path.unlink()
    os.mkfifo(path)


WRONG = {
    "a flipped byte": (_flip, "not what was signed"),
    "a byte more": (_lengthen, "not what was signed"),
    "a missing file": (_lose("requirements-server.txt"), "requirements-server.txt is missing"),
    "no list": (_lose("SHA256SUMS"), "SHA256SUMS is missing"),
    "no signature": (_lose("SHA256SUMS.minisig"), "minisig is missing"),
    "an altered list": (_alter_list, "altered"),
    "a pipe for a file": (_device, "not a file"),
}


@pytest.mark.parametrize("case", WRONG)
def test_files_differing_from_the_signed_list_are_refused(
    signer: Signer, tmp_path: Path, target: Path, case: str
) -> None:
    spoil, said = WRONG[case]
    given = signer.release(tmp_path / "release", FILES)
    spoil(given)
    with pytest.raises((BadRelease, OSError), match=said):
        folder.take(given, folder.read_key(signer.public), target)


def test_nothing_is_written_before_the_signature_is_verified(
    signer: Signer, tmp_path: Path, target: Path
) -> None:
    given = Signer(tmp_path / "other").release(tmp_path / "release", FILES)
    with pytest.raises(BadRelease, match="another key"):
        folder.take(given, folder.read_key(signer.public), target)
    assert list(target.iterdir()) == []


def _by_hand(release: Path, key: Path) -> int:
    """Run the guide's command in a release's folder with this key; return the exit code."""
    guide = (ROOT / "deploy" / "guide" / "routine.md").read_text("utf-8")
    (command,) = re.findall(r"^minisign -Vm SHA256SUMS .*$", guide, re.MULTILINE)
    shutil.copy(key, release / "release.pub")
    return subprocess.run(["sh", "-c", command], cwd=release, capture_output=True).returncode


def test_command_in_the_guide_accepts_signed_files(signer: Signer, tmp_path: Path) -> None:
    assert _by_hand(signer.release(tmp_path / "release", FILES), signer.public) == 0


@pytest.mark.parametrize("case", [case for case in WRONG if "pipe" not in case])
def test_command_in_the_guide_refuses_altered_files(
    signer: Signer, tmp_path: Path, case: str
) -> None:
    given = signer.release(tmp_path / "release", FILES)
    WRONG[case][0](given)
    assert _by_hand(given, signer.public) != 0


def test_command_in_the_guide_refuses_a_different_key(signer: Signer, tmp_path: Path) -> None:
    given = Signer(tmp_path / "other").release(tmp_path / "release", FILES)
    assert _by_hand(given, signer.public) != 0


@pytest.mark.parametrize("name", ["../x", "/etc/x", ".hidden", "a/b", "SHA256SUMS"])
def test_signed_list_may_name_only_files_in_its_folder(
    signer: Signer, tmp_path: Path, target: Path, name: str
) -> None:
    given = signer.release(tmp_path / "release", FILES)
    sums = (given / "SHA256SUMS").read_text() + f"{'0' * 64}  {name}\n"
    (given / "SHA256SUMS").write_text(sums)
    (given / "SHA256SUMS.minisig").write_text(signer.sign(sums.encode(), ""))
    with pytest.raises(BadRelease, match="newer program"):
        folder.take(given, folder.read_key(signer.public), target)


@pytest.mark.parametrize("names", [(), ("klankbord-1.0.tar.gz", "klankbord-1.1.tar.gz")])
def test_release_must_have_one_source_archive(
    signer: Signer, tmp_path: Path, target: Path, names: tuple[str, ...]
) -> None:
    given = signer.release(tmp_path / "release", dict.fromkeys(names, b"x") | {"other": b"y"})
    with pytest.raises(BadRelease, match="a release has one"):
        folder.take(given, folder.read_key(signer.public), target)


def test_without_a_trusted_key_the_error_says_where_to_get_one(tmp_path: Path) -> None:
    with pytest.raises(BadRelease, match="trusts no release key yet"):
        folder.read_key(tmp_path / "release.pub")


@pytest.mark.parametrize(
    ("offered", "installed", "is_newer"),
    [
        ("0.2.0", "0.1.0", True),
        ("0.10.0", "0.9.0", True),
        ("1.0", "0.9.9", True),
        ("0.1.0", "0.1.0", False),
        ("1.0", "1.0.0", False),
        ("1.0.0", "1.0", False),
        ("0.1.0", "0.2.0", False),
    ],
)
def test_versions_are_compared_as_numbers(offered: str, installed: str, is_newer: bool) -> None:
    assert folder.newer(offered, installed) is is_newer
