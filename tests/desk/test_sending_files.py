"""Sending files: sealed to the message's recipients, sent before it, once and without loss."""

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from dropbox_app.desk.errors import CannotReach
from dropbox_app.desk.sync import outbox
from dropbox_app.desk.threads.attachments import Source
from dropbox_app.protocol.age import sealed_length
from dropbox_app.protocol.errors import TooLong
from dropbox_app.protocol.padding import attachment_size
from tests.desk.conftest import Office
from tests.desk.test_files import EDGES, PATTERN, put, states
from tests.support.fake_server import Peer, Reporter


@pytest.fixture
def answer(tmp_path: Path) -> list[str]:
    """Return the arguments of a reply, without its files."""
    return ["--text-file", put(tmp_path, "answer.txt", b"Zie bijlage")]


def test_reporter_receives_the_files_that_the_counsellor_sends(
    office: Office, reporter: Reporter, peer: Peer, thread: str, tmp_path: Path, answer: list[str]
) -> None:
    sent = {f"f{size}.bin": random.randbytes(size) for size in EDGES}  # noqa: S311 - no secret
    for name, content in sent.items():
        answer += ["--file", put(tmp_path, name, content)]
    office.run("reply", thread, *answer)
    assert reporter.received() == sent
    assert reporter.texts()[-1] == "Zie bijlage"
    sizes = sorted(len(k.sealed) for k in peer.items.values() if k.what == "attachment")
    assert sizes == sorted(sealed_length(attachment_size(size), 2) for size in EDGES)
    # They were sent before the message, and also count as the desk's own.
    assert [m for m, _ in peer.log if m in ("PUT", "POST")][-11:] == ["PUT"] * 10 + ["POST"]
    assert set(states(office, thread).values()) == {"here"}


@pytest.mark.parametrize("requests", range(13))
def test_interrupted_reply_is_sent_once_or_not_at_all(
    office: Office, reporter: Reporter, peer: Peer, thread: str, requests: int
) -> None:
    source = Source("a.bin", "application/octet-stream", 5, lambda: iter((b"12345",)))
    other = Source("b.bin", "application/octet-stream", 70_000, lambda: iter((bytes(70_000),)))
    peer.drop_after = requests
    told = ""
    try:
        with office.connected() as desk:
            outbox.write(desk, thread, lang="nl", kind="reply", body={"text": "Met"},
                         attached=[source, other])  # fmt: skip
    except CannotReach as error:
        told = str(error)
    peer.drop_after = None
    waiting = "waiting" in office.case(thread).unsent.values()
    assert waiting is ("kept here" in told)
    assert reporter.received().keys() <= {"a.bin", "b.bin"}
    office.fetch_quietly()
    expected = {"a.bin": b"12345", "b.bin": bytes(70_000)} if waiting or not told else {}
    assert reporter.received() == expected
    assert len(reporter.texts()) == (2 if expected else 1)
    with office.desk() as desk:
        assert all(item.sent != "waiting" for item in desk.state.items.values())


def test_reply_with_lost_confirmation_is_not_sent_again(
    office: Office, reporter: Reporter, peer: Peer, thread: str, tmp_path: Path, answer: list[str]
) -> None:
    peer.lose_answer_to = "/messages"
    answer += ["--file", put(tmp_path, "a.bin", PATTERN)]
    office.run("reply", thread, *answer, code=3)
    assert [*states(office, thread).values()] == ["waiting"]
    office.fetch_quietly()
    assert reporter.received() == {"a.bin": PATTERN}
    assert set(states(office, thread).values()) == {"here"}
    assert sum(k.what == "attachment" for k in peer.items.values()) == 1


def test_files_refused_by_a_full_server_are_sent_later(
    office: Office, reporter: Reporter, peer: Peer, thread: str, tmp_path: Path, answer: list[str]
) -> None:
    peer.takes_files_up_to = 1
    answer += ["--file", put(tmp_path, "a.bin", PATTERN)]
    told = office.run("reply", thread, *answer, code=3)
    assert "next 'fetch' sends it" in told.output
    assert reporter.received() == {}
    assert "waiting" in office.json("read", thread)["messages"][-1]["sent"]
    peer.takes_files_up_to = None
    office.fetch_quietly()
    assert reporter.received() == {"a.bin": PATTERN}


@pytest.mark.parametrize("same", [True, False], ids=["same addressees", "others by now"])
def test_files_are_kept_if_another_copy_of_the_desk_wrote_first(
    office: Office, reporter: Reporter, peer: Peer, thread: str, tmp_path: Path, *, same: bool
) -> None:
    """After a 409 the message is signed again, and the files only if the recipients changed."""
    peer.busy = True
    source = put(tmp_path, "a.bin", PATTERN)
    text = put(tmp_path, "answer.txt", b"Tweede")
    office.run("reply", thread, "--text-file", text, "--file", source, code=3)
    peer.busy = False
    with office.desk() as desk:
        kept = {i.id: i for i in desk.state.items.values() if i.sent == "waiting"}
        (first,) = [i for i, one in kept.items() if one.what == "attachment"]
        (message,) = kept.keys() - {first}
        sealed = {i: desk.store.original(i) for i in kept}
        for one in kept:  # like the other copy, which does not know the files
            del desk.state.items[one]
        desk.save()
    office.reply(thread, "Eerste")
    other = Office(office.folder.with_name("bas"), peer, office.clock, "Bas")
    if not same:
        reporter.wanted = (*reporter.wanted, other.set_up())
        reporter.write("Bas leest mee")
    with office.desk() as desk:
        for one, data in sealed.items():
            assert data is not None
            desk.store.put(one, data)
            desk.state.items[one] = kept[one]
        desk.save()
    office.fetch_quietly()
    assert reporter.received() == {"a.bin": PATTERN}
    assert reporter.texts().count("Tweede") == 1
    assert (first in peer.items) is same
    with office.desk() as desk:
        assert message not in desk.state.items
        assert (first in desk.state.items) is same
    if not same:
        other.fetch_quietly()
        assert "here" in states(other, thread).values()


def test_files_are_sent_again_to_a_restored_server(
    office: Office, reporter: Reporter, peer: Peer, thread: str, tmp_path: Path, answer: list[str]
) -> None:
    before = dict(peer.items)
    office.run("reply", thread, *answer, "--file", put(tmp_path, "a.bin", PATTERN))
    peer.restore(before)
    assert reporter.received() == {}
    office.fetch()
    assert reporter.received() == {"a.bin": PATTERN}


@pytest.mark.parametrize(
    ("limits", "given_files", "said"),
    [
        ({"file": 99}, [b"x" * 100], "takes 99 for a file"),
        ({"files_per_message": 1}, [b"1", b"2"], "takes 1 files at most"),
        ({}, [bytes([n]) for n in range(11)], "takes 10 files at most"),
    ],
)
def test_limits_are_reported_before_anything_is_sent(
    office: Office,
    peer: Peer,
    thread: str,
    tmp_path: Path,
    answer: list[str],
    limits: dict[str, int],
    given_files: list[bytes],
    said: str,
) -> None:
    peer.limits = limits
    for number, content in enumerate(given_files):
        answer += ["--file", put(tmp_path, f"{number}.bin", content)]
    before = list((office.folder).rglob("*.age"))
    result = office.run("reply", thread, *answer, code=1)
    assert said in result.output
    assert "Nothing was sent" in result.output
    assert not [target for method, target in peer.log if method == "PUT" and "/files/" in target]
    assert list((office.folder).rglob("*.age")) == before


def test_file_exactly_at_the_limit_is_accepted(
    office: Office, reporter: Reporter, peer: Peer, thread: str, tmp_path: Path, answer: list[str]
) -> None:
    peer.limits = {"file": 100}
    office.run("reply", thread, *answer, "--file", put(tmp_path, "a.bin", b"x" * 100))
    assert reporter.received() == {"a.bin": b"x" * 100}


def test_only_regular_files_are_sent(office: Office, thread: str, answer: list[str]) -> None:
    told = office.run("reply", thread, *answer, "--file", "/dev/null", code=1)
    assert "no file" in told.output


def test_name_that_makes_the_message_too_long_is_refused_before_sealing(
    office: Office, thread: str
) -> None:
    source = Source("n" * 255, "text/plain", 1, lambda: iter((b"x",)))
    before = list(office.folder.rglob("*.age"))
    with office.connected() as desk, pytest.raises(TooLong, match="60100"):
        outbox.write(desk, thread, lang="nl", kind="reply", body={"text": "x" * 59_845},
                     attached=[source])  # fmt: skip
    assert list(office.folder.rglob("*.age")) == before


def test_file_that_cannot_be_read_completely_is_not_sent(
    office: Office, reporter: Reporter, peer: Peer, thread: str
) -> None:
    def breaks() -> Iterator[bytes]:
        yield b"x"
        raise OSError(5, "Input/output error")

    source = Source("a", "text/plain", 1, breaks)
    good = Source("b", "text/plain", 1, lambda: iter((b"x",)))
    with office.connected() as desk, pytest.raises(OSError, match="Input"):
        outbox.write(desk, thread, lang="nl", kind="reply", body={"text": "x"},
                     attached=[good, source])  # fmt: skip
    assert reporter.received() == {}
    with office.desk() as desk:
        assert not [i for i in desk.state.items.values() if i.what == "attachment"]
        assert not list(office.folder.rglob("items/*"))
