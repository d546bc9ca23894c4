"""Read the page's forms in memory, so that no chosen file reaches a disk as plaintext.

Frameworks put a form's large files in temporary files. Here the files stay in memory until they are
sealed, so the total size of a form is limited.
"""

import io
from collections.abc import Callable
from typing import IO, Any

from flask import Request
from werkzeug.formparser import FormDataParser

MIB = 1024 * 1024
MOST = 256 * MIB  # bytes of one form, files included
MOST_TEXT = 2 * MIB  # bytes of its fields


def in_memory(
    total_content_length: int | None = None,
    content_type: str | None = None,
    filename: str | None = None,
    content_length: int | None = None,
) -> IO[bytes]:
    """Return a buffer for a form's file, with the signature that werkzeug requires."""
    return io.BytesIO()


class FormsInMemory(FormDataParser):
    """werkzeug's form parser, without its temporary files."""

    def __init__(
        self,
        stream_factory: Callable[..., Any] | None = None,
        **options: Any,  # noqa: ANN401 - werkzeug's own limits
    ) -> None:
        super().__init__(in_memory, **options)


class PageRequest(Request):
    """A request whose forms are read in memory."""

    form_data_parser_class = FormsInMemory
