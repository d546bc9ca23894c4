"""The app's request class, which never writes a form to disk as plaintext."""

from flask import Request, abort
from werkzeug.datastructures import FileStorage, ImmutableMultiDict
from werkzeug.exceptions import UnsupportedMediaType

from dropbox_app.server.web.uploads import FormsOnly


class PlainRequest(Request):
    """A request whose form stays in memory.

    The view for files uses ``uploads.read_form`` and puts the fields in ``fields_with_files``.
    Nothing else reads such a form, because werkzeug would write the files to disk, unencrypted,
    before any check.
    """

    form_data_parser_class = FormsOnly
    fields_with_files: ImmutableMultiDict[str, str] | None = None

    @property
    def form(self) -> ImmutableMultiDict[str, str]:
        """Return the fields. Aborts with 415 for a form with files that no view has read."""
        if not self.mimetype.startswith("multipart/"):
            return super().form
        if self.fields_with_files is None:
            abort(UnsupportedMediaType.code)
        return self.fields_with_files

    @property
    def files(self) -> ImmutableMultiDict[str, FileStorage]:
        """Return no files. Aborts with 415 for a form with files."""
        if self.mimetype.startswith("multipart/"):
            abort(UnsupportedMediaType.code)
        return super().files
