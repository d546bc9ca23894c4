"""The browser's client in Node and Chromium, and with --long, as mostly in CI, in Firefox.

Tests of a missing program are skipped.
"""

import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeAlias

import pytest
from playwright.sync_api import Page

from tests.support.browsers import BOTH, Start, browsers
from tests.support.net import Net

HERE = Path(__file__).parent
CLIENT = HERE.parents[1] / "dropbox_app" / "browser"
PLACES = ["node", *BOTH]

Answer: TypeAlias = Any  # any JSON value
Ask = Callable[..., Answer]


def missing() -> str | None:
    """Return why the tests of this folder cannot run, or None."""
    if shutil.which("node") is None:
        return "node is not installed"
    if not (CLIENT / "node_modules" / "esbuild").is_dir():
        return "there is no node_modules: run `npm ci --ignore-scripts` in dropbox_app/browser"
    return None


@pytest.fixture(scope="session")
def npm() -> Path:
    """Return the folder of the client, with its packages installed."""
    if reason := missing():
        pytest.skip(reason)
    return CLIENT


@pytest.fixture(scope="session")
def peer(npm: Path) -> Iterator[Ask]:
    """Yield a function that calls requests.mjs in Node: ``peer("read", …)`` returns its answer."""
    environment = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    with subprocess.Popen(
        ["node", "peer.mjs"],
        cwd=HERE,
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        stdin, stdout = process.stdin, process.stdout
        assert stdin is not None
        assert stdout is not None

        def ask(asked: str, /, **fields: object) -> Answer:
            stdin.write(json.dumps({"do": asked, **fields}) + "\n")
            stdin.flush()
            line = stdout.readline()
            assert line, "node ended"
            answer = json.loads(line)
            assert "error" not in answer, answer["error"]
            return answer["answer"]

        yield ask
        stdin.close()
        process.wait(timeout=60)


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Start]:
    with Net(tmp_path_factory.mktemp("net"), {}).running() as net, browsers(net) as starting:
        yield starting


@pytest.fixture(scope="session")
def bundle(npm: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return requests.mjs with its imports as one script that any page can load."""
    made = tmp_path_factory.mktemp("bundle") / "requests.js"
    command = ["node", str(npm / "node_modules" / "esbuild" / "bin" / "esbuild")]
    options = ["--bundle", "--format=iife", "--global-name=client", f"--outfile={made}"]
    done = subprocess.run(
        [*command, str(HERE / "requests.mjs"), *options, "--log-level=error"], check=False
    )
    assert done.returncode == 0
    return made


@pytest.fixture(scope="module", params=PLACES)
def client(request: pytest.FixtureRequest) -> Iterator[Ask]:
    """Yield a function that calls the library, in Node, in Chromium and in Firefox."""
    if request.param == "node":
        yield request.getfixturevalue("peer")
        return
    script: Path = request.getfixturevalue("bundle")
    starting: Start = request.getfixturevalue("start")
    context = starting(str(request.param), True).new_context()
    page: Page = context.new_page()
    page.set_default_timeout(120_000)
    page.goto("about:blank")
    page.add_script_tag(path=script)

    def ask(asked: str, /, **fields: object) -> Answer:
        return page.evaluate("([name, fields]) => client.requests[name](fields)", [asked, fields])

    yield ask
    context.close()
