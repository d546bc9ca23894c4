"""A download's name is a plain file name, whatever the sender called the file."""

import re
from urllib.parse import unquote

from hypothesis import given

from dropbox_app.server.web.filenames import disposition
from tests.support.file_names import assert_only_a_name, names

_FORM = re.compile(r"attachment; filename=\"([^\"]+)\"; filename\*=UTF-8''([A-Za-z0-9%_.~-]+)")


@given(names())
def test_both_forms_of_a_download_name_are_plain_file_names(name: str) -> None:
    found = _FORM.fullmatch(disposition(name, "nameless"))
    assert found
    assert found[1].isascii()
    assert_only_a_name(found[1])
    assert_only_a_name(unquote(found[2], errors="strict"))
