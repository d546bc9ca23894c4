"""The committed viewer matches its sources."""

import base64
import hashlib
import shutil
import subprocess
from importlib import resources
from pathlib import Path

import pytest

from dropbox_app.desk.web import frame_page

VIEWER = Path(str(resources.files("dropbox_app.desk.web") / "viewer"))
SOURCES = ("build.mjs", "frame.mjs", "package-lock.json", "package.json", "picture_size.mjs",
           "worker.mjs")  # fmt: skip


def files_of(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes()
            for path in folder.rglob("*") if path.is_file()}  # fmt: skip


@pytest.mark.skipif(not shutil.which("npm"), reason="npm is not installed")
def test_build_from_the_lock_file_reproduces_the_committed_bytes(tmp_path: Path) -> None:
    for name in SOURCES:
        shutil.copy(VIEWER / name, tmp_path)
    install = ("npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts", "--loglevel=error")
    done = subprocess.run(install, cwd=tmp_path, stdin=subprocess.DEVNULL, check=False)
    if done.returncode:
        pytest.skip("npm could not install the packages of the lock")
    subprocess.run(("node", "build.mjs"), cwd=tmp_path, check=True)
    made, committed = files_of(tmp_path / "built"), files_of(VIEWER / "built")
    assert {*made} == {*committed}
    assert [name for name in made if made[name] != committed[name]] == []


def test_lock_file_has_a_hash_for_every_package_and_no_url() -> None:
    lock = (VIEWER / "package-lock.json").read_text()
    assert '"resolved"' not in lock
    assert lock.count('"node_modules/') == lock.count('"integrity": "sha512-')


def test_embedded_script_matches_the_policy_hash() -> None:
    script = (VIEWER / "built" / "frame.js").read_text("ascii")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    made = frame_page.built()
    assert f"script-src 'sha256-{digest}' 'wasm-unsafe-eval';" in made.policy
    assert "<" not in script
    assert made.html.count(b"<script>") == made.html.count(b"</script>") == 1


def test_licences_of_all_bundled_components_are_included() -> None:
    told = {path.name for path in (VIEWER / "built" / "licences").iterdir()}
    bundled = {"pdf.js", "Foxit-fonts", "Liberation-fonts", "jbig2", "openjpeg", "qcms"}
    assert {f"LICENSE-{name}" for name in bundled} <= told
