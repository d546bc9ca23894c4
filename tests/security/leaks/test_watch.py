"""The watcher itself: it detects and names every way in which a server could leak."""

import base64
import html
import json
import shutil
import sys
import urllib.parse
from pathlib import Path

import pytest

from tests.security.leaks.conftest import site_of
from tests.support.chance import seed
from tests.support.drop_box import ROOT, DropBox
from tests.support.journey import ANSWERS, AddressedBrowser, Journey
from tests.support.programs import needs_strace
from tests.support.steps import tell
from tests.support.syscalls import Watch, forms, held_by, written_since

LEAKY = ROOT / "tests" / "support" / "leaky.py"


@needs_strace
def test_every_leak_of_a_leaking_server_is_detected(
    tmp_path: Path, mould: tuple[Path, int]
) -> None:
    """The server leaks through log, files, names and memory, in pieces, and to other clients."""
    out = tmp_path / "out"
    out.mkdir()
    shutil.copytree(mould[0] / "server", tmp_path / "server")
    box = DropBox(tmp_path / "server", port=mould[1])
    box.env = {"PYTHONDONTWRITEBYTECODE": "1"}
    watch = Watch(tmp_path / "strace")
    box.under = (
        *("env", f"PYTHONPATH={ROOT}", *watch.command),
        *(sys.executable, str(LEAKY), str(out)),
    )
    box.serve()
    try:
        way = Journey(box, None, watch, site_of(box), seed())  # type: ignore[arg-type]  # no desk
        ann = way.ann
        page = tell(ann.browser(), "nl", ann.text("report"), **ANSWERS)
        ann.learn(page.code, way.site)
        other = AddressedBrowser(box.url, way.bob.address, "else")
        for _ in range(40):  # until the worker that has it in memory has responded
            other.request("GET", "/nl", follow=0)
        held = {
            where
            for pid in box.processes()
            for where, data in held_by(pid, box.folder)
            if _sees(way, data)
        }
        assert any("held" in where and "(deleted)" in where for where in held), held
        mark = ann.mark("report", None).encode()
        lying = {
            p.name
            for p, data in written_since(way.began, out, besides=tmp_path / "x")
            if mark in data
        }
        assert "mapped" in lying
    finally:
        box.stop()
    watch.wait()
    seen = watch.leaks(way.secrets, box.folder)
    report, code = "report of reporter 1", "code of reporter 1"
    for target, what in (
        (str(box.log), report),
        (f"{out}/code", code),
        (f"{out}/held", f"root of {code}"),
        (f"{out}/parts", f"signing seed of {code}"),
        (f"{out}/parts", report),
        ("memory", code),
        ("TCP:", report),
    ):
        assert any(target in one and one.endswith(f": {what}") for one in seen), (target, seen)
    assert "openat: answers in a name" in seen
    assert f"mmap: {out}/mapped is written through memory" in seen
    assert "sendfile: goes unseen" in seen
    assert f"openat: {out}/mapped is opened for writing" in seen


def _sees(way: Journey, data: bytes) -> bool:
    return bool(way.secrets.seen_in(data))


@pytest.mark.parametrize("before", range(4))
def test_secret_is_detected_in_every_encoding(before: int) -> None:
    """At any offset in a longer text, each usual encoding contains one of the searched forms."""
    secret = "zeer herkenbaar"
    whole = "x" * before + secret + " y" * before
    raw = whole.encode()
    written = {
        "plain": raw,
        "percent": urllib.parse.quote(whole).encode(),
        "plus": urllib.parse.quote_plus(whole).encode(),
        "base64": base64.b64encode(raw),
        "urlsafe": base64.urlsafe_b64encode(raw),
        "hex": raw.hex().encode(),
        "HEX": raw.hex().upper().encode(),
        "utf-16-le": whole.encode("utf-16-le"),
        "utf-16-be": whole.encode("utf-16-be"),
        "json": json.dumps(whole).encode(),
        "html": html.escape(whole).encode(),
        "repr": repr(raw).encode(),
    }
    for name, data in written.items():
        assert any(form in data for form in forms(secret.encode())), name
