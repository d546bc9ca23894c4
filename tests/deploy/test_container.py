"""The containers: what their files say, and the images, built from a Debian made here.

Containers themselves are not started: the images' programs run in a chroot.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from tests.deploy.test_debian import NO_MIRROR, PYTHON, debootstrap, run_long
from tests.e2e.conftest import ROOT
from tests.support.circuit import CircuitBrowser
from tests.support.journey import wait_until
from tests.support.unit_file import UNITS, values

FOLDER = ROOT / "deploy" / "container"
FILE = FOLDER / "Containerfile"
SUITE = "trixie"


def services() -> dict[str, list[str]]:
    """Each service of the compose file, by its lines without their indentation."""
    text = (FOLDER / "compose.yaml").read_text("utf-8")
    part = text.split("\nservices:\n")[1].split("\nvolumes:\n")[0]
    found = re.split(r"^  (\w+):$", part, flags=re.MULTILINE)[1:]
    return {
        name: [line.strip() for line in lines.splitlines() if line.strip()]
        for name, lines in zip(found[::2], found[1::2], strict=True)
    }


@pytest.mark.parametrize("name", ["app", "front", "tor"])
def test_each_container_can_write_only_where_it_must(name: str) -> None:
    lines = services()[name]
    for line in (
        "read_only: true",
        "cap_drop: [ALL]",
        'security_opt: ["no-new-privileges:true"]',
    ):
        assert line in lines
    assert [line for line in lines if line.startswith("ulimits: {core: 0")]
    volumes = {line.removeprefix("- ") for line in lines if line.startswith("- ")}
    assert (
        volumes
        == {
            "app": {"data:/var/lib/klankbord", "app-socket:/run/klankbord"},
            "front": {"app-socket:/run/klankbord:ro", "front-sockets:/run/klankbord-nginx"},
            "tor": {"onion:/var/lib/tor", "front-sockets:/run/klankbord-nginx:ro"},
        }[name]
    )
    # What it may use, it may not swap out.
    limits = {line.split(": ")[1] for line in lines if line.startswith(("mem_limit", "memswap"))}
    assert len(limits) == 1


def test_each_container_has_the_group_of_the_socket_that_it_uses() -> None:
    numbers = {name: [line for line in lines if line.startswith("group_add")]
               for name, lines in services().items()}  # fmt: skip
    assert numbers == {"app": [], "front": ['group_add: ["992"]'], "tor": ['group_add: ["993"]']}
    text = FILE.read_text("utf-8")
    assert "-m 750 -o klankbord -g klankbord-nginx /run/klankbord\n" in text
    assert "-m 750 -o klankbord-nginx -g klankbord-tor /run/klankbord-nginx\n" in text


def test_only_tor_has_a_network_and_nobody_publishes_a_port() -> None:
    assert {name for name, lines in services().items() if "network_mode: none" not in lines} == {
        "tor"
    }
    text = (FOLDER / "compose.yaml").read_text("utf-8")
    assert not re.search(r"\bports:|\bexpose:|privileged: true|host\b", text)
    assert "EXPOSE" not in FILE.read_text("utf-8")


def test_the_images_start_what_the_units_start() -> None:
    unit = (UNITS / "klankbord.service").read_text("utf-8")
    started = re.search(r"^ExecStart=(.*)$", unit, re.MULTILINE)
    text = FILE.read_text("utf-8")
    entry = re.search(r"^ENTRYPOINT (\[.*\])$", text, re.MULTILINE)
    command = re.search(r"^CMD (\[.*\])$", text, re.MULTILINE)
    assert started is not None
    assert entry is not None
    assert command is not None
    assert json.loads(entry[1]) + json.loads(command[1]) == started[1].split()
    assert "--require-hashes --only-binary :all:" in text
    assert re.findall(r"^USER (.*)$", text, re.MULTILINE) == ["990:992", "992:993", "991:991"]
    (front,) = values(UNITS / "klankbord-nginx.service", "ExecStart")
    assert f"exec {front}" in re.findall(r"^ENTRYPOINT (\[.*\])$", text, re.MULTILINE)[1]


def test_everything_that_is_copied_is_there_and_let_through() -> None:
    allowed = (FOLDER / "Containerfile.containerignore").read_text("utf-8").splitlines()
    assert allowed[0] == "**"
    for line in re.findall(r"^COPY (.*) \S+$", FILE.read_text("utf-8"), re.MULTILINE):
        for name in line.split():
            assert (ROOT / name).exists(), name
            assert any(f"!{name}".startswith(rule) for rule in allowed if rule[0] == "!"), name


class Buildah:
    """buildah with a store of its own, in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._store = ("--root", str(folder / "store"), "--runroot", str(folder / "run"))
        self._driver = "overlay"  # layers that share what they have in common, where that works
        made = self._run("from", "scratch")
        if made.returncode or self._run("mount", made.stdout.strip()).returncode:
            self._driver = "vfs"
        self.end()

    def __call__(self, *words: str | Path) -> str:
        done = self._run(*words)
        said = f"{words}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
        if done.returncode and re.search(NO_MIRROR, said):
            pytest.skip("Debian's packages cannot be had now")
        assert done.returncode == 0, said
        return done.stdout.strip()

    def end(self) -> None:
        """Unmount and remove whatever is there."""
        self._run("umount", "--all")
        self._run("rm", "--all")

    def words(self, *words: str | Path) -> list[str | Path]:
        """The whole of a command."""
        return ["buildah", *self._store, "--storage-driver", self._driver, *words]

    def _run(self, *words: str | Path) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.words(*words),
            cwd=ROOT, capture_output=True, text=True, check=False,
        )  # fmt: skip


@contextmanager
def running(
    buildah: Buildah, container: str, script: list[str], volumes: list[str]
) -> Iterator[None]:
    """A program in a container's files, with its accounts, until the block ends."""
    process = subprocess.Popen(
        buildah.words("run", "--isolation", "chroot", *volumes, container, "--", "sh", "-c",
                      *script),
        cwd=ROOT, start_new_session=True,
    )  # fmt: skip
    try:
        yield
        assert process.poll() is None
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            process.wait(timeout=30)
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(timeout=30)


@pytest.fixture
def buildah() -> Iterator[Buildah]:
    with tempfile.TemporaryDirectory(dir="/var/tmp") as folder:
        made = Buildah(Path(folder))
        yield made
        made.end()


@pytest.mark.timeout(1800)
@pytest.mark.skipif(
    os.geteuid() != 0 or not shutil.which("buildah") or not shutil.which("debootstrap"),
    reason="needs root, buildah and debootstrap",
)
def test_the_images_are_built_and_their_programs_run(buildah: Buildah) -> None:
    system, wheels = buildah.folder / "system", buildah.folder / "wheels"
    try:
        debootstrap(SUITE, system)
    except subprocess.SubprocessError as error:
        pytest.skip(f"no Debian can be made now: {error.args}")
    for name in Path("/etc/apt/apt.conf.d").glob("*"):
        if re.search(r"^Acquire::", name.read_text(), re.MULTILINE):
            shutil.copy(name, system / "etc" / "apt" / "apt.conf.d")
    run_long(
        *(sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--require-hashes"),
        *("--only-binary", ":all:", "--python-version", PYTHON[SUITE]),
        *("-r", ROOT / "requirements" / "server.txt", "-d", wheels),
    )
    base = buildah("from", "scratch")
    buildah("copy", "-q", base, system, "/")
    buildah("commit", "-q", base, "localhost/debian")
    buildah("rm", base)
    pip = buildah.folder / "pip.conf"
    pip.write_text("[global]\nno-index = true\nfind-links = /wheels\n")
    made = {}
    for target in ("app", "front", "tor"):
        buildah(
            *("bud", "-q", "--isolation", "chroot", "--build-arg", "BASE=localhost/debian"),
            *("-v", f"{wheels}:/wheels:ro", "-v", f"{pip}:/etc/pip.conf:ro", "-f", FILE),
            *("--ignorefile", FOLDER / "Containerfile.containerignore"),
            *("--target", target, "-t", f"klankbord-{target}", "."),
        )
        made[target] = buildah("from", f"localhost/klankbord-{target}")

    def inside(target: str, script: str) -> str:
        return buildah("run", "--isolation", "chroot", made[target], "--", "sh", "-c", script)

    program = "/opt/klankbord/current/bin/klankbord-server --dir /var/lib/klankbord"
    assert inside("app", "id -u; id -g").split() == ["990", "992"]
    invitation = inside("app", f"{program} init --name X --origin http://127.0.0.1:8000")
    assert json.loads(invitation)["name"] == "X"
    found = re.findall(r"^ENTRYPOINT (\[.*\])$", FILE.read_text("utf-8"), re.MULTILINE)
    entries = [json.loads(words) for words in found]
    sockets = {name: buildah.folder / name for name in ("app-socket", "front-sockets")}
    for path, numbers in zip(sockets.values(), ((990, 992), (992, 993)), strict=True):
        path.mkdir(mode=0o750)
        os.chown(path, *numbers)
    shared = {
        "app": ["-v", f"{sockets['app-socket']}:/run/klankbord"],
        "front": ["-v", f"{sockets['app-socket']}:/run/klankbord:ro",
                  "-v", f"{sockets['front-sockets']}:/run/klankbord-nginx"],
    }  # fmt: skip
    with (
        running(
            buildah,
            made["app"],
            [program + " serve --bind unix:/run/klankbord/app.sock"],
            shared["app"],
        ),
        running(buildah, made["front"], entries[1][2:], shared["front"]),
    ):
        onion = sockets["front-sockets"] / "onion.sock"
        wait_until(onion.exists, "nginx does not start", seconds=120)
        wait_until((sockets["app-socket"] / "app.sock").exists, "the app does not", seconds=120)
        # In place of compose.yaml's group_add, which buildah does not know.
        sockets["app-socket"].chmod(0o755)
        (sockets["app-socket"] / "app.sock").chmod(0o666)
        browser = CircuitBrowser("http://127.0.0.1:8000", onion, 7)
        wait_until(lambda: browser.get("/nl/").status == 200, "nobody answers", seconds=60)
    tor = " ".join(entries[2])
    assert "Configuration was valid" in inside("tor", f"{tor} --verify-config")
    groups = inside("tor", "id -Gn debian-tor")
    assert "klankbord-tor" in groups.split()
