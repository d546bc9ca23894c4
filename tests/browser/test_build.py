"""The files served to browsers can be built from the sources, and licences are included."""

import gzip
import json
import shutil
import subprocess
from importlib import resources
from pathlib import Path

import pytest

CLIENT = Path(str(resources.files("dropbox_app"))) / "browser"
STATIC = Path(str(resources.files("dropbox_app.server.web"))) / "static"
WORDS = Path(str(resources.files("dropbox_app.protocol"))) / "words"
MADE = ("client.js", "worker.js", "client-licences.txt")
NEVER = (
    *("eval(", "new Function", "WebAssembly", "importScripts", "innerHTML", "http://"),
    *("localStorage", "sessionStorage", "indexedDB", "document.cookie"),
)
MOST = 75_000  # bytes of both scripts, compressed


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a copy of the sources, with the packages of the lock file."""
    if not shutil.which("npm"):
        pytest.skip("npm is not installed")
    there = tmp_path_factory.mktemp("checkout") / "browser"
    shutil.copytree(CLIENT, there, ignore=shutil.ignore_patterns("node_modules"))
    install = ("npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts", "--loglevel=error")
    if subprocess.run(install, cwd=there, stdin=subprocess.DEVNULL, check=False).returncode:
        pytest.skip("npm could not install the packages of the lock")
    return there


def test_build_from_the_lock_file_reproduces_the_committed_files(checkout: Path) -> None:
    made = checkout.parent / "made"
    build = ("node", "build.mjs", "--into", str(made), "--words", str(WORDS))
    subprocess.run(build, cwd=checkout, check=True)
    assert sorted(path.name for path in made.iterdir()) == sorted(MADE)
    for name in MADE:
        assert (made / name).read_bytes() == (STATIC / name).read_bytes(), name


def test_type_checker_finds_no_errors(checkout: Path) -> None:
    checked = subprocess.run(
        ("node", "node_modules/typescript/bin/tsc", "--project", "."),
        cwd=checkout, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert checked.stdout == ""
    assert checked.returncode == 0


def test_lock_file_has_hashes_and_no_addresses() -> None:
    lock = json.loads((CLIENT / "package-lock.json").read_text("utf-8"))
    for name, package in lock["packages"].items():
        assert "resolved" not in package
        assert not name or package["integrity"].startswith("sha512-")


def test_licences_of_bundled_packages_are_included() -> None:
    told = (STATIC / "client-licences.txt").read_text("utf-8")
    lock = json.loads((CLIENT / "package-lock.json").read_text("utf-8"))
    for name, package in lock["packages"].items():
        if name and not package.get("dev"):
            assert f"{name.removeprefix('node_modules/')}\n\n" in told
    assert told.count("Permission") + told.count("Redistribution and use in source") >= 6


def test_scripts_are_small_and_contain_no_eval_wasm_or_foreign_address() -> None:
    """The scripts contain no eval, wasm or address of another site, and set no HTML."""
    scripts = [(STATIC / name).read_text("ascii") for name in MADE[:2]]
    assert sum(len(gzip.compress(script.encode(), 9)) for script in scripts) <= MOST
    for script in scripts:
        assert [word for word in NEVER if word in script] == []
