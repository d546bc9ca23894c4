"""The installer as a package, and a machine that only records the commands."""

from __future__ import annotations

import importlib
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

INSTALL = Path(__file__).parents[2] / "deploy" / "install"


def load(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """Return the package with all of its modules."""
    monkeypatch.syspath_prepend(INSTALL.parent)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    importlib.import_module("installer.main")
    return importlib.import_module("installer")


class Told:
    """A machine that records commands, with its files in a folder."""

    def __init__(
        self, folder: Path, monkeypatch: pytest.MonkeyPatch, installer: ModuleType
    ) -> None:
        self.machine = installer.machine.Machine(dry=False)
        self.ran: list[str] = []
        self._as_tor = installer.onions.AS_TOR
        monkeypatch.setattr(installer.onions, "KEYS", folder / "tor")
        monkeypatch.setattr(installer.onions, "TOR_FILES", folder / "torrc.d")
        monkeypatch.setattr(self.machine, "run", self._run)
        self.machine.systemd = True

    def _run(self, *words: str | Path, given: str = "") -> str:
        """Run a command of Tor's account as this account; return the output."""
        self.ran.append(" ".join(map(str, words)))
        if words[: len(self._as_tor)] != self._as_tor:
            return ""
        done = subprocess.run(
            words[len(self._as_tor) :], input=given, stdout=subprocess.PIPE, text=True, check=True
        )
        return done.stdout
