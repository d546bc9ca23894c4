"""One node process for all interop tests; without node they are skipped with a reason."""

import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent

Ask = Callable[..., dict[str, Any]]


def _missing() -> str | None:
    """Return what is missing to run the tests of this folder, if anything."""
    if shutil.which("node") is None:
        return "node is not installed"
    if not (HERE / "node_modules" / "age-encryption").is_dir():
        return "there is no node_modules here: run `npm ci` in tests/protocol/interop"
    return None


@pytest.fixture(scope="session")
def peer() -> Iterator[Ask]:
    """``peer("open", …)`` asks peer.mjs and returns its answer; ``error`` in it is a refusal."""
    if reason := _missing():
        pytest.skip(reason)
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

        def ask(request: str, **fields: object) -> dict[str, Any]:
            stdin.write(json.dumps({"do": request, **fields}) + "\n")
            stdin.flush()
            line = stdout.readline()
            assert line, "node ended"
            answer: dict[str, Any] = json.loads(line)
            return answer

        yield ask
        stdin.close()
        process.wait(timeout=60)
