"""A browser without JavaScript for the tests: links, forms, a cookie jar."""

import contextlib
import functools
import http.client
import itertools
import re
import urllib.parse
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from html.parser import HTMLParser

_VOID = {"input", "br", "img", "meta", "link", "hr"}


_BOUNDARY = b"----boundary7MA4YWxkTrZu0gW"
MULTIPART = f"multipart/form-data; boundary={_BOUNDARY.decode()}"


def multipart(
    fields: Sequence[tuple[str, str]], files: Sequence[tuple[str, bytes]], end: bool = True
) -> bytes:
    """Return a form with files in the field ``files``, with names encoded as browsers do."""
    parts = []
    for name, value in fields:
        text = value.replace("\n", "\r\n").encode()
        parts.append(b'form-data; name="%s"\r\n\r\n%s' % (name.encode(), text))
    for name, data in files or [("", b"")]:
        quoted = name.replace('"', "%22").replace("\r", "%0D").replace("\n", "%0A").encode()
        head = b'form-data; name="files"; filename="%s"\r\nContent-Type: image/jpeg' % quoted
        parts.append(b"%s\r\n\r\n%s" % (head, data))
    body = b"".join(b"--%s\r\nContent-Disposition: %s\r\n" % (_BOUNDARY, part) for part in parts)
    return body + b"--%s--\r\n" % _BOUNDARY if end else body[:-2]


@dataclass
class Form:
    """A form of a page: its address, its fields and its buttons."""

    action: str
    method: str
    fields: list[tuple[str, str]] = field(default_factory=list)
    # Radio buttons and tick boxes, all unset.
    choices: dict[str, list[str]] = field(default_factory=dict)
    buttons: list[tuple[str, str, str]] = field(default_factory=list)  # name, value, formaction

    def names(self) -> set[str]:
        return {name for name, _ in self.fields} | set(self.choices)


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.forms: list[Form] = []
        self.links: list[str] = []
        self.ids: dict[str, str] = {}
        self.text: list[str] = []
        self._form: Form | None = None
        self._area: tuple[str, list[str]] | None = None
        self._select: str | None = None
        self._open: list[tuple[str, str]] = []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attributes}
        if tag not in _VOID:
            self._open.append((tag, values.get("id", "")))
        if tag == "a" and "href" in values:
            self.links.append(values["href"])
        if tag == "form":
            self._form = Form(values.get("action", ""), values.get("method", "get").lower())
            self.forms.append(self._form)
        if self._form is None or "disabled" in values:
            return
        name, value = values.get("name", ""), values.get("value", "")
        if tag == "input" and values.get("type") in ("radio", "checkbox"):
            self._form.choices.setdefault(name, []).append(value)
            if "checked" in values:
                self._form.fields.append((name, value))
        elif tag == "input" and values.get("type") not in ("submit", "button"):
            self._form.fields.append((name, value))
        elif tag == "textarea":
            self._area = (name, [])
        elif tag == "select":
            self._select = name
        elif tag == "option" and self._select:
            self._form.choices.setdefault(self._select, []).append(value)
            if "selected" in values:
                self._form.fields.append((self._select, value))
        elif tag == "button":
            self._form.buttons.append((name, value, values.get("formaction", "")))

    def handle_endtag(self, tag: str) -> None:
        while self._open and self._open.pop()[0] != tag:
            pass
        if tag == "textarea" and self._area and self._form:
            content = "".join(self._area[1])
            self._form.fields.append((self._area[0], content.removeprefix("\n")))
            self._area = None
        if tag == "select":
            self._select = None
        if tag == "form":
            self._form = None

    def handle_data(self, data: str) -> None:
        if self._area:
            self._area[1].append(data)
        self.text.append(data)
        for _, identifier in self._open:
            if identifier:
                self.ids[identifier] = self.ids.get(identifier, "") + data


@dataclass
class Page:
    """A server response, as a person without scripts reads it."""

    status: int
    path: str
    headers: list[tuple[str, str]]
    body: bytes

    def __post_init__(self) -> None:
        self.html = self.body.decode("utf-8", "replace")

    @functools.cached_property
    def _read(self) -> _Reader:
        """Parse on first use, because for many pages only the status is needed."""
        read = _Reader()
        if self.header("Content-Disposition") is None:  # a file is not a page, whatever it contains
            read.feed(self.html)
        return read

    @property
    def forms(self) -> list[Form]:
        return self._read.forms

    @property
    def links(self) -> list[str]:
        return self._read.links

    @property
    def text(self) -> str:
        """Return the visible text, without word joiners."""
        return " ".join(" ".join(self._read.text).split()).replace("\u2060", "")

    def element(self, identifier: str) -> str | None:
        return self._read.ids.get(identifier)

    @property
    def code(self) -> str:
        """Return the seven words, from the one element that contains only them."""
        words = (self.element("code") or "").split()
        assert len(words) == 7, f"the code page holds {len(words)} words ({self.status})"
        return " ".join(words)

    def header(self, name: str) -> str | None:
        return next((v for k, v in self.headers if k.lower() == name.lower()), None)

    def form_with(self, *names: str) -> Form:
        """Return the first form that has all these fields."""
        for form in self.forms:
            if set(names) <= form.names():
                return form
        raise AssertionError(f"no form with {names} on {self.path} ({self.status})")

    def form_to(self, part: str, *names: str) -> Form:
        """Return the first form with all these fields whose action includes ``part``."""
        for form in self.forms:
            if part in form.action and set(names) <= form.names():
                return form
        raise AssertionError(f"no form to {part} on {self.path} ({self.status})")


_NUMBERS = itertools.count(1)


class PlainBrowser:
    """Fetches pages, follows redirects within the site, keeps cookies unless it refuses them."""

    def __init__(self, url: str, *, cookies: bool = True) -> None:
        self.url = url
        # Each belongs to a different person: equal posts by one browser would be a second click.
        self.agent = f"Plain browser {next(_NUMBERS)}"
        self.keeps_cookies = cookies
        self.cookies: dict[str, str] = {}
        self.seen_cookies: list[str] = []

    def get(self, path: str) -> Page:
        return self.request("GET", path)

    def submit(self, page: Page, form: Form, button: int = 0, /, **values: str | list[str]) -> Page:
        """Submit a form with the given fields, as a browser would; return the response."""
        fields = [(name, value) for name, value in form.fields if name not in values]
        for name, value in values.items():
            fields += [(name, one) for one in ([value] if isinstance(value, str) else value)]
        action = form.action or page.path
        if form.buttons:
            name, value, formaction = form.buttons[button]
            action = formaction or action
            fields += [(name, value)] if name else []
        target = urllib.parse.urljoin(page.path, action)
        # A browser sends line ends in forms as CR LF.
        pairs = [(name, value.replace("\n", "\r\n")) for name, value in fields]
        body = urllib.parse.urlencode(pairs, encoding="utf-8")
        if form.method == "get":
            return self.request("GET", f"{target}?{body}")
        return self.request("POST", target, body.encode("ascii"))

    def upload(
        self, page: Page, form: Form, files: Sequence[tuple[str, bytes]], **values: str
    ) -> Page:
        """Submit a form with files, as a browser would; return the response."""
        assert form.method == "post"
        fields = [(name, values.get(name, value)) for name, value in form.fields]
        body = multipart([f for f in fields if f[0] != "files"], files)
        target = urllib.parse.urljoin(page.path, form.action)
        return self.request("POST", target, body, {"Content-Type": MULTIPART})

    def stream(
        self, page: Page, form: Form, name: str, size: int, pieces: Iterable[bytes], text: str = ""
    ) -> Page:
        """Upload a file that is in memory one piece at a time; return the response.

        ``size``: the total of all pieces. The iterator determines how fast they are sent.
        """
        fields = [(n, text if n == "text" else value) for n, value in form.fields if n != "files"]
        start, _, end = multipart(fields, [(name, b"\0")]).partition(b"\0")
        path = urllib.parse.urljoin(page.path, form.action)
        headers = self._headers("POST", {"Content-Type": MULTIPART})
        headers["Content-Length"] = str(len(start) + size + len(end))
        with contextlib.closing(self.connection(headers["Host"])) as connection:
            connection.request("POST", path, itertools.chain([start], pieces, [end]), headers)
            answer = connection.getresponse()
            return Page(answer.status, path, answer.getheaders(), answer.read())

    def request(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        headers: dict[str, str] | None = None,
        follow: int = 5,
    ) -> Page:
        page = self.exchange(method, path, body, self._headers(method, headers or {}))
        self._keep(page)
        location = page.header("Location")
        if page.status in (302, 303) and location and follow:
            target = urllib.parse.urldefrag(urllib.parse.urljoin(self.url + path, location)).url
            if target.startswith(self.url + "/"):
                return self.request("GET", target.removeprefix(self.url), follow=follow - 1)
        return page

    def _headers(self, method: str, given: dict[str, str]) -> dict[str, str]:
        """Return the headers of a request, with the cookies."""
        address = urllib.parse.urlsplit(self.url)
        send = {"Host": address.netloc, "User-Agent": self.agent, **given}
        if method == "POST":
            send.setdefault("Content-Type", "application/x-www-form-urlencoded")
            send.setdefault("Origin", self.url)
            send.setdefault("Sec-Fetch-Site", "same-origin")
        if self.cookies:
            send["Cookie"] = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        return send

    def exchange(self, method: str, path: str, body: bytes | None, headers: dict[str, str]) -> Page:
        """Send one request with only these headers; return the response."""
        host = urllib.parse.urlsplit(self.url).netloc  # the header may name another
        with contextlib.closing(self.connection(host)) as connection:
            connection.request(method, path, body, headers)
            answer = connection.getresponse()
            return Page(answer.status, path, answer.getheaders(), answer.read())

    def connection(self, host: str) -> http.client.HTTPConnection:
        """Return a new connection for each request."""
        return http.client.HTTPConnection(host, timeout=60)

    def _keep(self, page: Page) -> None:
        for name, value in page.headers:
            if name.lower() != "set-cookie":
                continue
            self.seen_cookies.append(value)
            if not self.keeps_cookies:
                continue
            key, _, content = value.partition(";")[0].partition("=")
            ended = re.search(r";\s*(max-age=0\b|expires=[^;]*1970)", value, re.IGNORECASE)
            if ended or not content:
                self.cookies.pop(key, None)
            else:
                self.cookies[key] = content
