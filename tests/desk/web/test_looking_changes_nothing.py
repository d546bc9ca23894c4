"""Viewing a page changes nothing at the desk, at any address that answers GET."""

import datetime
import hashlib
import re
from typing import Any

import pytest

from dropbox_app.desk.actions import register
from dropbox_app.desk.register.events import Agreement, Contact
from dropbox_app.desk.web.app import create_app
from dropbox_app.protocol import card as cards
from tests.desk.conftest import PASSPHRASE
from tests.desk.web.conftest import Running, Window
from tests.support.fake_server import Peer, Reporter

# Columns that viewing a page may change, by address, and why.
MAY_CHANGE = {
    # New messages are then marked as seen, and their rows are written again.
    "thread.thread": ("item.seen", "item.number", "sqlite_sequence.seq"),
}
# A summary is derived from stored data, and can be created again at any time.
MADE_OF_OTHERS = ("summary",)
OF_SITES = ("cards",)  # blueprints whose handle is a site's
ASKED_AS = {"files.content": "empty"}  # requested by a script


@pytest.fixture
def window(running: Running, reporter: Reporter) -> Window:
    """Return a desk with a report that has a file, and with an employer whose site has no card.

    The card was made two months ago, so a new one is due at the next request for it. The
    conversation already has its case, because the first visit to the register creates a case for
    each conversation.
    """
    made = running.at_work()
    reporter.attach("Zie", ("foto.png", "image/png", b"\x89PNG\r\n\x1a\n" + bytes(100)))
    running.fetch(made)
    other = Peer(running.office.clock).invitation("Bakkerij").decode()
    made.press(made.get(f"{running.home}cards/new"), "new", invitation=other, proxy="")
    running.office.clock.to("2027-03-05")
    assert made.get(f"{running.home}cases").status == 200
    with running.lock.use() as place:
        register.record(place, Contact(date=datetime.date(2027, 3, 5), employer="Bakkerij"))
        first, last = datetime.date(2026, 1, 1), datetime.date(2028, 12, 31)
        for name in ("Bakkerij", place.one(running.office.peer.site).state.name):
            agreed = Agreement(date=first, until=last, employer=name, headcount=12, price=900)
            register.record(place, agreed)
    return made


def addresses(running: Running) -> dict[str, list[str]]:
    """Return every address that answers GET, by endpoint, with valid handles."""
    with running.lock.use() as place:
        sites = [running.page.handles.of(site, "") for site in place.names()]
        rows = place.database.run("SELECT site, mailbox FROM thread")
        threads = [running.page.handles.of(str(site), str(mailbox)) for site, mailbox in rows]
        files = place.database.run("SELECT id FROM item WHERE what != 'message'")
        book, of = place.book(), running.page.register.of
    (thread,) = threads
    contact = next(number for number, one in book.entries if isinstance(one, Contact))
    (case,), (employer, *_) = book.first_of_case.values(), book.first_of_employer.values()
    handles = dict.fromkeys(OF_SITES, sites) | {
        "case": [of("case", str(case))],
        "case_copy": [of("case", str(case))],
        "employers": [of("employer", str(employer))],
        "annual": [of("employer", str(employer))],
        "joint": [of("employer", str(employer))],
        "entry": [of("entry", str(contact))],
    }
    own = {"thread": thread, "language": "nl", "name": "listening", "filename": "page.js",
           "year": "2026", "kind": "pdf", "key": "over"}  # fmt: skip
    own["file"] = running.page.files.of(thread, str(files[0][0]))
    app, found = create_app(running.page), {}
    for rule in app.url_map.iter_rules():
        if "GET" not in (rule.methods or ()):
            continue
        about = rule.endpoint.partition(".")[0]
        with app.test_request_context():
            found[rule.endpoint] = [
                app.url_for(rule.endpoint, **{"handle": handle} | own, _external=False)
                if "handle" in rule.arguments
                else re.sub(r"<(?:\w+:)?(\w+)>", lambda part: own[part[1]], rule.rule)
                for handle in handles.get(about, [thread])
            ]
    return found


def kept(running: Running) -> dict[str, Any]:
    """Return everything that the desk stores: all database columns and its other files."""
    found: dict[str, Any] = {}
    with running.lock.use() as place:
        run = place.database.run
        tables = [str(row[0]) for row in run("SELECT name FROM sqlite_master WHERE type = 'table'")]
        for table in tables:
            if table in MADE_OF_OTHERS:
                continue
            for column in [str(row[1]) for row in run(f"PRAGMA table_info({table})")]:
                sql = f"SELECT {column} FROM {table}"  # noqa: S608 - names of our own
                found[f"{table}.{column}"] = run(sql)
    for path in running.office.folder.rglob("*"):
        if path.is_file() and not path.name.startswith("desk"):
            found[path.name] = hashlib.sha256(path.read_bytes()).hexdigest()
    return found


def test_opening_any_page_changes_nothing(running: Running, window: Window) -> None:
    looked = addresses(running)
    before = kept(running)
    for endpoint, paths in looked.items():
        for path in dict.fromkeys(paths):
            said = {"Sec-Fetch-Dest": ASKED_AS.get(endpoint, "document")}
            answer = window.request("GET", running.home.rstrip("/") + path, headers=said)
            assert answer.status == 200, (endpoint, path, answer.status)
        after = kept(running)
        changed = {name for name in before | after if before.get(name) != after.get(name)}
        assert changed <= set(MAY_CHANGE.get(endpoint, ())), endpoint
        before = after


def test_saving_a_card_issues_a_new_one_if_one_is_due(running: Running, window: Window) -> None:
    listed = window.get(f"{running.home}cards")
    pages = [window.get(link) for link in listed.links if "/cards/site/" in link]
    (page,) = [one for one in pages if "Bakkerij" in one.text]
    saved = window.press(page, "/file")
    assert cards.parse(saved.body).issued.isoformat() == "2027-03-05"
    assert PASSPHRASE.encode() not in saved.body
