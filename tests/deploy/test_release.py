"""``scripts/release``: a commit always gives the same release, with a list of its contents."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.drop_box import ROOT

BUILD = (
    "import sys; from pathlib import Path; sys.path.insert(0, sys.argv[1] + '/scripts'); "
    "from release_files import build; print(build(Path(sys.argv[1]), Path(sys.argv[2])))"
)
pytestmark = pytest.mark.skipif(not (ROOT / ".git").exists(), reason="needs a git checkout")


def clone(path: Path) -> Path:
    """Return a checkout of the last commit, without uncommitted files."""
    quiet = ("git", "clone", "--quiet", "--shared", str(ROOT), str(path))
    subprocess.run(quiet, capture_output=True, check=True)
    return path


def build(checkout: Path, target: Path, *before: str) -> Path:
    target.mkdir()
    subprocess.run(
        [*before, sys.executable, "-c", BUILD, str(checkout), str(target)],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    return target


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.slow
def test_release_is_complete_and_sbom_names_every_package(tmp_path: Path) -> None:
    made = contents(build(clone(tmp_path / "checkout"), tmp_path / "made"))
    (version,) = {match[1] for name in made if (match := re.match(r"klankbord-(.+)\.tar", name))}
    assert set(made) == {
        f"klankbord-{version}.tar.gz",
        f"klankbord-{version}-py3-none-any.whl",
        f"klankbord-{version}.cdx.json",
        "requirements-server.txt",
        "requirements-desk.txt",
        "release-manifest.json",
        "SHA256SUMS",
    }
    bom = json.loads(made[f"klankbord-{version}.cdx.json"])
    listed = {f"{one['name']}=={one['version']}" for one in bom["components"]}
    pinned = set()
    for name in ("server", "desk"):
        source = made[f"requirements-{name}.txt"].decode()
        pinned |= set(re.findall(r"^([a-z0-9-]+==\S+) \\$", source, re.MULTILINE))
    assert listed == pinned
    assert len(listed) > 20


@pytest.mark.long
def test_builds_in_different_folders_and_on_different_dates_are_identical(tmp_path: Path) -> None:
    if not shutil.which("faketime"):
        pytest.skip("needs Debian's faketime")
    first = build(clone(tmp_path / "one"), tmp_path / "first")
    mask = os.umask(0o077)
    try:
        other = clone(tmp_path / "another" / "place")
        second = build(other, tmp_path / "second", "faketime", "2031-05-06 07:08:09")
    finally:
        os.umask(mask)
    assert contents(first) == contents(second)


def test_no_release_is_made_without_a_key(tmp_path: Path) -> None:
    for words in ([], ["--key", "x", "--compare"]):
        done = subprocess.run(
            [ROOT / "scripts" / "release", tmp_path / "made", *words],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 2
        assert "--key" in done.stderr
    assert not (tmp_path / "made").exists()


def test_release_with_uncommitted_files_is_refused(tmp_path: Path) -> None:
    checkout = clone(tmp_path / "checkout")
    (checkout / "new").write_text("x")
    done = subprocess.run(
        [checkout / "scripts" / "release", tmp_path / "made", "--key", tmp_path / "none"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert "not committed" in done.stderr
