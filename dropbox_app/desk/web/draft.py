"""A form that arrives while the desk is locked, sealed until the desk is open again.

Its key pair is made each time the desk is opened. The secret half is in the desk's database alone,
so a locked desk holds a form that nobody can read without the passphrase.
"""

import json
from dataclasses import dataclass

from dropbox_app.desk.folder import Workplace
from dropbox_app.desk.storage import notebook
from dropbox_app.protocol import age
from dropbox_app.protocol.errors import KlankbordError
from dropbox_app.protocol.keys import Recipient, Seed

_SETTING = "draft_key"


@dataclass(frozen=True)
class Form:
    """A form of a conversation or of the register: which one, and its fields."""

    name: str
    fields: dict[str, str]


class Draft:
    """The one form that waits. ``handle``: its conversation or address; empty if there is none."""

    def __init__(self) -> None:
        self.handle = ""
        self._sealed = b""
        self._recipient: Recipient | None = None

    def prepare(self, place: Workplace) -> None:
        """Make a new key pair for a desk that was just opened, unless a form still waits."""
        if self._sealed:
            return
        seed = Seed.generate()
        notebook.keep_setting(place.database, _SETTING, seed.reveal())
        self._recipient = seed.recipient()

    def keep(self, handle: str, form: Form) -> None:
        """Seal a form, replacing the one that waits. Before the first ``prepare`` none is kept."""
        if self._recipient is None:
            return
        written = json.dumps([form.name, form.fields]).encode()
        self.handle, self._sealed = handle, age.seal(written, [self._recipient])

    def take(self, place: Workplace, handle: str) -> Form | None:
        """Return the form that waits for a conversation or an address, once."""
        if not self._sealed or handle != self.handle:
            return None
        sealed, self.handle, self._sealed = self._sealed, "", b""
        try:
            seed = Seed.parse(notebook.settings(place.database).get(_SETTING, ""))
            written = age.open_sealed(sealed, [seed])
        except KlankbordError:
            return None  # another desk was put into the folder meanwhile
        name, fields = json.loads(written)
        return Form(name, fields)
