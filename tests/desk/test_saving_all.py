"""A whole conversation saved in one folder with numbered names."""

import json
import stat
from pathlib import Path

import pytest

from tests.desk.conftest import Office
from tests.support.fake_server import Reporter
from tests.support.hostile_files import pdf, small_png

PROGRAM = b"MZ" + bytes(200)


@pytest.fixture
def sent(office: Office, reporter: Reporter, thread: str) -> str:
    """Return a message with a picture, a program, a document with a script and a text."""
    act = b"/OpenAction << /S /JavaScript /JS (x) >>"
    reporter.attach(
        "Zie de bijlagen",
        ("../foto.png", "image/png", small_png()),
        ("spel.exe", "application/x-msdownload", PROGRAM),
        ("brief.pdf", "application/pdf", pdf(1, act)),
        ("brief.txt", "text/plain", b"Beste"),
    )
    office.fetch_quietly()
    return thread


def test_messages_and_harmless_files_are_saved_and_other_files_are_named(
    office: Office, sent: str, tmp_path: Path
) -> None:
    out = tmp_path / "evidence"
    told = office.run("save", sent, "--all", "--out", str(out))
    names = sorted(path.name for path in out.iterdir())
    assert names == ["001.txt", "002-01-_foto.png", "002-04-brief.txt", "002.txt", "thread.json"]
    assert (out / "002-01-_foto.png").read_bytes() == small_png()
    assert "Zie de bijlagen" in (out / "002.txt").read_text()
    assert len(json.loads((out / "thread.json").read_text())["messages"]) == 2
    assert "Not saved: " in told.output
    assert "spel.exe: It is a program." in told.output
    assert "It holds a script." in told.output
    assert "--others" in told.output
    for path in (*out.iterdir(), out):
        mode = 0o700 if path == out else 0o600
        assert stat.S_IMODE(path.stat().st_mode) == mode
        assert path.stat().st_mtime % 86_400 == 0


def test_files_that_may_be_harmful_are_saved_only_on_request(
    office: Office, sent: str, tmp_path: Path
) -> None:
    out = tmp_path / "evidence"
    office.run("save", sent, "--all", "--others", "--out", str(out))
    assert (out / "002-02-spel.exe").read_bytes() == PROGRAM
    assert (out / "002-03-brief.pdf").is_file()


def test_altered_file_is_named_and_the_other_files_are_saved(
    office: Office, sent: str, tmp_path: Path
) -> None:
    (found,) = [f for f in office.json("files", sent) if f["safe_name"] == "brief.txt"]
    (body,) = office.folder.rglob(f"{found['item']}.body")
    body.write_bytes(body.read_bytes()[:-1] + b"x")
    out = tmp_path / "evidence"
    told = office.run("save", sent, "--all", "--out", str(out))
    assert "brief.txt: ALTERED" in told.output
    assert not (out / "002-04-brief.txt").exists()
    assert (out / "002-01-_foto.png").is_file()


def test_existing_files_are_not_overwritten(office: Office, sent: str, tmp_path: Path) -> None:
    (tmp_path / "mine").write_bytes(b"mine")
    told = office.run("save", sent, "--all", "--out", str(tmp_path), code=1)
    assert "there already" in told.output
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith("0")] == []


def test_saving_to_a_full_disk_leaves_nothing_behind(
    office: Office, sent: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("dropbox_app.desk.storage.atomic_files.os.fsync", full)
    told = office.run("save", sent, "--all", "--out", str(tmp_path / "evidence"), code=1)
    assert "No space left" in told.output
    assert not (tmp_path / "evidence").exists()


@pytest.mark.parametrize(
    "wrong", [["--clean", "--all"], ["--others", "12345678"], ["--all", "12345678"], []]
)
def test_incompatible_options_are_refused(
    office: Office, thread: str, tmp_path: Path, wrong: list[str]
) -> None:
    office.run("save", thread, *wrong, "--out", str(tmp_path / "x"), code=2)
