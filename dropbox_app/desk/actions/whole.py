"""The action on the desk as a whole: change of passphrase. Backup and restore: ``backups.py``."""

from dropbox_app.desk.folder import Workplace


def change_passphrase(place: Workplace, new: str) -> None:
    """Seal the vault with another passphrase and rekey the database. Raises Unfit.

    So what an older copy of the vault opens with the older passphrase is only as old as that copy.
    Backups that were made before keep their passphrase.
    """
    place.vault.change_passphrase(new)
    place.database.rewrite(place.vault)  # writes the vault too
