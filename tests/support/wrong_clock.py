"""A real server whose wall clock is some days off."""

import os

from tests.support.drop_box import DropBox
from tests.support.programs import FAKETIME

# libfaketime also moves the deadline of Python's sleep, which the system then rejects.
SLEEP = "import select, time\ntime.sleep = lambda seconds: select.select([], [], [], seconds)\n"


class Off:
    """A drop box whose wall clock is this many days off, while its monotonic clock is right."""

    def __init__(self, box: DropBox) -> None:
        self.box = box
        self.shim = box.folder.parent / "shim"
        self.shim.mkdir()
        (self.shim / "sitecustomize.py").write_text(SLEEP)

    def by(self, days: int) -> None:
        self.box.stop()
        rest = filter(None, [os.environ.get("PYTHONPATH")])
        wrong = {
            "LD_PRELOAD": str(FAKETIME),
            "FAKETIME": f"{days:+d}d",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "NO_FAKE_STAT": "1",  # a worker's heartbeat is the time of a file
            # The rest is needed where the package under test is not the installed one.
            "PYTHONPATH": os.pathsep.join([str(self.shim), *rest]),
        }
        self.box.env = wrong if days else {}
        self.box.serve()
