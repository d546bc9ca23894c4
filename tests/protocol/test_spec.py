"""SPEC.md's worked example matches the code."""

import importlib.resources
import re

from dropbox_app.protocol import age
from dropbox_app.protocol.retrieval_code import derive_root, read_typed, reporter_keys


def test_worked_example_matches_the_code() -> None:
    """Every value in section 13 is computed from the inputs stated there."""
    spec = (importlib.resources.files("dropbox_app.protocol") / "SPEC.md").read_text("utf-8")
    example = spec.partition("## 13. Worked example")[2]
    site, typed, shown_words = re.findall(r"`([^`]+)`", example)[:3]
    words = read_typed(typed)
    root = derive_root(words, site)
    keys = reporter_keys(root)
    values = dict(re.findall(r"^\| `?([a-z ]+)`? \| `([^`]+)` \|$", example, re.MULTILINE))
    assert " ".join(words) == shown_words
    assert values == {
        "root": root.hex(),
        "access token": keys.access_token.hex(),
        "access id": keys.access,
        "reply seed": keys.reply.raw.hex(),
        "signing seed": keys.signing.seed.hex(),
        "verify": str(keys.verify),
        "mailbox id": keys.mailbox,
    }
    assert f"{age.sealed_length(8192, 2):,} bytes" in example
