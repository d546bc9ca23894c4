"""The browser's client agrees with the committed vectors (SPEC section 10)."""

import pytest

from dropbox_app.protocol.retrieval_code import LANGUAGES, word_list
from tests.browser.conftest import Ask
from tests.vectors.make import stored
from tests.vectors.sealed_cases import ANNA_SEED
from tests.vectors.world import ANNA, MAILBOX, SITE

READ = (
    *("batches", "cards", "codes", "files", "json_lines", "messages", "padme", "sealed"),
    *("texts", "threads"),
)


@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", READ)
def test_client_agrees_with_every_vector(client: Ask, name: str) -> None:
    vectors = stored(name)
    extra = {
        "words": [word for lang in LANGUAGES for word in word_list(lang)],
        "seed": ANNA_SEED.raw.hex(),
        "site": SITE,
        "mailbox": MAILBOX,
        "viewer": str(ANNA.verify_key),
    }
    assert vectors
    assert client("vectors", name=name, vectors=vectors, extra=extra) == []


def test_failing_vectors_are_reported(client: Ask) -> None:
    """No vector is skipped: with every expectation inverted, every one is reported."""
    vectors = [{**vector, "expect": not vector["expect"]} for vector in stored("json_lines")]
    told = client("vectors", name="json_lines", vectors=vectors, extra={})
    assert len(told) == len(vectors)
