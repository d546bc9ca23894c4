"""Reads every site of a server, and says what is wrong with which: file, line, what was expected.

A mistake is never more than itself. Other sites are read as ever; the site itself goes on with
what was last read without a fault (``last_good``), or without the page that is wrong. Only a site
that was never right is not served at all. No mistake raises.
"""

import datetime
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from dropbox_app.protocol.retrieval_code import LANGUAGES
from dropbox_app.server import last_good
from dropbox_app.server.config import custom_pages, origins, paths, settings
from dropbox_app.server.config.paths import Place
from dropbox_app.server.config.settings import Settings
from dropbox_app.server.errors import ContentError, ServerError, SettingsError
from dropbox_app.server.store.files import full_disk_said

Page = tuple[str, str]  # language and name


@dataclass(frozen=True)
class Fault:
    """Something that is not as it should be. A ``note`` is for the operator to judge."""

    site: str
    said: str
    note: bool = False


@dataclass(frozen=True)
class ReadSite:
    """A site that can be served. ``fresh``: what there is to remember of it, if that is new."""

    place: Place
    settings: Settings
    pages: Mapping[Page, str]  # Markdown
    fresh: Mapping[str, str] | None
    closed: bool = False  # by a fault of its settings: only its host names are known

    def html(self, lang: str, page: str) -> str:
        """What the site wrote itself for a page; nothing if that is not to be shown."""
        text = self.pages.get((lang, page))
        try:
            return custom_pages.render(text, page) if text is not None else ""
        except ContentError:  # right for the program that read it first, not for this one
            return ""


@dataclass(frozen=True)
class Reading:
    """All sites of a server that can be served, and every fault."""

    sites: tuple[ReadSite, ...]
    faults: tuple[Fault, ...]

    def of(self, name: str) -> ReadSite | None:
        """The site of a name; None if it cannot be served."""
        return next((site for site in self.sites if site.place.name == name), None)

    def remembered(self) -> "Reading":
        """The same without what there was to remember: it need not stay in memory."""
        return Reading(tuple(replace(site, fresh=None) for site in self.sites), self.faults)

    def with_those_before(self, before: "Reading") -> "Reading":
        """With the sites of an earlier reading that have no place in this one, but a folder still.

        For a site whose last good settings could not be kept: a full disk ends none.
        """
        sites = list(self.sites)
        for old in before.sites:
            taken = {claim for site in sites for claim in claims(site.settings)}
            if (
                self.of(old.place.name) is None
                and old.place.folder.is_dir()
                and not claims(old.settings) & taken
            ):
                sites.append(old)
        return Reading(tuple(sites), self.faults)


def read(folder: Path) -> Reading:
    """Read a server's folder as it stands now. Changes nothing."""
    try:
        places = paths.places(folder)
        odd = paths.misnamed(folder)
    except SettingsError as error:
        return Reading((), (Fault(paths.OWN, str(error)),))
    drafts = [_Draft(place) for place in places]
    _part(drafts)
    faults = [
        Fault(name, f"{folder / paths.SITES / name}: the name of a site is {paths.FORM}")
        for name in odd
    ]
    for draft in drafts:
        faults += draft.faults
    return Reading(tuple(site for draft in drafts for site in draft.made()), tuple(faults))


def remember(reading: Reading, day: datetime.date) -> Iterator[Fault]:
    """Keep what is new and right, for a day when it is not. Gives what could not be kept."""
    for site in reading.sites:
        if site.fresh is not None:
            try:
                with full_disk_said():
                    last_good.store(site.place.folder, site.fresh, day)
            except (OSError, ServerError) as error:
                path = site.place.folder / last_good.FILE
                yield Fault(site.place.name, f"{path}: cannot be written: {error}", note=True)


class _Draft:
    """A site while it is being read."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self.faults: list[Fault] = []
        self._path = place.folder / settings.FILE_NAME
        self._kept = last_good.load(place.folder)
        self._good: dict[str, str] = {}
        self._text = ""
        self.settings: Settings | None = None
        self._stepped_back = False
        try:
            self._text = settings.text_of(place.folder)
            self.settings = settings.parse(self._text, self._path)
            self._check_id()
            self._good[settings.FILE_NAME] = self._text
        except SettingsError as error:
            self.step_back(str(error))
        self._pages = dict(self._read_pages())

    def _check_id(self) -> None:
        """Raise SettingsError if the id is another than before: no code would open anything."""
        if self._text == self._kept.get(settings.FILE_NAME) or self.settings is None:
            return
        kept = self.kept
        if kept is not None and kept.site != self.settings.site:
            line = settings.line_of("site", self._text)
            raise SettingsError(
                f"{self._path}, line {line}: site was {kept.site}: with another id every code is "
                f"lost. If that is meant, remove {self.place.folder / last_good.FILE}"
            )

    @property
    def kept(self) -> Settings | None:
        """The settings that were last read without a fault."""
        try:
            return settings.parse(self._kept[settings.FILE_NAME], self._path)
        except (KeyError, SettingsError):
            return None

    def made(self) -> Iterator[ReadSite]:
        """The site, if it can be served."""
        if self.settings is not None:
            fresh = self._good if self._good != self._kept else None
            yield ReadSite(self.place, self.settings, self._pages, fresh)

    def step_back(self, said: str, claim: tuple[str, str] | None = None) -> None:
        """Go by what was last right, unless that makes the same claim; else the site is out."""
        self._good.pop(settings.FILE_NAME, None)
        kept = None if self._stepped_back else self.kept
        self._stepped_back = True
        if kept is not None and claim not in claims(kept):
            self.settings = kept
            self._good[settings.FILE_NAME] = self._kept[settings.FILE_NAME]
            said += " (the site goes on with its last good settings)"
        else:
            self.settings = None
            said += " (the site is not served)"
        self.faults.append(Fault(self.place.name, said))

    def collides(self, claim: tuple[str, str], others: Sequence["_Draft"]) -> None:
        """Say that a claim is made by others too, and give it up."""
        kind, value = claim
        key = "origins" if kind == "host" else "site"
        line = settings.line_of(key, self._text)
        where = f"{self._path}, line {line}" if line else str(self._path)
        theirs = " and ".join(other.place.name for other in others)
        what = f"the host name {value}" if kind == "host" else f"the site id {value}"
        self.step_back(f"{where}: {key}: {what} is that of {theirs} too", claim)

    def _read_pages(self) -> Iterator[tuple[Page, str]]:
        """The pages that can be shown: as they stand now, or as they were last right."""
        there = {lang: self._names(lang) for lang in LANGUAGES}
        for lang in LANGUAGES:
            for page in custom_pages.PAGES:
                name = f"{custom_pages.FOLDER}/{lang}/{page}.md"
                if page in there[lang]:
                    text = self._page(name)
                    if text is not None:
                        self._good[name] = text
                        yield (lang, page), text
                elif any(page in there[other] for other in LANGUAGES):
                    self._note(
                        f"{self.place.folder / name} is missing: "
                        "in this language the page has its default text"
                    )

    def _page(self, name: str) -> str | None:
        path, kept = self.place.folder / name, self._kept.get(name)
        try:
            with path.open("rb") as file:
                text = custom_pages.decode(file.read(custom_pages.MAX_BYTES + 1), str(path))
            if text != kept:  # what was right before is right
                custom_pages.render(text, str(path))
        except (OSError, ContentError) as error:
            said = str(error)
            if isinstance(error, OSError):
                said = f"{path}: cannot be read: {error.strerror}"
            shown = "the page stays as it last was" if kept else "the page has its default text"
            self.faults.append(Fault(self.place.name, f"{said} ({shown})"))
            return kept
        return text

    def _names(self, lang: str) -> set[str]:
        """The pages of a language that are there; what is no page is a fault."""
        folder = self.place.folder / custom_pages.FOLDER / lang
        try:
            files = sorted(path for path in folder.iterdir() if not path.name.startswith("."))
        except FileNotFoundError:
            return set()
        except OSError as error:
            self.faults.append(
                Fault(self.place.name, f"{folder}: cannot be read: {error.strerror}")
            )
            return set()
        known = {f"{page}.md" for page in custom_pages.PAGES}
        for path in files:
            if path.name not in known:
                said = f"{path}: this is no page; known are {', '.join(sorted(known))}"
                self.faults.append(Fault(self.place.name, said))
        return {path.name.removesuffix(".md") for path in files if path.name in known}

    def _note(self, said: str) -> None:
        self.faults.append(Fault(self.place.name, said, note=True))


def claims(made: Settings) -> set[tuple[str, str]]:
    """What a site has for itself alone: its host names, on whatever port, and its id."""
    hosts = {("host", name) for name in origins.hosts((*made.origins, *made.desk_origins))}
    return hosts | {("site", made.site)}


def _part(drafts: Sequence[_Draft]) -> None:
    """See to it that no two sites make the same claim.

    Who held it before keeps it; where that is nobody, or several, nobody gets it: a reporter must
    never end at another organisation. Who gives up may step back to a claim of others: again then.
    """
    while True:
        found: dict[tuple[str, str], list[_Draft]] = {}
        for draft in drafts:
            for claim in claims(draft.settings) if draft.settings else ():
                found.setdefault(claim, []).append(draft)
        doubled = sorted(claim for claim, of in found.items() if len(of) > 1)
        if not doubled:
            return
        claim, claimants = doubled[0], found[doubled[0]]
        holders = [draft for draft in claimants if draft.kept and claim in claims(draft.kept)]
        for draft in claimants:
            if holders != [draft]:
                draft.collides(claim, [other for other in claimants if other is not draft])
