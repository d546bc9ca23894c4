"""No test uses a private name of the package, because that would freeze the code's structure.

A name is private if it begins with one underscore. Tests may use ``self._x`` and their module's own
names; a name in a string counts if something is replaced by it.
"""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
ROOT = TESTS.parent
PRIVATE = re.compile(r"_[a-zA-Z]\w*")
REPLACES = {"delattr", "getattr", "hasattr", "patch", "object", "setattr"}
# Documented names that nevertheless begin with an underscore.
PUBLIC = {"_exit", "_replace", "_asdict", "_fields", "_make"}
FILES = sorted(
    path for path in TESTS.rglob("*.py") if "node_modules" not in path.parts
)  # fmt: skip


def _own(tree: ast.Module) -> set[str]:
    """Return the private names that a module itself assigns."""
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.add(node.id)
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store) and _self(node):
            names.add(node.attr)
    return names


def _self(node: ast.Attribute) -> bool:
    return isinstance(node.value, ast.Name) and node.value.id in ("self", "cls")


def private_names(source: str) -> Iterator[tuple[int, str]]:
    """Yield the line and name of each use of another module's private name."""
    tree = ast.parse(source)
    own = _own(tree) | PUBLIC
    for node in ast.walk(tree):
        names: list[str] = []
        if isinstance(node, ast.Attribute):
            names = [] if _self(node) else [node.attr]
        elif isinstance(node, ast.ImportFrom):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.Call):
            called = node.func
            name = getattr(called, "attr", getattr(called, "id", ""))
            if name in REPLACES:
                names = [
                    one.value.rpartition(".")[2]
                    for one in node.args[:2]
                    if isinstance(one, ast.Constant) and isinstance(one.value, str)
                ]
        for name in names:
            if PRIVATE.fullmatch(name) and name not in own:
                yield getattr(node, "lineno", 0), name


@pytest.mark.parametrize(
    "source",
    [
        "store._run('')",
        "from dropbox_app.desk import _call",
        "monkeypatch.setattr(thread, '_rank', None)",
        "monkeypatch.setattr('dropbox_app.protocol.thread._rank', None)",
        "getattr(store, '_run')",
    ],
)
def test_use_of_a_private_name_is_detected(source: str) -> None:
    assert list(private_names(source))


def test_use_of_a_modules_own_private_names_is_allowed() -> None:
    source = "class A:\n def __init__(self):\n  self._x = 1\n def _y(self): ...\nA()._x\nA()._y()\n"
    assert list(private_names(source)) == []


def test_no_test_uses_a_private_name() -> None:
    found = {
        str(path.relative_to(TESTS)): uses
        for path in FILES
        if (uses := list(private_names(path.read_text("utf-8"))))
    }
    assert found == {}
