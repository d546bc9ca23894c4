"""The secrets of a desk, in one age file sealed with a passphrase (SPEC, the local store).

``vault.age`` contains one JSON line: ``database`` (the key of the database, and which of the two
files is in use), ``identities`` (one signing seed for each site) and ``seeds`` (the monthly sealing
seeds with their windows). The file is always replaced completely. Later versions no longer contain
destroyed keys, but flash memory, snapshots and disk backups may keep older versions (SPEC
section 11).
"""

import datetime
import secrets
import threading
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from dropbox_app.desk.errors import Damaged, NotSetUp, Unfit
from dropbox_app.desk.storage.atomic_files import Disk
from dropbox_app.protocol import age
from dropbox_app.protocol.encoding import (
    Json,
    b64,
    check_day,
    check_hex,
    from_line,
    to_line,
    unb64,
)
from dropbox_app.protocol.errors import AgeError, FormatError, WrongPassphrase
from dropbox_app.protocol.fields import number_of, object_of, objects_of, one_of, text_of
from dropbox_app.protocol.keys import Seed, SigningKey

NAME = "vault.age"
VERSION = 2
MIN_PASSPHRASE = 16  # characters
CHEAP_FOR_TESTS = 4  # log2 of scrypt's N; offers no protection
USUAL = 18
KEY_SIZE = 32  # bytes of the database's key
FILES = ("desk-a.db", "desk-b.db")  # one of them is the database, and the other its successor
_BOM = "\ufeff"


@dataclass(frozen=True)
class HeldSeed:
    """A sealing seed that the desk still has, and the first and last day of its window."""

    seed: Seed
    first: datetime.date
    until: datetime.date


@dataclass(frozen=True)
class DatabaseKey:
    """The file that contains the database, and the key that opens it."""

    file: str
    key: bytes

    @classmethod
    def generate(cls) -> "DatabaseKey":
        """Return a new key for the first of the two files."""
        return cls(FILES[0], secrets.token_bytes(KEY_SIZE))

    def successor(self) -> "DatabaseKey":
        """Return a new key for the other file."""
        return DatabaseKey(FILES[1 - FILES.index(self.file)], secrets.token_bytes(KEY_SIZE))


def tidy(passphrase: str) -> str:
    """Return a passphrase in the current form: NFC, without a byte order mark or a line ending.

    The same words then give the same key, whether they are typed, come from a Mac, or are read from
    a file saved by Notepad.
    """
    return unicodedata.normalize("NFC", passphrase.removeprefix(_BOM).rstrip("\r\n"))


def check_passphrase(passphrase: str) -> None:
    """Raise Unfit if a passphrase is too short to protect the desk."""
    length = len(tidy(passphrase))
    if length < MIN_PASSPHRASE:
        raise Unfit(
            f"The passphrase has {length} characters; it needs at least {MIN_PASSPHRASE}. "
            "Five words drawn by dice are easy to keep in mind and long enough."
        )


def forms(passphrase: str) -> list[str]:
    """Return the forms of a passphrase that versions of the desk have used, newest first."""
    plain = passphrase.removeprefix(_BOM).rstrip("\r\n")
    found = [tidy(passphrase), plain, unicodedata.normalize("NFD", plain), passphrase]
    found += [_BOM + plain, _BOM + tidy(passphrase)]
    return list(dict.fromkeys(found))


class Vault:
    """The opened vault. Changes are written only by ``save``.

    ``archive`` is the static key of a desk of the first format, and None for later formats.
    """

    def __init__(self, disk: Disk, passphrase: str, database: DatabaseKey, log_n: int) -> None:
        self._disk = disk
        self._passphrase = passphrase
        self._log_n = log_n
        self._saving = threading.RLock()
        self.database = database
        self.archive: Seed | None = None
        self._identities: dict[str, SigningKey] = {}
        self._seeds: dict[str, list[HeldSeed]] = {}

    @classmethod
    def create(cls, disk: Disk, passphrase: str, *, log_n: int = USUAL) -> "Vault":
        """Return a new vault in memory; ``save(once=True)`` writes it. Raises Unfit."""
        check_passphrase(passphrase)
        return cls(disk, tidy(passphrase), DatabaseKey.generate(), log_n)

    @classmethod
    def open(cls, disk: Disk, passphrase: str, *, log_n: int = USUAL) -> "Vault":
        """Open the vault of a desk. Raises NotSetUp, WrongPassphrase or Damaged.

        A vault that opens with an older form of the passphrase is sealed again with the current
        form.
        """
        try:
            sealed = disk.read(NAME)
        except FileNotFoundError:
            raise NotSetUp(
                f"There is no desk in {disk.root}; make one with 'klankbord-desk init INVITATION', "
                "or name its folder with --dir."
            ) from None
        try:
            line, form = _first_that_opens(
                passphrase, lambda form: age.open_with_passphrase(sealed, form)
            )
            vault = cls._read(disk, tidy(passphrase), from_line(line), log_n)
        except WrongPassphrase:
            raise WrongPassphrase("The passphrase does not fit this desk; try again.") from None
        except (AgeError, FormatError) as error:
            raise Damaged(
                f"{disk.path(NAME)} is damaged ({error}); restore the desk from its backup."
            ) from None
        if form != tidy(passphrase) and vault.archive is None:
            vault.save()
        return vault

    def save(self, *, once: bool = False) -> None:
        """Write the vault completely. The vault is on disk before the function returns."""
        with self._saving:
            line = to_line(
                {
                    "v": VERSION,
                    "database": {"file": self.database.file, "key": b64(self.database.key)},
                    "identities": [
                        {"site": site, "signing": b64(key.seed)}
                        for site, key in sorted(self._identities.items())
                    ],
                    "seeds": [
                        {
                            "site": site,
                            "seed": held.seed.reveal(),
                            "from": held.first.isoformat(),
                            "until": held.until.isoformat(),
                        }
                        for site, seeds in sorted(self._seeds.items())
                        for held in seeds
                    ],
                }
            )
            sealed = age.seal_with_passphrase(line, self._passphrase, self._log_n)
            self._disk.write(NAME, sealed, once=once)

    def change_passphrase(self, new: str) -> None:
        """Set another passphrase, which ``save`` then uses. Raises Unfit."""
        check_passphrase(new)
        self._passphrase = tidy(new)

    @property
    def sites(self) -> tuple[str, ...]:
        """Return the sites for which this desk has an identity."""
        return tuple(sorted(self._identities))

    def signing(self, site: str) -> SigningKey:
        """Return the identity for a site. Raises NotSetUp."""
        try:
            return self._identities[site]
        except KeyError:
            raise NotSetUp("This desk has no identity for that site.") from None

    def seeds(self, site: str) -> tuple[HeldSeed, ...]:
        """Return the remaining sealing seeds for a site, oldest first."""
        return tuple(sorted(self._seeds.get(site, ()), key=lambda held: held.first))

    def fits(self, passphrase: str) -> bool:
        """Return whether the vault is sealed with this passphrase."""
        return secrets.compare_digest(tidy(passphrase).encode(), self._passphrase.encode())

    def openers(self, site: str) -> list[Seed]:
        """Return the seeds that may open an item as received from a site, newest first."""
        return [held.seed for held in reversed(self.seeds(site))]

    def join(self, site: str) -> SigningKey:
        """Return the identity for a site; create it if missing. No two sites share an identity."""
        with self._saving:
            return self._identities.setdefault(check_hex(site, 16), SigningKey.generate())

    def hold(self, site: str, seeds: Iterable[HeldSeed]) -> None:
        """Add new sealing seeds for a site."""
        with self._saving:
            self._seeds.setdefault(site, []).extend(seeds)

    def destroy(self, site: str, doomed: Sequence[HeldSeed]) -> None:
        """Remove seeds. The seeds are destroyed once ``save`` has returned."""
        with self._saving:
            self._seeds[site] = [held for held in self.seeds(site) if held not in doomed]

    def backup(self, write: Callable[[bytes], object]) -> age.PassphraseSealer:
        """Return a sealer that seals a backup in pieces, all with the vault's passphrase."""
        return age.PassphraseSealer(write, self._passphrase, self._log_n)

    @classmethod
    def _read(cls, disk: Disk, passphrase: str, fields: dict[str, Json], log_n: int) -> "Vault":
        version = number_of(fields, "v")
        if version not in (1, VERSION):
            raise FormatError("it was written by a newer version")
        if version == 1:
            vault = cls(disk, passphrase, DatabaseKey.generate(), log_n)
            vault.archive = Seed.parse(text_of(fields, "archive"))
        else:
            held = object_of(fields, "database")
            key = DatabaseKey(one_of(held, "file", FILES), unb64(text_of(held, "key"), KEY_SIZE))
            vault = cls(disk, passphrase, key, log_n)
        for entry in objects_of(fields, "identities"):
            site = check_hex(text_of(entry, "site"), 16)
            vault._identities[site] = SigningKey(unb64(text_of(entry, "signing"), 32))
        for entry in objects_of(fields, "seeds"):
            seed = HeldSeed(
                Seed.parse(text_of(entry, "seed")),
                check_day(text_of(entry, "from")),
                check_day(text_of(entry, "until")),
            )
            vault.hold(check_hex(text_of(entry, "site"), 16), [seed])
        return vault


def open_backup(read: Callable[[int], bytes], passphrase: str) -> Iterator[bytes]:
    """Yield the contents of a backup in pieces. Raises WrongPassphrase or Damaged."""
    try:
        yield from age.open_chunks_with_passphrase(read, passphrase)
    except WrongPassphrase:
        raise WrongPassphrase("The passphrase does not fit this backup; try again.") from None
    except AgeError as error:
        raise Damaged(f"This is no backup of a desk, or it is damaged ({error}).") from None


def _first_that_opens(passphrase: str, try_one: Callable[[str], bytes]) -> tuple[bytes, str]:
    """Try the forms of a passphrase; return the contents, and the form that worked."""
    tried = forms(passphrase)
    for form in tried[:-1]:
        try:
            return try_one(form), form
        except WrongPassphrase:
            continue
    return try_one(tried[-1]), tried[-1]
