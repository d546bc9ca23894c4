"""A conversation as the page shows it: genuine messages, and calm sentences about the others.

Pure functions from a thread to lines. A message that failed a check is never attributed to a
person.
"""

import datetime
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from dropbox_app.protocol.encoding import Json
from dropbox_app.protocol.keys import VerifyKey
from dropbox_app.protocol.messages import ANSWERS, REPORTER, Attachment, Message
from dropbox_app.protocol.thread import Entry, Thread
from dropbox_app.server.store.interface import ItemInfo
from dropbox_app.server.web.filenames import clean_name
from dropbox_app.server.web.i18n import Words
from dropbox_app.server.web.view_models.counsellors import People

SHOWN = 4  # the number of newest lines that are never folded
FEWEST = 3  # the smallest number of lines that are worth folding


@dataclass(frozen=True)
class Request:
    """A consent request, and the answers that are now possible."""

    digest: str
    asker: VerifyKey
    step: str
    whom: str
    scope: str
    handover: bool
    successor: str | None
    said: str | None  # the newest answer
    answerable: bool  # whether the asker still gets the reporter's messages and can be written to
    unreachable: bool  # whether the asker would receive them, but cannot be written to now
    turn: str  # the form value that chooses the asker, if the reporter has left that counsellor
    turned_away: bool

    @property
    def short(self) -> str:
        """Return enough of the digest to distinguish the forms of one page."""
        return self.digest[:12]

    @property
    def open(self) -> bool:
        """Return whether an answer is still expected."""
        return self.answerable and self.said in (None, "tell-me-more")

    @property
    def asks(self) -> bool:
        """Return whether the page has a form with the answers."""
        return self.open or self.may_change

    @property
    def stands(self) -> bool:
        """Return whether a yes still applies and can no longer be withdrawn.

        A yes cannot be withdrawn after an agreed handover. A yes to the handover itself does not
        count, because its purpose was to leave that counsellor.
        """
        return self.turned_away and not self.handover and self.said == "yes"

    @property
    def may_take_back(self) -> bool:
        """Return whether an answer can withdraw the yes."""
        return self.answerable and self.said == "yes"

    @property
    def may_change(self) -> bool:
        """Return whether a no or a withdrawn yes can be changed."""
        return self.answerable and self.said in ("no", "withdrawn")


@dataclass(frozen=True)
class Option:
    """One of the options that a counsellor offered."""

    title: str
    pro: str
    con: str


@dataclass(frozen=True)
class ShownFile:
    """A file of a message. ``here``: whether the server has the file, intact or not."""

    id: str
    name: str
    size: str
    here: bool


@dataclass(frozen=True)
class Line:
    """One message, as the page shows it."""

    believed: bool
    mine: bool = False
    name: str = ""
    day: datetime.date | None = None
    text: str = ""
    said: str = ""  # a notice or a consent answer, as a sentence
    notes: tuple[str, ...] = ()
    request: Request | None = None
    options: tuple[Option, ...] = ()
    files: tuple[ShownFile, ...] = ()
    answers: tuple[tuple[str, tuple[str, ...]], ...] = ()
    former: bool = False  # whether the reporter has left this counsellor since
    to: str = ""
    left_out: tuple[str, ...] = ()
    lang: str = ""  # as stated by the author


def folded(lines: Sequence[Line]) -> int:
    """Return how many of the oldest lines may be folded.

    The last SHOWN lines stay visible, and so do all lines from the first that has an open question
    or a doubt.
    """
    older = len(lines) - SHOWN
    for number, line in enumerate(lines):
        asks = line.request is not None and line.request.open
        if number >= older or asks or line.notes or not line.believed:
            return number if number >= FEWEST else 0
    return 0


class Teller:
    """Describes a thread in one language, with the names of the site's counsellors."""

    def __init__(
        self, thread: Thread, people: People, told: Words, items: Sequence[ItemInfo] = ()
    ) -> None:
        self._thread = thread
        self._people = people
        self._told = told
        self._files = [item for item in items if item.what == "attachment"]
        self._requests = {m.digest: m for m in thread.genuine() if m.kind == "consent-request"}

    def name(self, by: str | VerifyKey) -> str:
        """Return the author: the reporter, the name on a card, or "no longer listed"."""
        if by == REPORTER:
            return self._told.say("conversation.by_you")
        identity = by if isinstance(by, VerifyKey) else VerifyKey.parse(by)
        return self._people.called(identity) or self._told.say("word.former")

    def names(self, identities: Sequence[VerifyKey]) -> str:
        """Return several names as a list in a sentence."""
        return self._told.listed(self.each(identities))

    def each(self, identities: Sequence[VerifyKey]) -> list[str]:
        """Return the names, each once; several people may be "no longer listed"."""
        return list(dict.fromkeys(self.name(identity) for identity in identities))

    def lines(self) -> list[Line]:
        """Return a line for each message, in the order of the thread."""
        return [self._line(entry) for entry in self._thread.entries]

    def notes(self) -> list[str]:
        """Return sentences about missing messages and their authors."""
        told = self._told
        found = [
            told.say("conversation.removed", name=self._missed(by))
            for by in self._thread.missing_beginning
        ]
        for by, numbers in self._thread.gaps.items():
            count = len(numbers)
            if by == REPORTER:
                found.append(told.count("conversation.gap_mine", count, count=count))
            else:
                found.append(told.count("conversation.gap", count, count=count, name=self.name(by)))
        found += [
            told.say("conversation.withheld_mine")
            if by == REPORTER
            else told.say("conversation.withheld", name=self.name(by))
            for by in self._thread.withheld
        ]
        if self._unnamed():
            found.append(told.say("files.unnamed_here"))
        return found

    def _unnamed(self) -> bool:
        """Return whether the server has a file that no message names.

        If the message itself is missing, the files that it named are unknown.
        """
        named = {(m.by, m.n): {m.thread} for m in self._thread.genuine()}
        for message in self._thread.genuine():
            named[message.by, message.n] |= {file.sha256 for file in message.attachments}
        return any(
            item.id not in named.get((item.author, item.n), {item.id}) for item in self._files
        )

    def waiting(self) -> bool:
        """Return whether no counsellor has written anything yet."""
        return all(message.by == REPORTER for message in self._thread.genuine())

    def asked(self, digest: str) -> Request | None:
        """Return the consent request with this digest."""
        message = self._requests.get(digest)
        return self._request(message) if message else None

    def _missed(self, by: str) -> str:
        return self._told.say("conversation.from_you") if by == REPORTER else self.name(by)

    def _line(self, entry: Entry) -> Line:
        message = entry.message
        if message is None or not entry.genuine:
            return Line(False, notes=(self._told.say("conversation.unverified"),))
        mine = message.by == REPORTER
        notes = self._doubts(entry, mine)
        if message.thread is not None:
            notes += (self._told.say("conversation.passed_on", counsellor=self.names(message.to)),)
        if not message.known_kind:
            notes += (self._told.say("conversation.newer"),)
        return Line(
            True,
            mine=mine,
            lang=message.lang,
            name=self.name(message.by),
            day=message.day,
            text=message.text,
            said=self._said(message),
            notes=notes,
            request=self._request(message) if message.kind == "consent-request" else None,
            options=tuple(_options(message)),
            files=tuple(self._shown(file) for file in message.attachments),
            answers=tuple(self._answers(message)),
            former=not mine and VerifyKey.parse(message.by) not in self._thread.wanted,
            to=self.names(message.to) if mine else "",
            left_out=tuple(self.name(i) for i in message.wanted if i not in message.to),
        )

    def _shown(self, file: Attachment) -> ShownFile:
        here = any(item.id == file.sha256 for item in self._files)
        name = clean_name(file.name, self._told.say("files.unnamed"))
        return ShownFile(file.sha256, name, self._told.size(file.size), here)

    def _doubts(self, entry: Entry, mine: bool) -> tuple[str, ...]:
        if entry.state != "conflict":
            return ()
        key = "conversation.conflict_mine" if mine else "conversation.conflict"
        return (self._told.say(key),)

    def _said(self, message: Message) -> str:
        """Return a notice, or an answer to a consent request, as a sentence."""
        if message.kind == "notice":
            key = f"notice.{message.body['status']}"
            return self._told.say(key, counsellor=self.name(message.by))
        if message.kind != "consent-answer":
            return ""
        answer = self._told.say(f"consent.{message.body['answer']}")
        asked = self._requests.get(str(message.body["request"]))
        if asked is None:
            return self._told.say("consent.said_unknown", answer=answer)
        return self._told.say("consent.said", counsellor=self.name(asked.by), answer=answer)

    def _request(self, message: Message) -> Request:
        said = self._thread.answers(message.digest)
        successor = message.body.get("successor")
        identity = VerifyKey.parse(str(successor)) if successor else None
        asker = VerifyKey.parse(message.by)
        open_now = {person.identity for person in self._people.open}
        wanted = asker in self._thread.wanted
        asker_open = asker in open_now
        return Request(
            digest=message.digest,
            asker=asker,
            step=str(message.body["step"]),
            whom=str(message.body["with"]),
            scope=str(message.body["scope"]),
            handover=identity is not None,
            successor=self.name(identity) if identity in open_now and identity else None,
            said=str(said[-1].body["answer"]) if said else None,
            answerable=wanted and asker_open,
            unreachable=wanted and not asker_open,
            turn=asker.hex if asker_open else "",
            turned_away=not wanted,
        )

    def _answers(self, message: Message) -> Iterator[tuple[str, tuple[str, ...]]]:
        """Yield the answers to a report's optional questions, omitting unknown ones."""
        given = message.body.get("answers")
        if not isinstance(given, dict):
            return
        for name, (_, known) in ANSWERS.items():
            values = _listed(given.get(name))
            said = tuple(self._told.say(f"{name}.{v}") for v in values if v in known)
            if said:
                yield self._told.say(f"report.{name}"), said


def _listed(value: Json) -> list[str]:
    values = value if isinstance(value, list) else [value]
    return [v for v in values if isinstance(v, str)]


def _options(message: Message) -> Iterator[Option]:
    entries = message.body.get("options")
    for entry in entries if isinstance(entries, list) else ():
        if isinstance(entry, dict):
            yield Option(str(entry["title"]), str(entry["pro"]), str(entry["con"]))
