"""An impatient second click on a report stores one report, and shows its code both times."""

import contextvars
import threading
from collections.abc import Iterator
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest

from dropbox_app.server.mailboxes.service import Mailboxes
from dropbox_app.server.web.app import create_app
from dropbox_app.server.web.ended_sessions import EndedSessions
from dropbox_app.server.web.repeated_posts import RepeatedPosts
from dropbox_app.server.web.reverse_proxy import ReverseProxy
from dropbox_app.server.web.session import VisitMemory
from tests.server.web.conftest import Browser, House
from tests.support.plain_browser import Page

TEXT = "Mijn leidinggevende raakt mij aan.\nTwee regels."
CIRCUIT, OTHER = "fc00:dead:beef:4dad::0:9e", "fc00:dead:beef:4dad::0:9f"


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    """Yield a site as nginx reaches it, with two counsellors."""
    with closing(House(tmp_path / "site", ("Noor Visser", "Sam Jansen"))) as made:
        now = made.clock.now
        made.app = create_app(
            made.folder,
            today=made.clock.today,
            now=now,
            memory=VisitMemory(EndedSessions(now), RepeatedPosts(now)),
        )
        inner = made.app.wsgi_app
        made.app.wsgi_app = ReverseProxy(inner, behind_nginx=True)  # type: ignore[method-assign] # WSGI
        yield made


class Click(Browser):
    """A browser that presses the same button repeatedly before any response arrives."""

    def __init__(self, house: House, visitor: str = CIRCUIT) -> None:
        super().__init__(house, cookies=False)
        self.agent = "The same browser"
        self.told = {"X-Klankbord-Way": "onion", "X-Klankbord-Visitor": visitor}

    def request(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        headers: dict[str, str] | None = None,
        follow: int = 5,
    ) -> Page:
        # As under gunicorn: no later request sees what one request sets.
        ask = partial(super().request, method, path, body, {**self.told, **(headers or {})}, follow)
        return contextvars.copy_context().run(ask)

    def send(
        self, text: str = TEXT, lang: str = "nl", headers: dict[str, str] | None = None, **more: str
    ) -> Page:
        noor = self.house.counsellors[0].identity.hex
        fields = {"text": text, "counsellor": noor, **more}
        return self.post(f"/{lang}/report", headers, 5, **fields)

    def arrives(self, page: Page) -> "Click":
        """Return a browser that received this response and has its cookie."""
        made = Click(self.house)
        made.keeps_cookies = True
        name, _, rest = (page.header("Set-Cookie") or "").partition("=")
        made.cookies[name] = rest.partition(";")[0]
        return made


def test_second_click_shows_the_same_code_and_stores_nothing(house: House) -> None:
    first, second = Click(house).send(), Click(house).send()
    assert (first.status, second.status) == (200, 200)
    assert second.code == first.code
    assert "Alleen Noor Visser" in second.text
    assert len(second.body) == len(first.body)
    assert house.stored() == 1
    back = Click(house).arrives(second).post("/nl/code", kept="y", go="1")
    assert TEXT.splitlines()[0] in back.text


def test_second_click_while_a_report_is_being_stored_waits_for_its_code(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ten equal posts arrive at once, and the first takes long to store."""
    begun, go_on, submit = threading.Event(), threading.Event(), Mailboxes.submit

    def slowly(self: Mailboxes, **named: object) -> None:
        begun.set()
        assert go_on.wait(60)
        submit(self, **named)  # type: ignore[arg-type]  # passed on as it came

    monkeypatch.setattr(Mailboxes, "submit", slowly)
    pages: list[Page] = []
    presses = [threading.Thread(target=lambda: pages.append(Click(house).send())) for _ in range(9)]
    presses[0].start()
    assert begun.wait(60)
    for press in presses[1:]:
        press.start()
    go_on.set()
    for press in presses:
        press.join(60)
    assert len({page.code for page in pages}) == 1
    assert len(pages) == 9
    assert house.stored() == 1


@pytest.mark.parametrize(
    ("what", "other"),
    [
        ("text", {"text": TEXT + " "}),
        ("answer", {"needs": "be_heard"}),
        ("language", {"lang": "en"}),
        ("header", {"headers": {"User-Agent": "another"}}),
        ("unknown header", {"headers": {"X-Anything": "1"}}),
        ("language of the browser", {"headers": {"Accept-Language": "nl"}}),
    ],
)
def test_post_differing_in_any_field_is_a_separate_report(
    house: House, what: str, other: dict[str, object]
) -> None:
    first = Click(house).send()
    assert Click(house).send(**other).code != first.code, what  # type: ignore[arg-type] # of a table
    assert house.stored() == 2


@pytest.mark.parametrize("visitor", [OTHER, ""])
def test_knowing_the_text_is_not_enough_to_get_the_code(house: House, visitor: str) -> None:
    """This holds whichever person posts first, and even without a known circuit."""
    mine, theirs = Click(house), Click(house, visitor)
    codes = {theirs.send().code, mine.send().code, theirs.send().code if visitor else "none"}
    assert len(codes) == (2 if visitor else 3)
    assert house.stored() == 2


def test_requests_without_a_circuit_are_never_treated_as_repeated(house: House) -> None:
    nobody = Click(house, "")
    assert nobody.send().code != nobody.send().code


def test_post_repeated_after_three_minutes_is_a_new_report(house: House) -> None:
    first = Click(house).send()
    house.clock.pass_minutes(2.9)
    assert Click(house).send().code == first.code
    house.clock.pass_minutes(0.2)
    assert Click(house).send().code != first.code


@pytest.mark.parametrize("path", ["code", "conversation", "leave", "stop", "", "report", "safety"])
def test_post_repeated_after_the_code_page_arrived_is_a_new_report(house: House, path: str) -> None:
    """Any request of that browser confirms it: continuing, leaving or returning."""
    first = Click(house).send()
    Click(house).arrives(first).request("GET", f"/nl/{path}", follow=0)
    assert Click(house).send().code != first.code


def test_style_sheet_request_also_confirms_that_the_code_page_arrived(house: House) -> None:
    first = Click(house).send()
    style = first.html.partition('rel="stylesheet" href="')[2].partition('"')[0]
    assert Click(house).arrives(first).get(style).status == 200
    assert Click(house).send().code != first.code


def test_post_repeated_after_a_withdrawal_in_another_browser_is_a_new_report(house: House) -> None:
    first = Click(house).send()
    elsewhere = Click(house, OTHER)
    elsewhere.keeps_cookies = True
    elsewhere.come_back(first.code)
    page = elsewhere.get("/nl/withdraw")
    elsewhere.submit(page, page.form_with("sure"), sure="y")
    assert house.stored() == 1  # the withdrawal itself
    assert Click(house).send().code != first.code


def test_after_a_failed_first_post_the_second_post_counts_as_the_first(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("no disk")

    monkeypatch.setattr(Mailboxes, "submit", fail)
    assert Click(house).send().status == 500
    monkeypatch.undo()
    assert Click(house).send().code
    assert house.stored() == 1


def test_form_with_errors_does_not_count_as_a_first_post(house: House) -> None:
    assert [Click(house).send("").status for _ in range(2)] == [422, 422]
    assert Click(house).send().code
    assert house.stored() == 1


def test_report_page_is_identical_for_everybody(house: House) -> None:
    """Nothing in the form identifies a visitor, before or after a report."""
    before = Click(house).get("/nl/report")
    Click(house).send()
    after = Click(house, OTHER).get("/nl/report")
    assert (after.body, after.headers) == (before.body, before.headers)
    assert after.header("Set-Cookie") is None
