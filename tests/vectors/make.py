"""Regenerate the vectors: ``python -m tests.vectors.make [--sealed]``.

All files except sealed.json are derived from fixed names and are always identical, which
tests/protocol/test_vectors.py checks. The expected results are in the ``*_cases`` modules, written
by hand; only ids, keys and hashes are computed. Sealing is random: only --sealed makes sealed.json
again.
"""

import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from tests.vectors.card_cases import card_vectors
from tests.vectors.file_cases import file_vectors
from tests.vectors.message_cases import message_vectors
from tests.vectors.other_cases import (
    batch_vectors,
    code_vectors,
    line_vectors,
    padme_vectors,
    request_vectors,
    second_seal_vectors,
    text_vectors,
)
from tests.vectors.sealed_cases import sealed_vectors
from tests.vectors.thread_cases import thread_vectors
from tests.vectors.world import Vector

FOLDER = Path(__file__).parent

DETERMINISTIC: Mapping[str, Callable[[], list[Vector]]] = {
    "batches": batch_vectors,
    "cards": card_vectors,
    "codes": code_vectors,
    "desk_requests": request_vectors,
    "files": file_vectors,
    "json_lines": line_vectors,
    "messages": message_vectors,
    "padme": padme_vectors,
    "second_seal": second_seal_vectors,
    "texts": text_vectors,
    "threads": thread_vectors,
}


def written(vectors: list[Vector]) -> str:
    """Return a vectors file's text in ASCII, so that no editor changes invisible characters."""
    return json.dumps(vectors, indent=1, ensure_ascii=True) + "\n"


def stored(name: str) -> list[Vector]:
    """Return the vectors of a file in this folder."""
    vectors: list[Vector] = json.loads((FOLDER / f"{name}.json").read_text("ascii"))
    return vectors


def main() -> None:
    """Write the files."""
    for name, make in DETERMINISTIC.items():
        (FOLDER / f"{name}.json").write_text(written(make()), "ascii")
    if "--sealed" in sys.argv[1:]:
        (FOLDER / "sealed.json").write_text(written(sealed_vectors()), "ascii")


if __name__ == "__main__":
    main()
