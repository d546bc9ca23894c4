"""Check the sites of a desk as a visitor sees them, and keep the results."""

import functools
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path

from dropbox_app.desk.actions.at_once import for_each
from dropbox_app.desk.errors import CannotReach, Unfit
from dropbox_app.desk.folder import Workplace
from dropbox_app.desk.session import Desk
from dropbox_app.desk.site_check import compare, findings, release
from dropbox_app.desk.site_check.compare import Expected
from dropbox_app.desk.site_check.findings import Kept
from dropbox_app.desk.site_check.pages import Pages
from dropbox_app.desk.site_check.release import Manifest
from dropbox_app.desk.storage import notebook
from dropbox_app.desk.transport.proxy import is_onion, read_origin, read_proxy
from dropbox_app.protocol.release_signature import BadRelease, ReleaseKey

# The results are kept apart from the state of the site, which a fetch may write at the same time.
_SETTING = "check "


@dataclass(frozen=True)
class Checked:
    """The check of one site: a result for each address.

    ``first``: no earlier check was complete.
    """

    site: str
    employer: str
    results: tuple[Kept, ...]
    first: bool = False

    @property
    def same(self) -> bool:
        """Return whether no address shows a difference."""
        return bool(self.results) and all(one.same for one in self.results)

    @property
    def alarm(self) -> bool:
        """Return whether an address has a finding that only an altered site can cause."""
        return any(one.alarm for one in self.results)


def check(
    place: Workplace,
    site: str = "",
    *,
    other: Manifest | None = None,
    pause: Callable[[], object] = lambda: None,
    choose: Callable[[tuple[str, ...]], tuple[str, ...]] = lambda origins: origins,
    progress: Callable[[Checked], object] = lambda _: None,
    waiting: Callable[[Collection[str]], object] = lambda _: None,
) -> list[Checked]:
    """Check all sites at once, or only ``site``, and keep the results.

    Args:
        place: the opened desk.
        site: the name of a site; "" for all.
        other: the manifest of another release, whose signature was checked.
        pause: called between two pages of a site.
        choose: chooses the addresses to visit; the default is all.
        progress: called with each result.
        waiting: as for ``sites.fetch``.

    Raises NotFound, Damaged, and CannotReach if the desk was locked meanwhile.
    """
    pages = _pages()

    def one(desk: Desk) -> Checked:
        done = _check(place, desk, pages, other, pause, choose)
        progress(done)
        return done

    done = [*for_each(place.desks(site), one, waiting)]
    return sorted(done, key=lambda one: one.employer.casefold())


@functools.cache
def _pages() -> Pages:
    """Return the pages of this release; the shape of each page is computed only once."""
    return Pages(release.own())


def _check(
    place: Workplace,
    desk: Desk,
    pages: Pages,
    other: Manifest | None,
    pause: Callable[[], object],
    choose: Callable[[tuple[str, ...]], tuple[str, ...]],
) -> Checked:
    state = desk.state
    proxy = read_proxy(state.proxy)
    near = [origin for origin in state.origins if read_origin(origin, proxy).loopback]
    name = f"{_SETTING}{state.site}"
    before = findings.load(notebook.settings(place.database).get(name, ""))
    results = []
    card = state.card if state.published else b""
    with place.visiting(desk) as way:
        for origin in choose(state.origins):
            expected = Expected(
                state.site, state.origins, desk.identity.hex, card, before.get(origin)
            )
            circuits = proxy is not None and (is_onion(origin) or proxy.kind == "socks5h")
            circuits = circuits and origin not in near  # this computer is reached without the proxy
            check = compare.Check(
                origin, way, expected, desk.today, pages, circuits, pause, other,
                lambda: place.is_broken_off,
            )  # fmt: skip
            results.append(check.run())
    if place.is_broken_off:
        raise CannotReach("The desk was locked, which ended the check. Nothing was kept of it.")
    known = {origin: one for origin, one in before.items() if origin in state.origins}
    kept = findings.dump(known | {one.origin: one for one in results})
    notebook.keep_setting(place.database, name, kept)
    first = not any(one.values for one in before.values())
    return Checked(state.site, state.name, tuple(results), first=first)


def last(place: Workplace, site: str = "") -> list[Checked]:
    """Return the last checks of all sites, or only of ``site``. Raises NotFound."""
    kept = notebook.settings(place.database)
    return [
        Checked(one, employer, tuple(findings.load(kept.get(f"{_SETTING}{one}", "")).values()))
        for one, employer in sorted(place.names(site).items(), key=lambda item: item[1].casefold())
    ]


def read_manifest(manifest: Path, key: Path) -> Manifest:
    """Return the manifest of another release, if its signature matches the key. Raises Unfit."""
    signature = manifest.with_name(f"{manifest.name}.minisig")
    try:
        raw = manifest.read_bytes()
        ReleaseKey.read(key.read_text("utf-8")).check(raw, signature.read_text("utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise Unfit(f"A file of the release cannot be read: {error}.") from None
    except BadRelease as error:
        raise Unfit(f"The release manifest cannot be trusted: {error}.") from None
    return Manifest.read(raw)
