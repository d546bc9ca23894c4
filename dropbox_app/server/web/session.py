"""The only cookie for a reporter without JavaScript (SPEC section 8). It replaces Flask's session.

The cookie is a NaCl SecretBox around an itsdangerous timed signature around a record of fixed size.
The parent process generates the key and never writes it to a file, so a restart ends every session
and the code must be entered again. No cookie is set before a code is shown or entered.

The cookie contains the entire session, so a copy of it would outlive the session. The server
therefore remembers in memory which sessions have ended, and which have left their code page (see
``ended_sessions``).
"""

import binascii
import hashlib
import hmac
import secrets
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from flask import Request, Response
from flask.globals import request_ctx
from flask.sessions import SessionMixin
from itsdangerous import BadSignature, TimestampSigner
from nacl.exceptions import CryptoError
from nacl.secret import SecretBox
from nacl.utils import random as random_bytes

from dropbox_app.server.web.ended_sessions import LONGEST, EndedSessions
from dropbox_app.server.web.repeated_posts import RepeatedPosts

IDLE = 20 * 60  # seconds without use until a session ends, except while the code page is open
KEY_BYTES = 32

_WORDS = 96  # bytes reserved for the seven words
_RECORD = 1 + 16 + 8 + 32 + 20 + 32 + 16 + _WORDS


@dataclass(frozen=True)
class Keys:
    """The keys that are derived from the cookie key, each with its own label."""

    box: bytes
    signature: bytes
    mark: bytes
    desk: bytes
    ended: bytes
    post: bytes

    @classmethod
    def of(cls, key: bytes, site: bytes) -> "Keys":
        """Return the keys of one site.

        Values sealed or signed with these keys are invalid at other sites.
        """
        labels = (b"box", b"signature", b"mark", b"desk", b"ended", b"post")
        own = hmac.digest(key, b"klankbord/site/" + site, "sha256")
        return cls(*(hmac.digest(own, b"klankbord/cookie/" + label, "sha256") for label in labels))


def new_key() -> bytes:
    """Return a new cookie key. The key is made before the workers are forked, and never stored."""
    return random_bytes(KEY_BYTES)


def csrf_key(key: bytes) -> bytes:
    """Return the key of Flask-WTF's tokens for all sites.

    Each token is valid in one session only.
    """
    return hmac.digest(key, b"klankbord/csrf", "sha256")


@dataclass(frozen=True)
class VisitMemory:
    """The data on sessions and posts that the workers of a server share in memory."""

    ended: EndedSessions
    posts: RepeatedPosts


@dataclass(frozen=True, repr=False)
class Post:
    """The identity of a posted report.

    The server knows ``name``. Nobody can derive ``key``, under which the response is sealed,
    without the post itself. An empty name means that the report is not remembered.
    """

    name: bytes = b""
    key: bytes = b""


class ReporterSession(dict[str, Any], SessionMixin):
    """A reporter's session; empty if there is none. Flask-WTF reads the field ``csrf_token``.

    ``root`` is 32 bytes, and ``start`` is in seconds. ``words`` is the code, while its page is
    open. ``mark`` is a keyed hash of the report that started the session, and ``post`` the name of
    its post. ``arrived`` is True if the browser sent a cookie. ``over`` lists the sessions that
    this request ended.
    """

    arrived = False
    ended = False
    over: tuple[Mapping[str, Any], ...] = ()
    used = False

    @property
    def root(self) -> bytes | None:
        """Return the 32 bytes from which the reporter's keys are derived, or None."""
        self.used = True
        root = self.get("root")
        return root if isinstance(root, bytes) else None

    @property
    def code(self) -> tuple[str, ...]:
        """Return the seven words while the code page is open, and an empty tuple after that."""
        self.used = True
        return tuple(str(self.get("words", "")).split())

    @property
    def shows_code(self) -> bool:
        """Return whether the code page is open. Reading this property does not renew the cookie."""
        return bool(self.get("words"))

    @property
    def mark(self) -> bytes:
        """Return the keyed hash of the report that started this session, or b""."""
        mark = self.get("mark", b"")
        return mark if isinstance(mark, bytes) else b""

    def move_on(self) -> None:
        """Leave the code page, and remove the words from the session.

        The mark is kept, because a browser that returns from here to the previous page posts the
        report again.
        """
        self["words"] = ""

    def become(self, other: "ReporterSession") -> None:
        """Become another session. The previous session ends, and all copies of its cookie expire.

        The previous session does not end while it shows a code of another conversation. If the
        response was lost, only that session knows that code.
        """
        known = not self.get("words") or self["root"] == other["root"]
        if "root" in self and known and self["csrf_token"] != other["csrf_token"]:
            self.over = (*self.over, dict(self))
        self.clear()
        self.update(other)
        self.used, self.ended = True, False

    def end(self) -> None:
        """End the session and make the browser delete the cookie."""
        if "root" in self:
            self.over = (*self.over, dict(self))
        self.clear()
        self.ended = True


def current_session() -> ReporterSession:
    """Return the session of this request; empty if there is none."""
    session = request_ctx.session
    if not isinstance(session, ReporterSession):
        raise TypeError("the app has another session interface")
    return session


class SiteCookie:
    """Reads and writes the cookie of one site. ``now`` returns the time in seconds.

    ``is_https`` returns whether the request of a WSGI environment arrived over https. ``memory`` is
    the workers' shared memory of visits.
    """

    def __init__(
        self,
        key: bytes,
        site: str,
        now: Callable[[], float],
        is_https: Callable[[dict[str, Any]], bool],
        memory: VisitMemory,
    ) -> None:
        self._memory = memory
        self._site = bytes.fromhex(site)
        self._keys = Keys.of(key, self._site)
        self._now = now
        self._is_https = is_https
        self._box = SecretBox(self._keys.box)

        class Signer(TimestampSigner):
            """An itsdangerous signer that uses the clock passed to ``SiteCookie``."""

            def get_timestamp(self) -> int:
                return int(now())

        self._signer = Signer(
            self._keys.signature, salt=b"klankbord/cookie", digest_method=hashlib.sha256
        )

    @property
    def desk_key(self) -> bytes:
        """Return the key of the desk API's timed tokens."""
        return self._keys.desk

    def read(self, request: Request, session: ReporterSession) -> None:
        """Fill an empty session with the contents of the request's cookie."""
        value = request.cookies.get(self._name(request))
        if value:
            session.arrived = True
            session.update(self._unseal(value))
            if session.get("post"):
                self._memory.posts.forget(session["post"])  # its response has arrived

    def write(self, request: Request, session: ReporterSession, response: Response) -> None:
        """Set the cookie if the session was used. Pages without a session set no cookie."""
        for over in session.over:
            self._memory.ended.end(self._name_of(over), over["start"])
        if session.ended:
            if session.arrived:
                self._set(request, response, "", "; Max-Age=0")
        elif session.used and "root" in session:
            self._set(request, response, session.pop("sealed", None) or self.seal(session))

    def _set(self, request: Request, response: Response, value: str, more: str = "") -> None:
        """Set the header by hand: werkzeug adds Expires to Max-Age, which reveals the time."""
        secure = "; Secure" if self._is_https(request.environ) else ""
        cookie = f"{self._name(request)}={value}; Path=/; HttpOnly; SameSite=Strict{secure}{more}"
        response.headers.add("Set-Cookie", cookie)

    def _name(self, request: Request) -> str:
        """Return the name of the cookie: ``__Host-s``, or ``s`` on onion and loopback addresses."""
        return "__Host-s" if self._is_https(request.environ) else "s"

    def fresh(
        self, root: bytes, code: Sequence[str] = (), mark: bytes = b"", post: Post | None = None
    ) -> ReporterSession:
        """Return a new session for the report ``post``; if ``code`` is given, open its code page.

        The cookie is sealed at this point, so that nothing can fail after a report is stored. See
        ``ReporterSession.become``.
        """
        session = ReporterSession(
            root=root,
            start=int(self._now()),
            csrf_token=secrets.token_hex(20),
            words=" ".join(code),
            mark=mark,
            post=post.name if post else b"",
        )
        session["sealed"] = self.seal(session)
        return session

    def mark_of(self, parts: Sequence[str]) -> bytes:
        """Return a keyed hash of a post, which identifies the same post later."""
        whole = b"".join(len(p.encode()).to_bytes(8, "big") + p.encode() for p in parts)
        return hmac.digest(self._keys.mark, self._site + whole, "sha256")

    def post_of(
        self, visitor: str, target: str, headers: Iterable[tuple[str, str]], body: bytes
    ) -> Post:
        """Return the identity of a post: its full contents and the client's circuit or address.

        Without a ``visitor``, no two posts are treated as the same.
        """
        if not visitor:
            return Post()
        parts = [part.encode() for pair in headers for part in pair]
        parts = [visitor.encode(), target.encode(), body, *parts]
        whole = b"".join(len(part).to_bytes(8, "big") + part for part in parts)
        digest = hmac.digest(self._keys.post, self._site + whole, "sha512")
        return Post(digest[:16], digest[32:])

    def seal_answer(self, post: Post, session: ReporterSession) -> bytes:
        """Seal the session that a post started, so that only the same post opens it."""
        return bytes(SecretBox(post.key).encrypt(self._record(session))) if post.key else b""

    def open_answer(self, post: Post, sealed: bytes) -> ReporterSession | None:
        """Return the session in ``sealed``, if it has not ended."""
        if not sealed:
            return None
        try:
            found = self._read_record(SecretBox(post.key).decrypt(sealed))
        except CryptoError:
            return None
        return ReporterSession(found) if found and found["words"] else None

    def seal(self, session: ReporterSession) -> str:
        """Return the cookie's value, which always has the same length."""
        signed = self._signer.sign(urlsafe_b64encode(self._record(session)))
        return urlsafe_b64encode(self._box.encrypt(signed)).decode("ascii")

    def _record(self, session: ReporterSession) -> bytes:
        return b"".join(
            (
                b"\x01",
                self._site,
                session["start"].to_bytes(8, "big"),
                session["root"],
                bytes.fromhex(session["csrf_token"]),
                session["mark"].ljust(32, b"\0"),
                session["post"].ljust(16, b"\0"),
                session["words"].encode("ascii").ljust(_WORDS, b" "),
            )
        )

    def _name_of(self, session: Mapping[str, Any], what: bytes = b"session") -> bytes:
        """Return the name under which the end of a session, or of its code page, is remembered."""
        start = session["start"].to_bytes(8, "big")
        own = what + start + bytes.fromhex(session["csrf_token"]) + session["root"]
        return hmac.digest(self._keys.ended, own, "sha256")[:16]

    def _unseal(self, value: str) -> dict[str, Any]:
        """Return a cookie's contents; {} if it has expired, or is not valid at this site.

        After the person has left the code page, the words are omitted, whichever cookie was sent.
        """
        try:
            sealed = urlsafe_b64decode(value.encode("ascii"))
            if urlsafe_b64encode(sealed).decode("ascii") != value:
                return {}  # Python's decoder accepts more than the encoder writes
            signed = self._box.decrypt(sealed)
            encoded, moment = self._signer.unsign(signed, LONGEST, return_timestamp=True)
            record = urlsafe_b64decode(encoded)
        except (CryptoError, BadSignature, binascii.Error, ValueError):
            return {}
        found = self._read_record(record)
        if found and not found["words"] and int(self._now()) - int(moment.timestamp()) > IDLE:
            return {}
        return found

    def _read_record(self, record: bytes) -> dict[str, Any]:
        if len(record) != _RECORD or record[:17] != b"\x01" + self._site:
            return {}
        mark, post = record[77:109], record[109:125]
        found: dict[str, Any] = {
            "start": int.from_bytes(record[17:25], "big"),
            "root": record[25:57],
            "csrf_token": record[57:77].hex(),
            "mark": b"" if mark == bytes(32) else mark,
            "post": b"" if post == bytes(16) else post,
            "words": record[125:].decode("ascii").strip(),
        }
        start, ended = found["start"], self._memory.ended
        if not start <= int(self._now()) <= start + LONGEST:
            return {}
        if ended.has(self._name_of(found), start):
            return {}
        if found["mark"]:  # only sessions with a mark ever contained words
            moved_on = self._name_of(found, b"words")
            if not found["words"]:
                # The cookie without words has arrived, so older cookies must no longer show them.
                ended.end(moved_on, start)
            elif ended.has(moved_on, start):
                found["words"] = ""
        return found
