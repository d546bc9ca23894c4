"""Check one address of a site: two visits, compared with the release and the last check.

The first visitor requests each page just before the second one does. Each visitor has its own
connection and, over Tor, its own circuit. A third connection asks which release the site claims to
run.
"""

import datetime
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from dropbox_app.desk.errors import CannotReach, Unfit
from dropbox_app.desk.site_check import cards as card_check
from dropbox_app.desk.site_check import release as releases
from dropbox_app.desk.site_check.findings import (
    MOST_CARDS,
    Finding,
    Kept,
    Values,
    changes,
    excerpt,
)
from dropbox_app.desk.site_check.matching import Match, TooLong
from dropbox_app.desk.site_check.pages import FORMS, LANGUAGES, PATHS, PLAIN, Mode, Pages
from dropbox_app.desk.site_check.release import Manifest
from dropbox_app.desk.site_check.visit import Budget, Seen, TooMuch, Visitor
from dropbox_app.desk.transport.connection import Transport
from dropbox_app.protocol.encoding import sha256_hex

POLICY = "Content-Security-Policy"
# Headers that a web server in front may add, and those that concern one response.
_ALSO = frozenset(
    {"date", "server", "connection", "keep-alive", "content-length", "transfer-encoding"}
    | {"content-encoding", "content-type"}
)
MOST_FOUND = 300  # findings of one check; calm ones take at most half of them
MOST_LETTERS = 500  # of a value in a finding
MOST_HEADERS = 100  # of one response; a site sends about fifteen
_ENDED = ("endless", "broken")  # told first, because they explain what else is missing
_LANGUAGE = re.compile(rb'<li><a class="button" href="/([a-z]{2})/"')
_LISTED = "sections[][1][]"  # the slot with the address of a page in the list of all pages
_CLIENT = '<script defer id="sealed"'


@dataclass(frozen=True)
class Expected:
    """The facts that the desk knows about the site.

    ``card``: the desk's own card if the server has it, else b"".
    """

    site: str
    origins: tuple[str, ...]
    identity: str  # in hex
    card: bytes
    before: Kept | None = None


@dataclass
class Check:
    """A check of one address. ``way`` opens a new connection; ``pause`` waits between pages."""

    origin: str
    way: Callable[[], Transport]
    expected: Expected
    today: datetime.date
    pages: Pages
    circuits: bool
    pause: Callable[[], object] = lambda: None
    # Another release's manifest, whose signature was checked: the site may run that release.
    other: Manifest | None = None
    broken_off: Callable[[], bool] = lambda: False  # whether the desk was locked meanwhile
    found: dict[tuple[str, str, str], Finding] = field(default_factory=dict)
    values: Values = field(default_factory=Values)
    budget: Budget = field(default_factory=Budget)
    # Whether every page was read. Only then are the values kept: the next check would report each
    # value that is missing here as a change.
    complete: bool = True

    def run(self) -> Kept:
        """Check the address; if the check could not be completed, a finding explains why."""
        before = self.expected.before
        values = dict(before.values) if before else {}
        cards = dict(before.cards) if before else {}
        visitors = [Visitor(self.way(), self.origin, self.budget, self.pause) for _ in range(3)]
        try:
            cards = self._visit(*visitors)
            values = (self.values.kept() if self.complete else {}) or values
        except CannotReach:
            self._end("unreachable")
        except TooMuch:
            self._end("endless")
        except Exception:  # whatever a site sends, its check ends with a finding
            self._end("broken")
        finally:
            for visitor in visitors:
                visitor.close()
        findings = sorted(
            self.found.values(),
            key=lambda one: (one.kind not in _ENDED, not one.alarm, one.kind, one.where),
        )
        few = dict(sorted(cards.items())[:MOST_CARDS])
        return Kept(self.today, tuple(findings), values, few, self.circuits, self.origin)

    def _add(self, kind: str, where: str = "", **said: str) -> None:
        said = {name: _writable(value) for name, value in said.items()}
        key = kind, where, said.get("name", said.get("value", ""))
        finding = Finding(kind, where, said)
        if len(self.found) < (MOST_FOUND if finding.alarm else MOST_FOUND // 2):
            self.found.setdefault(key, finding)

    def _end(self, kind: str) -> None:
        """Record why the check ended early, however many findings there are."""
        self.found[kind, self.origin, ""] = Finding(kind, self.origin)

    def _go_on(self) -> None:
        """Raise CannotReach or TooMuch if the check must end."""
        if self.broken_off():
            raise CannotReach("The desk was locked.")
        self.budget.take()

    # One visit by each of the two visitors

    def _visit(self, first: Visitor, second: Visitor, third: Visitor) -> dict[str, str]:
        seen: dict[str, tuple[Seen, Seen]] = {}
        for address in self._addresses(seen):
            seen[address] = self._both(address, first.page, second.page)
        facts = self._both(card_check.ADDRESS, first.part, second.part)
        seals = any(_CLIENT in _text(one) for pair in seen.values() for one in pair)
        files: dict[str, tuple[Seen, Seen]] = {}

        def load(manifest: Manifest) -> Iterator[str]:
            for address in manifest.files if seals else manifest.always:
                if address not in files:
                    files[address] = self._both(address, first.part, second.part)
                yield address

        # No browser requests the manifest, so it is the last request to a site of this release.
        usual = self.pages.release.manifest
        if all(address.encode() in seen["/"][0].body for address in usual.always):
            for _ in load(usual):
                pass
        manifest = self._claimed(third)
        for address in load(manifest):
            for one in files[address]:
                self._file(manifest, address, one)
        own = manifest.raw == self.pages.release.manifest.raw
        self._pages(seen, manifest if own else None, manifest)
        shown = [card_check.read(one, self.expected.site) for one in facts]
        for finding in card_check.compare(shown, self.expected, self.values.all):
            self._add(finding.kind, finding.where, **finding.said)
        if not self.values.all.get(_LISTED, set()) <= {*PATHS}:
            self._add("page", "/nl/more", excerpt="/")
        for origin in self.values.all.get("settings.origins[]", set()):
            if origin not in self.expected.origins:
                self._add("origin", name=origin)
        before = self.expected.before
        if before is not None and before.values and own:  # else no check was complete
            now = self.values.kept()
            for finding in changes(before.values, now, complete=self.complete):
                self._add(finding.kind, finding.where, **finding.said)
        return card_check.names(shown) or dict(
            self.expected.before.cards if self.expected.before else {}
        )

    def _addresses(self, seen: Mapping[str, object]) -> Iterator[str]:
        """Yield the addresses of all pages; the first page names the languages of the others."""
        yield "/"
        for lang in self._languages(seen["/"]):
            for path in PATHS:
                yield f"/{lang}/{path}"

    def _languages(self, pair: object) -> tuple[str, ...]:
        bodies = [one.body for one in pair] if isinstance(pair, tuple) else []
        named = {found.decode() for body in bodies for found in _LANGUAGE.findall(body)}
        return tuple(lang for lang in LANGUAGES if lang in named or lang in PLAIN)

    def _both(
        self, address: str, first: Callable[[str], Seen], second: Callable[[str], Seen]
    ) -> tuple[Seen, Seen]:
        """Return the responses to both visitors, and record a difference that remains.

        The site may change between the two requests, for example at midnight. After such a change,
        both visitors get the new response, so a repeated request shows no difference.
        """
        one, other = first(address), second(address)
        if one.body == other.body and one.status == other.status:
            return one, other
        later = [first(address), second(address)]
        if any(again.busy for again in (one, other, *later)):
            return one, other  # this is told by itself
        if any(again.body != other.body or again.status != other.status for again in later):
            self._add("differs", address)
        return one, other

    def _claimed(self, visitor: Visitor) -> Manifest:
        """Return this release's manifest, or ``other`` if the site runs that release."""
        own = self.pages.release.manifest
        seen = visitor.part(releases.ADDRESS)
        if seen.status != 200 or not seen.readable:
            self._missing(releases.ADDRESS, seen)
            return own
        if seen.body == own.raw:
            return own
        if self.other is not None and seen.body == self.other.raw:
            self._add(
                "version", name=self.other.version, proven="yes", than=_order(self.other, own)
            )
            return self.other
        try:
            claimed = Manifest.read(seen.body)
        except Unfit:
            self._add("file", releases.ADDRESS)
            return own
        self._add("version", name=claimed.version, proven="", than=_order(claimed, own))
        return claimed

    # What each response should be

    def _file(self, manifest: Manifest, address: str, seen: Seen) -> None:
        if seen.status != 200:
            self._missing(address, seen)
            return
        if not seen.readable or sha256_hex(seen.body) != manifest.files[address]:
            self._add("file", address)
        self._headers(manifest, address, seen, manifest.kinds.get(address, ""), manifest.policy)

    def _missing(self, address: str, seen: Seen) -> None:
        self._add("busy" if seen.busy else "missing", address, status=str(seen.status))

    def _pages(
        self, seen: Mapping[str, tuple[Seen, Seen]], own: Manifest | None, manifest: Manifest
    ) -> None:
        modes = self._modes(seen) if own else ()
        self.complete = bool(modes)
        for address, pair in seen.items():
            _, lang, path = address.split("/") if address != "/" else ("", "", "")
            for one in dict.fromkeys(pair):
                self._go_on()
                if one.status != manifest.statuses.get(path, 200):
                    self._missing(address, one)
                    self.complete = False
                    continue
                text = _text(one)
                client = path in FORMS and _CLIENT in text
                policy = manifest.policies.get(address, "") if client else manifest.policy
                self._headers(manifest, address, one, manifest.kinds.get("", ""), policy)
                if not modes:
                    continue
                matches = [self._match(lang, path, mode, client, text) for mode in modes]
                match = next((each for each in matches if each.fits), matches[0])
                if match.fits and one.readable:
                    self.values.add(f"{lang}/{path}", match.slots)
                else:
                    self._add("page", address, excerpt=excerpt(text, match.until))
                    self.complete = False

    def _modes(self, seen: Mapping[str, tuple[Seen, Seen]]) -> tuple[Mode, ...]:
        """Return the settings that the site has according to its pages.

        There are several, or none, if the page that states them was busy for both visitors.
        """
        if all(one.busy for one in seen["/"]):
            return ()
        languages = self._languages(seen["/"])
        texts = [_text(one) for one in seen["/nl/technical"] if not one.busy]
        sealing = Mode(languages, True)
        if not texts:
            return sealing, Mode(languages, False)
        fits = self._match("nl", "technical", sealing, False, texts[0]).fits
        return (sealing if fits else Mode(languages, False),)

    def _match(self, lang: str, path: str, mode: Mode, client: bool, text: str) -> Match:
        try:
            return self.pages.matcher(lang, path, mode, client).match(text)
        except TooLong:
            return Match(False)

    def _headers(
        self, manifest: Manifest, address: str, seen: Seen, kind: str, policy: str
    ) -> None:
        if seen.header(POLICY) != [policy]:
            self._add("policy", address)
        wanted = dict(manifest.headers)
        if self.origin.startswith("https://"):
            wanted |= dict(manifest.over_https)
        wanted["Content-Type"] = kind
        for name, value in wanted.items():
            if seen.header(name) != [value]:
                self._add("header", address, name=name)
        known = _ALSO | {POLICY.lower()} | {name.lower() for name in wanted}
        for name, _ in seen.headers[MOST_HEADERS : MOST_HEADERS + 1]:
            self._add("header", address, name=name)
        for name, value in seen.headers[:MOST_HEADERS]:
            if name.lower() in known:
                continue
            if name.lower() == "onion-location" and self._own_onion(value):
                continue
            self._add("header", address, name=name)

    def _own_onion(self, value: str) -> bool:
        return any(value.startswith(f"{one}/") for one in self.expected.origins)


def _writable(text: str) -> str:
    return text[:MOST_LETTERS].encode("utf-8", "replace").decode()


def _text(seen: Seen) -> str:
    """Return a page without its padding of spaces."""
    return seen.body.decode("utf-8", "replace").rstrip(" ")


def _order(other: Manifest, own: Manifest) -> str:
    """Return "newer" or "older" for another release, or "" if it has the same number."""
    numbers = []
    for one in (other, own):
        found = re.fullmatch(r"(\d{1,9})\.(\d{1,9})\.(\d{1,9})", one.version)
        if found is None:
            return ""
        numbers.append(tuple(map(int, found.groups())))
    theirs, ours = numbers
    return "newer" if theirs > ours else "older" if theirs < ours else ""
