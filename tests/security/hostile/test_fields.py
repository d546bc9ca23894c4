"""Every field, cookie, header, path, query, card and sealed file in turn, by Hypothesis.

Unlike the generated requests, each value is tested alone. Anything that a browser or a desk sends
is accepted, or refused in one of the ways in the table. It never causes a fault or leaves a trace.
"""

import json
import urllib.parse
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from dropbox_app.protocol import age_header, card
from dropbox_app.protocol.encoding import Json, from_line, to_line
from dropbox_app.protocol.errors import AgeError, CardError, FormatError
from dropbox_app.server.web.request_checks import FORM
from tests.security.hostile.test_generated import check
from tests.server.web.conftest import ORIGIN, House
from tests.support.requests import FORMS, Answer, Call, fields_of, in_process
from tests.support.server_folder import message
from tests.support.values import BYTES, SENT, TYPED, long_words, strange

HOST = ("Host", "127.0.0.1:8000")
OWN = [HOST, ("Content-Type", FORM), ("Origin", ORIGIN), ("Sec-Fetch-Site", "same-origin")]
# Bytes that a browser would never send, and characters that nobody types.
ANY = st.one_of(
    st.sampled_from(strange(TYPED)),
    st.text(max_size=200),
    st.text(st.characters(categories=("Cs", "Cc", "Cf", "Zl", "Zp", "Cn")), max_size=50),
    st.binary(max_size=200).map(lambda raw: raw.decode("utf-8", "surrogateescape")),
)
ELSEWHERE = st.one_of(st.sampled_from(strange(SENT)), ANY)


class Room:
    """A site with one conversation, whose app is called directly."""

    def __init__(self, house: House) -> None:
        self.house = house
        browser = house.browser()
        self.code = browser.tell("Begin.").code
        page = browser.come_back(self.code)
        self.cookie = browser.cookies["s"]
        self.token = dict(page.form_with("csrf_token").fields)["csrf_token"]

    def ask(
        self, method: str, target: str, headers: list[tuple[str, str]], body: bytes = b""
    ) -> Answer:
        call = Call(method, target, headers, body, form="any")
        answer = in_process(self.house.app, call)
        check(call, answer)
        return answer

    def post(self, name: str, pairs: list[tuple[str, str]], session: bool) -> Answer:
        body = urllib.parse.urlencode(pairs, errors=BYTES).encode()
        more = [("Cookie", f"s={self.cookie}")] if session else []
        return self.ask("POST", f"/nl/{name}", OWN + more, body)


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Room]:
    house = House(tmp_path_factory.mktemp("room") / "site")
    yield Room(house)
    house.close()


EVERY_FIELD = [(form, name) for form in FORMS for name in (*fields_of(FORMS[form]), "csrf_token")]


@pytest.mark.parametrize(("form", "name"), EVERY_FIELD)
def test_every_form_field_accepts_or_refuses_any_value(room: Room, form: str, name: str) -> None:
    """Each strange value is sent alone, twice, and next to valid ones, in and out of a session."""
    values = [*strange(TYPED), *(long_words(TYPED) if name == "code" else ())]
    if name not in ("text", "remark", "code"):  # where length matters
        values = [value for value in values if len(value) < 2_000]
    for number, value in enumerate(values):
        good = [(n, "y") for n in fields_of(FORMS[form]) if n not in ("code", name)]
        if name != "csrf_token":
            good.append(("csrf_token", room.token))
        twice = [(name, value)] * (1 + number % 2)
        # A confirmed withdrawal ends the conversation that all other cases need.
        good = [pair for pair in good if pair[0] != "sure"]
        session = bool(number % 3) and form != "withdraw"
        room.post(form, [*twice, *good], session)
    assert room.house.browser().come_back(room.code).status == 200


@given(st.lists(st.tuples(ANY, ANY), max_size=8), st.sampled_from(sorted(FORMS)), st.booleans())
def test_arbitrary_fields_cause_no_fault(
    room: Room, pairs: list[tuple[str, str]], form: str, session: bool
) -> None:
    room.post(form, pairs, session and form != "withdraw")


@given(st.binary(max_size=300), st.sampled_from(sorted(FORMS)))
@example(b"&" * 600_000, "report")
@example(b"=" * 500_000, "conversation")
@example(b"text=" + b"%" * 500_000, "report")
@example(b"text=" + b"+" * 500_000, "counsellor")
def test_arbitrary_body_causes_no_fault(room: Room, body: bytes, form: str) -> None:
    room.ask("POST", f"/nl/{form}", OWN, body)


@given(ELSEWHERE, st.booleans())
def test_arbitrary_cookie_opens_no_session(room: Room, value: str, named: bool) -> None:
    cookie = f"s={value}" if named else value
    answer = room.ask("GET", "/nl/conversation", [HOST, ("Cookie", cookie)])
    assert b"Begin." not in answer.body


@given(st.data())
def test_altered_cookie_opens_no_session(room: Room, data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(room.cookie) - 1))
    letter = data.draw(st.sampled_from("ABab09-_=+/ %"))
    changed = room.cookie[:at] + letter + room.cookie[at + 1 :]
    answer = room.ask("GET", "/nl/conversation", [HOST, ("Cookie", f"s={changed}")])
    assert changed == room.cookie or b"Begin." not in answer.body


@given(
    st.sampled_from(
        ["Host", "Origin", "Sec-Fetch-Site", "Authorization", "Content-Type", "Content-Encoding"]
    ),
    ELSEWHERE,
)
def test_arbitrary_header_values_cause_no_fault(room: Room, name: str, value: str) -> None:
    for method, target in (("GET", "/nl/"), ("POST", "/nl/report"), ("GET", "/api/desk/mailboxes")):
        kept = [pair for pair in OWN if pair[0] != name]
        answer = room.ask(
            method, target, [*kept, (name, value[:8000])], b"text=" * (method == "POST")
        )
        assert answer.status != 200 or method == "GET"


@given(ELSEWHERE, ELSEWHERE)
def test_arbitrary_path_and_query_cause_no_fault(room: Room, path: str, query: str) -> None:
    path = urllib.parse.quote(path[:300], errors=BYTES)
    query = urllib.parse.quote(query[:300], safe="=&", errors=BYTES)
    for before in ("/", "/nl/", "/api/", "/api/desk/items/", "/static/", "/nl/conversation"):
        room.ask("GET", f"{before}{path}?{query}", [HOST])


# a desk's data, below HTTP

DEEP: list[bytes] = [
    b"", b" ", b"\0", b"\xff", b"{", b"[]", b"null", b"1", b'"a"', b'{"a":1,"a":1}',
    b'{"a":{"b":1,"b":2}}', b'{"a":1e400}', b'{"a":-0}', b'{"a":' + b"9" * 5000 + b"}",
    b'{"a":"\\ud800"}', b'{"a":"\xed\xa0\x80"}', b'{"a":' * 50_000,
    b"[" * 100_000, b'{"a":"' + b"x" * 60_001, b"\xef\xbb\xbf{}", b'{"a":1}\n', b'{"a" :1}',
    b'{"a":NaN}', b'{"a":Infinity}', b'{"a":1.0}', b"{}{}", b'{"":1}', b'{"A":1}',
]  # fmt: skip


@pytest.mark.parametrize("line", DEEP, ids=range(len(DEEP)))
def test_malformed_json_is_refused_in_a_line_and_in_a_card(line: bytes) -> None:
    with pytest.raises(FormatError):
        from_line(line)
    for raw in (line, line + b"\n", line + b"\nAAAA\n", line + b"\n" + b"A" * 88 + b"\n"):
        with pytest.raises(CardError):
            card.parse(raw)


OBJECTS: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**60), 2**60) | st.text(max_size=10) | st.floats(),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3)
    ),
    max_leaves=20,
)


@given(OBJECTS)
def test_arbitrary_json_is_read_unchanged_or_refused(value: Json) -> None:
    line = json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    try:
        read = from_line(line.encode("utf-8", "surrogatepass"))
    except FormatError:
        return
    assert to_line(read) == line.encode()


SEALED = message(1)


@given(st.data())
def test_altered_sealed_file_is_read_or_refused(data: st.DataObject) -> None:
    """The header is cut, doubled, or has bytes inserted."""
    at = data.draw(st.integers(0, 3200))
    until = at + data.draw(st.integers(0, 200))
    put = data.draw(
        st.binary(max_size=20) | st.sampled_from([b"\n", b"\r\n", b"-> x\n", b"---", b"\0"])
    )
    raw = SEALED[:at] + put * data.draw(st.sampled_from([1, 1, 2, 5000])) + SEALED[until:]
    try:
        header = age_header.parse_header(raw)
    except AgeError:
        return
    assert header.stanzas
