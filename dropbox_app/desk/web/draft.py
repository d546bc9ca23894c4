"""Forms that arrive while the desk is locked, sealed until it is open again.

The key pair for the forms is created each time the desk is opened, unless a form is still waiting.
The secret half is kept only in the desk's database, so nobody can read these forms without the
passphrase.
"""

import json
from dataclasses import dataclass

from dropbox_app.desk.folder import Workplace
from dropbox_app.desk.storage import notebook
from dropbox_app.protocol import age
from dropbox_app.protocol.errors import KlankbordError
from dropbox_app.protocol.keys import Recipient, Seed

MOST = 8  # forms that can wait at once, each for its own page; the oldest is dropped

_SETTING = "draft_key"


@dataclass(frozen=True)
class Form:
    """A form of a conversation or of the register: its name and its fields."""

    name: str
    fields: dict[str, str]


class Draft:
    """The waiting forms, one for each conversation or address of a page."""

    def __init__(self) -> None:
        self._sealed: dict[str, bytes] = {}  # the newest last
        self._recipient: Recipient | None = None

    @property
    def handle(self) -> str:
        """Return the conversation or address of the newest form; "" if none is waiting."""
        return next(reversed(self._sealed), "")

    def prepare(self, place: Workplace) -> None:
        """Create a new key pair for a desk that was just opened, unless a form is still waiting."""
        if self._sealed:
            return
        seed = Seed.generate()
        notebook.keep_setting(place.database, _SETTING, seed.reveal())
        self._recipient = seed.recipient()

    def keep(self, handle: str, form: Form) -> None:
        """Seal a form, which replaces an earlier form of the same page.

        Before the first ``prepare``, no form is kept.
        """
        if self._recipient is None:
            return
        written = json.dumps([form.name, form.fields]).encode()
        self._sealed.pop(handle, None)
        self._sealed[handle] = age.seal(written, [self._recipient])
        if len(self._sealed) > MOST:
            del self._sealed[next(iter(self._sealed))]

    def take(self, place: Workplace, handle: str) -> Form | None:
        """Remove and return the form that is waiting for a conversation or an address."""
        sealed = self._sealed.pop(handle, None)
        if sealed is None:
            return None
        try:
            seed = Seed.parse(notebook.settings(place.database).get(_SETTING, ""))
            written = age.open_sealed(sealed, [seed])
        except KlankbordError:
            return None  # another desk was put into the folder meanwhile
        name, fields = json.loads(written)
        return Form(name, fields)
