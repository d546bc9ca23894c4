"""Read every site of a server and report faults: site, file, line and expected value.

A mistake in one site's files affects no other site. A site with wrong settings stays closed while
the others are served. A site with a wrong custom page shows the default text instead. No mistake
raises an exception. A running server never switches to settings that have a fault (``cli.serve``).
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from dropbox_app.protocol import card as cards
from dropbox_app.protocol.errors import CardError
from dropbox_app.protocol.retrieval_code import LANGUAGES
from dropbox_app.server.config import custom_pages, law, origins, paths, referrals, settings
from dropbox_app.server.config.paths import Place
from dropbox_app.server.config.referrals import Referrals
from dropbox_app.server.config.settings import Settings
from dropbox_app.server.config.site import CARDS
from dropbox_app.server.errors import ContentError, SettingsError
from dropbox_app.server.store import inspect
from dropbox_app.server.store.files import read_small
from dropbox_app.server.store.sqlite import DATABASE

Page = tuple[str, str]  # language and name


@dataclass(frozen=True)
class Fault:
    """A problem with a site. If ``note`` is true, the operator decides whether it matters."""

    site: str
    said: str
    note: bool = False


@dataclass(frozen=True)
class ReadSite:
    """A site that can be served."""

    place: Place
    settings: Settings
    pages: Mapping[Page, str]  # Markdown
    referrals: Referrals = field(default_factory=referrals.shipped)

    def html(self, lang: str, page: str) -> str:
        """Return the site's custom text for a page, as HTML; "" if there is none."""
        text = self.pages.get((lang, page))
        return custom_pages.render(text, page) if text is not None else ""

    def law_html(self, lang: str, block: str) -> str:
        """Return the text on the law as HTML: the site's own text, or a draft."""
        draft = law.draft(self.settings.law.draft, lang, block)
        return self.html(lang, block) or custom_pages.render(draft, block)

    def own_law(self, lang: str, block: str) -> bool:
        """Return whether the site has its own text on the law."""
        return block in law.BLOCKS and (lang, block) in self.pages


@dataclass(frozen=True)
class ClosedSite:
    """A site with wrong settings.

    ``origins`` and ``desk_origins`` list the addresses that could be read and whose host names no
    open site uses. At these addresses visitors get a neutral page that asks them to return later.
    """

    place: Place
    origins: tuple[str, ...]
    desk_origins: tuple[str, ...]

    @property
    def hosts(self) -> set[str]:
        """Return the host names of the site."""
        return origins.hosts((*self.origins, *self.desk_origins))


@dataclass(frozen=True)
class Reading:
    """All sites of a server, and all faults found."""

    sites: tuple[ReadSite, ...]
    faults: tuple[Fault, ...]
    closed: tuple[ClosedSite, ...] = ()

    @property
    def wrong(self) -> bool:
        """Return whether any fault is more serious than a note."""
        return not all(fault.note for fault in self.faults)

    def of(self, name: str) -> ReadSite | None:
        """Return the site with this name; None if it cannot be served."""
        return next((site for site in self.sites if site.place.name == name), None)


def read(folder: Path) -> Reading:
    """Read a server's folder as it is now, without changing anything."""
    try:
        places = paths.places(folder)
        odd = paths.misnamed(folder)
    except SettingsError as error:
        return Reading((), (Fault(paths.OWN, str(error)),))
    drafts = [_Draft(place) for place in places]
    _close_doubles(drafts)
    faults = [
        Fault(name, f"{folder / paths.SITES / name}: the name of a site must be {paths.FORM}")
        for name in odd
    ]
    for draft in drafts:
        faults += draft.faults
    sites = tuple(
        ReadSite(draft.place, draft.settings, draft.pages, draft.referrals)
        for draft in drafts
        if draft.settings
    )
    taken = {value for site in sites for kind, value in claims(site.settings) if kind == "host"}
    closed = tuple(draft.closed(taken) for draft in drafts if draft.settings is None)
    return Reading(sites, tuple(faults), closed)


def claims(made: Settings) -> set[tuple[str, str]]:
    """Return the values that must be unique to a site: its id, and its host names on any port."""
    hosts = {("host", name) for name in origins.hosts((*made.origins, *made.desk_origins))}
    return hosts | {("site", made.site)}


class _Draft:
    """A site that is being read. ``settings`` is None as soon as a fault in them is found."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self.faults: list[Fault] = []
        self._path = place.folder / settings.FILE_NAME
        self._text = ""
        self.settings: Settings | None = None
        try:
            self._text = settings.text_of(place.folder)
            self.settings = settings.parse(self._text, self._path)
            self._check_id(self.settings.site)
        except SettingsError as error:
            known = None if self._path.exists() else held_id(place.folder)
            self.close(f"{error}; its site id is {known}" if known else str(error))
        self.pages = dict(self._read_pages())
        self.referrals = self._read_referrals()

    def closed(self, taken: set[str]) -> ClosedSite:
        """Return the usable part of a site with wrong settings, without hosts in ``taken``."""
        text = ""
        with suppress(OSError):
            text = read_small(self._path, settings.MIB).decode("utf-8", "replace")
        public, desks = (
            tuple(one for one in origins.found_in(text, key) if not origins.hosts([one]) & taken)
            for key in ("origins", "desk_origins")
        )
        return ClosedSite(self.place, public, desks)

    def close(self, said: str) -> None:
        """Record a fault that prevents the whole site from being served."""
        self.settings = None
        self.faults.append(Fault(self.place.name, f"{said} (this site stays closed at startup)"))

    def collides(self, claim: tuple[str, str], others: Sequence["_Draft"]) -> None:
        """Close the site because another site has the same host name or id."""
        kind, value = claim
        key = "origins" if kind == "host" else "site"
        line = settings.line_of(key, self._text)
        where = f"{self._path}, line {line}" if line else str(self._path)
        theirs = " and ".join(other.place.name for other in others)
        what = f"the host name {value}" if kind == "host" else f"the site id {value}"
        self.close(f"{where}: {key}: {what} is that of {theirs} too")

    def _check_id(self, site: str) -> None:
        """Raise SettingsError if the database has another site id, because no code would work."""
        kept = held_id(self.place.folder)
        if kept and kept != site:
            line = settings.line_of("site", self._text)
            raise SettingsError(
                f"{self._path}, line {line}: site: the conversations here belong to {kept}: with "
                "another id every code is lost. Put it back; a new site is made with site add"
            )

    def _read_pages(self) -> Iterator[tuple[Page, str]]:
        """Yield the valid custom pages of the site."""
        there = {lang: self._names(lang) for lang in LANGUAGES}
        for lang in LANGUAGES:
            for page in custom_pages.PAGES:
                path = self.place.folder / custom_pages.FOLDER / lang / f"{page}.md"
                if page in there[lang]:
                    text = self._page(path)
                    if text is not None:
                        yield (lang, page), text
                elif any(page in there[other] for other in LANGUAGES):
                    said = f"{path} is missing: in this language the page has its default text"
                    self.faults.append(Fault(self.place.name, said, note=True))

    def _read_referrals(self) -> Referrals:
        """Return the site's own referral list, or the default list if it has none."""
        path = self.place.folder / custom_pages.FOLDER / referrals.FILE_NAME
        try:
            with path.open("rb") as file:
                return referrals.parse(file.read(referrals.MAX_BYTES + 1), str(path))
        except FileNotFoundError:
            pass
        except (OSError, ContentError) as error:
            said = str(error)
            if isinstance(error, OSError):
                said = f"{path}: cannot be read: {error.strerror}"
            self._page_fault(f"{said} (at startup the program's own list is shown)")
        return referrals.shipped()

    def _page(self, path: Path) -> str | None:
        try:
            with path.open("rb") as file:
                text = custom_pages.decode(file.read(custom_pages.MAX_BYTES + 1), str(path))
            custom_pages.render(text, str(path))
        except (OSError, ContentError) as error:
            said = str(error)
            if isinstance(error, OSError):
                said = f"{path}: cannot be read: {error.strerror}"
            self._page_fault(f"{said} (at startup the page gets its default text)")
            return None
        return text

    def _names(self, lang: str) -> set[str]:
        """Return the names of the pages in a language, and record a fault for any other file."""
        folder = self.place.folder / custom_pages.FOLDER / lang
        try:
            files = sorted(path for path in folder.iterdir() if not path.name.startswith("."))
        except FileNotFoundError:
            return set()
        except OSError as error:
            self._page_fault(f"{folder}: cannot be read: {error.strerror}")
            return set()
        known = {f"{page}.md" for page in custom_pages.PAGES}
        for path in files:
            if path.name not in known:
                said = f"{path}: this is no page; known are {', '.join(sorted(known))}"
                self._page_fault(said)
        return {path.name.removesuffix(".md") for path in files if path.name in known}

    def _page_fault(self, said: str) -> None:
        self.faults.append(Fault(self.place.name, said))


def held_id(folder: Path) -> str | None:
    """Return the id of the site to which the stored conversations belong.

    The id is read from the database. If the database is from an older version, the id is read from
    a card made for the site. Returns None if neither the database nor a card contains the id.
    """
    known = inspect.site_of(folder / DATABASE)
    if known:
        return known
    for path in sorted((folder / CARDS).glob("*.card")):
        with suppress(OSError, CardError):
            return cards.parse(read_small(path, cards.MAX_BYTES)).site
    return None


def _close_doubles(drafts: Sequence[_Draft]) -> None:
    """Close every site that has the same host name or id as another site.

    Nobody can tell which site should have the name, and a reporter must never reach the wrong
    organisation.
    """
    found: dict[tuple[str, str], list[_Draft]] = {}
    for draft in drafts:
        for claim in claims(draft.settings) if draft.settings else ():
            found.setdefault(claim, []).append(draft)
    for claim, claimants in sorted(found.items(), key=lambda pair: pair[0]):
        if len(claimants) > 1:
            for draft in claimants:
                draft.collides(claim, [other for other in claimants if other is not draft])
