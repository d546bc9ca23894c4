"""Complete requests, generated from the app's own routes, forms and header names.

A seed gives the same requests again for the same site. The generator makes a client's request;
``in_process`` passes it to the app as gunicorn would, and ``raw`` writes it for a socket.
"""

import io
import random
import urllib.parse
from dataclasses import dataclass, field
from typing import Any

from flask import Flask
from gunicorn.util import unquote_to_wsgi_str  # type: ignore[import-untyped]  # ships no types
from wtforms.fields.core import UnboundField  # type: ignore[import-untyped]  # ships no types

from dropbox_app.protocol import age
from dropbox_app.protocol.encoding import clean_text, sha256_hex
from dropbox_app.protocol.messages import ANSWERS
from dropbox_app.server.web import forms
from dropbox_app.server.web.request_checks import FORM
from dropbox_app.server.web.routing import LANG
from dropbox_app.server.web.uploads import FORM_BYTES
from tests.support.server_folder import RECIPIENTS
from tests.support.values import BYTES, FILE, SENT, TYPED, long_words, mangled, strange

FORMS: dict[str, type[Any]] = {
    "report": forms.ReportForm,
    "return": forms.CodeForm,
    "code": forms.CodeCheckForm,
    "conversation": forms.WriteForm,
    "consent": forms.ConsentForm,
    "counsellor": forms.OtherForm,
    "withdraw": forms.WithdrawForm,
}
# The field of each form that contains a person's own words.
OWN = {"report": "text", "conversation": "text", "counsellor": "text", "consent": "remark"}
BOUNDARY = b"zq-between-zq"
METHODS = ("GET", "GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS", "PATCH", "TRACE", "CONNECT")
HEADERS = (
    "Accept", "Accept-Charset", "Accept-Encoding", "Accept-Language", "Authorization", "Cookie",
    "Content-Disposition", "Content-Encoding", "Content-Language", "Content-Range", "Content-MD5",
    "DNT", "Date", "Expect", "Forwarded", "From", "Front-End-Https", "If-Match",
    "If-Modified-Since", "If-None-Match", "If-Range", "Max-Forwards", "Origin", "Pragma", "Proxy",
    "Range", "Referer", "Sec-Fetch-Dest", "Sec-Fetch-Mode", "Sec-Fetch-Site", "Upgrade",
    "User-Agent", "Via", "X-CSRFToken", "X-CSRF-Token", "X-Forwarded-For", "X-Forwarded-Host",
    "X-Forwarded-Prefix", "X-Forwarded-Proto", "X-HTTP-Method-Override", "X-Original-URL",
    "X-Rewrite-URL", "X-Real-IP", "X-Requested-With",
)  # fmt: skip
PATHS = (
    "", "/", "//", "/.", "/..", "/nl", "/nl/", "/nl//report", "/nl/report/", "/nl/%2e%2e/report",
    "/nl/%00", "/nl/%ff", "/%6el/", "/NL/", "/nl;x/report", "/api", "/api/", "/api//site",
    "/api/desk/../site", "/api/desk/%2e%2e", "/static/", "/static/../site.toml", "/site.toml",
    "/.git/config", "/nl/report%0d%0aX:y", "*", "/nl/" + "a" * 3000,
)  # fmt: skip


def fields_of(form: type[Any]) -> tuple[str, ...]:
    """Return the names of a form's fields."""
    return tuple(n for n in dir(form) if isinstance(getattr(form, n), UnboundField))


@dataclass
class Call:
    """One request. ``kept`` names the text that a refusal must return."""

    method: str
    target: str
    headers: list[tuple[str, str]] = field(default_factory=list)
    body: bytes = b""
    form: str = ""
    kept: str | None = None

    def raw(self) -> bytes:
        lines = [f"{self.method} {self.target} HTTP/1.1"]
        lines += [f"{name}: {value}" for name, value in self.headers]
        if self.body:
            lines.append(f"Content-Length: {len(self.body)}")
        head = "\r\n".join([*lines, "Connection: close", "", ""])
        return head.encode("utf-8", BYTES) + self.body

    def environ(self) -> dict[str, Any]:
        """Return gunicorn's environ; it would refuse control characters in headers."""
        path, _, query = self.target.partition("?")
        made: dict[str, Any] = {
            "REQUEST_METHOD": self.method,
            "SCRIPT_NAME": "",
            "PATH_INFO": unquote_to_wsgi_str(path),
            "QUERY_STRING": query,
            "RAW_URI": self.target,
            "SERVER_NAME": "127.0.0.1",
            "SERVER_PORT": "8000",
            "SERVER_PROTOCOL": "HTTP/1.1",
            "REMOTE_ADDR": "127.0.0.1",
            "wsgi.version": (1, 0),
            "wsgi.url_scheme": "http",
            "wsgi.input": io.BytesIO(self.body),
            "wsgi.input_terminated": True,
            "wsgi.errors": io.StringIO(),
            "wsgi.multithread": True,
            "wsgi.multiprocess": True,
            "wsgi.run_once": False,
        }
        if self.body:
            made["CONTENT_LENGTH"] = str(len(self.body))
        for name, value in self.headers:
            key = name.upper().replace("-", "_")
            key = key if key in ("CONTENT_TYPE", "CONTENT_LENGTH") else f"HTTP_{key}"
            text = value.encode("utf-8", BYTES).decode("latin-1")
            text = "".join(c for c in text if c == "\t" or " " <= c != "\x7f").strip()
            made[key] = f"{made[key]},{text}" if key in made else text
        return made


@dataclass
class Answer:
    """A response."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes


def in_process(app: Flask, call: Call) -> Answer:
    """Return the response to a request through WSGI, without a server in between."""
    begun: list[tuple[str, list[tuple[str, str]]]] = []

    def start(status: str, headers: list[tuple[str, str]], *_: object) -> Any:  # noqa: ANN401 - of a WSGI server or a test
        begun.append((status, headers))

    pieces = app.wsgi_app(call.environ(), start)
    try:
        body = b"".join(pieces)
    finally:
        if hasattr(pieces, "close"):
            pieces.close()
    (status, headers), *_ = begun
    return Answer(int(status.split()[0]), headers, body)


@dataclass
class Visitor:
    """The parts of a browser that requests need: its cookie, the newest token, its code."""

    cookie: str = ""
    token: str = ""
    code: str = ""
    requests: list[str] = field(default_factory=list)  # digests of the consent requests it received


class Maker:
    """Makes calls for one site. ``desk`` signs one: (method, target, body) to a header."""

    def __init__(self, rng: random.Random, app: Flask, origin: str, desk: Any) -> None:  # noqa: ANN401 - of a WSGI server or a test
        self.rng = rng
        self.origin = origin
        self.host = urllib.parse.urlsplit(origin).netloc
        self.desk = desk
        self.rules = [rule.rule for rule in app.url_map.iter_rules()]
        self.visitors = [Visitor()]
        self.dead: list[str] = []  # cookies of ended sessions, other sites, before a restart
        self.ids: list[str] = ["0" * 64]
        self.identities: list[str] = ["0" * 64]
        self.cards: list[bytes] = [b""]

    def call(self) -> tuple[Call, Visitor]:
        """Return the next call, and the browser it comes from."""
        visitor = self.rng.choice(self.visitors)
        kinds = (self._post, self._upload, self._any, self._desk)
        make = self.rng.choices(kinds, (50, 10, 25, 15))[0]
        return make(visitor), visitor

    def _odd(self, marker: str = TYPED) -> str:
        """Return an odd value, rarely a long one, which costs a hundred times the work."""
        value = self.rng.choice(strange(marker))
        return value if len(value) < 2_000 or self.rng.random() < 0.1 else self._odd(marker)

    # a form

    def _post(self, visitor: Visitor) -> Call:
        name = self.rng.choice(list(FORMS))
        pairs = self._fields(name, visitor)
        own = OWN.get(name)
        typed = next((value for key, value in pairs if key == own), "")
        body = urllib.parse.urlencode(pairs, errors=BYTES).encode()
        headers = [("Host", self.host), ("Content-Type", FORM)]
        honest = True
        if self.rng.random() < 0.85:
            headers += [("Origin", self.origin), ("Sec-Fetch-Site", "same-origin")]
        if self.rng.random() < 0.85:
            headers += self._cookie(visitor)
        if self.rng.random() < 0.1:
            headers += self._headers()
            honest = False
        if self.rng.random() < 0.05:
            body = mangled(self.rng, body)
            honest = False
        query = self._query() if self.rng.random() < 0.1 else ""
        kept = None
        if honest and own and len(body) <= FORM_BYTES:
            kept = _as_shown(typed)
        lang = self.rng.choice(("nl", "en"))
        return Call("POST", f"/{lang}/{name}{query}", headers, body, name, kept)

    def _fields(self, name: str, visitor: Visitor) -> list[tuple[str, str]]:
        pairs: list[tuple[str, str]] = []
        for one in fields_of(FORMS[name]):
            if self.rng.random() < 0.8:
                pairs.append((one, self._value(one, visitor)))
        if name not in ("report", "return") and self.rng.random() < 0.8:
            pairs.append(("csrf_token", self._token(visitor)))
        if self.rng.random() < 0.1:
            pairs.append(("switch", "1"))
        for _ in range(self.rng.choice((0, 0, 0, 1, 2, 12))):
            which = self.rng.choice(
                [p[0] for p in pairs] + ["x", "", "__class__", "text[]", "\0", "é"]
            )
            pairs.append((which, self._odd()))
        if self.rng.random() < 0.3:
            self.rng.shuffle(pairs)
        return pairs

    def _value(self, name: str, visitor: Visitor) -> str:
        """Return a value for the field, usually a suitable one."""
        odd = self.rng.random() < 0.3
        if name == "code":
            # A well-formed code costs a hash, so few codes are well-formed.
            good = visitor.code if self.rng.random() < 0.15 else ""
            return self.rng.choice(long_words(TYPED)) if odd else good
        if odd:
            return self._odd()
        if name in ("text", "remark"):
            return f"{TYPED} {self.rng.randrange(10**6)}\r\nen <b>meer</b> & “meer” \U0001f641"
        if name in ANSWERS:
            return self.rng.choice(ANSWERS[name][1])
        if name == "counsellor":
            return self.rng.choice(self.identities)
        if name == "request":
            return self.rng.choice([*visitor.requests, *self.ids])
        return {"answer": self.rng.choice(("yes", "no", "tell-me-more", "withdrawn"))}.get(
            name, "y"
        )

    def _token(self, visitor: Visitor) -> str:
        other = self.rng.choice(self.visitors).token
        return self.rng.choices((visitor.token, other, self._odd(), ""), (80, 8, 8, 4))[0]

    def _cookie(self, visitor: Visitor) -> list[tuple[str, str]]:
        value = visitor.cookie
        if self.rng.random() < 0.2:
            value = self.rng.choice([*self.dead, self._odd(SENT), value + "A", value[:-2], ""])
        made = [("Cookie", f"s={value}")]
        if self.rng.random() < 0.05:
            made += [("Cookie", f"s={self._odd(SENT)}; __Host-s={visitor.cookie}; =; ;;")]
        return made

    # a form with files

    def _upload(self, visitor: Visitor) -> Call:
        """Return an upload, mostly as browsers write one; no response may repeat its contents."""
        text = self._value("text", visitor)
        pairs = [("csrf_token", self._token(visitor)), ("after", self._after()), ("text", text)]
        parts = [self._part(name, value.encode("utf-8", BYTES)) for name, value in pairs]
        many = self.rng.choices((0, 1, 3, 12), (10, 60, 20, 10))[0]
        files = [self._file() for _ in range(many)]
        honest = True
        if self.rng.random() < 0.2:
            parts.pop(self.rng.randrange(len(parts)))
            honest = False
        parts += files
        if self.rng.random() < 0.1:
            self.rng.shuffle(parts)
            honest = False  # the text may come after the point where reading stops
        body = b"".join(b"--%s\r\n%s\r\n" % (BOUNDARY, part) for part in parts)
        body += b"--%s--\r\n" % BOUNDARY
        if self.rng.random() < 0.1:
            body = mangled(self.rng, body)
            honest = False
        kind = f"multipart/form-data; boundary={BOUNDARY.decode()}"
        headers = [("Host", self.host), ("Content-Type", kind), ("Origin", self.origin)]
        if self.rng.random() < 0.9:
            headers += self._cookie(visitor)
        lang = self.rng.choice(("nl", "en"))
        kept = None
        if honest:
            kept = clean_text(text.encode("utf-8", BYTES).decode("utf-8", "replace"))
        return Call("POST", f"/{lang}/files", headers, body, "files", kept)

    def _after(self) -> str:
        return self._odd() if self.rng.random() < 0.1 else str(self.rng.randrange(12))

    def _part(self, name: str, content: bytes, more: bytes = b"") -> bytes:
        head = b'Content-Disposition: form-data; name="%s"%s' % (name.encode(), more)
        return head + b"\r\n\r\n" + content

    def _file(self) -> bytes:
        name = self._odd()[:2_000] if self.rng.random() < 0.5 else f"{TYPED}.jpg"
        quoted = name.replace('"', "%22").replace("\r", "%0D").replace("\n", "%0A")
        kind = SENT if self.rng.random() < 0.2 else "image/jpeg"
        more = b'; filename="%s"\r\nContent-Type: %s' % (
            quoted.encode("utf-8", BYTES), kind.encode(),
        )  # fmt: skip
        size = self.rng.choice((0, 1, 900, FILE, FILE + 1, FILE * 3))
        field = "files" if self.rng.random() < 0.9 else "text"
        return self._part(field, (SENT.encode() * (size // len(SENT) + 1))[:size], more)

    # anything

    def _headers(self) -> list[tuple[str, str]]:
        return [
            (self.rng.choice(HEADERS), self.rng.choice(strange(SENT))[:8000])
            for _ in range(self.rng.randint(1, 6))
        ]

    def _query(self) -> str:
        made = [
            (
                self.rng.choice(("sent", "again", "after", "n", "to", "x", SENT)),
                self._odd(SENT)[:900],
            )
            for _ in range(self.rng.randint(1, 4))
        ]
        return "?" + urllib.parse.urlencode(made, errors=BYTES)[:3500]

    def _path(self) -> str:
        if self.rng.random() < 0.25:
            odd = urllib.parse.quote(self._odd(SENT)[:900], errors=BYTES)
            return self.rng.choice([*PATHS, f"/{odd}", f"/nl/{odd}", f"/api/desk/{odd}"])[:3500]
        path = self.rng.choice(self.rules)
        for part in (LANG[1:], "<item>", "<mailbox>", "<path:rest>"):
            good = self.rng.choice(("nl", "en") if "lang" in part else self.ids)
            odd = urllib.parse.quote(self._odd(SENT)[:300], safe="", errors=BYTES)
            path = path.replace(part, good if self.rng.random() < 0.8 else odd)
        return path

    def _any(self, visitor: Visitor) -> Call:
        headers = [] if self.rng.random() < 0.03 else [("Host", self._host())]
        headers += self._headers() if self.rng.random() < 0.5 else []
        headers += self._cookie(visitor) if self.rng.random() < 0.5 else []
        body = b""
        if self.rng.random() < 0.4:
            body = self._odd(SENT).encode("utf-8", BYTES)
            headers.append(("Content-Type", self._content_type()))
        target = self._path() + (self._query() if self.rng.random() < 0.4 else "")
        return Call(self.rng.choice(METHODS), target, headers, body)

    def _host(self) -> str:
        odd = (
            "", SENT, f"{SENT}.{self.host}", f"{self.host}.{SENT}", f"{SENT}@{self.host}", "[::1",
            "[" + SENT, f"{self.host}/{SENT}", f"{self.host}:{SENT}", "127.0.0.1:99999", "a" * 300,
            self.host + "\u3002", "xn--" + SENT,
        )  # fmt: skip
        return self.host if self.rng.random() < 0.85 else self.rng.choice(odd)

    def _content_type(self) -> str:
        return self.rng.choice(
            (
                FORM, FORM + "; charset=utf-16", FORM + ";" * 500, "",
                "multipart/form-data; boundary=x", "multipart/form-data", "application/json",
                "text/plain; charset=" + SENT, SENT, "/", ";", 'a/b; c="' + "\\" * 500,
            )
        )  # fmt: skip

    # a desk

    def _desk(self, visitor: Visitor) -> Call:
        method, target = self._desk_target()
        body = self._desk_body() if method in ("PUT", "POST") and "fetched" not in target else b""
        if "/files/" in target and self.rng.random() < 0.7:
            target = target.rsplit("/", 1)[0] + "/" + sha256_hex(body)
        signed = self.desk(method, target, body)
        chance = self.rng.random()
        if chance < 0.1:
            signed = mangled(self.rng, signed.encode()).decode("latin-1")
        elif chance < 0.15:
            signed = self.rng.choice(strange(SENT))[:8000]
        elif chance < 0.2:
            body += b"x"
        elif chance < 0.25:
            target += self._query()
        return Call(method, target, [("Host", self.host), ("Authorization", signed)], body)

    def _desk_target(self) -> tuple[str, str]:
        ids = [*self.ids, "0" * 64, "x", "A" * 64, SENT]
        one, other = self.rng.choice(ids), self.rng.choice(ids)
        number = self.rng.choice(("0", "1", "2", "01", "-1", "", "9" * 16, "9" * 400, "1e3"))
        to = ".".join(
            self.rng.choices([*self.identities, "0" * 64, SENT], k=self.rng.randint(0, 6))
        )
        return self.rng.choice(
            (
                ("GET", "/api/site"),
                ("GET", "/api/desk/challenge"),
                ("GET", "/api/desk/mailboxes"),
                ("GET", f"/api/desk/inbox?after={number}"),
                ("GET", f"/api/desk/items/{one}"),
                ("GET", f"/api/desk/items?ids={one}.{other}"),
                ("POST", f"/api/desk/items/fetched?ids={one}.{other}"),
                ("PUT", f"/api/desk/mailboxes/{one}/files/{other}"),
                ("POST", f"/api/desk/mailboxes/{one}/messages?n={number}&to={to}"),
                ("PUT", "/api/desk/card"),
                ("PATCH", f"/api/desk/{one}"),
            )
        )

    def _desk_body(self) -> bytes:
        sealed = age.seal(
            b" " * self.rng.choice((8192, 8192, 100)), RECIPIENTS[: self.rng.randint(1, 3)]
        )
        return self.rng.choice(
            (
                sealed,
                mangled(self.rng, sealed),
                mangled(self.rng, self.rng.choice(self.cards)),
                self.rng.choice(self.cards),
                self._odd(SENT).encode("utf-8", BYTES),
                b"",
                bytes(140_000),
            )
        )


def _as_shown(typed: str) -> str:
    """Return the text as a page shows it: werkzeug keeps non-UTF-8 bytes percent-encoded."""
    raw = urllib.parse.quote_plus(typed, errors=BYTES)
    text = urllib.parse.unquote_plus(raw, errors="werkzeug.url_quote")
    return clean_text(text)
