"""A counsellor's first day on the desk's page in a browser: each page and state by name.

It uses a real desk and a server in memory, with invented people, for visual checks and for the
pictures of the counsellor's guide.
"""

import json
from collections.abc import Iterator
from pathlib import Path

from playwright.sync_api import BrowserContext, Page, expect

from dropbox_app.desk.actions import register
from dropbox_app.protocol.keys import VerifyKey
from tests.desk.conftest import PASSPHRASE, Office
from tests.desk.web.conftest import Running, Seconds
from tests.support.fake_server import Clock, Peer, Reporter

NAME = "Noor Jansen"
# The pages that the counsellor's guide shows.
GUIDE = ("first-card", "today", "thread-snippet", "thread-consent", "today-tomorrow")
TEXTS = {
    "nl": {
        "employer": "Bakkerij Korenaar",
        "story": "Sinds de zomer maakt mijn leidinggevende grappen over mij, waar iedereen bij is.",
        "more": "Dank je. Dat niemand er iets van zegt, vind ik het ergst.",
        "label": "Grappen in de bakkerij",
        "step": "Bellen met de bedrijfsarts",
        "with": "De bedrijfsarts",
        "scope": "Dat iemand van de afdeling zich niet prettig voelt. Geen namen.",
        "call": "Roosters in het magazijn",
        "other": "Timmerfabriek Jansen",
        "signals": "Mensen weten niet bij wie ze terechtkunnen als een rooster laat verandert.",
    },
    "en": {
        "employer": "Korenaar Bakery",
        "story": "Since the summer my manager makes jokes about me, in front of everybody.",
        "more": "Thank you. That nobody says anything about it is the worst.",
        "label": "Jokes at the bakery",
        "step": "Calling the company doctor",
        "with": "The company doctor",
        "scope": "That somebody in the department does not feel well. No names.",
        "call": "Hours at the warehouse",
        "other": "Jansen Joinery",
        "signals": "People do not know whom to turn to when a roster changes late.",
    },
}


def tour(folder: Path, context: BrowserContext, lang: str) -> Iterator[tuple[str, Page]]:
    """Go through the day in this context; yield a name and the page at each new state.

    The page does not change until the next one is requested.
    """
    clock = Clock("2027-01-05")
    peer = Peer(clock)
    running = Running(Office(folder / "desk", peer, clock, NAME), Seconds())
    running.page.language = lang
    running.page.private_window = True  # as most people see it: without the note on browsers
    page = context.new_page()
    page.set_default_timeout(60_000)
    try:
        yield from _first_run(running, page, lang)
        yield from _first_day(running, page, lang)
        yield from _register(running, page, lang)
        yield from _the_rest(running, page, folder)
    finally:
        page.close()
        running.close()


def _go(running: Running, page: Page, path: str, name: str) -> Page:
    page.goto(running.url + running.home + path)
    return _at(page, name)


def _at(page: Page, name: str) -> Page:
    page.wait_for_selector(f"body[data-page={name}]")
    page.wait_for_load_state("load")
    return page


def _first_run(running: Running, page: Page, lang: str) -> Iterator[tuple[str, Page]]:
    peer = running.office.peer
    link = running.office.folder.with_name("link.html")
    address = running.gate.link.address(running.url)
    link.write_text(f'<meta http-equiv="refresh" content="0;url={address}">')
    page.goto(link.as_uri())
    yield "first-invitation", _at(page, "first")
    page.click("main button.button")
    page.wait_for_selector("[role=alert]")
    yield "first-invitation-missing", _at(page, "first")
    page.fill("#invitation", peer.invitation(TEXTS[lang]["employer"]).decode())
    page.click("main button.button")
    _at(page, "first-you")
    page.fill("#name", NAME)
    yield "first-you", page
    page.click("main button.button")
    yield "first-passphrase", _at(page, "first-passphrase")
    page.fill("#passphrase", PASSPHRASE)
    page.fill("#again", PASSPHRASE)
    page.click("main button.button")
    yield "first-card", _at(page, "first-card")
    with running.lock.use() as place:
        peer.add_card(place.one().state.card)


def _first_day(running: Running, page: Page, lang: str) -> Iterator[tuple[str, Page]]:
    texts, peer = TEXTS[lang], running.office.peer
    yield "today-empty", _go(running, page, "", "today")
    with running.lock.use() as place:
        counsellor: VerifyKey = place.one().identity
    reporter = Reporter(peer, counsellor)
    reporter.language = lang
    reporter.report(texts["story"], ongoing="yes", safe="no", needs=["be_heard"])
    _fetch(running, page)
    yield "fetched", _at(page, "fetch")
    yield "today", _go(running, page, "", "today")
    page.click(".row a")
    yield "thread", _at(page, "thread")
    page.select_option("#snippet", "listening")
    page.click("button[name=insert]")
    # Evaluated from outside, because the pages' policy does not allow text to run as a script.
    expect(page.locator("#text")).not_to_have_value("")
    yield "thread-snippet", _at(page, "thread")
    page.click(".write .button")
    page.wait_for_selector("main [role=status]")
    yield "thread-sent", _at(page, "thread")
    page.click("#own summary")
    page.fill("#label", texts["label"])
    page.click("#own form >> nth=0 >> button")
    page.wait_for_selector("main [role=status]")
    _at(page, "thread")
    page.click("#consent summary")
    for field in ("step", "with", "scope"):
        page.fill(f"#consent-{field}", texts[field])
    yield "thread-consent", page
    page.click("#consent button.button")
    page.wait_for_selector("main [role=status]")
    running.office.clock.to("2027-01-06")
    reporter.write(texts["more"])
    _fetch(running, page)
    yield "today-tomorrow", _go(running, page, "", "today")
    page.click(".row a")
    yield "thread-tomorrow", _at(page, "thread")
    page.click("a[href$=forget]")
    yield "forget", _at(page, "forget")


def _fetch(running: Running, page: Page) -> None:
    _go(running, page, "", "today")
    page.click("main form[action$=fetch] button")
    page.wait_for_selector("body[data-page=fetch] .lead")
    running.wait_for_fetch()
    _go(running, page, "fetch", "fetch")


def _register(running: Running, page: Page, lang: str) -> Iterator[tuple[str, Page]]:
    """Go through the pages of the register, as they are and after refusals.

    The desk is open and has one employer.
    """
    texts = TEXTS[lang]
    yield "cases-empty", _go(running, page, "cases", "cases")
    _go(running, page, "work", "work")
    page.click("#activity summary")
    yield "work", page
    yield "employers", _go(running, page, "employers", "employers")
    page.fill("#employer", texts["other"])
    page.click("main button.button")
    _at(page, "employer")
    page.click("#employer summary")
    page.check("[name=recording][value=full]")
    page.fill("#sheet-headcount", "320")
    page.click("#employer button.button")
    page.wait_for_selector("main [role=status]")
    _at(page, "employer")
    page.click("#agreement summary")
    page.fill("#agreement-date", "2027-01-01")
    page.fill("#agreement-until", "2028-12-31")
    page.check("[name=form][value=B]")
    page.fill("#agreement-headcount", "100")
    page.fill("#agreement-hours", "60")
    page.click("#agreement button.button")
    page.wait_for_selector("[role=alert]")
    yield "employer-refused", _at(page, "employer")
    page.fill("#agreement-headcount", "320")
    page.click("#agreement button.button")
    page.wait_for_selector("main [role=status]")
    _at(page, "employer")
    page.click("#checklist summary")
    yield "employer", page
    yield from _contact_and_case(running, page, texts)


def _contact_and_case(
    running: Running, page: Page, texts: dict[str, str]
) -> Iterator[tuple[str, Page]]:
    _go(running, page, "contact", "contact")
    page.select_option("#employer", texts["other"])
    yield "contact", page
    page.fill("#other_minutes", "1500")
    page.click("main button.button")
    page.wait_for_selector("[role=alert]")
    yield "contact-refused", _at(page, "contact")
    page.fill("#other_minutes", "")
    for choice in ("minutes][value='45'", "how][value=telephone", "topic][value=labour_conflict",
                   "help][value=listening", "which][value=new"):  # fmt: skip
        page.check(f"[name={choice}]")
    page.fill("#new_case", texts["call"])
    page.click("main button.button")
    page.wait_for_selector("main [role=status]")
    yield "contact-done", _at(page, "contact")
    page.click("main p a")
    _at(page, "case")
    page.click("#consent summary")
    for name in ("step", "scope"):
        page.fill(f"#consent-{name}", texts[name])
    page.fill("#consent-partner", texts["with"])
    page.check("#consent [name=answer][value=yes]")
    yield "case-consent", page
    page.click("#consent button.button")
    page.wait_for_selector("main [role=status]")
    _at(page, "case")
    page.click("#step-1 summary")
    page.check("#step-1-named")
    page.click("#step-1 button.button")
    page.wait_for_selector("[role=alert]")
    yield "case-step-refused", _at(page, "case")
    page.uncheck("#step-1-named")
    page.click("#step-1 button.button")
    page.wait_for_selector("main [role=status]")
    yield "case", _at(page, "case")
    yield from _copy(page, texts)
    page.click("a[href$=sheet]")
    _at(page, "case-sheet")
    page.click("summary >> nth=2")
    yield "case-sheet", page
    page.go_back()
    _at(page, "case")
    page.click("#close summary")
    page.fill("#close-aftercare_on", running.office.clock().isoformat())
    page.fill("#close-destroy_on", "")
    page.click("#close button.button")
    page.wait_for_selector("main [role=status]")
    page.click("a[href$=destroy]")
    yield "case-destroy", _at(page, "case-destroy")
    page.go_back()
    _at(page, "case")
    page.click("#entries ~ ul .row a >> nth=0")
    yield "entry", _at(page, "entry")
    yield "cases", _go(running, page, "cases", "cases")
    yield from _tables(running, page, texts)
    yield from _annual(running, page, texts)
    running.office.clock.to("2027-01-08")
    yield "agenda", _go(running, page, "agenda", "agenda")
    yield "today-calendar", _go(running, page, "", "today")


def _copy(page: Page, texts: dict[str, str]) -> Iterator[tuple[str, Page]]:
    page.click("a[href$=copy]")
    page.fill("#names", texts["with"])
    page.check("[name=pick][value$='.step']")
    yield "case-copy", _at(page, "case-copy")
    page.click("main button.button")
    page.wait_for_selector("#folder")
    page.click("summary")
    yield "case-copy-look", _at(page, "case-copy-look")
    page.click("main p:last-child a")
    _at(page, "case")


def _tables(running: Running, page: Page, texts: dict[str, str]) -> Iterator[tuple[str, Page]]:
    _go(running, page, "exchange", "exchange")
    page.click("summary")
    yield "exchange", page
    row = f"{texts['other']};45;telephone"
    for name, rows in (
        ("exchange-look", f"6-1-2026;{row}"),
        ("exchange-wrong", f"30-2-2026;{row}"),
    ):
        _go(running, page, "exchange", "exchange")
        table = f"date;employer;minutes;how\n{rows}\n7-1-2026;{row}\n"
        page.set_input_files("#files", {"name": "a.csv", "mimeType": "text/csv",
                                        "buffer": table.encode()})  # fmt: skip
        page.click("[action$=look] button")
        yield name, _at(page, "exchange-look")


def _annual(running: Running, page: Page, texts: dict[str, str]) -> Iterator[tuple[str, Page]]:
    """Go through last year's report of an employer of 320 people, from filling gaps to issuing."""
    name = texts["other"]
    first = {"date": "2026-01-01", "employer": name}
    given: list[dict[str, object]] = [
        {"event": "agreement", **first, "until": "2026-12-31", "headcount": 320, "form": "B",
         "price": 4800},
        {"event": "activity", "date": "2026-09-10", "employer": name, "what": "training",
         "people": 22, "price": 900},
    ]  # fmt: skip
    given += [
        {"event": "contact", "date": f"2026-04-{day:02}", "employer": name} for day in range(1, 13)
    ]
    with running.lock.use() as place:
        register.bring_in(place, "\n".join(map(json.dumps, given)).encode())
    yield "annual", _go(running, page, "annual", "annual")
    page.click(f"section:has(#y2026) .row a:has-text('{name}')")
    _at(page, "annual-report")
    page.fill("#signals", texts["signals"])
    page.click("#own ~ form button.button")
    page.wait_for_selector("main [role=status]")
    yield "annual-report", _at(page, "annual-report")
    page.click("a[href$=facts]")
    yield "annual-facts", _at(page, "annual-facts")
    page.click("main a[href$='/2026']")
    _at(page, "annual-report")
    page.click("a.button[href$=issue]")
    yield "annual-issue", _at(page, "annual-issue")
    page.click("main button.button")
    page.wait_for_selector("main [role=status]")
    yield "annual-issued", _at(page, "annual-report")
    yield "joint-take", _go(running, page, "annual/counts", "joint-take")
    _go(running, page, "employers", "employers")
    page.click(f".row a:not(:has-text('{texts['other']}')) >> nth=0")
    _at(page, "employer")
    page.click("#same summary")
    page.click("#same button")
    yield "employer-same", _at(page, "employer-same")


def _the_rest(running: Running, page: Page, folder: Path) -> Iterator[tuple[str, Page]]:
    for name, path in (
        ("threads", "threads"),
        ("more", "settings/all"),
        ("away", "away"),
        ("snippets", "texts"),
        ("snippet", f"texts/{running.page.language}/listening"),
        ("posters", "posters"),
        ("cards", "cards"),
        ("card-new", "cards/new"),
        ("check", "check"),
        ("settings", "settings"),
        ("backups", "backups"),
    ):
        yield name, _go(running, page, path, name)
    page.fill("#path", str(folder / "klankbord.age"))
    page.click("main button.button")
    yield "backup-made", _at(page, "backup-made")
    _go(running, page, "cards", "cards")
    page.click("main .row a")
    page.click("summary >> nth=0")
    yield "card", page
    _go(running, page, "away", "away")
    page.fill("#until", "2027-02-14")
    page.click("main button.button")
    yield "away-done", _at(page, "away-done")
    yield "missing", _go(running, page, "nothing", "fault")
    running.lock.lock()
    page.goto(running.url + running.home)
    yield "unlock", _at(page, "unlock")
