"""The server works with the oldest gunicorn and werkzeug that pyproject.toml allows.

The other tests use the newest versions. These run the serving tests again in processes that import
the oldest versions: with --long, and in a separate step of .ci/run.
"""

import os
import re
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
PINS = ROOT / "requirements" / "oldest.txt"
TESTS = (
    "tests/server/web/test_serving.py",
    "tests/server/web/test_reverse_proxy.py",
    "tests/load/test_front_desks.py",
)


def versions() -> dict[str, str]:
    return dict(re.findall(r"^([a-z]+)==(\S+) ", PINS.read_text("utf-8"), re.MULTILINE))


def test_oldest_pinned_versions_are_the_lowest_that_the_project_allows() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    allowed = dict(
        wanted.split(">=")
        for wanted in project["optional-dependencies"]["server"]
        if wanted.split(">=")[0] in versions()
    )
    assert {name: version.removesuffix(".0") for name, version in versions().items()} == allowed


@pytest.mark.long
@pytest.mark.timeout(600)
def test_serving_tests_pass_with_the_oldest_versions(tmp_path: Path) -> None:
    oldest = tmp_path / "oldest"
    pip = (sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--require-hashes")
    subprocess.run([*pip, "--target", str(oldest), "-r", str(PINS)], check=True, timeout=120)
    for name, version in versions().items():
        assert (oldest / f"{name}-{version}.dist-info").is_dir()
    # The same examples as by default, also with --long.
    environment = {name: value for name, value in os.environ.items() if name != "KLANKBORD_LONG"}
    with tempfile.TemporaryDirectory(prefix="old-") as short:  # a socket's path may not be long
        done = subprocess.run(
            [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist",
             "-o", "addopts=", f"--basetemp={short}/t", *TESTS],
            cwd=ROOT, env={**environment, "PYTHONPATH": str(oldest)}, capture_output=True,
            text=True, check=False,
        )  # fmt: skip
    assert done.returncode == 0, done.stdout[-5000:]
