"""The files of a thread: list them, compare them with the signed entries, send the desk's own.

A verified message defines a file: its id is the hash of the sealed file, and its size is signed
(SPEC section 4). The content passes through memory only in chunks. The content is used only after
all of it was read and authenticated.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from dropbox_app.desk.errors import NotFound, Unfit
from dropbox_app.desk.session import Desk
from dropbox_app.desk.storage.incoming import WrongFile
from dropbox_app.desk.storage.state import Sent
from dropbox_app.desk.threads.open_thread import LEAST_PREFIX, Case
from dropbox_app.desk.untrusted_files.inspect import Findings, inspect
from dropbox_app.protocol.attachment import contents
from dropbox_app.protocol.errors import AgeError, FormatError, NoMatch
from dropbox_app.protocol.keys import Recipient
from dropbox_app.protocol.messages import MAX_FILES, Attachment, Message

MIB = 1024 * 1024
DEFAULT_LIMIT = 100 * MIB  # bytes of a file, if the site states no limit

# The description of a file in each state.
SAID = {
    "here": "here",
    "waiting": "here, not sent yet",
    "missing": "MISSING: the signed message names it, and it did not come; it may have been "
    "removed at the end of its term, or withheld",
    "withheld": "WITHHELD: the server lists it and does not hand it over",
    "swapped": "NOT HERE: the server handed over something else in its place, or not all of it",
    "lost": "its file is missing from this disk",
    "altered": "ALTERED: the file on this disk is not the one that was received",
    "closed": "none of your keys opens it; the key may have been destroyed or not be in a backup",
    "damaged": "DAMAGED BEFORE IT WAS SENT: its sealed file is not whole",
    "other_size": "NOT AS SIGNED: its length or its padding is not what the message says",
    "elsewhere": "not here: it was sent to an earlier counsellor, and files are not passed on",
    "added": "ADDED: no message that could be verified names it. The server put it there, or it is "
    "left from a message that was never sent. It is not opened",
    "early": "no message names it yet",
}
READY = ("here", "waiting")


@dataclass(frozen=True)
class CaseFile:
    """One file of a thread. ``attachment`` is its entry in the signed message, if any."""

    item: str
    state: str
    attachment: Attachment | None = None
    message: Message | None = None
    size: int = 0  # of the sealed file, according to the server

    @property
    def short(self) -> str:
        """Return enough characters of the id to identify the file."""
        return self.item[:LEAST_PREFIX]


@dataclass(frozen=True)
class Source:
    """A file to be sent. ``pieces`` starts from the beginning each time."""

    name: str
    type: str
    size: int
    pieces: Callable[[], Iterator[bytes]]


def of_case(case: Case) -> list[CaseFile]:
    """Return the files of a thread in the order of messages, then those that no message names.

    No file is opened. ``check`` verifies the files that are stored here.
    """
    found: dict[str, CaseFile] = {}
    for entry in case.entries:
        message = entry.message
        if message is not None and (entry.genuine or entry.reason == "not_sent"):
            for file in message.attachments:
                state = _presence(case, file.sha256, passed_on=entry.passed_on)
                found.setdefault(file.sha256, CaseFile(file.sha256, state, file, message))
    passed_on = {message.thread for message in case.thread.genuine()}
    for item in case.items.values():
        if item.what != "attachment" or item.id in found or item.id in passed_on:
            continue
        newest = case.thread.newest.get(item.server_says)
        came = newest is not None and newest.n >= item.n
        found[item.id] = CaseFile(item.id, "added" if came else "early", size=item.size)
    return [*found.values()]


def find(case: Case, name: str) -> CaseFile:
    """Return the file with the given id, or a unique prefix of it. Raises NotFound."""
    given = name.strip().lower()
    if len(given) < LEAST_PREFIX:
        raise NotFound(f"Give at least {LEAST_PREFIX} characters of the file's id; see 'files'.")
    found = [file for file in of_case(case) if file.item.startswith(given)]
    if len(found) != 1:
        raise NotFound(
            f"{'No' if not found else 'More than one'} file of this thread begins like that; "
            "'files' shows them."
        )
    return found[0]


def check(desk: Desk, file: CaseFile) -> tuple[CaseFile, Findings | None]:
    """Read a whole file; return it with its state, and the findings."""
    if file.state not in READY or file.attachment is None:
        return file, None
    name, declared = file.attachment.name, file.attachment.type
    try:
        return file, inspect(pieces(desk, file), name, declared)
    except FileNotFoundError:
        state = "lost"
    except WrongFile:
        state = "altered"
    except NoMatch:
        state = "closed"
    except AgeError:
        state = "damaged"
    except FormatError:
        state = "other_size"
    return replace(file, state=state), None


def usable(desk: Desk, case: Case, name: str) -> tuple[CaseFile, Attachment, Findings]:
    """Return the named file, after checking that it matches the signature.

    Raises NotFound, Unfit.
    """
    file, findings = check(desk, find(case, name))
    if findings is None or file.attachment is None:
        sentence = f"Nothing was written. File {file.short}: {SAID[file.state]}."
        raise Unfit(sentence, "not_whole")
    return file, file.attachment, findings


def pieces(desk: Desk, file: CaseFile) -> Iterator[bytes]:
    """Yield the content in authenticated pieces. After an error, the content is incomplete."""
    if file.attachment is None:
        raise Unfit(f"File {file.short}: {SAID[file.state]}.")
    seeds = desk.vault.openers(desk.state.site)
    return contents(desk.store.opened(file.item, seeds), file.attachment.size)


def _presence(case: Case, item: str, *, passed_on: bool) -> str:
    here = case.items.get(item)
    if here is not None:
        return "waiting" if here.sent in ("waiting", "refused") else "here"
    owed = case.owed.get(item)
    if owed is not None:
        return "swapped" if owed.wrong else "withheld"
    return "elsewhere" if passed_on else "missing"


# Sending.


def check_limits(files: Sequence[Source], limits: Mapping[str, int]) -> None:
    """Check the files against the site's limits before anything is sent. Raises Unfit."""
    most = min(limits.get("files_per_message", MAX_FILES), MAX_FILES)
    size = limits.get("file", DEFAULT_LIMIT)
    if len(files) > most:
        raise Unfit(
            f"A message to this site takes {most} files at most, and you gave {len(files)}. "
            "Nothing was sent.",
            "many_files", most=most, given=len(files),
        )  # fmt: skip
    for file in files:
        if file.size > size:
            raise Unfit(
                f"{file.name} is {file.size:,} bytes; this site takes {size:,} for a file. "
                "Nothing was sent.",
                "large_file", name=file.name, most=size,
            )  # fmt: skip


def seal(
    desk: Desk, files: Iterable[Source], recipients: Sequence[Recipient]
) -> list[tuple[Attachment, int]]:
    """Seal each file into the local store; return each with the length of its sealed file.

    No plaintext reaches the disk. If one file fails, no file is kept.
    """
    made: list[tuple[Attachment, int]] = []
    try:
        for file in files:
            sealed, size = desk.store.seal(file.pieces(), recipients)
            made.append((Attachment(sealed.id, file.name, file.type, size), sealed.size))
    except BaseException:
        desk.store.drop(attachment.sha256 for attachment, _ in made)
        raise
    return made


def again(desk: Desk, message: Message) -> list[Source]:
    """Return the files of one of the desk's messages, to seal them again for other recipients."""

    def opener(file: Attachment) -> Callable[[], Iterator[bytes]]:
        return lambda: pieces(desk, CaseFile(file.sha256, "waiting", file, message))

    return [Source(f.name, f.type, f.size, opener(f)) for f in message.attachments]


def placeholders(files: Sequence[Source]) -> list[Attachment]:
    """Return placeholder entries, to find out whether a message becomes too long."""
    return [Attachment(f"{n:064x}", f.name, f.type, f.size) for n, f in enumerate(files)]


def put(desk: Desk, mailbox: str, message: Message) -> bool:
    """Send the files of a message; return whether all of them are still stored. Raises Refused."""
    for file in message.attachments:
        sealed = desk.store.sealed(file.sha256)
        if sealed is None:
            return False
        desk.courier.put_file(mailbox, sealed)
    return True


def mark(desk: Desk, message: Message, sent: Sent) -> None:
    """Record the state of one of the desk's own messages on its files."""
    for file in message.attachments:
        item = desk.state.items.get(file.sha256)
        if item is not None:
            item.sent, item.fetched = sent, sent == "sent"
