"""A report is stored and its code shown, or it is refused and its text kept."""

import urllib.parse
from pathlib import Path

import pytest

from dropbox_app.protocol.messages import ANSWERS, MAX_TEXT
from dropbox_app.server.config.settings import Limits
from dropbox_app.server.mailboxes.service import Mailboxes
from dropbox_app.server.reporter.kdf_limiter import Gate
from tests.server.web.conftest import House
from tests.server.web.test_before import check_shape
from tests.support.plain_browser import Page

TEXT = "Mijn verhaal:\n  <b>“ê ☂ 🙁”</b> & meer\n\nEinde"


def kept(page: Page, name: str = "text") -> str:
    """Return the contents of the page's field."""
    for form in page.forms:
        for field, value in form.fields:
            if field == name:
                return value.replace("\r\n", "\n")
    raise AssertionError(f"no {name} on {page.path}")


def test_report_is_stored_and_the_post_returns_its_code(house: House) -> None:
    page = house.browser().tell(TEXT)
    assert (page.status, page.path) == (200, "/nl/report")
    assert len(page.code.split()) == 7
    assert 'id="code"' in page.html
    assert 'translate="no" spellcheck="false"' in page.html
    assert page.html.count("<li>" + page.code.split()[0] + "</li>") == 1
    assert house.counsellors[0].texts() == [TEXT]
    check_shape(page)


def test_code_page_says_who_can_open_the_report_and_until_when(house: House) -> None:
    text = house.browser().tell(TEXT).text
    assert "Alleen Noor Visser kan je bericht openen. En jij, met je code." in text
    assert "Je bericht is ontvangen" in text
    assert "Kom terug na 2 werkdagen." in text
    assert "Dat doen we niet vóór 1 februari 2027." in text


def test_every_optional_answer_arrives_as_it_was_ticked(house: House) -> None:
    answers: dict[str, str | list[str]] = {
        name: list(values[:2]) if several else values[-1]
        for name, (several, values) in ANSWERS.items()
    }
    house.browser().tell(TEXT, "nl", **answers)
    (report,) = house.counsellors[0].only_thread().genuine()
    assert report.body["answers"] == answers


def test_no_answer_is_recorded_for_a_question_without_a_tick(house: House) -> None:
    house.browser().tell(TEXT)
    (report,) = house.counsellors[0].only_thread().genuine()
    assert report.body["answers"] == {}


def test_code_and_message_use_the_language_of_the_page(house: House) -> None:
    from dropbox_app.protocol.retrieval_code import word_list

    code = house.browser().tell(TEXT, "en").code
    assert set(code.split()) <= set(word_list("en"))
    assert next(house.counsellors[0].only_thread().genuine()).lang == "en"


@pytest.mark.parametrize("text", ["", "   \n\t ", "\x00\x07"])
def test_report_without_a_story_is_not_sent(house: House, text: str) -> None:
    page = house.browser().tell(text, needs=["be_heard"], safe="no")
    assert page.status == 422
    assert "Schrijf eerst wat je wilt vertellen." in page.text
    assert "Er is nog niets verstuurd." in page.text
    assert "Wat je schreef" not in page.text
    assert kept(page, "needs") == "be_heard"
    assert kept(page, "safe") == "no"
    assert not house.stored()
    check_shape(page)


def test_neither_of_two_counsellors_is_preselected(two: House) -> None:
    browser = two.browser()
    form = browser.get("/nl/report").form_with("text")
    assert dict(form.fields)["counsellor"] == ""
    assert len(form.choices["counsellor"]) == 2
    page = browser.tell(TEXT, needs=["be_heard"])
    assert page.status == 422
    assert "Kies met wie je contact wilt." in page.text
    assert kept(page) == TEXT
    assert not two.stored()
    check_shape(page)


def test_only_the_chosen_counsellor_gets_the_report(two: House) -> None:
    noor, sam = two.counsellors
    page = two.browser().tell(TEXT, counsellor=sam.identity.hex)
    assert "Alleen Sam Jansen kan je bericht openen" in page.text
    assert sam.texts() == [TEXT]
    assert noor.threads() == {}


def test_invalid_choice_is_refused_and_the_text_kept(two: House) -> None:
    noor = two.counsellors[0].identity.hex
    for wrong in ({"counsellor": "x"}, {"counsellor": noor, "ongoing": "x"}, {"needs": "x"}):
        page = two.browser().post("/nl/report", None, 5, text=TEXT, **wrong)
        assert page.status == 422
        assert kept(page) == TEXT
    assert not two.stored()


def test_text_at_the_limit_is_sent_and_a_longer_one_stays_in_the_form(house: House) -> None:
    browser = house.browser()
    full = "é" * (MAX_TEXT // 2)
    assert browser.tell(full).status == 200
    page = browser.tell(full + "ab")
    assert page.status == 422
    assert "ongeveer 2 tekens te lang" in page.text
    assert kept(page) == full + "ab"
    assert browser.tell("\n" * (MAX_TEXT - 1) + "x").status == 200
    assert house.stored() == 2
    check_shape(page)


def test_site_can_set_a_lower_text_limit(tmp_path: Path) -> None:
    house = House(tmp_path / "site", limits=Limits(text=1000, free_bytes=1))
    assert house.browser().tell("x" * 1001).status == 422
    assert house.browser().tell("x" * 1000).status == 200
    house.close()


def test_language_button_keeps_all_typed_text_and_every_tick(two: House) -> None:
    browser = two.browser()
    sam = two.counsellors[1].identity.hex
    page = browser.post(
        "/en/report", switch="1", text=TEXT, topics="other", safe="no", counsellor=sam
    )
    assert page.status == 203
    assert "Tell your story" in page.text
    assert kept(page) == TEXT
    assert (kept(page, "topics"), kept(page, "safe")) == ("other", "no")
    assert kept(page, "counsellor") == sam
    assert not two.stored()
    assert not browser.seen_cookies
    check_shape(page)


def test_pressing_enter_in_a_tick_box_sends_nothing(house: House) -> None:
    """Enter presses the form's first button, which does nothing here."""
    html = house.browser().get("/nl/report").html
    first = html.index('form="main-form"')
    assert "disabled" in html[first : first + 40]


def test_report_repeated_from_an_open_code_page_is_stored_once(house: House) -> None:
    """A reload or a second press shows the same code again and stores nothing."""
    browser = house.browser()
    first = browser.tell(TEXT, needs=["be_heard"])
    again = browser.tell(TEXT, needs=["be_heard"])
    assert again.status == 200
    assert again.code == first.code
    assert "niet nog een keer opgeslagen" in again.text
    assert "Alleen Noor Visser kan je bericht openen" in again.text
    assert house.stored() == 1
    other = browser.tell(TEXT)
    assert other.code != first.code
    assert house.stored() == 2


def test_redisplayed_code_page_names_the_originally_chosen_counsellor(two: House) -> None:
    """Counsellors who became available later cannot open it."""
    noor, _ = two.counsellors
    browser = two.browser()
    first = browser.tell(TEXT, counsellor=noor.identity.hex)
    two.site.retire("noor")
    again = browser.post("/nl/report", None, 5, text=TEXT, counsellor=noor.identity.hex)
    assert again.code == first.code
    assert "Sam Jansen" not in again.text


def test_browser_without_cookies_is_shown_its_code_and_may_send_a_report_twice(
    house: House,
) -> None:
    browser = house.browser(cookies=False)
    codes = {browser.tell(TEXT).code, browser.tell(TEXT).code}
    assert len(codes) == 2
    for code in codes:
        refused = browser.come_back(code)
        assert refused.status == 203
        assert "cookie" in refused.text
        assert TEXT.splitlines()[0] in house.browser().come_back(code).text


def test_server_restart_before_the_post_loses_no_text(house: House) -> None:
    browser = house.browser()
    page = browser.get("/nl/report")
    house.restart()
    assert browser.submit(page, page.form_with("text"), text=TEXT).code
    assert house.stored() == 1


def test_full_disk_is_reported_and_the_text_kept(tmp_path: Path) -> None:
    house = House(tmp_path / "site", limits=Limits(site_bytes=10, free_bytes=1))
    page = house.browser().tell(TEXT)
    assert page.status == 503
    assert "geen ruimte" in page.text
    assert kept(page) == TEXT
    house.close()


def test_page_says_that_the_server_is_busy_and_keeps_text_and_code(house: House) -> None:
    from dropbox_app.server.web.app import create_app

    gate = Gate(1, patience=0.01)
    house.app = create_app(house.folder, today=house.clock.today, now=house.clock.now, gate=gate)
    browser = house.browser()
    with gate.passing():
        page = browser.tell(TEXT)
        assert page.status == 503
        assert "erg druk" in page.text
        assert kept(page) == TEXT
        back = browser.come_back("aap noot mies wim zus jet teun")
        assert back.status in (422, 503)
    code = browser.tell(TEXT).code
    with gate.passing():
        back = browser.come_back(code)
        assert back.status == 503
        assert kept(back, "code") == code
    assert house.stored() == 1


def test_text_is_kept_when_no_counsellor_is_left(house: House) -> None:
    browser = house.browser()
    page = browser.get("/nl/report")
    house.clock.pass_days(170)
    answer = browser.submit(page, page.form_with("text"), text=TEXT)
    assert answer.status == 503
    assert kept(answer) == TEXT
    assert "030 123 45 67" in answer.text
    assert not house.stored()
    check_shape(answer)


def test_unexpected_fault_before_storing_keeps_the_text(
    house: House, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("a message that holds " + TEXT)

    monkeypatch.setattr(Mailboxes, "submit", fail)
    page = house.browser().tell(TEXT, safe="no")
    assert page.status == 500
    assert kept(page) == TEXT
    assert kept(page, "safe") == "no"
    said = capsys.readouterr()
    assert "verhaal" not in said.out + said.err
    monkeypatch.undo()
    sent = house.browser().submit(page, page.form_with("text"))
    assert len(sent.code.split()) == 7


def test_code_page_is_shown_despite_any_fault_after_storing(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once the report is stored, every other part may fail."""
    submit = Mailboxes.submit

    def submit_and_break(self: Mailboxes, **report: object) -> None:
        submit(self, **report)  # type: ignore[arg-type]  # passed on as it came

        def broken(*_: object, **__: object) -> None:
            raise RuntimeError("broken after the commit")

        from dropbox_app.server.web import rendering, session
        from dropbox_app.server.web.view_models import counsellors

        monkeypatch.setattr(rendering.PageRenderer, "render", broken)
        monkeypatch.setattr(counsellors.Directory, "on", broken)
        monkeypatch.setattr(session.SiteCookie, "seal", broken)
        monkeypatch.setattr(house.clock, "seconds", "broken")
        monkeypatch.setattr(Mailboxes, "conversation", broken)

    monkeypatch.setattr(Mailboxes, "submit", submit_and_break)
    browser = house.browser()
    page = browser.get("/nl/report")
    answer = browser.submit(page, page.form_with("text"), text=TEXT)
    assert answer.status == 200
    assert len(answer.code.split()) == 7
    assert browser.cookies


HOSTILE = (
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site"},
    {"Sec-Fetch-Site": "none"},
    {"Origin": "null"},
    {"Origin": "https://evil.example"},
    {"Origin": "http://127.0.0.1:8001"},
    {"Origin": "https://drop.example.org"},
)


@pytest.mark.parametrize("headers", HOSTILE)
def test_post_from_another_page_is_refused_and_its_text_kept(
    house: House, headers: dict[str, str]
) -> None:
    browser = house.browser()
    page = browser.post("/nl/report", headers, text=TEXT, safe="no")
    assert page.status == 403
    assert kept(page) == TEXT
    assert not house.stored()
    assert not browser.seen_cookies
    check_shape(page)
    code = browser.tell(TEXT).code
    browser.cookies.clear()
    entered = browser.post("/nl/return", headers, code=code)
    assert entered.status == 403
    assert "s" not in browser.cookies


@pytest.mark.parametrize("path", ["report", "return", "conversation", "consent", "counsellor"])
def test_page_of_another_site_cannot_prefill_a_code_or_counsellor(house: House, path: str) -> None:
    """Otherwise one press on our own page would log somebody in to a stranger's mailbox."""
    stranger = house.browser().tell("De val.").code
    person = house.browser()
    page = person.post(
        f"/nl/{path}",
        {"Sec-Fetch-Site": "cross-site"},
        code=stranger,
        text=TEXT,
        counsellor="de-zijne",
        request="00" * 32,
        answer="yes",
        csrf_token="x" * 40,
        zomaar="iets",
    )
    assert page.status == 403
    assert kept(page) == TEXT
    for planted in (stranger, "de-zijne", "00" * 32, "zomaar", "x" * 40):
        assert planted not in page.html
    assert all(value in ("", TEXT) for value in (v for f in page.forms for _, v in f.fields))
    check_shape(page)
    if path != "report":
        person.submit(page, page.form_with("text"))
        assert not person.cookies


def test_old_browser_without_fetch_metadata_can_send_a_report(house: House) -> None:
    body = urllib.parse.urlencode({"text": TEXT}).encode()
    client = house.app.test_client()
    answer = client.post(
        "/nl/report",
        data=body,
        content_type="application/x-www-form-urlencoded",
        headers={"Host": "127.0.0.1:8000"},
    )
    assert answer.status_code == 200
    assert house.stored() == 1


def test_files_sent_to_the_report_form_are_refused_and_never_written_to_disk(
    house: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import tempfile

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a temporary file was opened")

    for name in ("TemporaryFile", "SpooledTemporaryFile", "NamedTemporaryFile"):
        monkeypatch.setattr(tempfile, name, refuse)
    part = b'--x\r\nContent-Disposition: form-data; name="text"; filename="a.txt"\r\n\r\n'
    for content_type in ("multipart/form-data; boundary=x", "application/json", "text/plain"):
        body = part + b"y" * 400_000 + b"\r\n--x--\r\n"
        page = house.browser().request("POST", "/nl/report", body, {"Content-Type": content_type})
        assert page.status == 415
        assert "Alleen tekst" in page.text
        check_shape(page)
    assert not house.stored()


def test_oversized_post_is_refused_unread(house: House) -> None:
    page = house.browser().request("POST", "/nl/report", b"text=" + b"x" * 600_000)
    assert page.status == 413
    assert "Je tekst is te lang" in page.text


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("", "Vul je code in."),
        ("een twee", "Je typte 2 woorden."),
        ("zzzzqq " * 7, "Woord 1 klopt niet."),
    ],
)
def test_mistyped_code_is_reported_and_kept(house: House, typed: str, said: str) -> None:
    page = house.browser().come_back(typed)
    assert page.status == 422
    assert said in page.text
    assert kept(page, "code") == typed
    check_shape(page)


def test_mistyped_word_is_reported_with_similar_words(house: House) -> None:
    code = house.browser().tell(TEXT).code.split()
    wrong = [*code[:2], code[2] + "q", *code[3:]]
    page = house.browser().come_back(" ".join(wrong))
    assert "Woord 3 klopt niet. Bedoel je" in page.text
    assert code[2] in page.text


@pytest.mark.parametrize("path", ["report", "counsellor"])
def test_overlong_text_and_missing_choice_are_reported_together(two: House, path: str) -> None:
    browser = two.browser()
    if path == "counsellor":
        noor = two.counsellors[0].identity.hex
        browser.come_back(browser.tell("Iets.", counsellor=noor).code)
        two.welcome("Maria Fernández")
    page = browser.get(f"/nl/{path}")
    long = "a" * (MAX_TEXT + 7)
    page = browser.submit(page, page.form_with("text"), text=long)
    check_shape(page)
    assert page.status == 422
    assert "7 " in (page.element("text-problem") or "")
    assert page.element("counsellor-problem")
    assert kept(page) == long
