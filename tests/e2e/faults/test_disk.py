"""Disks without space or inodes, and read-only disks: texts are kept and nothing is lost."""

import os
import re
import subprocess
from pathlib import Path

from tests.e2e.faults.conftest import SmallDisk, faults_of, moved, watched
from tests.e2e.faults.stories import (
    Story,
    code_on,
    report_form,
    told,
    withdraw_form,
    write_form,
)
from tests.support.drop_box import DropBox
from tests.support.plain_browser import Page
from tests.support.processes import until
from tests.support.programs import needs_root, needs_strace

WRITES = "pwrite64,fdatasync,fsync,ftruncate,rename,unlink,fallocate"
TEXT = "Ik wil dit kwijt: " + "het is niet goed. " * 50 + "einde"


def keeps(page: Page, text: str) -> None:
    """Check that the page shows no code and keeps the text in a form to send again."""
    assert page.status in (500, 503), page.text[:200]
    assert len((page.element("code") or "").split()) != 7
    kept = dict(page.form_with("text").fields)
    assert kept["text"].strip() == text.strip()
    assert "niet verstuurd" in page.text or "weten niet zeker" in page.text


def fill(place: Path) -> Path:
    """Fill the disk to the last byte."""
    junk = place / "junk"
    free = os.statvfs(place)
    with junk.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, free.f_bavail * free.f_frsize)
    assert os.statvfs(place).f_bavail == 0
    return junk


def to_the_last_byte(box: DropBox, place: Path) -> DropBox:
    """Return the drop box on this disk, without the settings that keep it from filling up."""
    made = moved(box, place)
    settings = made.folder / "site.toml"
    text = settings.read_text()
    settings.write_text(re.sub("(?m)^free_bytes = .*", "free_bytes = 1", text))
    made.log = box.log  # not on the full disk
    return made


@needs_root
def test_on_a_full_disk_the_text_is_kept_and_withdrawals_are_possible(
    box: DropBox, disk: SmallDisk
) -> None:
    """Only stored data is confirmed; a withdrawal, a purge and a start still work."""
    place = disk("size=96m")
    box = to_the_last_byte(box, place)
    box.serve()
    try:
        stays, goes = told(box, TEXT), told(box, "Weg ermee. " + TEXT)
        report, more = report_form(box.browser()), write_form(box, stays.code)
        withdraw = withdraw_form(box, goes.code)
        junk = fill(place)
        keeps(report(TEXT), TEXT)
        keeps(more(TEXT), TEXT)
        for story in (stays, goes):
            story.holds(box)
        assert withdraw().path == "/nl/withdrawn"
        goes.withdrawn = True
        assert box.server("purge").returncode == 0
        for pid in box.workers():
            os.kill(pid, 9)
        until(lambda: len(box.workers()) == 2, "the workers were not replaced")
        stays.holds(box)
        goes.holds(box)
        junk.unlink()
        sent = report(TEXT)
        Story(code_on(sent), [TEXT]).holds(box)
        assert faults_of(box.folder) == []
        assert "Traceback" not in box.log.read_text()
    finally:
        box.stop()


@needs_root
def test_server_starts_on_a_full_disk(box: DropBox, disk: SmallDisk) -> None:
    """The server uses the reserved space to serve existing data."""
    place = disk("size=96m")
    box = to_the_last_byte(box, place)
    box.serve()
    try:
        story = told(box, TEXT)
        box.stop()
        fill(place)
        box.serve()
        story.holds(box)
    finally:
        box.stop()


@needs_root
def test_without_free_inodes_each_report_is_either_stored_or_refused(
    box: DropBox, disk: SmallDisk
) -> None:
    """A report is stored or refused, a withdrawal works, and nothing is lost."""
    place = disk("size=96m,nr_inodes=64")
    box = to_the_last_byte(box, place)
    box.serve()
    try:
        stays, goes = told(box, TEXT), told(box, TEXT)
        report, withdraw = report_form(box.browser()), withdraw_form(box, goes.code)
        (place / "junk").mkdir()
        while os.statvfs(place).f_favail:
            (place / "junk" / str(os.statvfs(place).f_favail)).touch()
        page = report(TEXT)
        if page.status == 200:
            Story(code_on(page), [TEXT]).holds(box)
        else:
            keeps(page, TEXT)
        assert withdraw().path == "/nl/withdrawn"
        goes.withdrawn = True
        for story in (stays, goes):
            story.holds(box)
        assert faults_of(box.folder) == []
    finally:
        box.stop()


@needs_strace
def test_data_is_still_readable_after_the_disk_turns_read_only(
    box: DropBox, tmp_path: Path
) -> None:
    """The kernel does this after a disk error: every write is refused and reading continues."""
    story = told(box, TEXT)
    report, more = report_form(box.browser()), write_form(box, story.code)
    withdraw = withdraw_form(box, story.code)
    out = tmp_path / "calls"
    with watched(box, f"{WRITES}:error=EROFS", calls=WRITES, out=out):
        keeps(report(TEXT), TEXT)
        keeps(more(TEXT), TEXT)
        refused = withdraw()
        assert refused.status in (500, 503)
        assert refused.path != "/nl/withdrawn"
        story.holds(box)
    assert "EROFS" in out.read_text()
    story.holds(box)
    Story(code_on(report(TEXT)), [TEXT]).holds(box)
    assert withdraw().path == "/nl/withdrawn"
    assert faults_of(box.folder) == []
    assert TEXT[:40] not in box.log.read_text()


@needs_root
def test_data_is_readable_if_the_server_starts_on_a_read_only_disk(
    box: DropBox, disk: SmallDisk
) -> None:
    """Existing data can be read, and everything that would have to be stored is refused."""
    place = disk("size=32m")
    story = told(box, TEXT)
    box = moved(box, place)
    box.log = place.parent / "log"
    subprocess.run(("mount", "-o", "remount,ro", str(place)), check=True)
    box.serve()
    try:
        story.holds(box)
        keeps(report_form(box.browser())(TEXT), TEXT)
    finally:
        box.stop()
