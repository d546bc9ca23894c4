"""notify.toml: strict, private, and never quoted where it contains an address."""

import re
from pathlib import Path

import pytest

from dropbox_app.server.errors import SettingsError
from dropbox_app.server.notify import config
from tests.server.notify.conftest import ANNA, Mailer
from tests.support.mail_server import PASSWORD

TEMPLATE = Path(__file__).parents[3] / "deploy" / "etc" / "klankbord-notify" / "notify.toml"
PLAIN = (
    'host = "localhost"\nsender = "box@provider.example"\n'
    f'[[counsellor]]\ncards = ["anna"]\naddress = "{ANNA}"\nlanguage = "nl"\n'
)


def test_minimal_valid_settings_are_accepted(mailer: Mailer) -> None:
    mailer.write(mailer.file, PLAIN)
    read = config.read(mailer.file)
    assert (read.port, read.tls, read.user, read.password, read.proxy) == (
        465, "implicit", "", "", "",
    )  # fmt: skip
    assert read.counsellor[0].cards == ("./anna",)


WRONG = {
    'host = "smtp example"': "host must be",
    "host = 5": "host must be",
    'host = ""': "host is missing",
    'sender = "box"': "sender must be",
    r'sender = "box@provider.example\nBcc: x@y.example"': "sender must be",
    "port = 0": "port must be",
    "port = true": "port must be",
    'tls = "none"': "tls must be",
    'tls = ""': "tls must be",
    'user = "één"': "user must be",
    'password_file = ""': "password_file must be",
    'proxy = "127.0.0.1:9050"': "proxy must be",
    'proxy = "socks5://127.0.0.1:9050"': "proxy must be",
    'proxy = "socks5h://127.0.0.1:99999"': "proxy must be",
    "plain = true": "plain is not a setting",
    'password = "x"': "password is not a setting",
    "counsellor = []": "counsellor is missing",
    'counsellor = ["anna"]': "each counsellor must be a table",
    "no toml": "this is not valid TOML",
}


@pytest.mark.parametrize("line", WRONG)
def test_invalid_setting_is_reported(mailer: Mailer, line: str) -> None:
    key = line.split(" ")[0]
    kept = [one for one in PLAIN.splitlines() if not one.startswith(key + " ")]
    if key == "counsellor":
        kept = kept[:2]
    mailer.write(mailer.file, "\n".join([line, *kept]))
    with pytest.raises(SettingsError, match=re.escape(WRONG[line])):
        config.read(mailer.file)


ROWS = {
    'cards = []\naddress = "a@b.example"\nlanguage = "nl"': "counsellor.cards must be",
    'cards = ["../x"]\naddress = "a@b.example"\nlanguage = "nl"': "counsellor.cards must be",
    'cards = ["x"]\naddress = "a@b.example, c@d.example"\nlanguage = "nl"': "address of x must be",
    'cards = ["x"]\naddress = "a@b.example\\r\\nX: y"\nlanguage = "nl"': "address of x must be",
    'cards = ["x"]\naddress = "a@b.example"\nlanguage = "de"': "language of x must be",
    'cards = ["x"]\naddress = "a@b.example"': "counsellor.language is missing",
    'cards = ["x"]\naddress = "a@b.example"\nlanguage = "nl"\nname = "x"': "counsellor.name is no",
    f'cards = ["x"]\naddress = "{ANNA.upper()}"\nlanguage = "nl"': "listed twice",
    'cards = ["x", "./anna", "anna"]\naddress = "a@b.example"\nlanguage = "nl"': "cards must be",
    'cards = ["x", "anna"]\naddress = "a@b.example"\nlanguage = "nl"': "listed twice",
}


@pytest.mark.parametrize("row", ROWS)
def test_error_about_a_counsellor_names_only_the_card(mailer: Mailer, row: str) -> None:
    mailer.write(mailer.file, f"{PLAIN}[[counsellor]]\n{row}\n")
    with pytest.raises(SettingsError, match=re.escape(ROWS[row])) as caught:
        config.read(mailer.file)
    assert "@" not in str(caught.value)


@pytest.mark.parametrize("which", ["file", "password"])
@pytest.mark.parametrize("mode", [0o644, 0o641, 0o660, 0o642])
def test_settings_file_accessible_to_others_is_not_used(
    mailer: Mailer, which: str, mode: int
) -> None:
    mailer.set_up(465)
    path: Path = getattr(mailer, which)
    path.chmod(mode)
    with pytest.raises(SettingsError, match=re.escape(f"chmod 640 {path}")):
        config.read(mailer.file)


@pytest.mark.parametrize("text", ["", "\n", "twee\nregels\n", "wachtwoordé\n", "\x00"])
def test_invalid_password_is_reported_without_repeating_it(mailer: Mailer, text: str) -> None:
    mailer.set_up(465)
    mailer.write(mailer.password, text)
    with pytest.raises(SettingsError, match="the password must be one line") as caught:
        config.read(mailer.file)
    assert not text.strip() or text.strip() not in str(caught.value)


def test_missing_password_is_reported(mailer: Mailer) -> None:
    mailer.set_up(465)
    mailer.password.unlink()
    with pytest.raises(SettingsError, match="password: cannot be read"):
        config.read(mailer.file)
    assert PASSWORD not in mailer.file.read_text()


def test_settings_file_from_the_installer_is_valid_once_filled_in(mailer: Mailer) -> None:
    text = TEMPLATE.read_text("utf-8")
    mailer.write(mailer.file, text)
    with pytest.raises(SettingsError, match="host is missing; fill in the file"):
        config.read(mailer.file)
    for key, value in (("host", "smtp.provider.example"), ("sender", "x@y.example")):
        text, count = re.subn(f'^{key} = ""$', f'{key} = "{value}"', text, flags=re.MULTILINE)
        assert count == 1
    head, table = text.split("\n# [[counsellor]]\n")
    mailer.write(mailer.file, f"{head}\n[[counsellor]]\n" + re.sub("(?m)^# ", "", table))
    read = config.read(mailer.file)
    assert read.counsellor[0].cards == ("./els",)
