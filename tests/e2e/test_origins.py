"""In real browsers, cross-site posts are refused without effect, and the site's own posts work.

The site is at an http onion, reached by name through a SOCKS proxy as with Tor, and at an https
address, for which a proxy in front of the server terminates TLS. The other sites have another name,
or the same one as far as cookies are concerned: another port, or another subdomain.
"""

import html
import json
import os
import re
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import playwright.sync_api as playwright
import pytest

from tests.support.browsers import Person, Start, browsers, here
from tests.support.drop_box import DropBox
from tests.support.net import Net, Post, Strangers
from tests.support.steps import FOLLOW_UP, STORY, report_and_code

LONG = os.environ.get("KLANKBORD_LONG") == "1"
BAIT = "Words that she never wrote."
# The browser's own page for a refusal.
REFUSED = re.compile(r"about:neterror\?e=cspBlocked|chrome-error://")


@dataclass(frozen=True)
class Address:
    """The address of the site, and the other sites around it."""

    own: str
    sister: str  # the same site to a browser's cookies, another origin
    stranger: str


ONION, OTHER = (f"{letter * 55}d.onion" for letter in "kx")
ADDRESSES = {
    "onion": Address(f"http://{ONION}", f"http://{ONION}:8080", f"http://{OTHER}"),
    "https": Address(
        "https://melden.voorbeeld.example",
        "https://intranet.voorbeeld.example",
        "https://elders.example",
    ),
}
# With --long also in Firefox, like Tor Browser; each test then uses every way. CI adds Firefox at
# the onion address to the ways of the default run.
ONION_WAY, DOMAIN_WAY = ("chromium", "onion"), ("chromium", "https")
TOR_BROWSER_WAY = ("firefox", "onion")
EVERY_WAY = [ONION_WAY, DOMAIN_WAY, TOR_BROWSER_WAY, ("firefox", "https")]


def ways(*default: tuple[str, str]) -> pytest.MarkDecorator:
    """Run a test in these browsers at these addresses; with --long, in all of them."""
    in_ci = (*default, TOR_BROWSER_WAY)
    return pytest.mark.parametrize(
        ("name", "address"),
        [
            pytest.param(
                *(way[0], ADDRESSES[way[1]]),
                marks=[here(way[0]), *([] if way in in_ci else [pytest.mark.spare])],
                id=f"{way[0]}-{way[1]}",
            )
            for way in (EVERY_WAY if LONG else default)
        ],
    )


@dataclass
class Town:
    """The drop box under all its addresses, the other sites, and the network between."""

    box: DropBox
    strangers: Strangers
    net: Net
    start: Start
    codes: list[str]

    def person(self, name: str, address: Address) -> Person:
        return Person(self.start, name, address.own)

    def kept(self) -> list[tuple[str, str]]:
        """Return everything that the server stores: items by name, with their mailboxes."""
        file = self.box.folder / "klankbord.db"
        db = sqlite3.connect(f"file:{file}?mode=ro", uri=True)
        rows = db.execute("SELECT item, mailbox FROM items ORDER BY item").fetchall()
        db.close()
        return rows


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory, mould: tuple[Path, int]) -> Iterator[Town]:
    folder = tmp_path_factory.mktemp("town")
    shutil.copytree(mould[0] / "server", folder / "server")
    box = DropBox(folder / "server", port=mould[1])
    origins = [box.url, *(address.own for address in ADDRESSES.values())]
    box.server("move", *(part for origin in origins for part in ("--origin", origin)))
    with Strangers().running() as strangers:
        places = {("melden.voorbeeld.example", 443): box.port, (ONION, 80): box.port}
        for name in ("intranet.voorbeeld.example", "elders.example"):
            places[name, 443] = strangers.port
        places[ONION, 8080] = places[OTHER, 80] = strangers.port
        net = Net(folder, places)
        box.serve()
        try:
            codes = [report_and_code(box, "nl", story) for story in (STORY["nl"], BAIT)]
            with net.running(), browsers(net) as start:
                yield Town(box, strangers, net, start, codes)
        finally:
            box.stop()


# Another site's page that posts these fields to an address when its button is pressed. Each
# function returns the page's own address: a path on the other sites, or a URL that contains the
# page itself.
Fields = dict[str, str]
Way = Callable[[Strangers, Address, str, Fields], str]


def _form(action: str, fields: Fields, target: str = "_self") -> str:
    inputs = "".join(
        f'<input type="hidden" name="{name}" value="{html.escape(value)}">'
        for name, value in fields.items()
    )
    form = f'<form method="post" action="{action}" target="{target}">{inputs}'
    return f'<!doctype html><body>{form}<button id="go">A prize</button></form>'


def _from_a_form(s: Strangers, at: Address, action: str, fields: Fields) -> str:
    s.put("/form", _form(action, fields))
    return at.stranger + "/form"


def _from_a_sister(s: Strangers, at: Address, action: str, fields: Fields) -> str:
    s.put("/form", _form(action, fields))
    return at.sister + "/form"


def _into_a_frame(s: Strangers, at: Address, action: str, fields: Fields) -> str:
    s.put("/frame", _form(action, fields, target="f") + '<iframe name="f"></iframe>')
    return at.stranger + "/frame"


def _after_a_redirect(s: Strangers, at: Address, action: str, fields: Fields) -> str:
    s.put("/onward", "", 307, Location=action)
    s.put("/form", _form("/onward", fields))
    return at.stranger + "/form"


def _by_a_script(s: Strangers, at: Address, action: str, fields: Fields) -> str:
    options = '{method: "POST", mode: "no-cors", credentials: "include", body: data}'
    data = f"const data = new URLSearchParams({json.dumps(fields)});"
    send = f"{data} fetch({json.dumps(action)}, {options})"
    s.put("/script", f'<button id="go" onclick="{html.escape(send)}">A prize</button>')
    return at.sister + "/script"


def _in_a_sandbox(form: str, *more: str) -> str:
    allowed = " ".join(("allow-forms", "allow-scripts", *more))
    inner = html.escape(form + "<script>document.forms[0].submit()</script>")
    put = "document.querySelector('iframe').srcdoc = this.value"
    frame = f'<iframe sandbox="{allowed}"></iframe>'
    return f'<button id="go" value="{inner}" onclick="{put}">A prize</button>{frame}'


def _sandboxed(s: Strangers, at: Address, action: str, fields: Fields) -> str:
    s.put("/box", _in_a_sandbox(_form(action, fields)))
    return at.stranger + "/box"


def _sandboxed_over_all(s: Strangers, at: Address, action: str, fields: Fields) -> str:
    form = _form(action, fields, target="_top")
    s.put("/box", _in_a_sandbox(form, "allow-top-navigation"))
    return at.stranger + "/box"


def _without_referrer(s: Strangers, at: Address, action: str, fields: Fields) -> str:
    s.put("/quiet", _form(action, fields), Referrer_Policy="no-referrer")
    return at.stranger + "/quiet"


def _sister_without_referrer(s: Strangers, at: Address, action: str, fields: Fields) -> str:
    s.put("/quiet", _form(action, fields), Referrer_Policy="no-referrer")
    return at.sister + "/quiet"


def _from_a_data_address(_s: Strangers, _at: Address, action: str, fields: Fields) -> str:
    return "data:text/html," + quote(_form(action, fields))


NAMED: tuple[Way, ...] = (
    *(_from_a_form, _from_a_sister, _into_a_frame, _by_a_script, _after_a_redirect),
)
NAMELESS: tuple[Way, ...] = (
    *(_sandboxed, _sandboxed_over_all, _without_referrer),
    *(_sister_without_referrer, _from_a_data_address),
)


INSIDE: tuple[Way, ...] = (_into_a_frame, _by_a_script, _sandboxed)  # the page itself stays


def _refused(town: Town, way: Way, address: Address, person: Person, path: str, **f: str) -> Post:
    """Visit the page that posts; return the post, which received 403 and set no cookie."""
    action = address.own + path
    lure = way(town.strangers, address, action, f)
    try:
        person.page.goto(lure)
    except playwright.Error as error:
        # Firefox once did so for a page of the other site, which is irrelevant here.
        if "Address rejected" not in str(error):
            raise
        person.page.goto(lure)
    town.net.posts.clear()
    person.page.locator("#go").click(no_wait_after=True)
    (post,) = [
        one
        for one in town.net.wait_for_posts(2 if way is _after_a_redirect else 1)
        if one.path == path
    ]
    assert post.status == 403, f"{way.__name__}: {post}"
    assert b"set-cookie" not in post.answer.lower(), way.__name__
    if way not in INSIDE:
        person.page.wait_for_url(action)
    return post


@ways(ONION_WAY, DOMAIN_WAY)
def test_cross_site_post_is_refused_and_changes_nothing(
    town: Town, name: str, address: Address
) -> None:
    """Nothing is stored or withdrawn, and nobody is logged in to another mailbox.

    The sender even knows the reporter's CSRF token, which another page cannot know.
    """
    code, theirs = town.codes
    person, newcomer = town.person(name, address), town.person(name, address)
    person.enter("nl", code)
    person.go("/nl/withdraw")
    cookies = person.cookies
    token = person.page.locator("[name=csrf_token]").first.input_value()
    kept = town.kept()
    every = LONG and name == "chromium"  # what a browser sends depends on the way, not the target
    for number, way in enumerate((*NAMED, *NAMELESS)):
        posts = []
        if every or number % 2:
            posts.append(_refused(town, way, address, newcomer, "/nl/return", code=theirs))
        if every or not number % 2:
            taken_back = {"sure": "y", "csrf_token": token}
            posts.append(_refused(town, way, address, person, "/nl/withdraw", **taken_back))
        if every or way is _from_a_sister:
            # This includes posts that write in her name, and posts that open another mailbox.
            said = {"text": BAIT, "csrf_token": token}
            posts += [
                _refused(town, way, address, newcomer, "/nl/report", text=BAIT),
                _refused(town, way, address, person, "/nl/conversation", **said),
                _refused(town, way, address, person, "/nl/return", code=theirs),
            ]
        said_to_be = {post.headers.get("origin") for post in posts}
        assert said_to_be.isdisjoint({None, address.own}), way.__name__
        if way in NAMELESS:
            assert said_to_be == {"null"}, way.__name__
        assert newcomer.cookies == {}, way.__name__
    assert town.kept() == kept
    person.go("/nl/conversation")
    assert STORY["nl"].splitlines()[0] in person.text
    assert BAIT not in person.text
    assert set(person.cookies) == set(cookies) != set()
    newcomer.go("/nl/conversation")
    assert newcomer.page.locator("[name=code]").input_value() == ""
    person.close()
    newcomer.close()


@ways(ONION_WAY, DOMAIN_WAY)
def test_posts_from_the_same_site_are_accepted(town: Town, name: str, address: Address) -> None:
    """This includes visitors who followed a link without a referrer from another site."""
    person = town.person(name, address)
    link = f'<a rel="noreferrer" href="{address.own}/en/report">the drop box</a>'
    town.strangers.put("/link", link, Referrer_Policy="no-referrer")
    kept = len(town.kept())
    person.page.goto(address.stranger + "/link")
    town.net.posts.clear()
    person.follow(person.page.get_by_role("link"))
    person.write("text", STORY["en"])
    person.send("text")
    code = person.code()
    assert set(person.cookies) == {"__Host-s" if address.own.startswith("https") else "s"}
    again = town.person(name, address)
    again.go("/nl/return")
    again.write("code", code)
    again.follow(again.page.locator("button[formaction='/en/return']"))  # her own language
    assert again.page.locator("[name=code]").input_value() == code
    again.send("code")
    again.write("text", FOLLOW_UP["en"])
    again.send("text")
    assert FOLLOW_UP["en"] in again.text
    assert len(town.kept()) == kept + 2
    again.go("/en/withdraw")
    again.tick(again.page.locator("[name=sure]"))
    again.send("sure")
    posts = town.net.wait_for_posts(5)
    assert {post.headers.get("origin") for post in posts} == {address.own}
    assert max(post.status for post in posts) == 303
    again.enter("en", code)
    assert again.heading == "This code does not work"
    person.close()
    again.close()


@ways(ONION_WAY)
def test_refused_text_is_kept_and_one_click_sends_it(
    town: Town, name: str, address: Address
) -> None:
    """Nothing else from the post is kept, such as a code that would send it to a stranger."""
    person, (code, theirs) = town.person(name, address), town.codes
    kept = town.kept()
    _refused(town, _from_a_form, address, person, "/nl/report", text=STORY["nl"], code=theirs)
    _is_kept(person, STORY["nl"], theirs)
    assert town.kept() == kept
    person.send("text")
    assert person.code() != theirs
    new = [item for item in town.kept() if item not in kept]
    assert len(new) == 1

    said = {"text": FOLLOW_UP["nl"], "code": theirs}
    _refused(town, _without_referrer, address, person, "/nl/conversation", **said)
    _is_kept(person, FOLLOW_UP["nl"], theirs)
    assert person.page.locator("[name=code]").input_value() == ""
    person.write("code", code)
    person.send("text")
    assert FOLLOW_UP["nl"] in person.text
    assert STORY["nl"].splitlines()[0] in person.text
    assert BAIT not in person.text
    person.close()


def _is_kept(person: Person, text: str, theirs: str) -> None:
    assert person.heading == "Niet verstuurd"
    assert person.page.locator("[name=text]").input_value() == text
    assert theirs not in person.page.content()


@ways(ONION_WAY, DOMAIN_WAY)
def test_pages_cannot_be_framed(town: Town, name: str, address: Address) -> None:
    """Neither another site nor a sibling domain can use a frame or an object."""
    person = town.person(name, address)
    town.strangers.put("/welcome", "<h1>Welcome in here</h1>")
    for site, path in (
        (address.stranger, "/nl/"),
        (address.stranger, "/nl/report"),
        (address.sister, "/nl/return"),
    ):
        target = address.own + path
        frames = f'<iframe name="own" src="{target}"></iframe><iframe src="/welcome"></iframe>'
        town.strangers.put("/inside", f'{frames}<object data="{target}">Nothing</object>')
        person.page.goto(site + "/inside")
        assert person.page.frames[2].locator("h1").inner_text() == "Welcome in here"
        # Found by its element, because Firefox's error page may lose the frame's name.
        own = person.page.locator('iframe[name="own"]').element_handle().content_frame()
        assert own is not None
        # Each browser shows its own error page, and nothing of the drop box.
        own.wait_for_url(REFUSED)
        assert "Klankbord" not in own.locator("body").inner_text()
        assert person.page.locator("object").inner_text() == "Nothing"
        assert len(person.page.frames) == 3
    person.close()


@ways(ONION_WAY)
def test_another_site_cannot_end_a_session(town: Town, name: str, address: Address) -> None:
    """Links and images of "leave" and "stop" on other sites send no cookie and end nothing."""
    person = town.person(name, address)
    person.enter("nl", town.codes[0])
    for path in ("/nl/leave", "/nl/stop"):
        target = address.own + path
        town.strangers.put("/end", f'<img src="{target}"><a href="{target}">look here</a>')
        person.page.goto(address.stranger + "/end")
    person.follow(person.page.get_by_role("link"))
    assert person.page.url == address.own + "/nl/"
    person.go("/nl/conversation")
    assert STORY["nl"].splitlines()[0] in person.text
    person.close()
