"""Build the files of a release from one commit, with the same bytes on every machine."""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import re
import subprocess
import sys
import tarfile
import tempfile
import tomllib
import uuid
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

from cyclonedx.model import HashAlgorithm, HashType
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.output.json import JsonV1Dot6
from packageurl import PackageURL

SUMS = "SHA256SUMS"
MANIFEST = "release-manifest.json"
LISTS = ("server", "desk")  # files in requirements/ with the packages of an installation
_PIN = re.compile(r"^([a-z0-9-]+)==(\S+) \\\n((?: +--hash=sha256:[0-9a-f]{64}.*\n)+)", re.MULTILINE)


def build(root: Path, target: Path) -> str:
    """Build all files of a release of the checked-out commit except the signature.

    Args:
        root: the checkout. Uncommitted changes are not in the release.
        target: an empty folder.

    Returns the version. Raises subprocess.CalledProcessError if git or pip fails.
    """
    made = int(_git(root, "log", "-1", "--format=%ct"))
    project = tomllib.loads(_git(root, "show", "HEAD:pyproject.toml").decode())["project"]
    version = str(project["version"])
    name = f"klankbord-{version}"
    tar = _git(
        *(root, "-c", "tar.umask=0022", "-c", "core.autocrlf=false", "archive"),
        *("--format=tar", f"--prefix={name}/", "HEAD"),
    )
    # The archive contains neither a file name nor a time.
    (target / f"{name}.tar.gz").write_bytes(gzip.compress(tar, 9, mtime=0))
    with tempfile.TemporaryDirectory() as folder:
        with tarfile.open(fileobj=io.BytesIO(tar)) as archive:
            archive.extractall(folder, filter="tar")
        tree = Path(folder) / name
        _wheel(tree, target, made)
        (target / MANIFEST).write_bytes((tree / "dropbox_app" / MANIFEST).read_bytes())
        lists = {one: (tree / "requirements" / f"{one}.txt").read_text("utf-8") for one in LISTS}
    for one, pins in lists.items():
        (target / f"requirements-{one}.txt").write_text(pins, "utf-8")
    (target / f"{name}.cdx.json").write_text(_materials(version, lists.values(), made), "utf-8")
    lines = [
        f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n"
        for path in sorted(target.iterdir())
    ]
    (target / SUMS).write_text("".join(lines), "ascii")
    return version


def _git(root: Path, *words: str) -> bytes:
    return subprocess.run(["git", "-C", str(root), *words], capture_output=True, check=True).stdout


def _wheel(tree: Path, target: Path, made: int) -> None:
    for path in (tree, *tree.rglob("*")):  # the machine's umask must not affect the result
        path.chmod(0o755 if path.is_dir() or path.stat().st_mode & 0o100 else 0o644)
    before = os.umask(0o022)
    try:
        subprocess.run(
            [
                *(sys.executable, "-m", "pip", "--disable-pip-version-check", "wheel", "--quiet"),
                *("--no-deps", "--no-index", "--no-build-isolation", "--wheel-dir", str(target)),
                str(tree),
            ],
            env={**os.environ, "SOURCE_DATE_EPOCH": str(made), "LC_ALL": "C.UTF-8"},
            capture_output=True,
            check=True,
        )
    finally:
        os.umask(before)


def _materials(version: str, lists: Iterable[str], made: int) -> str:
    """Return a CycloneDX list of all Python packages of an installation, with their hashes."""
    bom = Bom(serial_number=uuid.uuid5(uuid.NAMESPACE_URL, f"klankbord {version} {made}"))
    bom.metadata.timestamp = datetime.fromtimestamp(made, UTC)
    bom.metadata.component = Component(
        name="klankbord", version=version, type=ComponentType.APPLICATION, bom_ref="klankbord"
    )
    packages: dict[str, Component] = {}
    for name, number, hashes in (pin for text in lists for pin in _PIN.findall(text)):
        packages[name] = Component(
            name=name,
            version=number,
            type=ComponentType.LIBRARY,
            bom_ref=f"{name}=={number}",
            purl=PackageURL("pypi", None, name, number),
            hashes=[
                HashType(alg=HashAlgorithm.SHA_256, content=digest)
                for digest in re.findall(r"sha256:([0-9a-f]{64})", hashes)
            ],
        )
    bom.components.update(packages.values())
    bom.register_dependency(bom.metadata.component, packages.values())
    return JsonV1Dot6(bom).output_as_string(indent=1) + "\n"
