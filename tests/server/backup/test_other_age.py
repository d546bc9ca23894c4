"""A backup opens without Klankbord: with stock age, the operator's key, and tar."""

from __future__ import annotations

import re
import shutil
import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from click.testing import CliRunner

from dropbox_app.protocol.encoding import sha256_hex
from dropbox_app.server.backup import directory
from dropbox_app.server.cli import common, main
from tests.protocol.interop.conftest import Ask
from tests.support.server_folder import DAY, AServer, file

Opened = Callable[[Path, Path], None]


def stock_age() -> str:
    """Return why the installed age cannot open a backup; empty if it can."""
    program = shutil.which("age")
    if program is None:
        return "age is not installed"
    said = subprocess.run([program, "--version"], capture_output=True, text=True, check=False)
    version = re.match(r"v?(\d+)\.(\d+)", said.stdout)
    if version is None or (int(version[1]), int(version[2])) < (1, 3):
        return f"age {said.stdout.strip()} is installed; keys of this kind need 1.3"
    return ""


@pytest.fixture
def key(tmp_path: Path) -> Path:
    """Return a file with the output of ``backup-key``."""
    return tmp_path / "backup-key.txt"


@pytest.fixture
def backup(
    tmp_path: Path, key: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[Path, dict[str, bytes]]]:
    """Yield a backup, and the sealed bytes of each item on that server."""
    monkeypatch.setattr(common, "today", lambda: DAY)
    server = AServer(tmp_path / "server")
    sealed = [server.report("one"), file(2, 1_500_000)]
    server.put_file("one", sealed[1])
    sealed.append(server.reply("one", 1))

    def types(*words: str) -> str:
        done = CliRunner().invoke(main.main, ["--dir", str(server.folder), *words])
        assert done.exit_code == 0, done.output
        return done.stdout

    key.write_text(types("backup-key"))
    types("backup")
    (made,) = directory.kept(server.folder / directory.FOLDER)
    yield made.path, {sha256_hex(one): one for one in sealed}
    server.store.close()


def _unpacked(plain: Path, folder: Path, sealed: dict[str, bytes]) -> None:
    """Unpack with the system's own tar and SQLite."""
    folder.mkdir()
    subprocess.run(["tar", "-x", "-f", plain, "-C", folder], check=True)
    found = {path.name: path.read_bytes() for path in (folder / "files").iterdir()}
    with closing(sqlite3.connect(folder / "klankbord.db")) as database:
        found |= dict(database.execute("SELECT item, file FROM sealed"))
    assert found == sealed
    assert (folder / "site.toml").is_file()


def test_independent_age_implementation_opens_a_backup(
    peer: Ask, backup: tuple[Path, dict[str, bytes]], key: Path, tmp_path: Path
) -> None:
    secret = key.read_text().splitlines()[-1]
    plain = tmp_path / "plain.tar"
    assert peer("open", **{"from": str(backup[0])}, to=str(plain), seed=secret) == {}
    _unpacked(plain, tmp_path / "out", backup[1])


@pytest.mark.skipif(bool(stock_age()), reason=stock_age())
def test_command_in_the_guide_opens_a_backup(
    backup: tuple[Path, dict[str, bytes]], key: Path, tmp_path: Path
) -> None:
    plain = tmp_path / "plain.tar"
    with plain.open("wb") as out:
        subprocess.run(["age", "-d", "-i", key, backup[0]], stdout=out, check=True)
    _unpacked(plain, tmp_path / "out", backup[1])
