"""Detection of retrieval codes in a text, and codes that are cheap to hash."""

import contextlib
from collections.abc import Iterator

import nacl.pwhash.argon2id
import pytest

from dropbox_app.protocol import retrieval_code


@contextlib.contextmanager
def hashed_cheaply() -> Iterator[None]:
    """Hash codes at Argon2id's minimum cost inside the block."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(retrieval_code, "ARGON2_PASSES", nacl.pwhash.argon2id.OPSLIMIT_MIN)
        patch.setattr(retrieval_code, "ARGON2_MEMORY", nacl.pwhash.argon2id.MEMLIMIT_MIN)
        yield


@pytest.fixture(scope="package", autouse=True)
def cheap_codes() -> Iterator[None]:
    """Hash codes cheaply in all tests of a folder whose conftest imports this fixture.

    These tests check only whether and when a code is hashed. A server in a separate process hashes
    at the usual cost.
    """
    with hashed_cheaply():
        yield


def tells(text: str, code: str) -> bool:
    """Return whether a text contains at least three words of a code.

    One or two words prove nothing: the list has everyday words, and any page contains dozens of
    them. Three occur by chance on fewer than one in 100,000 pages.
    """
    return len(set(code.split()) & set(text.split())) >= 3
