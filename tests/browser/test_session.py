"""A reporter's session in the browser, against a lying server (SPEC sections 2 to 4)."""

import base64
import datetime
import hashlib
import itertools
import time
from collections.abc import Callable, Sequence
from importlib import resources
from typing import Any

import pytest

from dropbox_app.protocol import age, thread, writing
from dropbox_app.protocol.card import parse
from dropbox_app.protocol.encoding import Json, sha256_hex
from dropbox_app.protocol.keys import SigningKey
from dropbox_app.protocol.messages import ReporterPublic
from dropbox_app.protocol.padding import attachment_size
from dropbox_app.protocol.retrieval_code import (
    LANGUAGES,
    ReporterKeys,
    dealt_words,
    derive_root,
    read_typed,
    reporter_keys,
)
from tests.browser.conftest import Answer, Ask
from tests.vectors.world import ANNA, BRAM, DAY, SITE, issue_card, sealing_seed

WORDS = resources.files("dropbox_app.protocol") / "words"
LISTS = {
    name: (WORDS / f"{name}.txt").read_text("ascii")
    for name in ("nl", "en", "not_dealt_nl", "not_dealt_en")
}
BOTH = (issue_card("anna"), issue_card("bram"))


class Browser:
    """A session in Node, and the responses that a server would send it."""

    def __init__(self, peer: Ask) -> None:
        self._peer = peer

    def starts(self, day: datetime.date = DAY, lists: dict[str, str] = LISTS) -> None:
        digests = {name: hashlib.sha256(t.encode()).hexdigest() for name, t in LISTS.items()}
        self._peer("session", lists=digests, day=day.isoformat())
        for name, text in lists.items():
            self.does("takeWords", name=name, text=text)

    def asks(self, what: str, **given: object) -> Answer:
        """Return the session's answer, or ``refused`` and ``details``."""
        return self._peer("ask", what=what, given=given)

    def does(self, what: str, **given: object) -> Answer:
        answer = self.asks(what, **given)
        assert "refused" not in answer, answer
        return answer["answer"]

    def told(
        self,
        cards: Sequence[bytes] = BOTH,
        day: datetime.date = DAY,
        instead: dict[str, Json] | None = None,
    ) -> Answer:
        texts = [card.decode() for card in cards]
        said = {"site": SITE, "day": day.isoformat(), "limits": {"text": 20_000}, "cards": texts}
        return self._peer("ask", what="takeSite", given=said | (instead or {}))

    def reports(self, text: str = "Het begon in maart.", **more: object) -> Answer:
        wanted = more.pop("wanted", [ANNA.verify_key.hex])
        return self.does(
            "report", lang="nl", words="nl", text=text, answers={}, wanted=wanted, **more
        )

    def reads(self, sealed: Sequence[bytes]) -> Answer:
        items = [[sha256_hex(one), base64.b64encode(one).decode()] for one in sealed]
        return self.does("read", items=items)


@pytest.fixture
def browser(peer: Ask) -> Browser:
    made = Browser(peer)
    made.starts()
    assert made.told() == {"answer": None}
    return made


def file_of(made: Answer) -> bytes:
    return base64.b64decode(made["sealed"])


def keys_of(made: Answer) -> ReporterKeys:
    return reporter_keys(derive_root(read_typed(" ".join(made["words"])), SITE))


def answer_of(
    sealed: Sequence[bytes],
    keys: ReporterKeys,
    body: dict[str, Json],
    kind: str = "reply",
    by: SigningKey = ANNA,
) -> bytes:
    """Return the next message of a counsellor who has these files."""
    name = "anna" if by is ANNA else "bram"
    seed = sealing_seed(name, DAY.replace(day=1))
    arrived = [thread.open_item(sha256_hex(one), one, [seed]) for one in sealed]
    seen = thread.read(arrived, site=SITE, mailbox=keys.mailbox, viewer=by.verify_key)
    return writing.from_counsellor(
        by, site=SITE, day=DAY, lang="nl", kind=kind, body=body, thread=seen,
        cards=[parse(card) for card in BOTH],
    ).seal()  # fmt: skip


def test_client_and_python_derive_the_same_keys_from_a_report_code(browser: Browser) -> None:
    made = browser.reports()
    keys = keys_of(made)
    assert set(made["words"]) <= set(dealt_words("nl"))
    assert (made["mailbox"], made["access"]) == (keys.mailbox, keys.access)
    assert made["token"] == keys.access_token.hex()
    assert made["query"] == f"n=1&to={ANNA.verify_key.hex}"
    entered = browser.does("enter", typed=f"Code: {' '.join(made['words']).upper()}")
    assert entered == {"token": keys.access_token.hex(), "mailbox": keys.mailbox}


def test_code_drawn_in_advance_is_used_for_only_one_report(browser: Browser) -> None:
    browser.does("prepare", words="nl")
    first = browser.reports()
    assert first["mailbox"] == keys_of(first).mailbox
    [line] = browser.reads([file_of(first)])["lines"]
    assert line["believed"], "signed with the keys of that code"
    second = browser.reports()
    assert first["words"] != second["words"]
    assert second["mailbox"] == keys_of(second).mailbox


def test_code_drawn_in_advance_is_not_used_for_another_word_list_or_after_a_wipe(
    browser: Browser, peer: Ask
) -> None:
    browser.does("prepare", words="en")
    assert set(browser.reports()["words"]) <= set(dealt_words("nl"))
    browser.does("prepare", words="nl")
    assert peer("wiped") == {"secrets": 6, "overwritten": True}
    made = browser.reports()
    assert made["mailbox"] == keys_of(made).mailbox


def test_drawing_the_code_in_advance_halves_the_time_to_seal_a_report(browser: Browser) -> None:
    def fastest(prepared: bool) -> float:
        took = []
        for _ in range(3):
            if prepared:
                browser.does("prepare", words="nl")
            begun = time.monotonic()
            browser.reports()
            took.append(time.monotonic() - begun)
        return min(took)

    assert fastest(True) < fastest(False) / 2


def test_keys_of_a_typed_code_are_overwritten_by_a_wipe(browser: Browser, peer: Ask) -> None:
    browser.does("enter", typed=" ".join(dealt_words("nl")[:7]))
    assert peer("wiped") == {"secrets": 3, "overwritten": True}
    assert browser.asks("read", items=[])["refused"] == "locked"


def test_counsellor_names_are_taken_from_their_cards(browser: Browser) -> None:
    assert browser.does("names") == {parse(card).identity.hex: parse(card).name for card in BOTH}


def test_retyped_code_can_be_checked_until_the_reporter_continues(browser: Browser) -> None:
    made = browser.reports()
    words = made["words"]
    assert browser.does("compare", typed="\n".join(words)) == {"right": True, "wrong": []}
    others = [*words[:6], "appel" if words[6] != "appel" else "boom"]
    assert browser.does("compare", typed=" ".join(others)) == {"right": False, "wrong": [7]}
    turned = browser.does("compare", typed=" ".join(sorted(words, reverse=True)))
    assert turned["wrong"] == []
    browser.does("moveOn")
    assert browser.does("compare", typed=" ".join(words))["right"] is False


def test_wrong_code_words_are_reported(browser: Browser) -> None:
    asked = browser.asks("enter", typed="fles vlieg boom water koffie appel")
    assert (asked["refused"], asked["details"]["count"]) == ("word_count", 6)
    asked = browser.asks("enter", typed="fles vlieg boom water koffie appel tafell")
    assert (asked["refused"], asked["details"]["position"]) == ("unknown_word", 7)
    assert "tafel" in asked["details"]["suggestions"]


def test_code_typed_as_report_text_is_refused(browser: Browser) -> None:
    typed = "fles vlieg boom water koffie appel tafel"
    asked = browser.asks(
        "report", lang="nl", words="nl", text=typed, answers={}, wanted=[ANNA.verify_key.hex]
    )
    assert asked["refused"] == "text_is_code"


def test_altered_word_list_is_refused(peer: Ask) -> None:
    browser = Browser(peer)
    browser.starts(lists={})
    for name, text in LISTS.items():
        changed = text.replace("\n", "\nevil\n", 1)
        assert browser.asks("takeWords", name=name, text=changed)["refused"] == "words"
        browser.does("takeWords", name=name, text=text)
    assert len(LANGUAGES) * 2 == len(LISTS)


@pytest.mark.parametrize(
    ("days", "refused"), [(0, None), (2, None), (-2, None), (3, "clock"), (-3, "clock")]
)
def test_server_date_that_differs_from_the_clock_is_refused(
    browser: Browser, days: int, refused: str | None
) -> None:
    assert browser.told(day=DAY + datetime.timedelta(days=days)).get("refused") == refused


@pytest.mark.parametrize("said", [
    {"site": "00"}, {"day": "today"}, {"cards": 3}, {"cards": None}, {"limits": None},
])  # fmt: skip
def test_malformed_site_answer_is_refused(browser: Browser, said: dict[str, Json]) -> None:
    assert browser.told(instead=said).get("refused") == "site"


def test_changed_site_id_is_refused(browser: Browser) -> None:
    assert browser.told(instead={"site": "ff" * 16}).get("refused") == "site"


def test_error_for_overlong_text_states_its_size_and_the_limit(browser: Browser) -> None:
    asked = browser.asks(
        "report", lang="nl", words="nl", text="é" * 10_001, answers={},
        wanted=[ANNA.verify_key.hex],
    )  # fmt: skip
    assert asked["refused"] == "too_long"
    assert asked["details"] == {"size": 20_002, "limit": 20_000}


def forged(card: bytes) -> bytes:
    return card.replace(b'"name":"Anna"', b'"name":"Anne"')


@pytest.mark.parametrize("cards", [
    (), (BOTH[1],), (forged(BOTH[0]),), (issue_card("anna", site="ff" * 16),), (b"x\ny\n",),
])  # fmt: skip
def test_nothing_is_sealed_without_a_valid_card_of_the_chosen_counsellor(
    browser: Browser, cards: tuple[bytes, ...]
) -> None:
    """Somebody else's card, an altered one or another site's does not replace the chosen one."""
    assert browser.told(cards) == {"answer": None}
    asked = browser.asks(
        "report", lang="nl", words="nl", text="x", answers={}, wanted=[ANNA.verify_key.hex]
    )
    assert asked["refused"] == "nobody"


@pytest.mark.parametrize(
    "chosen", [str(ANNA.verify_key), ANNA.verify_key.hex.upper(), ANNA.verify_key.hex + " ", ""]
)
def test_key_of_the_chosen_counsellor_is_accepted_in_only_one_notation(
    browser: Browser, chosen: str
) -> None:
    """Beside any other form the page could write the name of somebody else."""
    asked = browser.asks("report", lang="nl", words="nl", text="x", answers={}, wanted=[chosen])
    assert asked["refused"] == "counsellor"


def test_newer_card_of_a_counsellor_replaces_the_older_one(browser: Browser) -> None:
    later = DAY + datetime.timedelta(days=80)
    newer = issue_card("anna", day=later, serial=2)
    for cards in itertools.permutations((BOTH[0], newer)):
        assert browser.told(cards) == {"answer": None}
        # The newer card has no key for this day; even so, the older one is not used again.
        asked = browser.asks(
            "report", lang="nl", words="nl", text="x", answers={}, wanted=[ANNA.verify_key.hex]
        )
        assert asked["refused"] == "nobody"


def test_conversation_can_be_read_and_continued(browser: Browser) -> None:
    made = browser.reports()
    keys, first = keys_of(made), file_of(made)
    browser.does("sent", n=1, digest=made["digest"])
    second = answer_of([first], keys, {"text": "Dank je."})
    view = browser.reads([first, second])
    assert [(line["mine"], line["text"]) for line in view["lines"]] == [
        (True, "Het begon in maart."), (False, "Dank je."),
    ]  # fmt: skip
    assert view["names"][str(ANNA.verify_key)] == "Anna"
    assert (view["to"], view["closed"], view["refused"]) == ([str(ANNA.verify_key)], [], "")
    written = browser.does("write", lang="nl", kind="message", body={"text": "Nog iets."})
    assert written["query"] == f"n=2&to={ANNA.verify_key.hex}"
    seed = sealing_seed("anna", DAY.replace(day=1))
    arrived = [thread.open_item(sha256_hex(one), one, [seed])
               for one in (first, second, file_of(written))]  # fmt: skip
    desk = thread.read(arrived, site=SITE, mailbox=keys.mailbox, viewer=ANNA.verify_key)
    assert [entry.state for entry in desk.entries] == ["verified"] * 3
    assert (desk.gaps, desk.withheld) == ({}, {})


Files = tuple[bytes, bytes, bytes, bytes]


def four(browser: Browser) -> tuple[ReporterKeys, Files]:
    """Return four files: a report to Anna and Bram, two replies by Anna, and a message."""
    both = [ANNA.verify_key.hex, BRAM.verify_key.hex]
    made = browser.reports(wanted=both)
    keys, first = keys_of(made), file_of(made)
    reply = answer_of([first], keys, {"text": "Dank je."})
    browser.reads([first, reply])
    third = file_of(browser.does("write", lang="nl", kind="message", body={"text": "Meer."}))
    last = answer_of([first, reply, third], keys, {"text": "Ik lees het."})
    browser.does("enter", typed=" ".join(made["words"]))  # the session now remembers nothing
    return keys, (first, reply, third, last)


Lie = Callable[[Files], Sequence[bytes]]
WITHOUT_THE_NEWEST: dict[str, Lie] = {
    "the newest of the reporter": lambda files: (files[0], files[1], files[3]),
    "all of the reporter but the report": lambda files: (files[0], files[3]),
    "all of the reporter": lambda files: (files[1], files[3]),
    "everything": lambda files: (),
}


@pytest.mark.parametrize("lie", WITHOUT_THE_NEWEST.values(), ids=WITHOUT_THE_NEWEST)
def test_writing_is_refused_if_the_reporters_newest_message_is_withheld(
    browser: Browser, lie: Lie
) -> None:
    """That message names the recipients: with an older one, the server would choose them."""
    _, files = four(browser)
    view = browser.reads(lie(files))
    assert view["refused"] == "withheld"
    asked = browser.asks("write", lang="nl", kind="message", body={"text": "x"})
    assert asked["refused"] == "withheld"


def test_session_detects_that_its_sent_message_is_withheld(browser: Browser) -> None:
    """This holds even if no counsellor has seen it, because the session knows the message."""
    made = browser.reports()
    first = file_of(made)
    browser.reads([first])
    second = browser.does("write", lang="nl", kind="message", body={"text": "Meer."})
    browser.does("sent", n=2, digest=second["digest"])
    view = browser.reads([first])
    assert view["refused"] == "withheld"
    assert view["notes"] == [{"key": "withheld_mine", "by": "reporter", "count": 1}]
    view = browser.reads([first, file_of(second)])
    assert (view["refused"], view["notes"]) == ("", [])


def test_next_message_is_refused_until_the_previous_message_has_been_read_back(
    browser: Browser,
) -> None:
    """Otherwise the next message would take its number, and go to the counsellors before it."""
    browser.reads([file_of(browser.reports())])
    second = browser.does("write", lang="nl", kind="message", body={"text": "Meer."})
    browser.does("sent", n=2, digest=second["digest"])
    asked = browser.asks("write", lang="nl", kind="message", body={"text": "x"})
    assert asked["refused"] == "withheld"


def test_missing_newest_message_is_still_reported_after_the_keys_were_wiped(
    browser: Browser,
) -> None:
    """The page keeps the message's number and digest, and passes them in with the same code."""
    made = browser.reports()
    first = file_of(made)
    browser.reads([first])
    second = browser.does("write", lang="nl", kind="message", body={"text": "Meer."})
    view = browser.reads([first, file_of(second)])
    assert view["mine"] == [2, second["digest"]]
    browser.does("wipe")
    browser.does("enter", typed=" ".join(made["words"]))
    browser.does("sent", n=2, digest=second["digest"])
    view = browser.reads([first])
    assert (view["refused"], view["mine"]) == ("withheld", [2, second["digest"]])


def test_withheld_message_from_a_counsellor_is_reported_every_time(browser: Browser) -> None:
    made = browser.reports()
    files = [file_of(made)]
    files.append(answer_of(files, keys_of(made), {"text": "Dank."}))
    browser.reads(files)
    for _ in range(2):
        notes = browser.reads(files[:1])["notes"]
        assert notes == [{"key": "withheld", "by": str(ANNA.verify_key), "count": 1}]


def test_replaced_card_of_recipient_is_detected(browser: Browser) -> None:
    """Nothing can be sent until the reporter chooses again, except a withdrawal."""
    _, files = four(browser)
    assert browser.told([BOTH[1]]) == {"answer": None}
    view = browser.reads(files)
    assert (view["refused"], view["changed"]) == ("changed", [str(ANNA.verify_key)])
    asked = browser.asks("write", lang="nl", kind="message", body={"text": "x"})
    assert asked["refused"] == "changed"
    wanted = [BRAM.verify_key.hex]
    chosen = browser.does("write", lang="nl", kind="message", body={"text": "x"}, wanted=wanted)
    assert chosen["query"] == f"n=3&to={BRAM.verify_key.hex}"
    withdrawn = browser.does("write", lang="nl", kind="withdrawal", body={})
    assert withdrawn["query"] == f"n=3&to={BRAM.verify_key.hex}"


def test_counsellor_without_a_current_key_is_named_and_not_made_a_recipient(
    browser: Browser,
) -> None:
    _, files = four(browser)
    later = DAY + datetime.timedelta(days=80)
    assert browser.told([issue_card("anna", day=later, serial=2), BOTH[1]]) == {"answer": None}
    view = browser.reads(files)
    assert (view["refused"], view["changed"]) == ("", [])
    assert (view["to"], view["closed"]) == ([str(BRAM.verify_key)], [str(ANNA.verify_key)])
    written = browser.does("write", lang="nl", kind="message", body={"text": "x"})
    assert written["leftOut"] == [str(ANNA.verify_key)]


def test_message_from_unchosen_counsellor_is_not_trusted(browser: Browser) -> None:
    """A reply by a counsellor who was not chosen, or from another conversation, does not count."""
    made = browser.reports()
    keys, first = keys_of(made), file_of(made)
    browser.starts()
    browser.told()
    other = browser.reports(wanted=[BRAM.verify_key.hex])
    foreign = answer_of([file_of(other)], keys_of(other), {"text": "Ik ben Bram."}, by=BRAM)
    browser.does("enter", typed=" ".join(made["words"]))
    view = browser.reads([first, foreign, b"age-encryption.org/v1\n", b""])
    assert [line["believed"] for line in view["lines"]] == [True, False, False, False]
    assert all("text" not in line for line in view["lines"][1:])
    assert keys.mailbox != keys_of(other).mailbox


def consent(browser: Browser, answers: Sequence[str]) -> Answer:
    """Return a conversation in which Anna asked for a handover to Bram, and the answers given."""
    made = browser.reports()
    keys, files = keys_of(made), [file_of(made)]
    body: dict[str, Json] = {"step": "Ik geef het door.", "with": "Bram", "scope": "Alles."}
    asking = {**body, "successor": str(BRAM.verify_key)}
    asked = answer_of(files, keys, asking, "consent-request")
    files.append(asked)
    view = browser.reads(files)
    for said in answers:
        request = view["lines"][1]["request"]["digest"]
        body = {"request": request, "answer": said}
        written = browser.does("write", lang="nl", kind="consent-answer", body=body)
        assert written["to"] == [str(ANNA.verify_key)]
        files.append(file_of(written))
        view = browser.reads(files)
    return view


@pytest.mark.parametrize(("answers", "to"), [
    ([], ANNA), (["no"], ANNA), (["tell-me-more"], ANNA), (["yes"], BRAM),
    (["yes", "withdrawn"], ANNA), (["no", "yes"], BRAM),
])  # fmt: skip
def test_next_message_is_sent_to_the_successor_only_if_the_reporter_agreed(
    browser: Browser, answers: list[str], to: SigningKey
) -> None:
    view = consent(browser, answers)
    assert view["to"] == [str(to.verify_key)]
    assert view["lines"][1]["request"]["said"] == (answers[-1] if answers else "")


def test_file_that_no_message_names_is_reported(browser: Browser) -> None:
    """A file of a message that is not here may have been named there. A thread is named as well."""
    first = file_of(browser.reports())
    items = [[sha256_hex(first), base64.b64encode(first).decode()]]

    def is_reported(n: int) -> bool:
        listed = [{"id": "ab" * 32, "author": "reporter", "n": n}]
        return bool(browser.does("read", items=items, files=listed)["unnamed"])

    assert (is_reported(1), is_reported(2)) == (True, False)
    wanted = [BRAM.verify_key.hex]
    along = browser.does("sealThread", wanted=wanted)
    second = browser.does(
        "write", lang="nl", kind="message", body={"text": "x"}, wanted=wanted, passOn=True
    )
    items.append([second["item"], second["sealed"]])
    listed = [{"id": along["item"], "author": "reporter", "n": 2}]
    assert browser.does("read", items=items, files=listed)["unnamed"] is False


def test_closed_conversation_is_open_again_after_the_reporters_next_message(
    browser: Browser,
) -> None:
    made = browser.reports()
    files = [file_of(made)]
    assert browser.reads(files)["closedOn"] == ""
    files.append(answer_of(files, keys_of(made), {"status": "closed"}, "notice"))
    assert browser.reads(files)["closedOn"] == DAY.isoformat()
    files.append(file_of(browser.does("write", lang="nl", kind="message", body={"text": "Nog."})))
    assert browser.reads(files)["closedOn"] == ""


def at_brams_desk(made: Answer, files: Sequence[bytes], along: Answer) -> thread.Thread:
    """Return what Bram's desk reads of a thread that was passed on with the last of these files."""
    seeds = [sealing_seed("bram", DAY.replace(day=1))]
    passed = b"".join(base64.b64decode(part["bytes"]) for part in along["parts"])
    age.check_shape(passed, len(passed), 1, "files")
    contents = age.open_sealed(passed, seeds)
    lines = contents.rstrip(b"\0")
    assert (len(contents), sha256_hex(passed)) == (attachment_size(len(lines)), along["item"])
    arrived = [thread.open_item(sha256_hex(one), one, seeds) for one in files]
    keys = keys_of(made)
    return thread.read(
        [*arrived, *thread.read_passed_on(along["item"], lines)],
        site=SITE, mailbox=keys.mailbox, viewer=BRAM.verify_key,
    )  # fmt: skip


def test_thread_is_passed_on_as_the_reporters_own_browser_opened_it(browser: Browser) -> None:
    """The other counsellor verifies all of it; it is sealed to that counsellor only."""
    made = browser.reports()
    first = file_of(made)
    reply = answer_of([first], keys_of(made), {"text": "Dank je."})
    browser.reads([first, reply])
    wanted = [BRAM.verify_key.hex]
    along = browser.does("sealThread", wanted=wanted)
    written = browser.does(
        "write", lang="nl", kind="message", body={"text": "Dag."}, wanted=wanted, passOn=True
    )
    assert written["query"] == f"n=2&to={BRAM.verify_key.hex}&files={along['item']}"
    seen = at_brams_desk(made, [file_of(written)], along)
    assert [(entry.state, entry.passed_on) for entry in seen.entries] == [
        ("verified", True), ("verified", True), ("verified", False),
    ]  # fmt: skip
    texts = [message.text for message in seen.genuine()]
    assert texts == ["Het begon in maart.", "Dank je.", "Dag."]
    [*_, newest] = seen.genuine()
    assert newest.thread == along["item"]


def test_passed_on_thread_has_the_same_bytes_as_that_of_the_server(browser: Browser) -> None:
    keys, files = four(browser)
    view = browser.reads(files)
    assert view["refused"] == ""
    along = browser.does("sealThread", wanted=[BRAM.verify_key.hex])
    arrived = [thread.open_item(sha256_hex(one), one, [keys.reply]) for one in files]
    own = ReporterPublic(str(keys.recipient), keys.verify)
    here = thread.read(arrived, site=SITE, mailbox=keys.mailbox, viewer=None, reporter=own)
    passed = b"".join(base64.b64decode(part["bytes"]) for part in along["parts"])
    seeds = [sealing_seed("bram", DAY.replace(day=1))]
    assert age.open_sealed(passed, seeds).rstrip(b"\0") == thread.write_passed_on(here)


def test_thread_is_not_passed_on_to_counsellors_who_have_it(browser: Browser) -> None:
    browser.reads([file_of(browser.reports())])
    wanted = [ANNA.verify_key.hex]
    assert browser.does("sealThread", wanted=wanted) is None
    written = browser.does(
        "write", lang="nl", kind="message", body={"text": "x"}, wanted=wanted, passOn=True
    )
    assert written["query"] == f"n=2&to={ANNA.verify_key.hex}"


def test_passed_on_thread_is_sent_only_to_those_for_whom_it_was_sealed(browser: Browser) -> None:
    browser.reads([file_of(browser.reports())])
    assert browser.does("sealThread", wanted=[BRAM.verify_key.hex])
    both = [ANNA.verify_key.hex, BRAM.verify_key.hex]
    message = {"lang": "nl", "kind": "message", "body": {"text": "x"}, "passOn": True}
    assert browser.asks("write", wanted=both, **message)["refused"] == "moved"
    # Neither does it go with a later message.
    assert "files" not in browser.does("write", wanted=both[1:], **message)["query"]


def test_current_counsellor_is_not_offered_as_another_one(browser: Browser) -> None:
    """A successor who was agreed on can be chosen, and then gets the conversation so far."""
    view = browser.reads([file_of(browser.reports())])
    assert (view["others"], view["earlier"]) == ([BRAM.verify_key.hex], True)
    both = {ANNA.verify_key.hex, BRAM.verify_key.hex}
    assert set(consent(browser, ["yes"])["others"]) == both


def test_wiped_session_can_neither_read_nor_write(browser: Browser) -> None:
    made = browser.reports()
    browser.reads([file_of(made)])
    browser.does("wipe")
    assert browser.asks("read", items=[])["refused"] == "locked"
    asked = browser.asks("write", lang="nl", kind="message", body={"text": "x"})
    assert asked["refused"] == "locked"
    assert browser.asks("compare", typed=" ".join(made["words"]))["answer"]["right"] is False


def test_self_test_passes_and_returns_its_duration(client: Ask) -> None:
    told: dict[str, Any] = client("selfTest")
    assert 0 < told["seconds"] < 60
