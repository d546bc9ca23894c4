"""tests/vectors/age equals the published vectors, and the lock file names no host."""

import json
from pathlib import Path

from tests.protocol.interop.conftest import Ask

HERE = Path(__file__).parent
TESTDATA = HERE.parents[1] / "vectors" / "age" / "testdata"


def test_vectors_match_those_of_the_package(peer: Ask, tmp_path: Path) -> None:
    names = peer("vectors", to=str(tmp_path))["names"]
    ours = {path.name: path for path in TESTDATA.iterdir() if not path.name.startswith(".")}
    assert set(names) == set(ours)
    for name, path in ours.items():
        assert path.read_bytes() == (tmp_path / name).read_bytes()


def test_every_locked_package_has_a_hash_and_no_url() -> None:
    lock = json.loads((HERE / "package-lock.json").read_text("utf-8"))
    for name, package in lock["packages"].items():
        if name:
            assert package["integrity"].startswith("sha512-")
        assert "resolved" not in package
