"""The files of the containers, and their images, built from a Debian system made here.

No container is started: the images' programs run in a chroot.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.debian import NO_MIRROR, PYTHON, debootstrap, run_long
from tests.support.drop_box import ROOT
from tests.support.unit_file import UNITS, values

FOLDER = ROOT / "deploy" / "container"
FILE = FOLDER / "Containerfile"
SUITE = "trixie"


def services() -> dict[str, list[str]]:
    """Return each service of the compose file with its lines, without indentation."""
    text = (FOLDER / "compose.yaml").read_text("utf-8")
    part = text.split("\nservices:\n")[1].split("\nvolumes:\n")[0]
    found = re.split(r"^  (\w+):$", part, flags=re.MULTILINE)[1:]
    return {
        name: [line.strip() for line in lines.splitlines() if line.strip()]
        for name, lines in zip(found[::2], found[1::2], strict=True)
    }


@pytest.mark.parametrize("name", ["app", "front", "tor"])
def test_containers_can_write_only_to_their_own_volumes(name: str) -> None:
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
    # The limit includes swap, so the memory cannot be swapped out.
    limits = {line.split(": ")[1] for line in lines if line.startswith(("mem_limit", "memswap"))}
    assert len(limits) == 1


def test_container_runs_with_the_group_of_the_socket_that_it_uses() -> None:
    numbers = {name: [line for line in lines if line.startswith("group_add")]
               for name, lines in services().items()}  # fmt: skip
    assert numbers == {"app": [], "front": ['group_add: ["992"]'], "tor": ['group_add: ["993"]']}
    text = FILE.read_text("utf-8")
    assert "-m 750 -o klankbord -g klankbord-nginx /run/klankbord\n" in text
    assert "-m 750 -o klankbord-nginx -g klankbord-tor /run/klankbord-nginx\n" in text


def test_only_tor_has_network_access_and_no_port_is_published() -> None:
    assert {name for name, lines in services().items() if "network_mode: none" not in lines} == {
        "tor"
    }
    text = (FOLDER / "compose.yaml").read_text("utf-8")
    assert not re.search(r"\bports:|\bexpose:|privileged: true|host\b", text)
    assert "EXPOSE" not in FILE.read_text("utf-8")


def test_container_images_run_the_same_commands_as_the_systemd_units() -> None:
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


def test_files_copied_into_container_images_exist_and_are_not_ignored() -> None:
    allowed = (FOLDER / "Containerfile.containerignore").read_text("utf-8").splitlines()
    assert allowed[0] == "**"
    for line in re.findall(r"^COPY (.*) \S+$", FILE.read_text("utf-8"), re.MULTILINE):
        for name in line.split():
            assert (ROOT / name).exists(), name
            assert any(f"!{name}".startswith(rule) for rule in allowed if rule[0] == "!"), name


class Buildah:
    """buildah with its own storage in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._store = ("--root", str(folder / "store"), "--runroot", str(folder / "run"))
        self._driver = "overlay"  # layers that share common files, where that works
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
        """Unmount and remove everything."""
        self._run("umount", "--all")
        self._run("rm", "--all")

    def words(self, *words: str | Path) -> list[str | Path]:
        """Return all words of a command."""
        return ["buildah", *self._store, "--storage-driver", self._driver, *words]

    def _run(self, *words: str | Path) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.words(*words),
            cwd=ROOT, capture_output=True, text=True, check=False,
        )  # fmt: skip


@pytest.fixture
def buildah() -> Iterator[Buildah]:
    with tempfile.TemporaryDirectory(dir="/var/tmp") as folder:
        made = Buildah(Path(folder))
        yield made
        made.end()


@pytest.mark.long
@pytest.mark.timeout(1800)
@pytest.mark.skipif(
    os.geteuid() != 0 or not shutil.which("buildah") or not shutil.which("debootstrap"),
    reason="needs root, buildah and debootstrap",
)
def test_container_images_can_be_built_and_their_programs_run(buildah: Buildah) -> None:
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
    for target, words, made_there in (
        ("app", f"{program} serve --bind unix:/run/klankbord/app.sock", "/run/klankbord/app.sock"),
        ("front", f"sh -c '{entries[1][2]}'", "/run/klankbord-nginx/onion.sock"),
    ):
        served = inside(
            target,
            f"{words} & server=$!; "
            f"for i in $(seq 300); do test -S {made_there} && break; sleep 0.1; done; sleep 1; "
            f"stat -c '%A %u %g' $(dirname {made_there}) {made_there}; "
            "kill $server; wait $server; echo $?",
        )
        folder, socket_file, ended = served.splitlines()[-3:]
        assert (folder, socket_file, ended) == {
            "app": ("drwxr-x--- 990 992", "srw-rw---- 990 992", "0"),
            "front": ("drwxr-x--- 992 993", "srw-rw-rw- 992 993", "0"),
        }[target]
    tor = " ".join(entries[2])
    assert "Configuration was valid" in inside("tor", f"{tor} --verify-config")
    groups = inside("tor", "id -Gn debian-tor")
    assert "klankbord-tor" in groups.split()
