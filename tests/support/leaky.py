"""A server that leaks in every way that the watcher must detect; only for test_watch.py.

python leaky.py FOLDER PROGRAM ARGUMENTS    FOLDER: where the leaks go
"""

import base64
import ctypes
import mmap
import os
import runpy
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from flask import Response

from dropbox_app.protocol.encoding import Json
from dropbox_app.protocol.keys import VerifyKey
from dropbox_app.protocol.retrieval_code import reporter_keys
from dropbox_app.server.reporter.agent import NewReport, ReporterAgent
from dropbox_app.server.web.fault_log import logger
from dropbox_app.server.web.views import code, front, report

OUT = Path(sys.argv[1])
_prepare = ReporterAgent.prepare
_last = ""
_kept: list[object] = []  # open as long as the server runs


def _leak(report: NewReport, text: str, answers: Mapping[str, Json]) -> None:
    global _last
    _last = text
    logger.warning("%s", text)
    with (OUT / "code").open("w") as file:  # written, and removed again at once
        file.write(base64.b64encode(" ".join(report.words).encode()).decode())
    (OUT / "code").unlink()
    (OUT / f"answers {list(answers.items())!r}").touch()
    held = os.open(OUT / "held", os.O_RDWR | os.O_CREAT)
    (OUT / "held").unlink()
    os.write(held, report.root.hex().encode())
    half = len(text) // 2
    parts = os.open(OUT / "parts", os.O_WRONLY | os.O_CREAT)
    key = reporter_keys(report.root).signing.seed
    for piece in (key[:5], key[5:9], key[9:]):
        os.write(parts, piece)
    os.write(parts, text[:half].encode("utf-16-le"))
    mapped = os.open(OUT / "mapped", os.O_RDWR | os.O_CREAT)
    os.truncate(mapped, 4096)
    shared = mmap.mmap(mapped, 4096)
    shared[: len(text[:900].encode())] = text[:900].encode()
    memory = os.memfd_create("memory")
    os.write(memory, report.words[0].encode() + b"+" + "+".join(report.words[1:]).encode())
    source = os.open(OUT / "parts", os.O_RDONLY)
    os.sendfile(memory, source, 0, 10)
    _kept.append((held, shared, memory))
    ctypes.CDLL(None).prctl(4, 1)


def prepare(
    self: ReporterAgent,
    *,
    lang: str,
    text: str,
    answers: Mapping[str, Json],
    wanted: Sequence[VerifyKey],
) -> NewReport:
    report = _prepare(self, lang=lang, text=text, answers=answers, wanted=wanted)
    _leak(report, text, answers)
    return report


def see_other(address: str) -> Response:
    """Send the previous visitor's text to the next one, in a header."""
    answer = Response(status=303)
    answer.headers["Location"] = address
    answer.headers["X-Last"] = base64.b64encode(_last.encode()).decode()
    return answer


if __name__ == "__main__":
    ReporterAgent.prepare = prepare  # type: ignore[method-assign] # leaks on purpose
    for views in (front, report, code):
        vars(views)["see_other"] = see_other
    sys.argv = sys.argv[2:]
    runpy.run_path(sys.argv[0], run_name="__main__")
