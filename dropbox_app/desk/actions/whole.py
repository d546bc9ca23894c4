"""Actions on the desk as a whole: change of passphrase; backup and restore are in ``backup.py``."""

from dropbox_app.desk.folder import Workplace


def change_passphrase(place: Workplace, new: str) -> None:
    """Seal the vault with another passphrase, and give the database another key. Raises Unfit.

    So what an older copy of the vault opens with the older passphrase is only as old as that copy.
    Backups that were made before keep their passphrase.
    """
    place.vault.change_passphrase(new)
    place.database.rewrite(place.vault)  # writes the vault too
