"""Programs that a machine may lack, and the marks that then skip a test."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

STRACE = shutil.which("strace")
FAKETIME = next(iter(Path("/usr/lib").glob("*/faketime/libfaketime.so.1")), None)


def _why_no_strace() -> str:
    """Return why strace cannot be used here; empty if it can."""
    if STRACE is None:
        return "strace is not installed"
    tried = subprocess.run(
        [STRACE, "-DD", "-f", "-o", "/dev/null", "true"],
        capture_output=True,
        timeout=60,
        check=False,
    )
    return "" if tried.returncode == 0 else "strace may not attach to a process here"


_NO_STRACE = _why_no_strace()
needs_strace = pytest.mark.skipif(bool(_NO_STRACE), reason=_NO_STRACE)
needs_faketime = pytest.mark.skipif(FAKETIME is None, reason="Debian's faketime is not installed")
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root may do this")
