"""A mailer with its own files, and a provider that it reaches over real TLS."""

from __future__ import annotations

import datetime
from pathlib import Path

import pytest

from dropbox_app.server.notify import config, run, status_file
from dropbox_app.server.notify.config import MailSettings
from dropbox_app.server.notify.status_file import Word
from tests.support.mail_server import PASSWORD, USER, Authority, MailServer

MOMENT = datetime.datetime(2026, 11, 27, 6, 30, 17, 400, tzinfo=datetime.UTC)
DAY = MOMENT.date()
ANNA, BRAM = "anna@home.example", "bram@work.example"


class Mailer:
    """A mailer's settings, statuses and state, in its own folders."""

    def __init__(self, folder: Path) -> None:
        self.words, self.state = folder / "words", folder / "state"
        self.words.mkdir()
        self.state.mkdir()
        self.file = folder / "notify.toml"
        self.password = folder / "password"
        self.write(self.password, PASSWORD + "\n")

    def write(self, path: Path, text: str, mode: int = 0o640) -> None:
        path.write_text(text)
        path.chmod(mode)

    def set_up(self, port: int, *more: str, counsellors: str = "") -> MailSettings:
        lines = ['host = "localhost"', f'sender = "{USER}"', f"port = {port}", f'user = "{USER}"']
        rows = counsellors or "\n".join(
            f'[[counsellor]]\ncards = ["{card}"]\naddress = "{address}"\nlanguage = "{language}"'
            for card, address, language in (("anna", ANNA, "nl"), ("bakery/bram", BRAM, "en"))
        )
        self.write(self.file, "\n".join([*lines, *more, rows]) + "\n")
        return config.read(self.file)

    def tells(self, anna: Word, bram: Word = "rest", day: datetime.date = DAY) -> None:
        status_file.write(self.words, {"./anna": anna, "bakery/bram": bram}, day)

    def runs(self, settings: MailSettings, moment: datetime.datetime = MOMENT) -> list[str]:
        return run.run(settings, self.words, self.state, moment)


@pytest.fixture
def mailer(tmp_path: Path) -> Mailer:
    made = Mailer(tmp_path)
    made.tells("open")
    return made


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"), "ours")


@pytest.fixture
def trusted(authority: Authority, monkeypatch: pytest.MonkeyPatch) -> Authority:
    """Return a certificate authority that this machine trusts as if the system's list had it."""
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.file))
    monkeypatch.delenv("SSL_CERT_DIR", raising=False)
    return authority


@pytest.fixture
def provider(trusted: Authority) -> MailServer:
    return MailServer(trusted.context())
