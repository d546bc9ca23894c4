"""An action on the desk as a whole: change the passphrase.

See ``backups.py`` for backup and restore.
"""

from dropbox_app.desk.folder import Workplace


def change_passphrase(place: Workplace, new: str) -> None:
    """Seal the vault with another passphrase and rekey the database. Raises Unfit.

    An older copy of the vault still opens with the old passphrase, but then gives access to nothing
    newer than that copy. Earlier backups keep their passphrase.
    """
    place.vault.change_passphrase(new)
    place.database.rewrite(place.vault)  # also writes the vault
