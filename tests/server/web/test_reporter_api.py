"""The reporter API, used by a browser that seals by itself (SPEC section 6)."""

import io
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from dropbox_app.protocol import age
from dropbox_app.protocol.encoding import Json, sha256_hex
from dropbox_app.protocol.keys import Recipient, Seed
from dropbox_app.protocol.messages import Attachment
from dropbox_app.protocol.padding import attachment_size
from dropbox_app.server.config.settings import Limits, Reporter
from dropbox_app.server.errors import StoreBusy, StoreUnsure
from dropbox_app.server.mailboxes.file_parts import LOOK
from dropbox_app.server.mailboxes.purge import purge
from dropbox_app.server.mailboxes.service import Mailboxes
from dropbox_app.server.web.reporter_api import OPENING
from tests.server.web.conftest import ORIGIN, Counsellor, House
from tests.support.sealing_browser import Answer, SealingBrowser

NOWHERE = "0" * 64
CALLS = (
    ("POST", "/api/reports"),
    ("POST", f"/api/reports/{NOWHERE}?to={NOWHERE}"),
    ("PUT", f"/api/files/{NOWHERE}"),
    ("PUT", f"/api/files/parts/{NOWHERE}"),
    ("POST", f"/api/files/{NOWHERE}"),
    ("POST", "/api/conversation/messages?n=1&to=" + NOWHERE),
    ("GET", "/api/conversation"),
    ("GET", f"/api/items?ids={NOWHERE}"),
    ("GET", f"/api/items/{NOWHERE}"),
    ("GET", f"/api/files/{NOWHERE}"),
    ("POST", "/api/conversation/withdrawal?n=2&to=" + NOWHERE),
    ("DELETE", "/api/conversation"),
)


def sealing_browser(house: House, words: tuple[str, ...] | None = None) -> SealingBrowser:
    """Return a browser that calls the app directly."""

    def exchange(method: str, target: str, body: bytes | None, headers: dict[str, str]) -> Answer:
        client = house.app.test_client(use_cookies=False)
        got = client.open(target, base_url=ORIGIN, method=method, headers=headers, data=body)
        answer = Answer(got.status_code, got.get_data())
        got.close()
        return answer

    return SealingBrowser(exchange, words)


@pytest.fixture
def sealing(tmp_path: Path) -> Iterator[House]:
    """Yield a site with two counsellors, where browsers seal."""
    made = House(
        tmp_path / "sealing",
        ("Noor Visser", "Sam Jansen"),
        reporter=Reporter(seal_in_browser=True),
        limits=Limits(free_bytes=1, file=20 * 1024 * 1024),
    )
    yield made
    made.close()


@pytest.fixture
def noor(sealing: House) -> Counsellor:
    return sealing.counsellors[0]


@pytest.fixture
def browser(sealing: House) -> SealingBrowser:
    return sealing_browser(sealing)


def sealed_to(recipients: int, size: int = 8192, plain: Callable[[int], bytes] = bytes) -> bytes:
    keys: list[Recipient] = [Seed.generate().recipient() for _ in range(recipients)]
    return age.seal(plain(size), keys)


# a complete conversation


def test_sealed_conversation_works_from_report_to_withdrawal(
    sealing: House, noor: Counsellor, browser: SealingBrowser
) -> None:
    sealed = browser.report("Er is iets gebeurd.", noor.identity)
    assert noor.texts() == ["Er is iets gebeurd."]
    noor.write("reply", {"text": "Wil je erover praten?", "attachments": []})
    later = sealing_browser(sealing, browser.words)
    assert later.texts() == ["Er is iets gebeurd.", "Wil je erover praten?"]
    later.write("Graag.")
    assert noor.texts() == ["Er is iets gebeurd.", "Wil je erover praten?", "Graag."]
    listed = later.listed()
    assert listed["mailbox"] == browser.keys.mailbox
    assert listed["day"] == listed["last_added"] == sealing.clock.today().isoformat()
    assert listed["expires"] > listed["day"]
    first = next(item for item in listed["items"] if item["author"] == "reporter")
    assert first == {
        "id": sha256_hex(sealed), "what": "message", "author": "reporter", "n": 1,
        "day": listed["day"], "size": len(sealed),
    }  # fmt: skip
    assert (later.withdraw().status, later.ask("GET", "/api/conversation").status) == (200, 404)
    withdrawn = noor.only_thread()
    assert [message.kind for message in withdrawn.genuine()] == ["withdrawal"]


def test_browsers_with_and_without_scripts_can_write_in_one_conversation(
    sealing: House, noor: Counsellor
) -> None:
    """Two tabs, one with scripts and one without, write one chain of messages."""
    page = sealing.browser().tell("Zonder script.", counsellor=noor.identity.hex)
    words = tuple(page.code.split())
    browser = sealing_browser(sealing, words)
    browser.write("Met script.")
    reader = sealing.browser()
    reader.come_back(" ".join(words))
    reader.write_on("Weer zonder.")
    browser.write("En weer met.")
    said = ["Zonder script.", "Met script.", "Weer zonder.", "En weer met."]
    assert noor.texts() == browser.texts() == said


def test_file_is_delivered_with_its_message(noor: Counsellor, browser: SealingBrowser) -> None:
    browser.report("Kijk.", noor.identity)
    attachment = browser.put_file("notitie.txt", b"wat er gebeurde")
    again = browser.ask("PUT", f"/api/files/{attachment.sha256}", b"x")
    assert again.status == 422, "other bytes under that id"
    assert [item["what"] for item in browser.listed()["items"]] == ["message"], "not sent yet"
    assert browser.ask("GET", f"/api/files/{attachment.sha256}").status == 404
    assert noor.house.mailboxes.item_for(noor.identity, attachment.sha256) is None
    browser.write("Zie het bestand.", (attachment,))
    assert [item["n"] for item in browser.listed()["items"] if item["what"] == "attachment"] == [2]
    opened = noor.house.mailboxes.item_for(noor.identity, attachment.sha256)
    assert opened is not None
    with opened.file as file:
        sealed = file.read()
    assert age.open_sealed(sealed, noor.seeds).startswith(b"wat er gebeurde\0")
    assert browser.ask("GET", f"/api/items/{attachment.sha256}").status == 404, "it is no message"
    assert browser.ask("GET", f"/api/files/{attachment.sha256}").body == sealed


def test_file_that_no_message_names_never_reaches_a_desk(
    sealing: House, noor: Counsellor, browser: SealingBrowser
) -> None:
    """Whoever stops after sending a file does not send it with the next message."""
    browser.report("Kijk.", noor.identity)
    left = browser.put_file("toch-niet.txt", b"liever niet")
    right = browser.put_file("wel.txt", b"graag")
    browser.write("Zie het bestand.", (right,))
    assert noor.house.mailboxes.item_for(noor.identity, right.sha256) is not None
    assert sealing.store.item(left.sha256) is None
    page = sealing.browser()
    browser.put_file("toch-niet.txt", b"liever niet")
    page.come_back(" ".join(browser.words))
    page.write_on("Zonder script.")
    files = [i for i in sealing.store.items(browser.keys.mailbox) if i.what == "attachment"]
    assert [file.id for file in files] == [right.sha256]


def test_message_that_names_a_missing_file_is_refused(
    sealing: House, noor: Counsellor, browser: SealingBrowser
) -> None:
    """Also a file that is sealed to others, or belongs to an earlier message."""
    browser.report("Kijk.", noor.identity)
    first = browser.put_file("een.txt", b"een")
    browser.write("Zie het bestand.", (first,))
    for item, sealed in ((NOWHERE, b""), (first.sha256, b""), (None, sealed_to(2, 16_384))):
        if item is None:
            item = sha256_hex(sealed)
            assert browser.ask("PUT", f"/api/files/{item}", sealed).status == 200
        named = Attachment(item, "x.txt", "text/plain", 1)
        draft = browser.draft("message", {"text": "Zie."}, files=(named,))
        got = browser.post(draft, draft.seal())
        assert (got.status, got.json["refused"]) == (422, "other")
    draft = browser.draft("message", {"text": "Zie."})
    many = ".".join([NOWHERE] * 11)
    for files in ("x", "", many):
        target = f"/api/conversation/messages?n=3&to={noor.identity.hex}&files={files}"
        assert browser.ask("POST", target, draft.seal()).status == 400
    assert browser.texts() == ["Kijk.", "Zie het bestand."]
    browser.write("Zonder bestand.")


def test_large_file_sent_twice_is_stored_once(
    sealing: House, noor: Counsellor, browser: SealingBrowser
) -> None:
    browser.report("Kijk.", noor.identity)
    attachment, sealed = browser.seal_file("film.mp4", bytes(LOOK + 100_000))
    for _ in range(2):
        assert browser.ask("PUT", f"/api/files/{attachment.sha256}", sealed).status == 200
    browser.write("Zie de film.", (attachment,))
    assert [path.name for path in (sealing.folder / "files").iterdir()] == [attachment.sha256]
    assert browser.ask("GET", f"/api/files/{attachment.sha256}").body == sealed


# a network that fails, and what is sent again


def test_repeated_api_calls_succeed_and_add_nothing(
    noor: Counsellor, browser: SealingBrowser
) -> None:
    draft = browser.draft("report", {"text": "Eén keer.", "answers": {}}, (noor.identity,))
    sealed = draft.seal()
    for _ in range(2):
        assert browser.open_mailbox(noor.identity).status == 200
    for _ in range(2):
        assert browser.post_report(draft, sealed).status == 200
        assert browser.post(draft, sealed).status == 200
        assert browser.open_mailbox(noor.identity).status == 200, "also after the report"
    assert noor.texts() == ["Eén keer."]
    assert [item["id"] for item in browser.listed()["items"]] == [sha256_hex(sealed)]


def test_browser_that_seals_messages_can_ask_which_items_have_arrived(
    noor: Counsellor, browser: SealingBrowser
) -> None:
    assert browser.ask("GET", "/api/conversation").status == 404, "nothing arrived"
    browser.open_mailbox(noor.identity)
    assert browser.listed()["items"] == [], "the mailbox, and no report"
    sealed = browser.report("Nu wel.", noor.identity)
    assert [item["id"] for item in browser.listed()["items"]] == [sha256_hex(sealed)]


def test_message_with_a_number_already_in_use_is_refused_with_the_newest_number(
    noor: Counsellor, browser: SealingBrowser
) -> None:
    browser.report("Een.", noor.identity)
    late = browser.draft("message", {"text": "Te laat."})
    browser.write("Twee.")
    refused = browser.post(late, late.seal())
    assert (refused.status, refused.json) == (409, {"n": 2})
    again = browser.draft("message", {"text": "Te laat."})
    assert browser.post(again, again.seal()).status == 200
    assert noor.texts() == ["Een.", "Twee.", "Te laat."]


def test_mailbox_without_report_is_hidden_and_expires_after_two_days(
    sealing: House, noor: Counsellor, browser: SealingBrowser
) -> None:
    browser.open_mailbox(noor.identity)
    attachment, sealed = _sealed_for(noor)
    assert browser.ask("PUT", f"/api/files/{attachment}", sealed).status == 200
    assert noor.threads() == {}
    assert sealing.mailboxes.listed(noor.identity) == ()
    sealing.clock.pass_days(1)
    assert browser.listed()["items"] == []
    sealing.clock.pass_days(1)
    assert browser.ask("GET", "/api/conversation").status == 404
    assert browser.open_mailbox(noor.identity).status == 404, "a new one gets a new code"
    purge(sealing.site, sealing.store, sealing.clock.today())
    assert sealing.stored() == 0
    assert sealing.store.item(attachment) is None


def _sealed_for(noor: Counsellor) -> tuple[str, bytes]:
    sealed = age.seal(bytes(attachment_size(1)), (noor.seeds[0].recipient(),))
    return sha256_hex(sealed), sealed


def test_report_may_include_files(noor: Counsellor, browser: SealingBrowser) -> None:
    browser.open_mailbox(noor.identity)
    item, sealed = _sealed_for(noor)
    assert browser.ask("PUT", f"/api/files/{item}", sealed).status == 200
    file = Attachment(item, "x.txt", "text/plain", 1)
    body: dict[str, Json] = {"text": "Met een bestand.", "answers": {}}
    draft = browser.draft("report", body, (noor.identity,), (file,))
    assert browser.post(draft, draft.seal()).status == 200
    assert noor.house.mailboxes.item_for(noor.identity, item) is not None


def test_report_and_its_mailbox_are_stored_together_or_not_at_all(
    sealing: House, noor: Counsellor, browser: SealingBrowser
) -> None:
    draft = browser.draft("report", {"text": "Eén keer.", "answers": {}}, (noor.identity,))
    sealed = draft.seal()
    assert browser.post_report(draft, sealed[:-1]).status == 422
    assert sealing.store.mailbox(browser.keys.mailbox) is None
    for target in ("x", browser.keys.mailbox.upper()):
        got = browser.ask("POST", f"/api/reports/{target}?to={noor.identity.hex}", sealed)
        assert got.status == 400
    assert browser.post_report(draft, sealed).status == 200
    assert noor.texts() == ["Eén keer."]
    other = browser.draft("report", {"text": "Anders.", "answers": {}}, (noor.identity,))
    refused = browser.post_report(other, other.seal())
    assert (refused.status, refused.json) == (409, {"n": 1})


def test_report_is_refused_if_its_mailbox_is_in_use_withdrawn_or_expired(
    sealing: House, noor: Counsellor, browser: SealingBrowser
) -> None:
    browser.report("Van mij.", noor.identity)
    theirs = sealing_browser(sealing)
    draft = theirs.draft("report", {"text": "Van een ander.", "answers": {}}, (noor.identity,))
    sealed = draft.seal()
    taken = f"/api/reports/{browser.keys.mailbox}?to={noor.identity.hex}"
    assert theirs.ask("POST", taken, sealed).status == 422, "the mailbox has another access id"
    other = f"/api/reports/{theirs.keys.mailbox}?to={noor.identity.hex}"
    assert browser.ask("POST", other, sealed).status == 422, "the access id has another mailbox"
    assert theirs.post_report(draft, sealed).status == 200
    theirs.ask("DELETE", "/api/conversation")
    gone = (404, {"error": "no such conversation", "refused": "gone"})
    got = theirs.post_report(draft, sealed)
    assert (got.status, got.json) == gone, "it does not begin anew"
    late = sealing_browser(sealing)
    late.open_mailbox(noor.identity)
    sealing.clock.pass_days(2)
    noor.renew()
    draft = late.draft("report", {"text": "Te laat.", "answers": {}}, (noor.identity,))
    got = late.post_report(draft, draft.seal())
    assert (got.status, got.json) == gone


# withdrawal


def test_repeated_withdrawal_gets_404(
    sealing: House, noor: Counsellor, browser: SealingBrowser
) -> None:
    browser.report("Toch niet.", noor.identity)
    draft = browser.draft("withdrawal", {})
    sealed = draft.seal()
    assert browser.post(draft, sealed, "withdrawal").status == 200
    assert browser.post(draft, sealed, "withdrawal").status == 404
    assert browser.open_mailbox(noor.identity).status == 404, "it does not begin anew"
    assert sealing.store.item(sha256_hex(sealed)) is not None


def test_delete_without_message_leaves_nothing_behind(
    sealing: House, noor: Counsellor, browser: SealingBrowser
) -> None:
    browser.report("Toch niet.", noor.identity)
    assert browser.ask("DELETE", "/api/conversation").json == {}
    assert sealing.stored() == 0
    assert browser.ask("DELETE", "/api/conversation").status == 404
    assert browser.ask("GET", "/api/conversation").status == 404


# access


def test_unknown_expired_and_withdrawn_conversations_look_alike(
    sealing: House, noor: Counsellor
) -> None:
    unknown, expired, withdrawn = (sealing_browser(sealing) for _ in range(3))
    expired.report("Verlopen.", noor.identity)
    sealing.clock.pass_days(400)
    withdrawn.open_mailbox(noor.identity)
    withdrawn.ask("DELETE", "/api/conversation")
    noor.renew()  # its keys expired too
    bodies = {"POST": sealed_to(2), "PUT": sealed_to(1, 16_384)}
    for method, target in CALLS[2:]:
        to = target.replace(f"to={NOWHERE}", f"to={noor.identity.hex}")
        asking = [unknown, withdrawn, expired]
        if method == "DELETE" or "withdrawal" in target:
            asking.pop()  # whose conversation is still stored: this would remove it
        got = [browser.ask(method, to, bodies.get(method)) for browser in asking]
        assert {(one.status, one.body) for one in got} == {
            (404, b'{"error":"no such conversation","refused":"gone"}')
        }, (method, target)


@pytest.mark.parametrize(("error", "refused"), [(StoreBusy, True), (StoreUnsure, False)])
def test_error_counts_as_a_refusal_only_if_nothing_was_stored(
    noor: Counsellor,
    browser: SealingBrowser,
    monkeypatch: pytest.MonkeyPatch,
    error: type[StoreBusy],
    refused: bool,
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise error("of a test")

    draft = browser.draft("report", {"text": "Van mij.", "answers": {}}, (noor.identity,))
    browser.open_mailbox(*draft.to)
    monkeypatch.setattr(Mailboxes, "add", fail)
    got = browser.post(draft, draft.seal())
    assert (got.status, got.json.get("refused") == "other") == (503, refused)


def test_missing_or_malformed_token_is_refused(noor: Counsellor, browser: SealingBrowser) -> None:
    browser.report("Van mij.", noor.identity)
    forms = (None, browser.token.upper(), browser.token[:-2], f"{browser.token} ", "x" * 64)
    for method, target in CALLS[1:]:
        for token in forms:
            got = browser.ask(method, target, b"" if method != "GET" else None, token)
            said = {"error": "the access token is missing", "refused": "other"}
            assert (got.status, got.json) == (401, said)
    for header in ("Basic eDp5", browser.token, f"bearer {browser.token}"):
        headers = {"Authorization": header}
        assert browser.ask("GET", "/api/conversation", None, None, headers).status == 401


def test_code_opens_only_its_own_conversation(
    sealing: House, noor: Counsellor, browser: SealingBrowser
) -> None:
    theirs = sealing_browser(sealing)
    sealed = theirs.report("Van een ander.", noor.identity)
    browser.report("Van mij.", noor.identity)
    assert browser.ask("GET", f"/api/items/{sha256_hex(sealed)}").status == 404
    draft = theirs.draft("message", {"text": "Ertussen."})
    posted = draft.seal()
    assert theirs.post(draft, posted).status == 200
    assert browser.post(draft, posted).status == 422, "another conversation's item"


def test_mailbox_or_access_id_already_in_use_is_refused(
    sealing: House, noor: Counsellor, browser: SealingBrowser
) -> None:
    browser.report("Van mij.", noor.identity)
    other = sealing_browser(sealing)
    for taken in ({"mailbox": browser.keys.mailbox}, {"access": browser.keys.access}):
        assert other.open_mailbox(noor.identity, **taken).status == 422
    assert browser.texts() == ["Van mij."]


def test_cross_site_request_is_refused(noor: Counsellor, browser: SealingBrowser) -> None:
    browser.report("Van mij.", noor.identity)
    for headers in ({"Sec-Fetch-Site": "cross-site"}, {"Origin": "https://elsewhere.example"}):
        for method, target in CALLS:
            got = browser.ask(method, target, b"" if method != "GET" else None, headers=headers)
            assert got.status == 403, (method, target)
    assert browser.texts() == ["Van mij."]


def test_report_to_an_unknown_counsellor_or_a_closed_site_is_refused(
    sealing: House, noor: Counsellor, browser: SealingBrowser
) -> None:
    stranger = Counsellor(sealing, "Els")
    assert browser.open_mailbox(stranger.identity).status == 403
    begun = sealing_browser(sealing)
    begun.report("Voor het einde.", noor.identity)
    half = sealing_browser(sealing)
    half.open_mailbox(noor.identity)
    sealing.site.end(sealing.clock.today())
    assert browser.open_mailbox(noor.identity).status == 403
    draft = half.draft("report", {"text": "Te laat.", "answers": {}}, (noor.identity,))
    assert half.post(draft, draft.seal()).status == 403
    begun.write("Dit gesprek gaat door.")


# requests


@pytest.mark.parametrize(
    ("name", "sealed"),
    [
        ("not sealed at all", lambda: b"Er is iets gebeurd.".ljust(11_408)),
        ("one recipient too few", lambda: sealed_to(1)),
        ("one recipient too many", lambda: sealed_to(3)),
        ("a length of no message", lambda: sealed_to(2, 8_000)),
        ("the length of a file", lambda: sealed_to(2, 16_384)),
        ("a byte more", lambda: sealed_to(2) + b"\0"),
        ("a byte less", lambda: sealed_to(2)[:-1]),
        ("one byte", lambda: b"x"),
    ],
)
def test_unsealed_message_is_refused(
    sealing: House,
    noor: Counsellor,
    browser: SealingBrowser,
    name: str,
    sealed: Callable[[], bytes],
) -> None:
    browser.open_mailbox(noor.identity)
    target = f"/api/conversation/messages?n=1&to={noor.identity.hex}"
    assert browser.ask("POST", target, sealed()).status == 422, name
    assert sealing.store.items(browser.keys.mailbox) == []


def test_unsealed_or_misnamed_file_is_refused(
    sealing: House, noor: Counsellor, browser: SealingBrowser
) -> None:
    browser.report("Kijk.", noor.identity)
    before = sealing.store.items(browser.keys.mailbox)
    for sealed in (b"gewone tekst".ljust(20_000), sealed_to(1, 16_000), sealed_to(6, 16_384)):
        assert browser.ask("PUT", f"/api/files/{sha256_hex(sealed)}", sealed).status == 422
    right = sealed_to(1, 16_384)
    assert browser.ask("PUT", f"/api/files/{NOWHERE}", right).status == 422
    assert browser.ask("PUT", "/api/files/x", right).status == 404
    assert sealing.store.items(browser.keys.mailbox) == before
    assert list((sealing.folder / "files").iterdir()) == []


def test_body_without_length_or_over_limit_is_refused(
    noor: Counsellor, browser: SealingBrowser
) -> None:
    browser.report("Kijk.", noor.identity)
    messages = f"/api/conversation/messages?n=2&to={noor.identity.hex}"
    withdrawal = messages.replace("messages", "withdrawal")
    for target in (messages, withdrawal):
        assert browser.ask("POST", target, bytes(200_000)).status == 413
        assert browser.ask("POST", target).status == 400, "without a length"
    assert browser.ask("PUT", f"/api/files/{NOWHERE}", bytes(23 * 1024 * 1024)).status == 413
    assert browser.ask("PUT", f"/api/files/{NOWHERE}").status == 400
    many = [noor.identity] * 20
    assert browser.open_mailbox(*many).status in (400, 413)
    assert browser.texts() == ["Kijk."]


@pytest.mark.parametrize(
    "query",
    [
        "",
        "?n=2",
        "?n=2&to=x",
        "?n=02&to={}",
        "?n=-1&to={}",
        "?n=2&to={}&to={}",
        "?n=2&to={}&more=1",
    ],
)
def test_query_with_wrong_arguments_is_refused(
    noor: Counsellor, browser: SealingBrowser, query: str
) -> None:
    browser.report("Kijk.", noor.identity)
    target = "/api/conversation/messages" + query.format(*[noor.identity.hex] * 2)
    assert browser.ask("POST", target, sealed_to(2)).status == 400


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        b"[]",
        b"\xff",
        b'{"access":1,"mailbox":2,"to":[]}',
        b'{"access": "", "mailbox": "", "to": []}',
        b'{"access":"' + b"0" * 64 + b'","mailbox":"' + b"A" * 64 + b'","to":["x"]}',
    ],
)
def test_malformed_request_to_open_mailbox_is_refused(
    sealing: House, browser: SealingBrowser, body: bytes
) -> None:
    headers = {"Content-Type": "application/json"}
    assert browser.ask("POST", "/api/reports", body, None, headers).status == 400
    assert sealing.stored() == 0


def test_request_to_open_mailbox_must_be_complete_json(
    sealing: House, noor: Counsellor, browser: SealingBrowser
) -> None:
    """A form on another site's page cannot send that content type, so it opens nothing here."""
    for key in ("mailbox", "access", "to"):
        assert browser.open_mailbox(noor.identity, **{key: None}).status == 400
    body = b'{"access":"%b","mailbox":"%b","to":["%b"]}' % tuple(
        value.encode() for value in (browser.keys.access, browser.keys.mailbox, noor.identity.hex)
    )
    assert len(body) < OPENING
    for kind in ("text/plain", "application/x-www-form-urlencoded", ""):
        got = browser.ask("POST", "/api/reports", body, None, {"Content-Type": kind})
        assert got.status == 400, kind
    assert sealing.stored() == 0


def test_token_is_checked_before_file_is_read(sealing: House, browser: SealingBrowser) -> None:
    class Untouchable(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            raise AssertionError("the body was read")

    for token, status in ((browser.token, 404), ("", 401)):
        got = sealing.app.test_client().open(
            f"/api/files/{NOWHERE}",
            base_url=ORIGIN,
            method="PUT",
            input_stream=Untouchable(bytes(100_000)),
            headers={"Authorization": f"Bearer {token}", "Content-Length": "100000"},
        )
        assert got.status_code == status


def test_file_over_mailbox_limit_is_refused(
    tmp_path: Path,
) -> None:
    house = House(
        tmp_path / "small",
        reporter=Reporter(seal_in_browser=True),
        limits=Limits(free_bytes=1, mailbox_bytes=2 * 1024 * 1024),
    )
    browser = sealing_browser(house)
    browser.report("Kijk.", house.counsellors[0].identity)
    attachment, sealed = browser.seal_file("groot.bin", bytes(3 * 1024 * 1024))
    assert browser.ask("PUT", f"/api/files/{attachment.sha256}", sealed).status == 507
    house.close()


def test_nginx_check_lets_only_existing_conversations_pass(
    sealing: House, noor: Counsellor, browser: SealingBrowser
) -> None:
    def opens(token: str | None) -> int:
        return browser.ask("GET", "/internal/conversation", token=token).status

    assert opens(browser.token) == 403
    browser.report("Kijk.", noor.identity)
    assert [opens(browser.token), opens("x"), opens(None)] == [204, 403, 403]
    browser.withdraw()
    assert opens(browser.token) == 403


# only on sites that enable it


def test_reporter_api_is_absent_unless_the_setting_enables_it(house: House) -> None:
    browser = sealing_browser(house)
    nothing = browser.ask("GET", "/api/nothing", token=None)
    assert nothing.status == 404
    for method, target in CALLS:
        for token in (None, browser.token):
            got = browser.ask(method, target, b"{}" if method != "GET" else None, token)
            assert (got.status, got.body) == (404, nothing.body), (method, target)
    assert browser.ask("GET", "/internal/conversation").status == 403
    assert house.stored() == 0


def test_unsupported_methods_and_unknown_addresses_get_404(browser: SealingBrowser) -> None:
    for method, target in (
        ("GET", "/api/reports"),
        ("POST", "/api/conversation"),
        ("GET", f"/api/files/parts/{NOWHERE}"),
        ("PUT", "/api/conversation/messages"),
        ("POST", "/api/conversation/"),
        ("DELETE", f"/api/items/{NOWHERE}"),
    ):
        got = browser.ask(method, target, b"" if method != "GET" else None)
        assert (got.status, got.json) == (404, {"error": "there is nothing here"}), target
