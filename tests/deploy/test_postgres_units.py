"""The units serve a site on PostgreSQL, on this machine or another one, in their sandboxes."""

from __future__ import annotations

import re
import secrets
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from click.testing import CliRunner

from dropbox_app.server.cli import main
from dropbox_app.server.notify import status_file
from tests.deploy.test_notify_units import WORD, inside
from tests.deploy.test_systemd import BACKUP, UNIT, both
from tests.support.circuit import CircuitBrowser
from tests.support.drop_box import BIN, run
from tests.support.postgres import NO_POSTGRES, Postgres, Tls
from tests.support.processes import until
from tests.support.server_folder import AServer
from tests.support.steps import come_back, tell
from tests.support.two_stores import OnPostgres
from tests.support.unit_file import ROOT, as_a_service, command, filtered, merged, values

pytestmark = [as_a_service, pytest.mark.skipif(bool(NO_POSTGRES), reason=NO_POSTGRES)]

GUIDE = (ROOT / "deploy" / "guide" / "scale.md").read_text("utf-8")
HERE = Path("/run/postgresql")  # the folder of PostgreSQL's socket, which an address need not name
ELSEWHERE = Path("/run/klankbord-database")  # the folder of stunnel's sockets
HOSTS = ("db1.example.org", "db2.example.org")
needs_stunnel = pytest.mark.skipif(not shutil.which("stunnel"), reason="stunnel is not installed")


def block(kind: str, containing: str) -> str:
    """Return the guide's code block that contains a line."""
    found = [
        re.sub(r"^   ", "", text, flags=re.MULTILINE)
        for text in re.findall(rf"^ *```{kind}\n(.*?)^ *```", GUIDE, re.MULTILINE | re.DOTALL)
    ]
    (one,) = (text for text in found if containing in text)
    return one


def moved(state: Path, running: Postgres, store: str) -> None:
    """Move the site to PostgreSQL; then name in its settings the address as the unit sees it.

    ``store``: that address, with ROLE for the name of the site's role.
    """
    address = running.site()
    url = running.url(address)
    done = CliRunner().invoke(main.main, ["--dir", str(state), "store", "move", "--to", url])
    assert done.exit_code == 0, done.output
    file = state / "site.toml"
    text = file.read_text("utf-8")
    assert text.count(url) == 1
    file.write_text(text.replace(url, store.replace("ROLE", address["user"])), "utf-8")


@pytest.fixture
def state(tmp_path: Path, mould: tuple[Path, int]) -> Path:
    """Return the folder of a server with one site and one counsellor."""
    shutil.copytree(mould[0] / "server", tmp_path / "state")
    return tmp_path / "state"


def test_site_on_postgres_is_served_and_backed_up_in_the_sandbox(
    tmp_path: Path, state: Path, mould: tuple[Path, int], postgres: Postgres
) -> None:
    moved(state, postgres, f"postgresql://ROLE@/postgres?passfile={HERE}/ROLE")
    postgres.folder.chmod(0o711)  # as Debian's folder of the socket
    shown = {str(HERE): postgres.folder}
    with both(tmp_path, state, shown=shown) as served:
        browser = CircuitBrowser(f"http://127.0.0.1:{mould[1]}", served.onion, 7)
        code = tell(browser, "nl", "Een verhaal onder systemd.").code
        assert "Een verhaal onder systemd." in come_back(browser, "nl", code).text
    run(BIN / "klankbord-server", "--dir", state, "backup-key")
    with filtered(BACKUP) as program:
        done = subprocess.run(
            command(BACKUP, state, None, ["--seccomp", str(program),
                    *values(BACKUP, "ExecStart")[0].split()], shown=shown),
            pass_fds=[program], capture_output=True, text=True, check=False,
        )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert "sites: 1," in done.stdout


def test_daily_mail_needs_the_line_in_the_guide(tmp_path: Path, postgres: Postgres) -> None:
    """By default, the unit that reads the database may not open any socket."""
    server = AServer(tmp_path / "server", on=OnPostgres(postgres))
    server.store.close()
    file = server.folder / "site.toml"
    file.write_text(file.read_text("utf-8").replace(str(postgres.folder), str(HERE)), "utf-8")
    (tmp_path / "database.conf").write_text(block("ini", "RestrictAddressFamilies"))
    (tmp_path / "words").mkdir()
    places = {
        "/var/lib/klankbord": server.folder,
        str(HERE): postgres.folder,
        str(status_file.PLACE): tmp_path / "words",
    }
    words = values(WORD, "ExecStart")[0].split()
    refused = inside(WORD, places, *words)
    assert refused.returncode == 1
    (tmp_path / "merged").mkdir()
    unit = merged(WORD, tmp_path / "database.conf", tmp_path / "merged")
    done = inside(unit, places, *words)
    assert (done.returncode, done.stderr) == (0, "")


def openssl(*words: str | Path) -> None:
    subprocess.run(["openssl", *words], capture_output=True, check=True)


@pytest.fixture
def authority(tmp_path: Path) -> Path:
    """Return the certificate of an authority; its key is next to it."""
    made = tmp_path / "authority.pem"
    openssl(
        *("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=An authority"),
        *("-keyout", made.with_suffix(".key"), "-out", made),
    )
    return made


def certified(authority: Path, name: str) -> Tls:
    """Return an own address of this machine, and a certificate for the name."""
    folder = authority.with_name(f"of {name}")
    folder.mkdir()
    made = Tls(
        f"127.{20 + secrets.randbelow(200)}.{secrets.randbelow(250)}.1",
        folder / "certificate", folder / "key",
    )  # fmt: skip
    openssl(
        *("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"),
        *("-subj", f"/CN={name}", "-addext", f"subjectAltName=DNS:{name}"),
        *("-keyout", made.key, "-out", folder / "request"),
    )
    openssl(
        *("x509", "-req", "-in", folder / "request", "-CA", authority),
        *("-CAkey", authority.with_suffix(".key"), "-CAcreateserial"),
        *("-copy_extensions", "copy", "-days", "30", "-out", made.certificate),
    )
    return made


@contextmanager
def tunnel(folder: Path, authority: Path, addresses: Sequence[str]) -> Iterator[Path]:
    """Run stunnel with the guide's settings; yield the folder of its sockets.

    ``addresses``: the addresses that the guide's two host names stand for.
    """
    sockets = folder / "sockets"
    text = block("ini", "protocol = pgsql").replace(str(ELSEWHERE), str(sockets))
    text = text.replace("/etc/stunnel/database-authority.pem", str(authority))
    text = text.replace("debug = crit", "debug = err")  # as the guide says, to find a fault
    for host, address in zip(HOSTS, addresses, strict=True):
        text = text.replace(f"connect = {host}:", f"connect = {address}:")
    (folder / "stunnel.conf").write_text(text)
    for name in ("one", "two"):
        (sockets / name).mkdir(parents=True)
    with (folder / "stunnel.log").open("wb") as log:
        running = subprocess.Popen(["stunnel", folder / "stunnel.conf"], stderr=log, stdout=log)
    try:
        last = sockets / "two" / ".s.PGSQL.5432"
        until(lambda: last.exists() or running.poll(), "stunnel does not listen")
        assert running.poll() is None, (folder / "stunnel.log").read_text()
        yield sockets
    finally:
        running.terminate()
        running.wait(30)


AWAY = f"postgresql://ROLE@/postgres?host={ELSEWHERE}/one,{ELSEWHERE}/two&passfile={ELSEWHERE}/ROLE"


@needs_stunnel
def test_database_on_another_machine_is_reached_without_network_access(
    tmp_path: Path, state: Path, mould: tuple[Path, int], authority: Path
) -> None:
    """The standby takes over in the middle, and the conversation continues."""
    first, second = (certified(authority, name) for name in HOSTS)
    with ExitStack() as stack:
        primary = Postgres(tls=first)
        stack.callback(primary.close)
        standby = Postgres(primary, tls=second)
        stack.callback(standby.close)
        primary.wait_for(standby)
        moved(state, primary, AWAY)
        sockets = stack.enter_context(tunnel(tmp_path, authority, [first.address, second.address]))
        for passfile in primary.folder.glob("site_*"):
            shutil.copy(passfile, sockets)
        served = stack.enter_context(both(tmp_path, state, shown={str(ELSEWHERE): sockets}))
        assert values(UNIT, "PrivateNetwork") == ["yes"]
        browser = CircuitBrowser(f"http://127.0.0.1:{mould[1]}", served.onion, 7)
        code = tell(browser, "nl", "Een verhaal op reis.").code
        primary.kill()
        standby.promote()
        page = come_back(CircuitBrowser(browser.url, served.onion, 8), "nl", code)
        assert "Een verhaal op reis." in page.text


@needs_stunnel
def test_database_without_the_right_certificate_is_rejected(
    tmp_path: Path, state: Path, authority: Path
) -> None:
    """Somebody between the two machines has no certificate for the database's name."""
    stranger = certified(authority, "db1.example.net")
    with ExitStack() as stack:
        running = Postgres(tls=stranger)
        stack.callback(running.close)
        moved(state, running, AWAY)
        addresses = [stranger.address, stranger.address]
        sockets = stack.enter_context(tunnel(tmp_path, authority, addresses))
        for passfile in running.folder.glob("site_*"):
            shutil.copy(passfile, sockets)
        file = state / "site.toml"
        file.write_text(file.read_text("utf-8").replace(str(ELSEWHERE), str(sockets)), "utf-8")
        done = CliRunner().invoke(main.main, ["--dir", str(state), "doctor"])
        assert done.exit_code == 1
        assert "wrong  database: the database: the connection was closed at once" in done.output
    # This is before the server and stunnel exchange anything else.
    assert "certificate verify failed" in (tmp_path / "stunnel.log").read_text()
