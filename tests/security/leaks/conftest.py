"""One journey under strace for all tests that examine it."""

import datetime
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.chance import seed
from tests.support.drop_box import Counsellor, DropBox
from tests.support.hostile_pages import Hostile, call
from tests.support.journey import Journey
from tests.support.programs import FAKETIME
from tests.support.syscalls import Watch


def site_of(box: DropBox) -> str:
    site: str = json.loads(call(box, "GET", "/api/site")[1])["site"]
    return site


def purge(box: DropBox, *under: str, days: int = 400) -> str:
    """Run ``klankbord-server purge`` with a clock that is some days ahead; return its output."""
    program = str(Path(sys.executable).parent / "klankbord-server")
    clock = {"LD_PRELOAD": str(FAKETIME), "FAKETIME": f"+{days}d"}
    environment = {**os.environ, **box.env}
    today = datetime.datetime.now(datetime.UTC).date() + datetime.timedelta(days)
    done = subprocess.run(
        [
            *(*under, "env", *(f"{name}={value}" for name, value in clock.items())),
            *(program, "--dir", str(box.folder), "purge", "--day", str(today), "--yes"),
        ],
        capture_output=True,
        text=True,
        timeout=60,
        env=environment,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    with box.log.open("a") as log:
        log.write(done.stdout + done.stderr)
    return done.stdout


@pytest.fixture(scope="module")
def journey(tmp_path_factory: pytest.TempPathFactory, mould: tuple[Path, int]) -> Iterator[Journey]:
    """Run the whole journey of a report until its server stops, and record strace's output."""
    folder = tmp_path_factory.mktemp("journey")
    shutil.copytree(mould[0] / "server", folder / "server")
    shutil.copytree(mould[0] / "els", folder / "els")
    (folder / "home").mkdir()
    watch = Watch(folder / "strace")
    home = str(folder / "home")
    made = DropBox(folder / "server", port=mould[1])
    # Otherwise the first import would write .pyc files, which do not matter here.
    made.env = {"HOME": home, "PYTHONDONTWRITEBYTECODE": "1"}
    made.under = ("env", "-C", home, *watch.command)
    made.serve()
    try:
        way = Journey(made, Counsellor(folder / "els"), watch, site_of(made), seed())
        way.report()
        way.answer()
        way.return_and_write()
        Hostile(made, way.site, folder)  # a second counsellor
        way.turn()
        way.expired(made.stop)

        def kill_9() -> None:
            made.kill()

        way.expired(kill_9)
        way.killed_within(kill_9)
        made.serve()
        way.withdraw()
        assert "removed: 2 mailboxes" in purge(made, *way.purging.command)
        way.look()
        made.stop()
        watch.wait()
        yield way
    finally:
        made.stop()
