"""Every page in every state in one language, as the app responds, for checkers and reviewers.

The pages are made in this process, on invented sites, so that rare states can be seen too.
"""

from collections.abc import Callable, Iterator
from pathlib import Path

from dropbox_app.protocol import age, messages
from dropbox_app.protocol import card as cards
from dropbox_app.protocol.encoding import Json
from dropbox_app.protocol.keys import SigningKey
from dropbox_app.protocol.retrieval_code import generate
from dropbox_app.server.config.languages import ALWAYS, PAGE_LANGUAGES, in_dutch_or_english
from dropbox_app.server.config.settings import Own
from dropbox_app.server.errors import Gone, SiteFull
from dropbox_app.server.mailboxes.service import Mailboxes
from dropbox_app.server.reporter.agent import ReporterAgent
from dropbox_app.server.reporter.kdf_limiter import Busy
from dropbox_app.server.web.views.info import INFO
from tests.server.web.conftest import Browser, Counsellor, House
from tests.support.codes import hashed_cheaply
from tests.support.plain_browser import Page

STILL = ("", "safety", "report", "return", "withdrawn", *INFO)
TEXTS: dict[str, dict[str, str]] = {
    "nl": {
        "story": "Sinds de zomer maakt mijn leidinggevende grappen over mij, waar iedereen bij is."
        "\n\nIk weet niet meer wat ik moet doen. Is dit erg genoeg?",
        "answer": "Dank je wel dat je schrijft. Ik praat hier met niemand over zonder dat jij het "
        "goedvindt.\n\nWat vind je nu het moeilijkst?",
        "more": "Dat niemand er iets van zegt.",
        "step": "Bellen met de bedrijfsarts",
        "with": "De bedrijfsarts",
        "scope": "Dat iemand van de afdeling zich niet veilig voelt. Geen namen.",
        "title": "Zelf met hem praten",
        "pro": "Het blijft klein",
        "con": "Het kan spannend zijn",
    },
    "en": {
        "story": "Since the summer my manager makes jokes about me, in front of everybody."
        "\n\nI do not know what to do any more. Is this bad enough?",
        "answer": "Thank you for writing. I talk to no one about this without your agreement."
        "\n\nWhat is hardest for you right now?",
        "more": "That nobody says anything about it.",
        "step": "Calling the company doctor",
        "with": "The company doctor",
        "scope": "That somebody in the department does not feel safe. No names.",
        "title": "Talking to him yourself",
        "pro": "It stays small",
        "con": "It can be hard",
    },
}
OWN = (Own("maria", "06 55 66 77 88", "di-do 13-17"),)
LETTER = ("foto van een bericht.jpg", b"x" * 48_000)

Shots = Iterator[tuple[str, Page]]


def gallery(folder: Path, lang: str) -> dict[str, Page]:
    """Return all pages by name, in the order in which a visitor meets them."""
    found: dict[str, Page] = {}
    with hashed_cheaply():
        for scene in SCENES:
            for name, page in scene(folder, lang):
                assert name not in found, name
                found[name] = page
    return found


class Stage(House):
    """A site for one scene, in its own folder, with the texts of one language."""

    def __init__(
        self, folder: Path, lang: str, counsellors: tuple[str, ...] = (), **options: object
    ) -> None:
        taken = len(list(folder.iterdir()))
        names = counsellors or ("Noor Visser",)
        if lang not in ALWAYS:
            options["languages"] = PAGE_LANGUAGES
        super().__init__(folder / str(taken), names, None, **options)
        self.lang = lang
        self.told = TEXTS[in_dutch_or_english(lang)]
        self.noor = self.counsellors[0] if self.counsellors else Counsellor(self, "Noor")

    def report(self, **more: str) -> tuple[Browser, Page]:
        browser = self.browser()
        return browser, browser.tell(self.told["story"], self.lang, **more)

    def inside(self) -> Browser:
        """Return a reporter who has reported and come back."""
        browser, page = self.report(counsellor=self.noor.identity.hex)
        self.code = page.code
        browser.come_back(self.code, self.lang)
        return browser

    def later(self, days: int) -> Page:
        """Return what that person sees a number of days later."""
        self.noor.threads()
        self.clock.pass_days(days)
        self.noor.threads()
        return self.browser().come_back(self.code, self.lang)

    def see(self, browser: Browser, path: str = "conversation") -> Page:
        return browser.get(f"/{self.lang}/{path}")

    def ask(self, **more: Json) -> None:
        asked: dict[str, Json] = {name: self.told[name] for name in ("step", "with", "scope")}
        self.noor.write("consent-request", asked | more)

    def answer(self, browser: Browser, **fields: str) -> Page:
        page = self.see(browser)
        return browser.submit(page, page.form_to("consent", "request"), **fields)

    def failing(self, kind: type, name: str, error: Exception, act: Callable[[], Page]) -> Page:
        """Return the response while this server method raises this error."""

        def fail(*_: object, **__: object) -> None:
            raise error

        real = getattr(kind, name)
        setattr(kind, name, fail)
        try:
            return act()
        finally:
            setattr(kind, name, real)


def _stills(folder: Path, lang: str) -> Shots:
    house = Stage(folder, lang)
    if lang == "nl":
        yield "choose", house.browser().get("/")
    for path in STILL:
        yield path or "landing", house.see(house.browser(), path)
    house.close()


def _sites(folder: Path, lang: str) -> Shots:
    """Yield pages of other sites and other days."""
    several = ("Noor Visser", "Sam Jansen", "Maria Fernández de la Vega-Oosterhuis")
    house = Stage(folder, lang, several, run_by_is_employer=True, hours="", telephones=OWN)
    for path in ("", "report", "technical"):
        yield f"{path or 'landing'}, several", house.see(house.browser(), path)
    noor, sam, _ = house.counsellors
    until = house.clock.today().replace(day=25)
    house.site.update(noor.identity, noor.card(away=cards.Away(until, sam.identity)), until)
    for path in ("", "report", "about"):
        yield f"{path or 'landing'}, one away", house.see(house.browser(), path)
    house.clock.pass_days(30)
    yield "landing, silent", house.see(house.browser(), "")
    for name in ("noor", "sam", "maria"):
        house.site.retire(name)
    for path in ("", "safety", "report", "about", "technical"):
        yield f"{path or 'landing'}, nobody", house.see(house.browser(), path)
    house.close()
    speaking = Stage(folder, lang)
    speaking.noor.register_number = "LVV 12345-67"
    speaking.noor.sentence = {"nl": "Je mag eerst iets vragen: \u0645\u0631\u062d\u0628\u0627."}
    speaking.noor.renew()
    for path in ("", "about"):
        yield f"{path or 'landing'}, own words", speaking.see(speaking.browser(), path)
    speaking.close()
    bare = Stage(folder, lang, run_by="", phone="", hours="", controller="Voorbeeld BV")
    bare.clock.pass_days(3)
    yield "landing, bare", bare.see(bare.browser(), "")
    yield "privacy, controller", bare.see(bare.browser(), "privacy")
    bare.site.end(bare.clock.today())
    yield "landing, retired", bare.see(bare.browser(), "")
    bare.close()


def _report(folder: Path, lang: str) -> Shots:
    house = Stage(folder, lang, ("Noor Visser", "Sam Jansen"))
    page = house.see(house.browser(), "report")
    form = page.form_with("text")
    yield "report, nothing chosen", house.browser().submit(page, form, text="")
    answers: dict[str, str | list[str]] = {"needs": ["be_heard", "make_it_stop"], "safe": "no"}
    yield "report, kept", house.browser().submit(page, form, text=house.told["story"], **answers)
    full = {"text": house.told["story"], "counsellor": house.noor.identity.hex}
    long = full | {"text": house.told["story"] * 500}
    yield "report, too long", house.browser().submit(page, form, **long)

    def send() -> Page:
        return house.browser().submit(page, form, **full)

    yield "report, full", house.failing(Mailboxes, "submit", SiteFull("x"), send)
    yield "report, busy", house.failing(ReporterAgent, "prepare", Busy("x"), send)
    yield "report, a fault", house.failing(ReporterAgent, "prepare", ValueError("x"), send)
    house.close()


def _code(folder: Path, lang: str) -> Shots:
    house = Stage(folder, lang)
    browser, page = house.report()
    yield "code", page
    yield "code, sent twice", browser.tell(house.told["story"], lang)
    yield "code, read again", house.see(browser, "code")
    form = page.form_with("typed")
    (*six, last) = page.code.split()
    wrong = " ".join([*six[:2], "appel", *six[3:], last])
    yield "code, a word differs", browser.submit(page, form, typed=wrong)
    yield "code, too few words", browser.submit(page, form, typed="een twee")
    yield "code, right", browser.submit(page, form, typed=page.code)
    yield "code, not ticked", browser.submit(page, page.form_with("kept"))
    until = house.clock.today().replace(day=25)
    house.site.update(house.noor.identity, house.noor.card(away=cards.Away(until, None)), until)
    yield "code, counsellor away", house.report()[1]
    (*six, last) = page.code.split()
    for name, code in (
        ("no such code", " ".join(generate("nl"))),
        ("a word in no list", " ".join([*six, last + "q"])),
        ("too few words", "een twee"),
        ("nothing typed", ""),
    ):
        yield f"return, {name}", house.browser().come_back(code, lang)
    house.clock.pass_minutes(300)
    yield "return, asked again", house.see(browser)
    yield "return, closed", house.see(house.browser())
    yield "return, no cookie", house.browser(cookies=False).come_back(page.code, lang)
    house.close()


def _conversation(folder: Path, lang: str) -> Shots:
    house = Stage(folder, lang)
    browser = house.inside()
    yield "conversation, first look", house.see(browser)
    house.noor.write("notice", {"status": "read"})
    house.noor.write("reply", {"text": house.told["answer"]})
    yield "conversation, answered", house.later(1)
    browser.come_back(house.code, lang)
    yield "conversation, sent", browser.write_on(house.told["more"], lang)
    yield "conversation, nothing written", browser.write_on(" ", lang)
    for _ in range(3):
        browser.write_on(house.told["more"], lang)
        house.noor.write("reply", {"text": house.told["answer"]})
    yield "conversation, long", house.see(browser)
    yield "conversation, ends soon", house.later(80)
    house.close()

    house = Stage(folder, lang)
    browser = house.inside()
    option: dict[str, Json] = {name: house.told[name] for name in ("title", "pro", "con")}
    house.noor.write("options", {"text": house.told["answer"], "options": [option, option]})
    yield "conversation, options", house.see(browser)
    house.noor.write("notice", {"status": "closed"})
    yield "conversation, closed", house.see(browser)
    yield "conversation, closed and ends soon", house.later(80)
    house.close()


def _consent(folder: Path, lang: str) -> Shots:
    house = Stage(folder, lang, ("Noor Visser", "Sam Jansen"))
    browser = house.inside()
    house.ask()
    yield "consent, asked", house.see(browser)
    yield "consent, no answer", house.answer(browser, remark=house.told["more"])
    yield "consent, more first", house.answer(browser, answer="tell-me-more")
    yield "consent, yes", house.answer(browser, answer="yes")
    yield "consent, yes taken back", house.answer(browser)
    house.ask(successor=str(house.counsellors[1].identity))
    page = house.see(browser)
    yield "consent, handover", page
    forms = [form for form in page.forms if "consent" in form.action]
    yield "consent, handover agreed", browser.submit(page, forms[-1], answer="yes")
    house.clock.pass_minutes(30)
    yield "again, an answer", browser.submit(page, forms[-1], answer="no", remark="?")
    house.close()


def _others(folder: Path, lang: str) -> Shots:
    house = Stage(folder, lang, ("Noor Visser", "Sam Jansen"))
    browser = house.inside()
    house.ask()
    house.answer(browser, answer="yes")
    page = house.see(browser, "counsellor")
    yield "counsellor", page
    form = page.form_with("text")
    yield "counsellor, nobody chosen", browser.submit(page, form, text="", along="y")
    chosen = {"counsellor": house.counsellors[1].identity.hex, "text": house.told["story"]}
    yield "conversation, passed on", browser.submit(page, form, along="y", **chosen)
    page = house.see(browser)
    form = page.form_to("counsellor", "counsellor")
    yield "counsellor, to take a yes back", browser.submit(page, form)
    house.site.retire("sam")
    yield "conversation, counsellor gone", house.see(browser)
    house.site.retire("noor")
    yield "conversation, nobody", house.see(browser)
    yield "counsellor, nobody else", house.see(browser, "counsellor")
    house.close()


def _doubts(folder: Path, lang: str) -> Shots:
    """Yield pages with unverified, missing and removed messages."""
    house = Stage(folder, lang)
    browser = house.inside()
    for text in ("een", "twee", "drie", "vier", "vijf"):
        house.noor.write("reply", {"text": text})
    browser.write_on(house.told["more"], lang)
    items = {e.message.text: e.item for e in house.noor.only_thread().entries if e.message}
    _forge(house, 6)
    with house.store.writing():
        house.store.remove_items([items["een"], items["drie"], items["vijf"]])
    yield "conversation, doubts", house.see(browser)
    house.close()


def _forge(house: Stage, n: int) -> None:
    """Seal a text under the counsellor's name, signed with another key."""
    thread = house.noor.only_thread()
    own = next(message for message in thread.genuine() if message.reporter)
    fields: dict[str, Json] = {
        **{"v": 1, "site": thread.site, "mailbox": thread.mailbox, "seen": [], "lang": "nl"},
        **{"by": str(house.noor.identity), "to": [str(house.noor.identity)], "n": n},
        **{"day": "2026-11-03", "kind": "reply", "text": "Geloof mij", "attachments": []},
        "prev": "0" * 64,
    }
    assert own.reporter is not None
    recipients = (own.reporter.recipient, house.noor.seeds[0].recipient())
    sealed = age.seal(messages.lay_out(fields, SigningKey.generate()), recipients)
    to = (house.noor.identity,)
    house.mailboxes.reply(identity=to[0], mailbox=thread.mailbox, n=n, to=to, sealed=sealed)


def _files(folder: Path, lang: str) -> Shots:
    house = Stage(folder, lang)
    browser = house.inside()
    page = house.see(browser, "files")
    yield "files", page
    form = page.form_with("files")
    yield "files, none chosen", browser.upload(page, form, [], text="")
    page = browser.upload(page, form, [LETTER], text=house.told["more"])
    yield "conversation, files", page
    yield "file, whole", browser.get(next(link for link in page.links if "/files/" in link))
    house.site.retire("noor")
    yield "files, nobody", house.see(browser, "files")
    house.close()


def _back(folder: Path, lang: str) -> Shots:
    """Yield pages of a withdrawal, an ended session and errors."""
    house = Stage(folder, lang)
    browser = house.inside()
    page = house.see(browser, "withdraw")
    yield "withdraw", page
    form = page.form_with("sure")
    yield "withdraw, not ticked", browser.submit(page, form)
    written = house.see(browser)
    text = {"text": house.told["more"]}

    def write() -> Page:
        return browser.submit(written, written.form_with("text"), **text)

    yield "conversation, full", house.failing(Mailboxes, "add", SiteFull("x"), write)
    yield "again, a fault", house.failing(Mailboxes, "add", ValueError("x"), write)
    yield "again, gone", house.failing(Mailboxes, "add", Gone("x"), write)
    browser = house.inside()
    written = house.see(browser)
    house.clock.pass_minutes(30)
    yield "again, expired", write()
    yield "again, taking back", browser.submit(page, form, sure="y")
    again = write()
    yield "again, wrong code", browser.submit(again, again.form_with("code"), code="een twee")
    yield "again, another site", browser.post(f"/{lang}/report", {"Origin": "null"}, 0, **text)
    house.close()


def _errors(folder: Path, lang: str) -> Shots:
    house = Stage(folder, lang)
    browser = house.browser()
    report = f"/{lang}/report"
    yield "error 400", browser.request("POST", report, b"x&" * 200)
    yield "error 403", browser.request("POST", report, b"", {"Origin": "null"})
    yield "error 404", browser.get(f"/{lang}/nergens")
    yield "error 405", browser.request("PUT", report)
    yield "error 413", browser.request("POST", report, b"x" * 600_000)
    yield "error 415", browser.request("POST", report, b"x", {"Content-Type": "text/plain"})
    yield "error 421", browser.request("GET", f"/{lang}/", headers={"Host": "evil.example"})
    inside = house.inside()

    def look() -> Page:
        return house.see(inside)

    yield "error 500", house.failing(ReporterAgent, "view", ValueError("x"), look)
    yield "error 503", house.failing(ReporterAgent, "view", Busy("x"), look)
    house.close()


SCENES = (
    *(_stills, _sites, _report, _code, _conversation, _consent, _others, _doubts, _files),
    *(_back, _errors),
)
