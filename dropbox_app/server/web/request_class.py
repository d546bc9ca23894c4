"""The app's request class: a form never reaches a disk as plaintext."""

from flask import Request, abort
from werkzeug.datastructures import FileStorage, ImmutableMultiDict
from werkzeug.exceptions import UnsupportedMediaType

from dropbox_app.server.web.uploads import FormsOnly


class PlainRequest(Request):
    """A request whose form stays in memory.

    That view uses ``uploads.read_form`` and leaves the fields in ``fields_with_files``. Nothing
    else reads such a form: werkzeug would write the files to a disk, unencrypted, before any check.
    """

    form_data_parser_class = FormsOnly
    fields_with_files: ImmutableMultiDict[str, str] | None = None

    @property
    def form(self) -> ImmutableMultiDict[str, str]:
        """The fields. Aborts with 415 for a form with files that no view has read."""
        if not self.mimetype.startswith("multipart/"):
            return super().form
        if self.fields_with_files is None:
            abort(UnsupportedMediaType.code)
        return self.fields_with_files

    @property
    def files(self) -> ImmutableMultiDict[str, FileStorage]:
        """No files. Aborts with 415 for a form with files."""
        if self.mimetype.startswith("multipart/"):
            abort(UnsupportedMediaType.code)
        return super().files
