"""Uploads: sealed as they arrive, and accepted or rejected before any byte is kept.

The form's fields precede the files. When the first file starts, the fields determine whether files
are accepted. A rejected file is read and discarded, so that the browser receives a response with
the typed text. Every byte of a file is sealed before it reaches a disk, and files that are not sent
in the end are removed.
"""

import contextlib
from collections.abc import Callable, Mapping
from typing import IO, Any, TypeAlias

from werkzeug.datastructures import MultiDict
from werkzeug.exceptions import RequestEntityTooLarge, UnsupportedMediaType
from werkzeug.formparser import FormDataParser
from werkzeug.sansio.multipart import (
    Data,
    Epilogue,
    Field,
    File,
    MultipartDecoder,
    NeedData,
)

from dropbox_app.protocol.attachment import AttachmentSealer
from dropbox_app.protocol.errors import KlankbordError
from dropbox_app.protocol.messages import MAX_FILES, Attachment
from dropbox_app.server.config.settings import Limits
from dropbox_app.server.errors import Refused
from dropbox_app.server.reporter.agent import Addressing, Enclosed
from dropbox_app.server.store.interface import Staged
from dropbox_app.server.web.filenames import clean_name, clean_type

MULTIPART = "multipart/form-data"
# Bytes for all fields together. A text of 60,000 bytes is three times as long when percent-encoded,
# and six times in the case of line ends (%0D%0A). The rest allows a text that is too long to be
# shown again with the reason.
FORM_BYTES = 512 * 1024
DROPPED = 4  # times the limit; this much is read and discarded, so that the response can be a page

_PIECE = 64 * 1024
_PARTS = 100
_LOOK = 16 * 1024 * 1024  # bytes after which the free space is checked again

Fields: TypeAlias = "MultiDict[str, str]"


class FileTooLarge(Refused):
    """This file is too large."""

    def __init__(self, name: str) -> None:
        super().__init__("a file is larger than one may be")
        self.name = name


class TooManyFiles(Refused):
    """There are more files than one message may have."""


class FilesBroken(Refused):
    """The upload of the files was incomplete."""


class NotInSession(Refused):
    """The form does not belong to this session."""


class FormsOnly(FormDataParser):
    """werkzeug's form parser, which here rejects files instead of writing them to disk."""

    def parse(
        self,
        stream: IO[bytes],
        mimetype: str,
        content_length: int | None,
        options: dict[str, str] | None = None,
    ) -> tuple[IO[bytes], MultiDict[str, Any], MultiDict[str, Any]]:
        """Raise UnsupportedMediaType for a form with files, which ``read_form`` reads instead."""
        if mimetype.startswith("multipart/"):
            raise UnsupportedMediaType
        return super().parse(stream, mimetype, content_length, options)


def read_form(stream: IO[bytes], boundary: str, taking: "Taking") -> tuple[Fields, bool]:
    """Read a form with files, and pass each file to ``taking`` while it arrives.

    ``stream`` and ``boundary`` are those of the request. Returns the fields, of at most
    ``FORM_BYTES``, and whether the form is complete. Raises RequestEntityTooLarge for longer
    fields.
    """
    fields: Fields = MultiDict()
    try:
        _read_parts(stream, boundary.encode("ascii"), fields, taking)
    except ValueError:  # the form is malformed or incomplete; the fields so far are kept
        return fields, False
    return fields, True


def _read_parts(stream: IO[bytes], boundary: bytes, fields: Fields, taking: "Taking") -> None:
    if not boundary:
        raise ValueError("no boundary")
    decoder = MultipartDecoder(boundary, FORM_BYTES, max_parts=_PARTS)
    taken = 0
    name = ""
    value = b""
    file: Part | None = None
    while True:
        data = _next(stream)
        decoder.receive_data(data or None)
        event = decoder.next_event()
        while not isinstance(event, Epilogue | NeedData):
            if isinstance(event, Field):
                name, value, file = event.name or "", b"", None
            elif isinstance(event, File):
                kind = event.headers.get("content-type") or ""
                file = taking.begin(fields, event.filename or "", kind)
            elif isinstance(event, Data) and file is not None:
                file.write(event.data)
                if not event.more_data:
                    file.finish()
            elif isinstance(event, Data):
                taken += len(event.data)
                if taken > FORM_BYTES:
                    raise RequestEntityTooLarge
                value += event.data
                if not event.more_data:
                    fields.add(name, value.decode("utf-8", "replace"))
            event = decoder.next_event()
        if not data:
            return


def _next(stream: IO[bytes]) -> bytes:
    try:
        return stream.read(_PIECE)
    except OSError:  # the connection broke, which counts as the end
        return b""


class Taking:
    """The files of one post. As a context manager, it removes files that were not sent.

    ``admit`` receives the fields before the first file. ``admit`` returns the recipients of the
    files, or raises the reason for rejecting them. ``look`` raises if there is no more space.
    ``error`` is the reason why nothing more is accepted. ``reading`` is True while rejected files
    are still read; otherwise reading ends at the first file.
    """

    reading = True

    def __init__(
        self,
        admit: Callable[[Mapping[str, str]], Addressing],
        look: Callable[[Addressing], None],
        stage: Callable[[], Staged],
        limits: Limits,
        unnamed: str,
    ) -> None:
        self.error: KlankbordError | None = None
        self._admit = admit
        self._look = look
        self._stage = stage
        self._limit = limits.file
        self._most = min(limits.files_per_message, MAX_FILES)
        self._unnamed = unnamed
        self._addressing: Addressing | None = None
        self._attachments: list[Attachment] = []
        self._staged: list[Staged] = []
        self._unseen = 0
        self._kept = contextlib.ExitStack()

    def __enter__(self) -> "Taking":
        return self

    def __exit__(self, *_: object) -> None:
        self._kept.close()

    def begin(self, fields: Mapping[str, str], filename: str, content_type: str) -> "Part":
        """Return a writer for one file's bytes. Raises ValueError if no more files are read."""
        if not self.reading:
            self.refuse(TooManyFiles())
            raise ValueError("more than is read, even to be dropped")
        part = Part(self, fields, clean_name(filename, self._unnamed), clean_type(content_type))
        if filename:  # an empty file without a name means that no file was chosen
            part.start()
        return part

    def refuse(self, error: KlankbordError) -> None:
        """Accept no more files, and remove the accepted ones."""
        self.error = self.error or error
        self._kept.close()
        self._attachments.clear()
        self._staged.clear()

    def enclosed(self, after: int) -> Enclosed | None:
        """Return the files that arrived, or None. Do not call this method after an error."""
        if self._addressing is None or not self._attachments:
            return None
        to = self._addressing.to
        return Enclosed(to, tuple(self._attachments), tuple(self._staged), after)

    def open(self, fields: Mapping[str, str]) -> tuple[AttachmentSealer, Staged]:
        """Open the storage for the next sealed file.

        Raises TooManyFiles, or an error of ``admit``.
        """
        if self._addressing is None:
            self._addressing = self._admit(fields)
        if len(self._staged) >= self._most:
            raise TooManyFiles
        staged = self._kept.enter_context(self._stage())
        self._staged.append(staged)
        return AttachmentSealer(staged.write, self._addressing.recipients), staged

    def came(self, size: int, name: str, more: int) -> None:
        """Add ``more`` bytes to the count for a file that is now ``size`` bytes long."""
        if size > self._limit:
            raise FileTooLarge(name)
        self._unseen += more
        if self._unseen >= _LOOK and self._addressing is not None:
            self._unseen = 0
            self._look(self._addressing)

    def keep(self, attachment: Attachment) -> None:
        """Keep a sealed file for the message."""
        self._attachments.append(attachment)


class Part:
    """One file of a form. The file's bytes are sealed or discarded, and cannot be read."""

    def __init__(
        self, taking: Taking, fields: Mapping[str, str], name: str, media_type: str
    ) -> None:
        self._taking = taking
        self._fields = fields
        self._name = name
        self._type = media_type
        self._open: tuple[AttachmentSealer, Staged] | None = None

    def start(self) -> None:
        """Open the storage for the sealed bytes if files are still accepted."""
        if self._taking.error is not None or self._open is not None:
            return
        try:
            self._open = self._taking.open(self._fields)
        except KlankbordError as error:
            self._taking.refuse(error)

    def write(self, data: bytes) -> None:
        """Seal the next bytes, or discard them."""
        if data:
            self.start()
        if self._taking.error is None and self._open is not None:
            sealer, _ = self._open
            try:
                self._taking.came(sealer.size + len(data), self._name, len(data))
                sealer.update(data)
            except KlankbordError as error:
                self._taking.refuse(error)

    def finish(self) -> None:
        """Write the padding and the last chunk."""
        if self._taking.error is None and self._open is not None:
            sealer, staged = self._open
            size = sealer.size
            try:
                sealer.finish()
            except KlankbordError as error:
                self._taking.refuse(error)
            else:
                self._taking.keep(Attachment(staged.digest(), self._name, self._type, size))
