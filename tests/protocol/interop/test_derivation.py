"""The keys of a retrieval code, as derived in Python and by derive.mjs (SPEC section 2)."""

import secrets

import pytest

from dropbox_app.protocol.retrieval_code import derive_root, generate, reporter_keys, word_list
from tests.protocol.interop.conftest import Ask


def same(peer: Ask, words: tuple[str, ...], site: str) -> None:
    keys = reporter_keys(derive_root(words, site))
    assert peer("derive", words=words, site=site) == {
        "token": keys.access_token.hex(),
        "reply": keys.reply.raw.hex(),
        "recipient": str(keys.recipient),
        "signing": keys.signing.seed.hex(),
        "verify": keys.verify.hex,
        "mailbox": keys.mailbox,
        "access": keys.access,
    }


@pytest.mark.timeout(3_600)
@pytest.mark.parametrize("lang", ["nl", "en"])
def test_both_implementations_derive_the_same_keys_from_generated_codes(
    peer: Ask, lang: str, long_run: bool
) -> None:
    for _ in range(500 if long_run else 5):  # a quarter of a second each, in node
        same(peer, generate(lang), secrets.token_hex(16))


def test_both_implementations_derive_the_same_keys_from_a_code_with_words_of_both_lists(
    peer: Ask,
) -> None:
    """Such a code is never generated, but may be typed."""
    site = secrets.token_hex(16)
    same(peer, (*word_list("nl")[:4], *word_list("en")[-3:]), site)


def test_different_sites_give_different_mailboxes() -> None:
    words = generate("nl")
    one, other = (reporter_keys(derive_root(words, site * 32)) for site in "01")
    assert one.mailbox != other.mailbox
    assert one.access != other.access
