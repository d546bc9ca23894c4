"""Act as an account other than root in tests that run as root."""

import codecs
import importlib
import os
import pickle
import stat
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import click
from click.testing import CliRunner, Result

# What is loaded late: where it lies in a folder of root's, others cannot load it.
_PYTHONS_OWN = ("importlib.readers", "importlib.resources.readers", "json.tool", "tarfile")
for _late in (*_PYTHONS_OWN, "sqlite_utils"):
    importlib.import_module(_late)
for _late in ("ascii", "idna", "latin-1", "utf-8", "utf-8-sig", "utf-16"):
    codecs.lookup(_late)

_Result = TypeVar("_Result")
NOBODY = 65534


def let_others_through(path: Path) -> None:
    """Let every account reach a path through the folders that the tests made above it.

    The folder for temporary files is open to everybody already, and is not changed.
    """
    for parent in path.relative_to(tempfile.gettempdir()).parents:
        made = tempfile.gettempdir() / parent
        if parent != Path() and made.is_dir():
            made.chmod(stat.S_IMODE(made.stat().st_mode) | 0o011)


def give_away(*paths: Path) -> None:
    """Give folders and their contents to an account that is not root."""
    for path in paths:
        let_others_through(path)
        for one in (path, *path.rglob("*")):
            os.chown(one, NOBODY, NOBODY, follow_symlinks=False)


def in_a_process(does: Callable[[], _Result]) -> _Result:
    """Run a call in a separate process, which may drop its rights for good; return the result."""
    inlet, outlet = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            with os.fdopen(outlet, "wb") as file:
                pickle.dump(does(), file)
        finally:
            os._exit(0)
    os.close(outlet)
    with os.fdopen(inlet, "rb") as file:
        said = file.read()
    os.waitpid(child, 0)
    assert said, "it ended before it was done"
    result: _Result = pickle.loads(said)  # noqa: S301 - from this program itself
    return result


def typed(command: click.Command, words: list[str]) -> Result:
    """Type a command in a separate process; return the result."""

    def invoke() -> Result:
        done = CliRunner().invoke(command, words)
        done.exc_info = done.exception = None  # a traceback stays in its process
        return done

    return in_a_process(invoke)
