"""The counsellor's settings for this desk: language, lock, fetch interval, proxy."""

from dataclasses import asdict, dataclass, replace

from dropbox_app.desk.errors import Unfit
from dropbox_app.desk.folder import Workplace
from dropbox_app.desk.storage import notebook
from dropbox_app.desk.transport.proxy import read_origin, read_proxy
from dropbox_app.protocol.retrieval_code import LANGUAGES

LOCK_MINUTES = range(1, 61)
FETCH_MINUTES = range(15, 24 * 60 + 1)


@dataclass(frozen=True)
class Settings:
    """The settings. If ``fetch_minutes`` is 0, the page does not fetch automatically."""

    language: str = "nl"
    lock_minutes: int = 10
    fetch_minutes: int = 60


def settings(place: Workplace) -> Settings:
    """Return the settings, with the defaults of ``Settings`` for those that were never set."""
    kept = notebook.settings(place.database)
    usual = Settings()
    return Settings(
        language=kept.get("language", usual.language),
        lock_minutes=int(kept.get("lock_minutes", usual.lock_minutes)),
        fetch_minutes=int(kept.get("fetch_minutes", usual.fetch_minutes)),
    )


def choose(
    place: Workplace,
    *,
    language: str | None = None,
    lock_minutes: int | None = None,
    fetch_minutes: int | None = None,
) -> Settings:
    """Change the given settings and return all of them. Raises Unfit, and then stores nothing."""
    if language is not None and language not in LANGUAGES:
        raise Unfit(f"The language is one of {', '.join(LANGUAGES)}.")
    if lock_minutes is not None and lock_minutes not in LOCK_MINUTES:
        least, most = LOCK_MINUTES[0], LOCK_MINUTES[-1]
        sentence = f"The desk locks after {least} to {most} minutes."
        raise Unfit(sentence, "lock_minutes", least=least, most=most)
    if fetch_minutes and fetch_minutes not in FETCH_MINUTES:
        least, most = FETCH_MINUTES[0], FETCH_MINUTES[-1]
        sentence = f"The desk fetches every {least} to {most} minutes, or 0 for not by itself."
        raise Unfit(sentence, "fetch_minutes", least=least, most=most)
    given = {
        "language": language, "lock_minutes": lock_minutes, "fetch_minutes": fetch_minutes,
    }  # fmt: skip
    chosen = {name: value for name, value in given.items() if value is not None}
    new = replace(settings(place), **chosen)  # type: ignore[arg-type] # named like the fields
    with place.database.transaction():
        for name, value in asdict(new).items():
            if name in chosen:
                notebook.keep_setting(place.database, name, str(value))
    return new


def proxy(place: Workplace) -> str | None:
    """Return the proxy of all sites; "" if there is none, None if the sites' proxies differ."""
    found = {desk.state.proxy for desk in place.desks()}
    return found.pop() if len(found) == 1 else None


def set_proxy(place: Workplace, address: str, site: str = "") -> list[str]:
    """Reach all sites, or the one named by ``site``, through a proxy. "" removes the proxy.

    Returns the employers' names. Raises Unfit, before anything is changed, if a site's address
    cannot be reached through the proxy.
    """
    desks = place.desks(site)
    way = read_proxy(address)
    for desk in desks:
        for origin in (*desk.state.origins, *desk.state.desk_origins):
            read_origin(origin, way)
    for desk in desks:
        desk.state.proxy = address
        desk.save()
    return [desk.state.name for desk in desks]
