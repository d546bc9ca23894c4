"""The request class of the app: a form that is sent never reaches a disk in the clear."""

from typing import IO

from flask import Request, abort
from werkzeug.exceptions import UnsupportedMediaType
from werkzeug.formparser import FormDataParser

from dropbox_app.server.web.uploads import FieldsFirst, Taking


class PlainRequest(Request):
    """A request whose form stays in memory; a file in it is sealed by ``taking``, or refused."""

    form_data_parser_class = FieldsFirst
    taking: Taking | None = None
    parser: FieldsFirst | None = None

    def make_form_data_parser(self) -> FormDataParser:
        parser = super().make_form_data_parser()
        if isinstance(parser, FieldsFirst):
            self.parser = parser
        return parser

    def _get_file_stream(
        self,
        total_content_length: int | None,
        content_type: str | None,
        filename: str | None = None,
        content_length: int | None = None,
    ) -> IO[bytes]:
        # werkzeug's own would spool what is sent, in the clear, to a file under /tmp.
        if self.taking is None or self.parser is None:
            abort(UnsupportedMediaType.code)
        return self.taking.begin(self.parser.fields, filename or "", content_type or "")
