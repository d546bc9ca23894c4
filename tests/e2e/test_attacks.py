"""Real attacks against the real server and the real desk: each is refused or reported."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from dropbox_app.protocol import age
from dropbox_app.protocol.encoding import b64
from dropbox_app.protocol.keys import Recipient, VerifyKey
from dropbox_app.protocol.messages import parse
from tests.support.drop_box import Counsellor, DropBox
from tests.support.hostile_pages import Hostile, call, reseal
from tests.support.steps import come_back, the_only_thread

SMALL_ORDER = bytes.fromhex("c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a")


@pytest.fixture(scope="module")
def box(tmp_path_factory: pytest.TempPathFactory, mould: tuple[Path, int]) -> Iterator[DropBox]:
    """Yield one running drop box for all tests; each attack leaves it intact."""
    folder = tmp_path_factory.mktemp("attacked")
    shutil.copytree(mould[0] / "server", folder / "server")
    made = DropBox(folder / "server", port=mould[1])
    made.serve()
    try:
        yield made
    finally:
        made.stop()


@pytest.fixture(scope="module")
def bas(box: DropBox, tmp_path_factory: pytest.TempPathFactory) -> Hostile:
    status, body = call(box, "GET", "/api/site")
    assert status == 200
    return Hostile(box, str(json.loads(body)["site"]), tmp_path_factory.mktemp("bas"))


def _tell_both(box: DropBox, text: str) -> str:
    """Report to one counsellor and then to both; return the code."""
    browser = box.browser()
    page = browser.get("/nl/report")
    form = page.form_with("text")
    values = form.choices["counsellor"]
    names = {value: page.html.split(f'value="{value}"')[1][:400] for value in values}
    bas = next(value for value, around in names.items() if "Bas" in around)
    return browser.submit(page, form, text=text, counsellor=bas).code


def test_form_preselects_no_counsellor(box: DropBox, bas: Hostile, counsellor: Counsellor) -> None:
    """With two counsellors one must be chosen: there is no default or "all", and text is kept."""
    browser = box.browser()
    page = browser.get("/nl/report")
    form = page.form_with("text", "counsellor")
    assert len(form.choices["counsellor"]) == 2
    assert not [value for name, value in form.fields if name == "counsellor" and value]
    refused = browser.submit(page, form, text="Aan wie?")
    assert refused.element("code") is None
    assert dict(refused.form_with("text").fields)["text"].strip() == "Aan wie?"
    assert bas.inbox() == []


def test_forgery_by_a_co_recipient_is_never_shown_as_genuine(
    box: DropBox, bas: Hostile, counsellor: Counsellor
) -> None:
    """A different text under the reporter's header is sent as an answer, and marked as false."""
    code = _tell_both(box, "Het echte verhaal")
    item = bas.inbox()[-1]
    status, sealed = bas.ask("GET", f"/api/desk/items/{item['id']}")
    assert status == 200
    genuine = age.open_sealed(sealed, [bas.seed])
    message = parse(genuine)
    forged = genuine.replace(b"Het echte verhaal", b"Het valse verhaal")
    again = bas.under_the_same_header(sealed, forged)
    assert age.open_sealed(again, [bas.seed]) == forged  # the control: age itself accepts it
    assert bas.send(message.mailbox, 1, message.to, again) in (200, 201)

    conversation = come_back(box.browser(), "nl", code)
    assert "Het echte verhaal" in conversation.text
    assert "Het valse verhaal" not in conversation.text
    assert "Dit bericht kunnen we niet controleren." in conversation.text


def test_message_forwarded_by_a_colleague_is_marked_as_such(
    box: DropBox, bas: Hostile, counsellor: Counsellor
) -> None:
    """A colleague cannot forward a report to somebody whom the reporter did not choose."""
    _tell_both(box, "Alleen voor Bas")
    item = bas.inbox()[-1]
    sealed = bas.ask("GET", f"/api/desk/items/{item['id']}")[1]
    genuine = age.open_sealed(sealed, [bas.seed])
    message = parse(genuine)
    published = json.loads(call(box, "GET", "/api/site")[1])["cards"]
    cards = [json.loads(card.split("\n")[0]) for card in published]
    els = next(c for c in cards if c["name"].startswith("Els"))
    key = Recipient.parse(els["sealing"][1]["recipient"])
    assert message.reporter is not None
    passed_on = reseal(genuine, [message.reporter.recipient, key])
    status = bas.send(message.mailbox, 1, [VerifyKey.parse(els["identity"])], passed_on)
    assert status in (403, 404), "the server takes it for a colleague who was not addressed"
    counsellor.desk("fetch")
    assert counsellor.threads() == []


def test_small_order_key_is_refused_for_a_card_and_for_a_desk_request(
    box: DropBox, bas: Hostile, tmp_path: Path
) -> None:
    """A key under which anybody can sign is refused for a card and for a desk."""
    honest = bas.card()
    line, _, rest = honest.partition(b"\n")
    weak = line.replace(str(bas.signing.verify_key).encode(), b64(SMALL_ORDER).encode())
    file = tmp_path / "weak.card"
    file.write_bytes(weak + b"\n" + rest)
    refused = box.server("card", "add", file, "--name", "weak", check=False)
    assert refused.returncode == 1
    assert "Traceback" not in refused.stderr
    authorization = bas.authorization("GET", "/api/desk/mailboxes")
    parts = authorization.split(" ")
    parts[2] = b64(SMALL_ORDER)
    weak_status, weak_body = call(box, "GET", "/api/desk/mailboxes", b"", " ".join(parts))
    parts = authorization.split(" ")
    parts[5] = b64(bytes(64))
    bad_status, bad_body = call(box, "GET", "/api/desk/mailboxes", b"", " ".join(parts))
    assert (weak_status, weak_body) == (bad_status, bad_body) == (401, bad_body)


def test_desk_signature_is_valid_only_for_the_signed_request(box: DropBox, bas: Hostile) -> None:
    """The response is 401 for another origin, site, target, method or body, or an old token."""
    good = bas.authorization("GET", "/api/desk/inbox?after=0")
    assert call(box, "GET", "/api/desk/inbox?after=0", b"", good)[0] == 200
    # The token is still valid.
    assert call(box, "GET", "/api/desk/inbox?after=0", b"", good)[0] == 200
    assert call(box, "GET", "/api/desk/inbox?after=1", b"", good)[0] == 401
    assert call(box, "GET", "/api/desk/mailboxes", b"", good)[0] == 401
    other = bas.authorization("GET", "/api/desk/mailboxes", origin="http://127.0.0.1:1")
    assert call(box, "GET", "/api/desk/mailboxes", b"", other)[0] == 401
    other = bas.authorization("GET", "/api/desk/mailboxes", site="ab" * 16)
    assert call(box, "GET", "/api/desk/mailboxes", b"", other)[0] == 401
    card = bas.card(serial=5)
    wrong_body = bas.authorization("PUT", "/api/desk/card", b"something else")
    assert call(box, "PUT", "/api/desk/card", card, wrong_body)[0] in (400, 401)


def test_invalid_cards_are_refused_with_a_reason(
    box: DropBox, bas: Hostile, counsellor: Counsellor, tmp_path: Path
) -> None:
    """Examples: older or equal serial, another site or identity, a gap, a bad signature."""
    newer = bas.card(serial=5)
    assert bas.ask("PUT", "/api/desk/card", newer)[0] in (200, 204)
    assert bas.ask("PUT", "/api/desk/card", newer)[0] in (200, 204)  # the same bytes again
    assert bas.ask("PUT", "/api/desk/card", bas.card(serial=4))[0] in (400, 403, 409, 422)
    assert bas.ask("PUT", "/api/desk/card", bas.card("Bart", serial=5))[0] in (400, 403, 409, 422)
    foreign = bas.card(serial=6, site="cd" * 16)
    assert bas.ask("PUT", "/api/desk/card", foreign)[0] in (400, 403, 409, 422)
    file = tmp_path / "foreign.card"
    file.write_bytes(foreign)
    refused = box.server("card", "add", file, "--name", "x", "--fingerprint", "0000", check=False)
    assert (refused.returncode, "site" in refused.stderr) == (1, True)
    file.write_bytes(newer.replace(b'"Bas"', b'"Bob"'))
    refused = box.server("card", "add", file, "--name", "x", "--fingerprint", "0000", check=False)
    assert (refused.returncode, "signature" in refused.stderr) == (1, True)


def test_rolled_back_card_raises_an_alarm_at_the_desk(box: DropBox, counsellor: Counsellor) -> None:
    """The next fetch detects a server that serves an older card of this counsellor."""
    file = box.folder / "cards" / "els.card"
    older = file.read_bytes()
    counsellor.desk("away", "--until", "2027-01-15")
    assert counsellor.desk("fetch").returncode == 0
    assert file.read_bytes() != older
    file.write_bytes(older)
    said = counsellor.desk("fetch", check=False)
    assert said.returncode == 1
    assert "card" in said.stdout + said.stderr


def test_demo_cards_do_not_work_on_another_site(
    box: DropBox, counsellor: Counsellor, tmp_path: Path
) -> None:
    """A valid card of one site is refused by every other site."""
    other = DropBox(tmp_path / "other")
    other.init("Andere BV")
    file = box.folder / "cards" / "els.card"
    copied = tmp_path / "copied.card"
    copied.write_bytes(file.read_bytes())
    refused = other.server("card", "add", copied, "--name", "els", check=False)
    assert (refused.returncode, "another site" in refused.stderr) == (1, True)
    assert the_only_card_is_absent(other)


def the_only_card_is_absent(box: DropBox) -> bool:
    return not list((box.folder / "cards").glob("*.card"))


def test_addressed_desk_can_still_read_a_genuine_report(
    box: DropBox, bas: Hostile, counsellor: Counsellor
) -> None:
    """After all attacks, an honest report still reaches the honest desk."""
    browser = box.browser()
    page = browser.get("/nl/report")
    form = page.form_with("text", "counsellor")
    els = next(v for v in form.choices["counsellor"] if v in str(counsellor.desk("keys").stdout))
    browser.submit(page, form, text="Aan Els", counsellor=els)
    counsellor.desk("fetch")
    assert counsellor.read(the_only_thread(counsellor))["messages"][0]["text"] == "Aan Els"


@pytest.mark.usefixtures("bas")
def test_without_a_valid_key_no_counsellor_can_be_chosen(box: DropBox) -> None:
    """A retired counsellor is no longer offered; once the last one is retired, the site says so.

    This is the last attack, because afterwards there is nobody to write to.
    """
    box.server("card", "retire", "bas")
    page = box.browser().get("/nl/report")
    assert "Bas" not in page.text
    box.server("card", "retire", "els")
    closed = box.browser().get("/nl/report")
    assert not any("text" in form.names() for form in closed.forms)
    assert "030 123 45 67" in closed.text
    landing = box.browser().get("/nl/")
    assert "/nl/report" not in landing.links
