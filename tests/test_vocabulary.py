"""Banned words do not appear in anything that people read.

The tests check the documents, the docstrings and messages of the program and its scripts, the
English catalogues, and the names of tests. Each pattern comes with the word to use instead.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from babel.messages.pofile import read_po

ROOT = Path(__file__).resolve().parent.parent
INSTEAD = {
    "all the same": "still, anyway",
    "anew": "again",
    "as ever": "as before",
    "be(?:en|ing)? let go of|lets? go of": "close, release",
    "beside that": "besides that",
    "brings? home|brought home": "fetch",
    "closed room": "sandbox",
    "conversations? that w(?:as|ere) taken back": "withdrawn",
    "code stretching|stretch(?:es|ed)?": "hash",
    "g[ai]ven? (?:it |them )?back|gives back": "return, send again, release",
    "hangs? on": "depend on",
    "holds? up (?:no|nobody|any|others?)": "delay",
    "in (?:its|their) turn|waits? for (?:a|its|their) turn": "lock, queue",
    "(?:is|are|was|were|be) over": "expired, ended",
    "(?:is|are|was|were|be|comes|stays) whole(?! number)": "complete, intact",
    r"looks? \w+ over": "check",
    "more seldom": "less often",
    "own machine": "own computer",
    "past its time": "expired",
    "ring the": "call the",
    "takes? up|taken up": "load, use",
    "the moment of": "the time of",
}
# Phrases in which such a word is right.
MEANT = ("periods are whole and disjoint",)
ODD = re.compile("|".join(rf"\b(?:{one})\b" for one in INSTEAD), re.IGNORECASE)


def _files(*patterns: str) -> Iterator[Path]:
    for pattern in patterns:
        yield from (path for path in sorted(ROOT.glob(pattern)) if path.is_file())


def _odd(where: str, text: str) -> list[str]:
    said = " ".join(text.split())
    for meant in MEANT:
        said = said.replace(meant, "")
    return [f"{where}: {said[max(0, m.start() - 40) : m.end() + 30]}" for m in ODD.finditer(said)]


def test_no_document_uses_a_banned_word() -> None:
    documents = _files("*.md", "keys/*.md", "deploy/**/*.md", "dropbox_app/**/*.md")
    english = [path for path in documents if "/nl" not in str(path) and ".nl." not in path.name]
    assert len(english) > 20
    assert [one for path in english for one in _odd(path.name, path.read_text("utf-8"))] == []


def test_no_docstring_or_message_uses_a_banned_word() -> None:
    scripts = _files("deploy/install", "deploy/desk/build", "scripts/*", "scripts/dev/*")
    modules = _files("dropbox_app/**/*.py", "deploy/**/*.py", "scripts/**/*.py")
    python = [path for path in scripts if path.read_bytes().startswith(b"#!/usr/bin/env python3")]
    assert len(python) > 5
    found = []
    for path in (*modules, *python):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                found += _odd(f"{path.relative_to(ROOT)}:{node.lineno}", node.value)
    assert found == []


def test_no_english_page_uses_a_banned_word() -> None:
    found = []
    for path in _files("dropbox_app/**/en/LC_MESSAGES/messages.po"):
        with path.open("rb") as catalogue:
            for message in read_po(catalogue):
                texts = (
                    [message.string] if isinstance(message.string, str) else message.string or []
                )
                found += [one for text in texts for one in _odd(str(message.id), text)]
    assert found == []


def test_no_test_name_uses_a_banned_word() -> None:
    names = re.findall(
        r"^def test_(\w+)",
        "\n".join(path.read_text("utf-8") for path in _files("tests/**/test_*.py")),
        re.MULTILINE,
    )
    assert len(names) > 1000
    assert [one for name in names for one in _odd("test", name.replace("_", " "))] == []
