"""Imported once by the process that servers are forked from, and by nothing else.

It loads what each server would load at its start.
"""

import gc

from dropbox_app.protocol.retrieval_code import LANGUAGES, word_list
from dropbox_app.server.cli import main, serve
from dropbox_app.server.cli.common import today
from dropbox_app.server.config.languages import ALWAYS
from dropbox_app.server.web.i18n import words
from dropbox_app.server.web.rendering import environment

__all__ = ["main", "serve"]

for _lang in ALWAYS:
    words(_lang).date(today(), today())
for _lang in LANGUAGES:
    word_list(_lang)
for _name in environment().list_templates():
    environment().get_template(_name)
# A fork's garbage collection would copy all of this.
gc.collect()
gc.freeze()
