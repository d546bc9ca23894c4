"""The desk API over HTTP, with real signatures (SPEC section 7)."""

import hashlib
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from werkzeug.test import TestResponse

from dropbox_app.protocol import batch, desk_request
from dropbox_app.protocol.encoding import b64, sha256_hex
from dropbox_app.protocol.keys import SigningKey, VerifyKey
from dropbox_app.server.store.sqlite import SqliteStore
from dropbox_app.server.web import desk_api
from dropbox_app.server.web.app import create_app
from tests.support.server_folder import ANNA, BRAM, DAY, ORIGIN, AServer, file, ids, message
from tests.vectors import world

KEY = bytes(32)
NOW = 1_773_144_000.0


class Desk:
    """A desk with its keys; every part of its signature can be made invalid."""

    def __init__(self, server: AServer, signing: SigningKey = world.ANNA) -> None:
        self.server = server
        self.signing = signing
        self.now = NOW
        app = create_app(server.folder, today=server.today, now=lambda: self.now, cookie_key=KEY)
        self.client = app.test_client()

    def token(self) -> str:
        answer = self.client.get("/api/desk/challenge")
        assert answer.get_json()["day"] == DAY.isoformat()
        return str(answer.get_json()["token"])

    def authorization(
        self,
        method: str,
        target: str,
        body: bytes = b"",
        *,
        origin: str = ORIGIN,
        site: str = world.SITE,
        token: str | None = None,
    ) -> str:
        return desk_request.header(
            self.signing,
            origin=origin,
            site=site,
            token=token or self.token(),
            method=method,
            target=target,
            body_hash=sha256_hex(body),
        )

    def ask(
        self, method: str, target: str, body: bytes = b"", authorization: str | None = None
    ) -> TestResponse:
        value = (
            authorization if authorization is not None else self.authorization(method, target, body)
        )
        headers = {"Authorization": value}
        return self.client.open(target, method=method, data=body, headers=headers)

    def get(self, target: str) -> Any:  # noqa: ANN401 - any JSON
        answer = self.ask("GET", target)
        assert answer.status_code == 200, answer.data
        return answer.get_json()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[AServer]:
    made = AServer(tmp_path / "server")
    yield made
    made.store.close()


@pytest.fixture
def desk(server: AServer) -> Desk:
    return Desk(server)


def _to(*identities: VerifyKey) -> str:
    return ".".join(identity.hex for identity in identities)


# a desk's whole day


def test_desk_can_find_fetch_and_answer_a_report(server: AServer, desk: Desk) -> None:
    sealed = server.report("one")
    item, mailbox = sha256_hex(sealed), ids("one")[0]
    inbox = desk.get("/api/desk/inbox?after=0")
    assert inbox == {
        "store": server.store.store_id(),
        "day": DAY.isoformat(),
        "more": False,
        "items": [
            {
                "number": 1,
                "id": item,
                "mailbox": mailbox,
                "what": "message",
                "author": "reporter",
                "n": 1,
                "day": DAY.isoformat(),
                "size": len(sealed),
            }
        ],
    }
    got = desk.ask("GET", f"/api/desk/items/{item}")
    assert (got.data, got.content_length) == (sealed, len(sealed))
    assert got.mimetype == "application/octet-stream"
    for _ in range(2):
        assert desk.ask("POST", f"/api/desk/items/fetched?ids={item}").status_code == 200
    answer = message(1)
    target = f"/api/desk/mailboxes/{mailbox}/messages?n=1&to={_to(ANNA)}"
    assert desk.ask("POST", target, answer).status_code == 200
    assert desk.ask("POST", target, answer).status_code == 200
    late = desk.ask("POST", target, message(1))
    assert (late.status_code, late.get_json()) == (409, {"n": 1})
    newest = [{"by": str(ANNA), "n": 1}, {"by": "reporter", "n": 1}]
    listed = desk.get("/api/desk/mailboxes")["mailboxes"]
    assert listed == [{"id": mailbox, "newest": sorted(newest, key=lambda row: str(row["by"]))}]
    assert [row["number"] for row in desk.get("/api/desk/inbox?after=1")["items"]] == [2]


def test_mailbox_list_is_paged(
    server: AServer, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(desk_api, "LISTED", 2)
    boxes = sorted(ids(name)[0] for name in "abcde")
    for name in "abcde":
        server.report(name)
    found, target, answer = [], "/api/desk/mailboxes", desk.get("/api/desk/mailboxes")
    while True:
        found += [row["id"] for row in answer["mailboxes"]]
        if not answer["more"]:
            break
        target = f"/api/desk/mailboxes?after={found[-1]}"
        answer = desk.get(target)
    assert found == boxes
    for wrong in ("?after=", "?after=xyz", "?after=" + "A" * 64, "?before=" + "0" * 64):
        assert desk.ask("GET", "/api/desk/mailboxes" + wrong).status_code in (400, 404)


def test_files_of_any_size_can_be_uploaded_and_downloaded(server: AServer, desk: Desk) -> None:
    server.report("one")
    mailbox = ids("one")[0]
    small, large = file(2), file(2, 5_000_000)
    for sealed in (small, large, small):
        target = f"/api/desk/mailboxes/{mailbox}/files/{sha256_hex(sealed)}"
        assert desk.ask("PUT", target, sealed).status_code == 200
    assert desk.get("/api/desk/inbox?after=1")["items"] == []
    target = f"/api/desk/mailboxes/{mailbox}/messages?n=1&to={_to(ANNA)}"
    assert desk.ask("POST", target, message(1)).status_code == 200
    for sealed in (small, large):
        got = desk.ask("GET", f"/api/desk/items/{sha256_hex(sealed)}")
        assert got.data == sealed
        assert got.content_length == len(sealed)


def test_batch_has_this_counsellors_messages_in_the_order_of_the_ids(
    server: AServer, desk: Desk
) -> None:
    first, second, theirs = server.report("one"), server.report("two"), server.report("x", (BRAM,))
    attachment = server.put_file("one", file(2))
    server.reply("one", 1)
    wanted = [sha256_hex(second), sha256_hex(theirs), attachment, sha256_hex(first), "0" * 64]
    got = desk.ask("GET", f"/api/desk/items?ids={'.'.join(wanted)}")
    assert got.mimetype == "application/octet-stream"
    assert batch.unpack(got.data, 5) == [second, b"", b"", first, b""]


def test_batch_opens_no_file(server: AServer, desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Reading a file only to leave it out would cost the server far more than the desk."""
    server.report("one")
    attachment = server.put_file("one", file(2))
    server.reply("one", 1)
    opened: list[str] = []
    for name in ("open", "read"):
        monkeypatch.setattr(SqliteStore, name, lambda _, item: opened.append(item))
    assert desk.ask("GET", f"/api/desk/items?ids={attachment}").data == bytes(4)
    assert opened == []


@pytest.mark.parametrize(
    ("most", "sent"), [(1, 1), (2 * 11_408 - 1, 1), (2 * 11_408, 2), (10**6, 3)]
)
def test_batch_ends_before_the_limit_but_not_before_the_first_message(
    server: AServer, desk: Desk, monkeypatch: pytest.MonkeyPatch, most: int, sent: int
) -> None:
    sealed = [server.report(name) for name in ("one", "two", "three")]
    assert {len(one) for one in sealed} == {11_408}
    monkeypatch.setattr(desk_api, "MOST_AT_ONCE", most)
    named = ".".join(sha256_hex(one) for one in sealed)
    got = desk.ask("GET", f"/api/desk/items?ids={named}")
    assert batch.unpack(got.data, 3) == sealed[:sent]


def test_several_items_are_confirmed_at_once(server: AServer, desk: Desk) -> None:
    sealed = [server.report("one"), server.report("two")]
    named = ".".join(sha256_hex(one) for one in sealed)
    assert desk.ask("POST", f"/api/desk/items/fetched?ids={named}").status_code == 200
    found = [row for name in ("one", "two") for row in server.store.addressed(ids(name)[0])]
    assert [row.fetched for row in found] == [DAY, DAY]


@pytest.mark.parametrize("method", ["GET items", "POST items/fetched"])
def test_wrong_list_of_ids_is_refused(desk: Desk, method: str) -> None:
    verb, path = method.split()
    one, many = "0" * 64, [f"{number:064x}" for number in range(51)]
    for query in ("", "?ids=", f"?ids={one}.", f"?ids={one}.{one}", f"?ids={one}&more=1",
                  f"?ids={one}.x", "?ids=" + ".".join(many)):  # fmt: skip
        assert desk.ask(verb, f"/api/desk/{path}{query}").status_code == 400, query
    assert desk.ask(verb, f"/api/desk/{path}?ids={'.'.join(many[1:])}").status_code == 200


def test_newer_card_is_accepted_and_served_byte_for_byte(server: AServer, desk: Desk) -> None:
    newer = world.issue_card("anna", serial=2)
    assert desk.ask("PUT", "/api/desk/card", newer).status_code == 200
    site = desk.client.get("/api/site")
    assert site.get_json() == {
        "site": world.SITE,
        "day": DAY.isoformat(),
        "response_days": 2,
        "limits": {"text": 60_000, "file": 100 * 1024 * 1024, "files_per_message": 10},
        "cards": [newer.decode(), world.issue_card("bram").decode()],
    }
    refused = desk.ask("PUT", "/api/desk/card", world.issue_card("anna", serial=1))
    assert refused.status_code == 422
    assert "older" in refused.get_json()["error"]
    assert desk.client.get("/api/site").data == site.data


# authentication


def test_signed_request_is_valid_only_for_what_was_signed(server: AServer, desk: Desk) -> None:
    """Another origin, site, method, target, body or key gets the same 401."""
    server.report("one")
    target = "/api/desk/inbox?after=0"
    good = desk.authorization("GET", target)
    assert desk.ask("GET", target, authorization=good).status_code == 200
    assert desk.ask("GET", target, authorization=good).status_code == 200, "within the window"
    parts = good.split(" ")

    def changed(at: int, value: str) -> str:
        return " ".join((*parts[:at], value, *parts[at + 1 :]))

    wrong = [
        desk.authorization("GET", target, origin="https://other.example.org"),
        desk.authorization("GET", target, site=world.OTHER_SITE),
        desk.authorization("POST", target),
        desk.authorization("GET", "/api/desk/inbox?after=1"),
        desk.authorization("GET", target, token="invented.token.here"),
        desk.authorization("GET", target, token=_foreign_token(server)),
        changed(1, "http://localhost:8000"),
        changed(3, parts[3][:-1]),
        changed(2, str(BRAM)),
        changed(2, b64(bytes(32))),
        changed(5, b64(bytes(64))),
        good.lower(),
        "Bearer x",
        "",
    ]
    answers = {(a.status_code, a.data) for a in (desk.ask("GET", target, b"", w) for w in wrong)}
    answers.add((desk.client.get(target).status_code, desk.client.get(target).data))
    assert len(answers) == 1
    ((status, _),) = answers
    assert status == 401


def _foreign_token(server: AServer) -> str:
    """Return a token of another server, signed with another key."""
    app = create_app(server.folder, today=server.today, now=lambda: NOW)
    return str(app.test_client().get("/api/desk/challenge").get_json()["token"])


def test_unknown_identity_gets_the_same_response_as_an_invalid_signature(
    server: AServer, desk: Desk
) -> None:
    stranger = Desk(server, world.CHRIS)
    target = "/api/desk/mailboxes"
    unknown = stranger.ask("GET", target)
    parts = desk.authorization("GET", target).split(" ")
    bad = desk.ask("GET", target, b"", " ".join((*parts[:5], b64(bytes(64)))))
    assert (unknown.status_code, unknown.data) == (bad.status_code, bad.data) == (401, bad.data)
    assert dict(unknown.headers) == dict(bad.headers)


def test_retired_counsellor_is_immediately_treated_as_unknown(server: AServer, desk: Desk) -> None:
    assert desk.ask("GET", "/api/desk/mailboxes").status_code == 200
    server.site.retire("anna")
    assert desk.ask("GET", "/api/desk/mailboxes").status_code == 401


def test_token_is_valid_for_120_seconds(desk: Desk) -> None:
    good = desk.authorization("GET", "/api/desk/mailboxes")
    desk.now = NOW + 120
    assert desk.ask("GET", "/api/desk/mailboxes", authorization=good).status_code == 200
    desk.now = NOW + 121
    assert desk.ask("GET", "/api/desk/mailboxes", authorization=good).status_code == 401
    desk.now = NOW - 1
    assert desk.ask("GET", "/api/desk/mailboxes", authorization=good).status_code == 401


def test_body_differing_from_the_signed_one_is_not_kept(server: AServer, desk: Desk) -> None:
    server.report("one")
    mailbox, sealed, other = ids("one")[0], file(2), file(2)
    before = server.store.items(mailbox)
    for target in (
        f"/api/desk/mailboxes/{mailbox}/files/{sha256_hex(other)}",
        f"/api/desk/mailboxes/{mailbox}/messages?n=1&to={_to(ANNA)}",
        "/api/desk/card",
    ):
        method = "POST" if "messages" in target else "PUT"
        signed = desk.authorization(method, target, sealed)
        assert desk.ask(method, target, other, signed).status_code == 401
    assert server.store.items(mailbox) == before
    assert list((server.folder / "files").iterdir()) == []


def test_signer_is_checked_before_the_body_is_read(server: AServer, desk: Desk) -> None:
    class Untouchable(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            raise AssertionError("the body was read")

    server.report("one")
    target = f"/api/desk/mailboxes/{ids('one')[0]}/messages?n=1&to={_to(ANNA)}"
    wrong = desk.authorization("POST", target, b"x", origin="https://other.example.org")
    answer = desk.client.open(
        target,
        method="POST",
        input_stream=Untouchable(bytes(100_000)),
        headers={"Authorization": wrong},
    )
    assert answer.status_code == 401


# requests


@pytest.mark.parametrize(
    "target",
    [
        "/api/desk//mailboxes",
        "/api/desk/items/../mailboxes",
        "/api/desk/mailboxes?a=%41",
        "/api/desk/m%61ilboxes",
        "/api/desk/mailboxes?a=+",
        "/api/desk/mailboxes;a=b",
        "/api/desk/mailboxes/~x",
    ],
)
def test_ambiguous_target_gets_status_400(desk: Desk, target: str) -> None:
    answer = desk.client.get(
        "/", environ_overrides=_raw(target), headers={"Authorization": "Klankbord"}
    )
    assert answer.status_code == 400
    assert answer.is_json


def _raw(target: str) -> dict[str, str]:
    """Return gunicorn's reading of a request line, without the test client's normalisation."""
    path, _, query = target.partition("?")
    return {
        "RAW_URI": target,
        "REQUEST_URI": target,
        "PATH_INFO": path.replace("%61", "a"),
        "QUERY_STRING": query,
    }


@pytest.mark.parametrize(
    "target",
    [
        "/api/desk/inbox",
        "/api/desk/inbox?after=",
        "/api/desk/inbox?after=-1",
        "/api/desk/inbox?after=01",
        "/api/desk/inbox?after=99999999999999999999",
        "/api/desk/inbox?after=0&after=0",
        "/api/desk/inbox?after=0&more=1",
    ],
)
def test_query_must_have_exactly_the_expected_arguments(desk: Desk, target: str) -> None:
    assert desk.ask("GET", target).status_code == 400


def test_request_for_another_counsellors_item_gets_the_same_response_as_for_a_missing_item(
    server: AServer, desk: Desk
) -> None:
    sealed = server.report("one", (BRAM,))
    there, nowhere = sha256_hex(sealed), hashlib.sha256(b"").hexdigest()
    mailbox = ids("one")[0]
    answers = [desk.ask("GET", f"/api/desk/items/{item}") for item in (there, nowhere, "x")]
    assert {(a.status_code, a.data) for a in answers} == {(404, answers[0].data)}
    for method, part in (("GET", "items"), ("POST", "items/fetched")):
        answers = [desk.ask(method, f"/api/desk/{part}?ids={i}") for i in (there, nowhere)]
        assert {(a.status_code, a.data) for a in answers} == {(200, answers[0].data)}
    assert [row.fetched for row in server.store.addressed(mailbox)] == [None]
    for rest, method, body in (
        (f"messages?n=1&to={_to(ANNA)}", "POST", message(1)),
        (f"files/{sha256_hex(file(2))}", "PUT", file(2)),
    ):
        targets = [f"/api/desk/mailboxes/{box}/{rest}" for box in (mailbox, nowhere)]
        answers = [desk.ask(method, target, body) for target in targets]
        assert {(a.status_code, a.data) for a in answers} == {(404, answers[0].data)}


def test_each_kind_of_request_body_has_its_own_size_limit(server: AServer, desk: Desk) -> None:
    server.report("one")
    target = f"/api/desk/mailboxes/{ids('one')[0]}/messages?n=1&to={_to(ANNA)}"
    assert desk.ask("POST", target, message(1, 131_072)).status_code == 200
    assert desk.ask("POST", target, bytes(200_000)).status_code == 413
    assert desk.ask("PUT", "/api/desk/card", bytes(65_537)).status_code == 413
    assert desk.ask("GET", "/api/desk/mailboxes", b"x").status_code == 413


def test_invalid_message_shapes_and_addressees_are_refused(server: AServer, desk: Desk) -> None:
    server.report("one")
    base = f"/api/desk/mailboxes/{ids('one')[0]}/messages"
    assert desk.ask("POST", f"{base}?n=1&to={_to(ANNA)}", message(2)).status_code == 422
    assert desk.ask("POST", f"{base}?n=1&to={_to(ANNA, BRAM)}", message(2)).status_code == 403
    assert desk.ask("POST", f"{base}?n=1&to=", message(1)).status_code == 400
    assert desk.ask("POST", f"{base}?n=1&to={'0' * 64}", message(1)).status_code == 400


def test_every_response_is_json_without_cookie_or_redirect(server: AServer, desk: Desk) -> None:
    answers = [
        desk.client.get("/api/site"),
        desk.client.get("/api/desk/challenge"),
        desk.client.get("/api/desk/challenge/"),
        desk.client.post("/api/desk/challenge"),
        desk.client.get("/api/nothing"),
        desk.client.get("/api/desk/inbox?after=0"),
        desk.ask("GET", "/api/desk/inbox?after=0"),
    ]
    assert [a.status_code for a in answers] == [200, 200, 404, 404, 404, 401, 200]
    for answer in answers:
        assert answer.is_json
        assert "Set-Cookie" not in answer.headers
        assert "Location" not in answer.headers
        assert json.loads(answer.data)


def test_site_endpoint_returns_the_same_bytes_to_everybody(desk: Desk) -> None:
    plain = desk.client.get("/api/site")
    other = desk.client.get("/api/site", headers={"Accept-Language": "nl", "Cookie": "a=b"})
    assert plain.data == other.data


def test_reading_the_inbox_updates_the_day_of_the_last_fetch(server: AServer, desk: Desk) -> None:
    assert server.mailboxes.last_fetch(ANNA) is None
    desk.get("/api/desk/inbox?after=0")
    assert server.mailboxes.last_fetch(ANNA) == DAY
    assert server.mailboxes.last_fetch(BRAM) is None
