"""A simulated practice, day by day: real sites, desks, pages and reporters, and a diary.

Nothing is imported into a register: each entry is made on its own day, with the forms of the desk's
page, and each conversation goes through a site's real application and store.
"""

import contextlib
import datetime
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from dropbox_app.desk import folder as workplace
from dropbox_app.desk.folder import Machine
from dropbox_app.desk.storage import vault
from dropbox_app.desk.storage.state import Profile
from dropbox_app.desk.transport.connection import Answer
from dropbox_app.server.mailboxes.purge import purge
from tests.desk.conftest import PASSPHRASE, Office
from tests.desk.web.conftest import Running, Seconds
from tests.server.web.conftest import Browser, Clock, House
from tests.support.plain_browser import Form, Page

DAY = datetime.timedelta(days=1)


class Apps:
    """A transport for the courier that calls the sites' applications directly."""

    def __init__(self, houses: Mapping[str, House]) -> None:
        self.houses = houses  # by their address

    @contextlib.contextmanager
    def send(
        self,
        method: str,
        origin: str,
        target: str,
        headers: Mapping[str, str],
        body: bytes | Iterable[bytes],
        seconds: float,
    ) -> Iterator[Answer]:
        data = body if isinstance(body, bytes) else b"".join(body)
        client = self.houses[origin].app.test_client(use_cookies=False)
        got = client.open(target, base_url=origin, method=method, headers=[*headers.items()],
                          data=data)  # fmt: skip
        yield Answer(got.status_code, iter((got.get_data(),)))
        got.close()

    def apart(self) -> "Apps":
        return Apps(self.houses)

    def break_off(self) -> None:
        """Do nothing; no request waits."""

    def close(self) -> None:
        """Do nothing; no connection is open."""


class Town:
    """The employers' sites, their common clock, and the diary."""

    def __init__(self, folder: Path, employers: Iterable[str], day: datetime.date) -> None:
        self.folder = folder
        self.clock = Clock(day)
        self.houses: dict[str, House] = {}
        for number, name in enumerate(employers):
            origin = f"http://127.0.0.1:{8001 + number}"
            self.houses[name] = House(
                folder / f"site-{number}", (), self.clock, site=f"{number + 1:02x}" * 16,
                name=name, origins=(origin,),
            )  # fmt: skip
        self.diary: list[dict[str, Any]] = []

    @property
    def today(self) -> datetime.date:
        return self.clock.today()

    def note(self, by: str, what: str, employer: str = "", **more: object) -> None:
        """Record in the diary what happened today."""
        at = {"at": employer} if employer else {}
        self.diary.append({"day": f"{self.today}", "by": by, "what": what} | at | more)

    def origin(self, employer: str) -> str:
        return self.houses[employer].site.settings.origins[0]

    def invitation(self, employer: str) -> bytes:
        """Return the invitation that the site's operator sends to a counsellor."""
        site = self.houses[employer].site.settings.site
        line = {"v": 1, "origins": [self.origin(employer)], "site": site, "name": employer,
                "day": f"{self.today}"}  # fmt: skip
        return json.dumps(line, sort_keys=True, separators=(",", ":")).encode()

    def apps(self) -> Apps:
        return Apps({self.origin(name): house for name, house in self.houses.items()})

    def midnight(self) -> None:
        """Begin the next day. On Mondays every site removes expired items."""
        self.clock.pass_days(1)
        for house in self.houses.values() if self.today.weekday() == 0 else ():
            purge(house.site, house.store, self.today)

    def close(self) -> None:
        for house in self.houses.values():
            house.close()


class Laptop(Office):
    """One counsellor's folder and clock, for the page and for commands."""

    def __init__(self, town: Town, name: str) -> None:
        self.folder = town.folder / name.split()[0]
        self.name = name
        self.machine = Machine(
            town.clock.today, lambda _: town.apps(), vault.CHEAP_FOR_TESTS
        )  # fmt: skip

    def join(self, town: Town, employer: str) -> None:
        """Join a site: invitation, card, card added by the operator."""
        desk = workplace.init(
            self.folder, PASSPHRASE, self.machine,
            invitation=workplace.read_invitation(town.invitation(employer)),
            profile=Profile(self.name, "external", "both", ("nl", "en")), proxy="",
        )  # fmt: skip
        short = self.name.split()[0].lower()
        town.houses[employer].site.pin(short, desk.state.card, town.today)


class Reporting:
    """A reporter who writes through a site, and has noted the code."""

    def __init__(self, town: Town, employer: str) -> None:
        self.house, self.origin = town.houses[employer], town.origin(employer)
        self.code = ""

    def tell(self, text: str, **answers: str) -> None:
        told = self._browser().tell(text, **answers)
        self.code = told.code

    def write(self, text: str) -> None:
        browser = self._back()
        assert browser.write_on(text).status == 200

    def say_yes(self) -> None:
        """Answer the counsellor's question with yes."""
        browser = self._back()
        page = browser.get("/nl/conversation")
        done = browser.submit(page, page.form_with("answer", "remark"), answer="yes", remark="")
        assert done.status == 200

    @property
    def is_expired(self) -> bool:
        """Return whether the site has removed the conversation, as after 90 idle days."""
        return self._browser().come_back(self.code).status == 422

    def turn_to(self, identity: str) -> None:
        """Continue with another counsellor, who may read the conversation so far."""
        browser = self._back()
        page = browser.get("/nl/counsellor")
        form = page.form_with("along")
        done = browser.submit(page, form, counsellor=identity, text="Kunt u verder?", along="y")
        assert done.status == 200

    def _browser(self) -> Browser:
        return self.house.browser(origin=self.origin)

    def _back(self) -> Browser:
        browser = self._browser()
        assert browser.come_back(self.code).status == 200
        return browser


class Practice:
    """A counsellor who works on the desk's page; each method does that person's work of the day.

    ``by``: the counsellor's name in the diary. ``cases``: the address of each person's case.
    """

    def __init__(self, town: Town, by: str, name: str, employers: Iterable[str]) -> None:
        self.town, self.by = town, by
        self.laptop = Laptop(town, name)
        for employer in employers:
            self.laptop.join(town, employer)
        self.running = Running(self.laptop, Seconds())
        self.window = self.running.at_work()
        self.cases: dict[str, str] = {}
        self.at: dict[str, str] = {}  # the employer of each person
        self.written: dict[str, Reporting] = {}
        self.destroyed: set[str] = set()
        self.fetch()

    def close(self) -> None:
        self.running.close()

    def page(self, path: str) -> Page:
        return self.window.get(self.running.home + path)

    def fetch(self) -> None:
        done = self.running.fetch(self.window)
        assert 'class="note wrong"' not in done.html, done.text

    def identity(self, employer: str) -> str:
        with self.running.lock.use() as place:
            return place.one(self.town.houses[employer].site.settings.site).identity.hex

    def card(self, employer: str) -> bytes:
        """Return the card to give to a colleague."""
        with self.running.lock.use() as place:
            return place.one(self.town.houses[employer].site.settings.site).state.card

    # the employers

    def agree(self, employer: str, people: int, **terms: str) -> None:
        page, form = self._employer(employer, "agreement")
        self._done(page, form, headcount=str(people), **terms)
        self.town.note(self.by, "agreed", employer, people=people,
                       price=int(terms.get("price", "0")))  # fmt: skip

    def check_list(self, employer: str, **answers: str) -> None:
        page, form = self._employer(employer, "checklist")
        self._done(page, form, **answers)

    def hours(self, employer: str) -> dict[str, float]:
        """Return this year's private account of hours, by its Dutch labels."""
        page, _ = self._employer(employer, "agreement")
        part = page.html.split('id="hours"')[1].split("</section>")[0]
        rows = re.findall(r"<dt>(.*?)</dt><dd>([\d.,]+) uur</dd>", part)
        return {work: float(hours.replace(",", ".")) for work, hours in rows}

    def _employer(self, name: str, what: str) -> tuple[Page, Form]:
        listed = self.page("employers")
        pages = (self.window.get(one) for one in listed.links if "/employers/" in one)
        page = next(one for one in pages if f"<h1>{name}</h1>" in one.html)
        return page, page.form_to(f"/{what}#")

    # people who come

    def call(self, employer: str, who: str, about: str, minutes: int) -> None:
        """Record a telephone call that begins a case."""
        page = self.page("contact")
        done = self._done(
            page, page.form_with("which"), employer=employer, minutes=str(minutes), topic=about,
            how="telephone", channel="telephone", which="new", new_case=who,
        )  # fmt: skip
        self.cases[who] = self._case_link(done)
        self._came(employer, who, about)
        self._talked(employer, minutes)

    def corridor(self, employer: str, who: str, about: str, minutes: int, **ticked: str) -> None:
        """Record a contact without a case; with ``again`` it continues an earlier one."""
        page = self.page("contact")
        kept = {} if ticked.get("record_nothing") else {"topic": about}
        self._done(page, page.form_with("which"), employer=employer, minutes=str(minutes),
                   which="none", **kept, **ticked)  # fmt: skip
        if "again" not in ticked:
            self._came(employer, who, kept.get("topic", ""))
        self._talked(employer, minutes)

    def thread(self, employer: str, who: str, about: str, minutes: int) -> None:
        """Receive a report through the site, and answer it the same day."""
        reporter = self.written[who] = Reporting(self.town, employer)
        reporter.tell(f"Dit schrijft {who}.", counsellor=self.identity(employer))
        self.fetch()
        self._name_new(who, about)
        self.answer(who, f"Dank je wel, {who}.")
        self._came(employer, who, about)
        self.talk(employer, who, minutes)

    def answer(self, who: str, text: str) -> None:
        page = self._conversation(who)
        assert "Verstuurd." in self.window.press(page, "reply", text=text).text

    def talk(self, employer: str, who: str, minutes: int) -> None:
        page = self.window.get(self.cases[who])
        asked = self.window.get(next(one for one in page.links if "/contact?case=" in one))
        self._done(asked, asked.form_with("which"), minutes=str(minutes), how="meeting")
        self._talked(employer, minutes)

    def together(self, employer: str, who: str, other: str) -> None:
        there = self.cases[other].split("/case/")[1].strip("/")
        page = self.window.get(self.cases[who])
        form = next(one for one in page.forms if ("mark", "belongs_with") in one.fields
                    and "other" in one.choices)  # fmt: skip
        self._done(page, form, other=there)
        self.town.note(self.by, "together", employer, **{"who": who, "with": other})

    def leave_to_colleague(self, employer: str, who: str) -> None:
        """Mark a case: this person came to the colleague first, who counts the situation."""
        page = self.window.get(self.cases[who])
        sheet = self.window.get(next(one for one in page.links if one.endswith("/sheet")))
        done = self._done(sheet, sheet.form_to("sheet"), colleague_counts="1")
        assert "Mijn collega telt deze situatie" in done.text
        self.town.note(self.by, "colleague counts", employer, who=who)

    def consent(self, who: str) -> None:
        """Ask for consent to a step, to be signed in the conversation or given orally."""
        if who in self.written:
            page = self._conversation(who)
            said = self.window.press(page, "/consent", step="Praten", scope="Geen namen",
                                     **{"with": "De directeur"})  # fmt: skip
            assert "Verstuurd." in said.text
            self.written[who].say_yes()
            self.fetch()
            return
        page = self.window.get(self.cases[who])
        self._done(page, self._box(page, "consent"), step="Praten", partner="De directeur",
                   scope="Geen namen", answer="yes")  # fmt: skip

    def step(self, who: str, *, refused: bool = False) -> None:
        """Record the step to which the person consented."""
        page = self.window.get(self.cases[who])
        done = self.window.submit(page, self._box(page, "step"))
        assert done.status == (422 if refused else 200), done.text
        assert ("14 dagen" in done.text) or not refused

    def complaint(self, employer: str, who: str) -> None:
        page = self.window.get(self.cases[who])
        self._done(page, self._box(page, "complaint"), what="formal_complaint")
        self.town.note(self.by, "complaint", employer, who=who)

    def end(self, who: str, destroy_on: datetime.date) -> None:
        page = self.window.get(self.cases[who])
        self._done(page, self._box(page, "close"), outcome="solved_informally", aftercare_on="",
                   destroy_on=f"{destroy_on}")  # fmt: skip

    def destroy_what_is_due(self) -> None:
        """Destroy each case that the agenda lists as due, after a last look."""
        due = {one for one in self.page("agenda").links if "/case/" in one}
        for who in [name for name, link in self.cases.items() if link in due]:
            page = self.window.get(self.cases[who])
            look = self.window.get(next(one for one in page.links if one.endswith("/destroy")))
            assert "De zaak is vernietigd." in self.window.press(look, "destroy").text
            self.destroyed.add(who)
            self.town.note(self.by, "destroyed", self.at[who], who=who)

    def take_over(self, employer: str, who: str, about: str, reporter: Reporting) -> None:
        """Take over a person whose counsellor stopped, and who chose this one."""
        reporter.turn_to(self.identity(employer))
        self.written[who] = reporter
        self.fetch()
        self._name_new(who, about)
        self._came(employer, who, about)

    # work without a person

    def work(self, kind: str, employer: str = "", **fields: str) -> None:
        page = self.page("work")
        at = {"employer": employer} if employer else {}
        self._done(page, page.form_to(f"/work/{kind}#"), **at, **fields)

    # the report

    def report(self, employer: str, year: int) -> Page:
        listed = self.page("annual")
        pages = (self.window.get(one) for one in listed.links if one.endswith(f"/{year}"))
        return next(one for one in pages if f'<p class="lead">{employer}' in one.html)

    def issue(self, employer: str, year: int) -> Page:
        page = self.report(employer, year)
        last = self.window.get(next(one for one in page.links if "/issue" in one))
        done = self.window.press(last, "/issue")
        assert done.status == 200, done.text
        return done

    def file(self, page: Page, name: str) -> bytes:
        return self.window.get(next(one for one in page.links if one.endswith(name))).body

    # how the pages are used

    def _done(self, page: Page, form: Form, /, **values: str) -> Page:
        done = self.window.submit(page, form, **values)
        assert done.status == 200, done.text
        assert 'class="note wrong"' not in done.html, done.text
        return done

    def _box(self, page: Page, what: str) -> Form:
        return next(one for one in page.forms if one.action.split("#")[0].endswith(f"/{what}"))

    def _case_link(self, page: Page) -> str:
        return next(one for one in page.links if "/case/" in one)

    def _conversation(self, who: str) -> Page:
        page = self.window.get(self.cases[who])
        return self.window.get(next(one for one in page.links if "/t/" in one))

    def _name_new(self, who: str, about: str) -> None:
        """Find the case that the conversation began, and enter its name and subject."""
        links = [one for one in self.page("cases").links if "/case/" in one]
        (link,) = set(links) - set(self.cases.values())
        page = self.window.get(link)
        sheet = self.window.get(next(one for one in page.links if one.endswith("/sheet")))
        chosen = {"main_group": about} if about else {}
        self._done(sheet, sheet.form_to("sheet"), label=who, **chosen)
        self.cases[who] = link

    def _came(self, employer: str, who: str, about: str) -> None:
        self.at[who] = employer
        self.town.note(self.by, "came", employer, who=who, about=about)

    def _talked(self, employer: str, minutes: int) -> None:
        self.town.note(self.by, "talk", employer, minutes=minutes)
