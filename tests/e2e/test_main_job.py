"""The main job with real gunicorn and a real desk: report, answer, return, follow-up."""

import concurrent.futures
import itertools
import re
from pathlib import Path

import pytest

from tests.support.drop_box import Counsellor, DropBox
from tests.support.steps import (
    ANSWER,
    FOLLOW_UP,
    STORY,
    come_back,
    report_and_code,
    tell,
    the_only_thread,
    write_on,
)

OTHERS = ("sqlite", "en"), ("postgres", "nl")
TIME_OF_DAY = re.compile(rb"[0-2][0-9]:[0-5][0-9]")


@pytest.mark.parametrize(
    ("both", "lang"),
    [
        *(("sqlite", "nl"), ("postgres", "en")),
        *(pytest.param(*one, marks=pytest.mark.long) for one in OTHERS),
    ],
    indirect=["both"],
)
def test_report_is_answered_and_the_reporter_writes_again(
    both: tuple[DropBox, Counsellor], lang: str
) -> None:
    """The seven words give access to the answer, and the follow-up reaches the counsellor."""
    box, counsellor = both
    reporter = box.browser()
    landing = reporter.get(f"/{lang}/")
    assert f"/{lang}/safety" in landing.links
    assert f"/{lang}/report" in reporter.get(f"/{lang}/safety").links
    code_page = tell(reporter, lang, STORY[lang], needs=["be_heard", "make_it_stop"], ongoing="yes")
    assert code_page.status == 200

    counsellor.desk("fetch")
    thread = the_only_thread(counsellor)
    assert counsellor.threads()[0]["unread"] == 1
    shown = counsellor.read(thread[:8])
    report = shown["messages"][0]
    assert report["text"] == STORY[lang]
    assert report["verified"] is True
    assert (report["by"], report["kind"]) == ("reporter", "report")
    assert report["body"]["answers"] == {"needs": ["be_heard", "make_it_stop"], "ongoing": "yes"}
    counsellor.reply(thread, ANSWER[lang])

    later = box.browser()
    conversation = come_back(later, lang, code_page.code.upper().replace(" ", ",  "))
    assert conversation.status == 200
    assert conversation.path == f"/{lang}/conversation"
    for line in (*STORY[lang].splitlines(), *ANSWER[lang].splitlines()):
        assert " ".join(line.split()) in conversation.text
    after = write_on(later, conversation, FOLLOW_UP[lang])
    assert FOLLOW_UP[lang] in after.text

    counsellor.desk("fetch")
    messages = counsellor.read(thread)["messages"]
    assert [m["text"] for m in messages] == [STORY[lang], ANSWER[lang], FOLLOW_UP[lang]]
    assert all(m["verified"] for m in messages)


def test_nothing_readable_remains_on_the_server(
    both: tuple[DropBox, Counsellor], tmp_path: Path
) -> None:
    """No server file, log or column contains a text, answer, code, reply or time."""
    box, counsellor = both
    code = report_and_code(box, "nl", "Zeer herkenbaar verhaal over kwartaalcijfers")
    counsellor.desk("fetch")
    thread = the_only_thread(counsellor)
    counsellor.reply(thread, "Eveneens herkenbaar antwoord")
    browser = box.browser()
    write_on(browser, come_back(browser, "nl", code), "Nog een herkenbare aanvulling")
    browser.request("POST", "/nl/return", b"code=aap+noot+mies")
    browser.get("/nl/bestaat-niet")
    box.stop()
    words = code.split()
    secrets = [
        *(b"herkenbaar", b"kwartaalcijfers", b"aanvulling", b"127.0.0.1", b"be_heard"),
        *(f"{a} {b}".encode() for a, b in itertools.pairwise(words)),
        " ".join(words).encode(),
    ]
    files = [p for p in box.folder.rglob("*") if p.is_file()]
    assert files
    for file in [*files, box.log]:
        content = file.read_bytes()
        for secret in secrets:
            if secret == b"127.0.0.1" and file.name == "site.toml":
                continue  # the server's own address, which the operator wrote in its settings
            assert secret not in content, f"{secret!r} in {file.name}"
    if box.database is not None:
        disk = box.database.everything_on_disk() + box.database.log.read_bytes()
        assert [secret for secret in secrets if secret in disk] == []
    assert not TIME_OF_DAY.search(box.log.read_bytes()), box.log.read_text()
    for place in (Path("/tmp"), Path("/dev/shm")):  # noqa: S108 - looked at, not written to
        for file in place.iterdir():
            if file.is_file() and file.stat().st_size < 10_000_000 and tmp_path not in file.parents:
                assert b"kwartaalcijfers" not in file.read_bytes() or file.suffix == ".py", file


def test_code_is_not_lost_if_the_browser_refuses_cookies(
    box: DropBox, counsellor: Counsellor
) -> None:
    """A browser without cookies still shows the words and explains why it cannot continue."""
    stubborn = box.browser(cookies=False)
    code_page = tell(stubborn, "en", "Told without a cookie")
    assert code_page.status == 200
    refused = come_back(stubborn, "en", code_page.code)
    assert refused.status == 203  # a page that asks for a text, see rendering.TYPING
    assert "cookie" in refused.text
    conversation = come_back(box.browser(), "en", code_page.code)
    assert "Told without a cookie" in conversation.text
    counsellor.desk("fetch")
    assert len(counsellor.threads()) == 1


def test_concurrent_messages_from_two_sessions_both_arrive(
    both: tuple[DropBox, Counsellor],
) -> None:
    """In ten repetitions no text is lost and the chain stays intact."""
    box, counsellor = both
    code = report_and_code(box, "nl", "Begin")
    pairs = []
    for _ in range(2):
        browser = box.browser()
        pairs.append((browser, come_back(browser, "nl", code)))
    texts = [f"bericht {i}" for i in range(20)]
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        for i in range(0, 20, 2):
            sent = [
                pool.submit(write_on, browser, page, texts[i + k])
                for k, (browser, page) in enumerate(pairs)
            ]
            assert all(one.result().status == 200 for one in sent)
    counsellor.desk("fetch")
    shown = counsellor.read(the_only_thread(counsellor))
    assert sorted(m["text"] for m in shown["messages"]) == sorted(["Begin", *texts])
    assert all(m["verified"] for m in shown["messages"])
    assert not shown.get("gaps")


def test_thirty_two_concurrent_reports_can_all_be_opened(both: tuple[DropBox, Counsellor]) -> None:
    """32 clients submit to two workers at the same time, and no report fails or is lost."""
    box, counsellor = both
    with concurrent.futures.ThreadPoolExecutor(32) as pool:
        pages = list(pool.map(lambda i: tell(box.browser(), "en", f"report {i}"), range(32)))
    assert [page.status for page in pages] == [200] * 32
    assert len({page.code for page in pages}) == 32
    counsellor.desk("fetch")
    texts = set()
    for thread in counsellor.threads():
        message = counsellor.read(thread["id"])["messages"][0]
        assert message["verified"]
        texts.add(message["text"])
    assert texts == {f"report {i}" for i in range(32)}


def test_forgotten_thread_is_removed_from_the_desk(box: DropBox, counsellor: Counsellor) -> None:
    """After ``forget``, the thread is not in the list or the folder; the server still has it."""
    code = report_and_code(box, "nl", "Vergeet dit")
    counsellor.desk("fetch")
    thread = the_only_thread(counsellor)
    counsellor.desk("forget", thread, "--yes")
    assert counsellor.threads() == []
    counsellor.desk("fetch")
    assert counsellor.threads() == []
    assert "Vergeet dit" in come_back(box.browser(), "nl", code).text
