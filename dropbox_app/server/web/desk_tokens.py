"""The timed tokens of the desk API (SPEC section 7). Each signed request contains a token."""

from collections.abc import Callable

from itsdangerous import BadSignature, TimestampSigner

from dropbox_app.protocol.desk_request import TOKEN_SECONDS
from dropbox_app.protocol.encoding import new_digest

SALT = "klankbord/v1/desk-token"


class DeskTokens:
    """The tokens of one site, signed with a key that all workers share.

    ``now`` returns the time in seconds.
    """

    def __init__(self, key: bytes, site: str, now: Callable[[], float]) -> None:
        class Signer(TimestampSigner):
            """An itsdangerous signer that uses the clock passed to ``DeskTokens``."""

            def get_timestamp(self) -> int:
                return int(now())

        self._site = site.encode("ascii")
        self._signer = Signer(key, salt=SALT, key_derivation="hmac", digest_method=new_digest)

    def new(self) -> str:
        """Return a token that is valid for TOKEN_SECONDS, for any number of calls."""
        return self._signer.sign(self._site).decode("ascii")

    def is_valid(self, token: str) -> bool:
        """Return whether this server issued the token for this site, and it has not expired."""
        try:
            return self._signer.unsign(token, max_age=TOKEN_SECONDS) == self._site
        except BadSignature:
            return False
