"""The frozen desk and the desk's wheel both work from invitation to answer."""

import os
import re
import shutil
import subprocess
import sys
import tempfile
import urllib.parse
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.desk.web.conftest import Window
from tests.support.debian import debootstrap, run_long
from tests.support.drop_box import PASSPHRASE, ROOT, Counsellor, DropBox
from tests.support.steps import ANSWER, STORY, come_back, tell, the_only_thread

pytestmark = [pytest.mark.long, pytest.mark.timeout(1800)]
WHO = {"name": "Els de Vries", "kind": "external", "scope": "both", "languages": "nl"}


class Elsewhere(Counsellor):
    """A counsellor whose desk is a different program from the tests' own."""

    def __init__(self, folder: Path, program: tuple[str | Path, ...]) -> None:
        super().__init__(folder)
        self.program = [*map(str, program), "--dir", str(self.folder)]

    def desk(
        self, *arguments: str | Path, check: bool = True, given: str = ""
    ) -> subprocess.CompletedProcess[str]:
        command = [*self.program, "--passphrase-file", str(self.passphrase_file)]
        done = subprocess.run(
            [*command, *map(str, arguments)],
            capture_output=True, text=True, input=given, timeout=120, check=False,
        )  # fmt: skip
        if check:
            assert done.returncode == 0, f"{arguments}\n{done.stdout}{done.stderr}"
        return done


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("dist")
    run_long(sys.executable, ROOT / "deploy" / "desk" / "build", "--out", out)
    assert len(list(out.glob("klankbord-desk-*.tar.xz"))) == 1
    return out / "klankbord"


@pytest.fixture(scope="module")
def system() -> Iterator[Path]:
    """Yield a Debian system with only the packages that every installation has."""
    if os.geteuid() != 0 or not shutil.which("debootstrap") or not shutil.which("bwrap"):
        pytest.skip("needs root, debootstrap and bubblewrap")
    with tempfile.TemporaryDirectory(dir="/var/tmp") as made:
        try:
            debootstrap("bookworm", Path(made) / "root")
        except subprocess.SubprocessError as error:
            pytest.skip(f"no Debian can be made now: {error.args}")
        assert list(Path(made, "root", "usr", "bin").glob("python*")) == []
        yield Path(made) / "root"


def test_frozen_desk_works_without_system_python(
    folder: Path, system: Path, tmp_path: Path
) -> None:
    shutil.copytree(folder, system / "opt" / "klankbord", symlinks=True)
    entered = (
        *("bwrap", "--die-with-parent", "--unshare-pid", "--bind", system, "/"),
        *("--proc", "/proc", "--dev", "/dev", "--bind", tmp_path, tmp_path),
    )
    whole_job(tmp_path, (*entered, "/opt/klankbord/klankbord-desk"))


def test_wheel_with_desk_extra_works_from_invitation_to_answer(tmp_path: Path) -> None:
    wheels, venv = tmp_path / "wheels", tmp_path / "venv"
    bare = ("--no-deps", "--no-index", "--no-build-isolation")
    run_long(sys.executable, "-m", "pip", "wheel", "--quiet", *bare, ROOT, "-w", wheels)
    (wheel,) = wheels.iterdir()
    run_long(sys.executable, "-m", "venv", venv)
    pins = ("-c", unhashed(tmp_path))
    run_long(venv / "bin" / "pip", "install", "--quiet", *pins, f"{wheel}[desk]")
    whole_job(tmp_path, (venv / "bin" / "klankbord-desk",))
    server = subprocess.run(
        [venv / "bin" / "klankbord-server", "--help"], capture_output=True, text=True, check=False
    )
    assert (server.returncode, server.stdout, len(server.stderr.splitlines())) == (2, "", 1)


def unhashed(tmp_path: Path) -> Path:
    """Return the desk's pins as constraints without hashes, because a local wheel has no hash."""
    pins = re.findall(r"^\S+==\S+", (ROOT / "requirements/desk.txt").read_text(), re.MULTILINE)
    file = tmp_path / "pins.txt"
    file.write_text("\n".join(pins))
    return file


def whole_job(tmp_path: Path, program: tuple[str | Path, ...]) -> None:
    """Do everything from the invitation to a rehearsed backup, with the first run on the page."""
    els = Elsewhere(tmp_path / "els", program)
    box = DropBox(tmp_path / "server")
    groups = set_up_over_the_page(els, box.init())
    els.desk("card", "--out", tmp_path / "own.card")
    box.server("card", "add", tmp_path / "own.card", "--name", "els", "--fingerprint", groups)
    box.serve()
    try:
        els.desk("fetch")
        code = tell(box.browser(), "nl", STORY["nl"]).code
        els.desk("fetch")
        thread = the_only_thread(els)
        assert els.read(thread)["messages"][0]["text"] == STORY["nl"]
        els.reply(thread, ANSWER["nl"])
        answered = come_back(box.browser(), "nl", code)
        assert " ".join(ANSWER["nl"].split()) in answered.text
    finally:
        box.stop()
    assert "listening" in els.desk("snippets").stdout
    els.desk("search", "leidinggevende")
    els.desk("backup", tmp_path / "backup.age")
    els.desk("rehearse", tmp_path / "backup.age")
    els.desk("poster", "--kind", "poster", "--lang", "nl", "--out", tmp_path / "poster.pdf")
    assert (tmp_path / "poster.pdf").read_bytes().startswith(b"%PDF")


def set_up_over_the_page(els: Elsewhere, invitation: str) -> str:
    """Do the first run up to the card; return its ten groups."""
    command = [*els.program, "open", "--no-browser", "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            address = urllib.parse.urlsplit(process.stdout.readline().strip())
            window = Window(f"http://{address.netloc}")
            link = window.request("GET", address.path, headers={"Sec-Fetch-Site": "none"})
            (home,) = re.findall(r'content="0;url=([^"]+)"', link.html)
            you = window.press(window.get(home), "first", invitation=invitation)
            chosen = window.press(you, "you", **WHO, proxy="")
            done = window.press(chosen, "passphrase", passphrase=PASSPHRASE, again=PASSPHRASE)
            assert 'data-page="first-card"' in done.html
            groups = re.findall(r"<li>([0-9A-Za-z]{4})</li>", done.html)
            assert len(groups) == 10
            frame = window.request("GET", f"{home}frame", headers={"Sec-Fetch-Dest": "iframe"})
            assert len(frame.body) > 1_000_000, "what draws files is not in it"
        finally:
            process.terminate()
            process.wait(60)
    return " ".join(groups)
