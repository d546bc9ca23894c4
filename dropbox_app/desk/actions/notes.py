"""Private notes on a thread. Notes are never sent, and are deleted with the thread."""

from dropbox_app.desk.actions import threads
from dropbox_app.desk.errors import Unfit
from dropbox_app.desk.folder import Workplace
from dropbox_app.desk.storage import notebook
from dropbox_app.protocol.encoding import clean_text

MAX_NOTE = 20_000  # characters


def note(place: Workplace, name: str, site: str = "") -> str:
    """Return the note on a thread; "" if there is none. Raises NotFound."""
    found, mailbox = threads.locate(place, name, site)
    return notebook.note(place.database, found, mailbox)


def write_note(place: Workplace, name: str, text: str, site: str = "") -> str:
    """Replace the note on a thread. An empty text removes the note.

    Returns the note as stored. Raises NotFound, or Unfit if the text is longer than ``MAX_NOTE``;
    the existing note is then kept.
    """
    kept = clean_text(text).strip()
    if len(kept) > MAX_NOTE:
        raise Unfit(
            f"A note has at most {MAX_NOTE:,} characters; this one has {len(kept):,}. The note "
            "is as it was.",
            "note_long", most=MAX_NOTE, given=len(kept),
        )  # fmt: skip
    found, mailbox = threads.locate(place, name, site)
    notebook.keep_note(place.database, found, mailbox, kept)
    return kept
