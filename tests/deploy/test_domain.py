"""A domain: its certificate is obtained, renewed or taken over from Caddy, or it is closed."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

from tests.support.other_account import let_others_through
from tests.support.told import load
from tests.support.unit_file import ROOT

NAME = "box.example.org"
# A copy of /etc, empty folders, and a separate network. $1 is a folder for all of them.
_STAGE = """
set -e
mount --make-rprivate /
cp -a /etc "$1/etc"
mount --bind "$1/etc" /etc
for place in run var/lib var/log; do
    mkdir -p "$1/$place"
    mount --bind "$1/$place" "/$place"
done
rm -rf /etc/klankbord /etc/letsencrypt
exec "$2" "$3" "$1"
"""


@pytest.fixture
def installer(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    return load(monkeypatch)


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> dict[str, object]:
    """Return the observations on a machine that got a domain; see on_a_domain.py."""
    missing = [name for name in ("pebble", "certbot", "nginx", "unshare") if not shutil.which(name)]
    if os.geteuid() != 0 or missing:
        pytest.skip(f"needs root, and {missing}")
    folder = tmp_path_factory.mktemp("stage")
    folder.parent.chmod(0o711)
    done = subprocess.run(
        ["unshare", "--mount", "--net", "--pid", "--fork", "--kill-child", "--mount-proc",
         "sh", "-c", _STAGE, "sh", folder, sys.executable,
         ROOT / "tests" / "deploy" / "on_a_domain.py"],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=240,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    told: dict[str, object] = json.loads(done.stdout.rpartition("\nSEEN ")[2])
    return {**told, "logs": [path for path in (folder / "var/log").rglob("*") if path.is_file()]}


def test_access_through_a_domain_is_closed_again_if_certbot_gets_no_certificate(
    seen: dict[str, object],
) -> None:
    fault = seen["fault"]
    assert isinstance(fault, str)
    assert f"certbot got no certificate for {NAME}" in fault
    assert "The domain is closed again" in fault
    assert (seen["closed"], seen["left"]) == (True, [])


def test_certbot_obtains_and_renews_certificate_through_nginx(seen: dict[str, object]) -> None:
    first, got, renewed = (seen[step] for step in ("first", "got", "renewed"))
    assert isinstance(first, dict)
    assert isinstance(got, dict)
    assert isinstance(renewed, dict)
    assert first["issuer"] == f"issuer=CN = {NAME}"
    assert (seen["fault then"], seen["again"]) == ("", "")
    assert "Pebble" in got["issuer"]
    assert "Pebble" in renewed["issuer"]
    assert "does match" in renewed["name"]
    assert got["serial"] != renewed["serial"]
    assert seen["modes"] == ["0o750", "0o640"]


def test_port_80_only_redirects(seen: dict[str, object]) -> None:
    plain, unknown = seen["plain"], seen["unknown"]
    assert isinstance(plain, dict)
    assert isinstance(unknown, dict)
    assert plain["status"] == 301
    assert plain["location"] == f"https://{NAME}/nl/?q=een-geheim"
    assert not {"Server", "Date"} & {*plain["headers"], *unknown["headers"]}
    assert unknown["status"] == 400
    assert plain["length"] == unknown["length"]


def test_existing_domain_is_recognised_and_removed_with_its_key(seen: dict[str, object]) -> None:
    assert seen["known"] == NAME
    assert (seen["away"], seen["kept"]) == (True, [])


def test_only_certbot_keeps_a_log_and_that_log_identifies_no_visitor(
    seen: dict[str, object],
) -> None:
    logs = seen["logs"]
    assert isinstance(logs, list)
    assert {path.parent.name for path in logs} <= {"letsencrypt"}
    for path in logs:
        assert "een-geheim" not in path.read_text("utf-8")


def openssl(*words: str | Path) -> None:
    subprocess.run(["openssl", *words], capture_output=True, check=True)


def pair(folder: Path, name: str, days: int = 30) -> tuple[str, str]:
    """Return a key and its certificate."""
    key, certificate = folder / "key", folder / "certificate"
    openssl(
        *("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"),
        *("-days", str(days), "-subj", f"/CN={name}", "-addext", f"subjectAltName=DNS:{name}"),
        *("-keyout", key, "-out", certificate),
    )
    return key.read_text(), certificate.read_text()


CASES: dict[str, tuple[Callable[[Path], str], bool]] = {
    "a key and its certificate": (lambda at: "".join(pair(at, NAME)), True),
    "with the chain behind it": (
        lambda at: "".join(pair(at, NAME)) + "\n" + pair(at, "authority.example")[1],
        True,
    ),
    "of another name": (lambda at: "".join(pair(at, "other.example.org")), False),
    "that ends tomorrow": (lambda at: "".join(pair(at, NAME, days=1)), False),
    "of another key": (lambda at: pair(at, NAME)[0] + pair(at, NAME)[1], False),
    "without its key": (lambda at: pair(at, NAME)[1], False),
    "with words between": (lambda at: "x\n".join(pair(at, NAME)), False),
    "cut off": (lambda at: "".join(pair(at, NAME))[:-40], False),
    "nothing": (lambda _: "", False),
}


@pytest.mark.skipif(not shutil.which("openssl"), reason="no openssl here")
@pytest.mark.parametrize("case", CASES)
def test_caddy_certificate_is_used_only_if_it_matches_the_domain(
    tmp_path: Path, installer: ModuleType, case: str
) -> None:
    make, good = CASES[case]
    assert installer.domain.fits(make(tmp_path), NAME) is good


@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("openssl"), reason="needs root")
def test_root_does_not_follow_a_link_in_the_caddy_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, installer: ModuleType
) -> None:
    """The account links to a valid certificate that only root can read."""
    domain = installer.domain
    tmp_path.chmod(0o711)
    let_others_through(tmp_path)
    monkeypatch.setattr(domain, "CADDY_FILES", tmp_path)
    monkeypatch.setattr(domain, "AS_CADDY", (*domain.AS_CADDY[:-2], "nobody", "--"))
    monkeypatch.setattr(domain, "account_is_there", lambda _name: True)
    machine = installer.machine.Machine(dry=False)
    (tmp_path / NAME).mkdir()
    roots = tmp_path / "roots"
    roots.mkdir()
    pair(roots, NAME)
    for name, end in (("key", "key"), ("certificate", "crt")):
        (tmp_path / NAME / f"{NAME}.{end}").symlink_to(roots / name)
        (roots / name).chmod(0o600)
    assert domain.of_caddy(machine, NAME) is None
    for name in ("key", "certificate"):
        (roots / name).chmod(0o644)
    assert domain.of_caddy(machine, NAME) is not None


def test_previous_caddyfile_is_restored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, installer: ModuleType
) -> None:
    domain = installer.domain
    for name, path in (
        ("CADDYFILE", tmp_path / "Caddyfile"),
        ("CADDY_BEFORE", tmp_path / "Caddyfile.before-klankbord"),
        ("CADDY_DROP_IN", tmp_path / "caddy.service.d" / "klankbord.conf"),
        ("WAY", tmp_path / "none"),
    ):
        monkeypatch.setattr(domain, name, path)
    machine = installer.machine.Machine(dry=False)
    ran: list[str] = []
    monkeypatch.setattr(machine, "service", lambda *words: ran.append(" ".join(words)))
    (tmp_path / "Caddyfile").write_text("# Of somebody else\n")
    domain.caddy_ends(machine)
    assert (domain.there(), ran) == (None, [])
    (tmp_path / "Caddyfile").rename(tmp_path / "Caddyfile.before-klankbord")
    ours = f"{{\n\tadmin off\n}}\n\n{NAME} {{\n\treverse_proxy unix//run/klankbord/box.sock\n}}\n"
    (tmp_path / "Caddyfile").write_text(ours)
    domain.CADDY_DROP_IN.parent.mkdir()
    domain.CADDY_DROP_IN.touch()
    assert domain.there() == NAME
    domain.caddy_ends(machine)
    assert (tmp_path / "Caddyfile").read_text() == "# Of somebody else\n"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["Caddyfile"]
    assert ran[0] == "disable --now caddy"


def test_settings_name_the_certificate_that_certbot_installs(installer: ModuleType) -> None:
    script = (ROOT / "deploy" / "etc" / "klankbord" / "take-certificate").read_text("utf-8")
    (place,) = re.findall(r"^place=(.*)$", script, re.MULTILINE)
    assert f"{place}/certificate.pem" == str(installer.domain.CERTIFICATE)
    template = ROOT / "deploy" / "etc" / "klankbord" / "nginx" / "ways" / "domain.conf.in"
    assert f"root {installer.domain.ANSWERS};" in template.read_text("utf-8")
