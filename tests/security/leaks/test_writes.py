"""No byte that a reporter types or reads is written, except to that reporter's connection."""

import base64
import itertools
import re
import zlib
from pathlib import Path

from tests.support.journey import Journey
from tests.support.programs import needs_faketime, needs_strace
from tests.support.syscalls import written_since

pytestmark = [needs_strace, needs_faketime]  # for the journey that all tests here examine
FAKETIMES = re.compile(r"(openat|link|mmap): /dev/shm/(sem\.|faketime_)")


def test_server_sends_a_secret_only_to_the_reporter_it_belongs_to(journey: Journey) -> None:
    """This covers text, answers, codes, keys, replies and address, from first request to purge.

    No other file is opened for writing, and nothing is written in a way that cannot be watched.
    """
    assert journey.watch.leaks(journey.secrets, journey.box.folder) == []
    journey.purging.wait()
    purged = journey.purging.leaks(journey.secrets, journey.box.folder)
    # libfaketime, which sets the purge's clock, keeps the time there; the server does not.
    assert [one for one in purged if not FAKETIMES.search(one)] == []


def test_system_call_watcher_sees_responses_to_reporters(journey: Journey) -> None:
    """The watcher saw each text, code and reply being sent, so it would also see them elsewhere."""
    seen = set()
    for one in journey.watch.calls():
        if one.name in ("write", "writev", "sendto", "sendmsg"):
            for name, _ in journey.secrets.seen_in(b"".join(one.strings)):
                seen.add(name)
    for what in ("report", "code", "reply", "scope", "message", "remark", "other", "wrong code"):
        assert f"{what} of reporter 1" in seen, what
    assert "code of reporter 2" in seen


def test_no_file_ever_contains_plaintext(journey: Journey) -> None:
    """This covers open and deleted files, command lines, environments, and the whole disk."""
    assert len(journey.found) > 50
    held = {data: where for where, data in journey.found}
    assert [where for data, where in held.items() if journey.secrets.seen_in(data)] == []
    folder = journey.box.folder.parent
    for file in (*journey.box.folder.rglob("*"), journey.box.log):
        if file.is_file():
            assert not journey.secrets.seen_in(file.read_bytes()), file.name
    assert list((folder / "home").rglob("*")) == [], "something was left in the server's home"
    places = [Path(name) for name in ("/tmp", "/var/tmp", "/dev/shm", "/var/crash")]  # noqa: S108 - looked at
    marks = journey.ann.marks()
    # Files of tests that run at the same time; those of this test were searched.
    tests = folder.parents[1]
    for path, data in written_since(journey.began, *places, besides=tests):
        assert not any(mark in data for mark in marks), path


def test_log_contains_only_the_servers_own_events(journey: Journey) -> None:
    """About sixty requests leave no line; only starts, kills and the purge do."""
    lines = journey.box.log.read_text().splitlines()
    assert len(lines) < 30
    known = (
        "Serving on port",
        "klankbord: Worker",
        "removed: ",
        "If ",
        "klankbord: Handling signal",
    )
    assert [line for line in lines if not line.startswith(known)] == []


def test_cookie_contains_nothing_readable(journey: Journey) -> None:
    """The cookie is sealed, has a fixed length, never repeats, and shows no code, key or time."""
    values = [
        cookie.partition(";")[0].partition("=")[2]
        for person in (journey.ann, journey.bob)
        for browser in person.browsers
        for cookie in browser.seen_cookies
        if "Max-Age=0" not in cookie
    ]
    assert len(values) > 10
    assert len({len(value) for value in values}) == 1
    raws = [base64.urlsafe_b64decode(value) for value in values]
    for raw in raws:
        assert not journey.secrets.seen_in(raw)
        assert len(zlib.compress(raw, 9)) >= len(raw), "it can be packed: it is no ciphertext"
    for one, other in itertools.pairwise(raws):
        same = sum(a == b for a, b in zip(one, other, strict=True))
        assert same < len(one) // 16, "two cookies are alike"


def test_core_dumps_are_disabled_before_serving_and_stay_disabled(journey: Journey) -> None:
    """Each start of the journey makes its memory private once, and nothing reverts that."""
    calls = journey.watch.calls()
    closed = [c for c in calls if c.name == "prctl" and "PR_SET_DUMPABLE" in c.rest]
    # Four starts of the server: the first, after SIGTERM, and after each of two kills.
    assert len(closed) == 4
    assert all("SUID_DUMP_DISABLE) = 0" in call.rest for call in closed)
    for call in closed:
        later = [c for c in calls if c.pid == call.pid and c.name == "execve" and c.succeeded]
        assert all(calls.index(one) < calls.index(call) for one in later), "a new program: open"
    raised = [
        c for c in calls if "RLIMIT_CORE" in c.rest and not re.search(r"NULL|rlim_max=0\b", c.rest)
    ]
    assert raised == []
