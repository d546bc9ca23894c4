"""The secrets of a desk, in one age file under a passphrase (SPEC, the local store).

``vault.age`` holds one JSON line: ``archive`` (the key of the local store), ``identities`` (one
signing seed per site) and ``seeds`` (the monthly sealing seeds with their windows). It is always
replaced whole. What was destroyed is in no later version of it; flash memory, snapshots and
backups of the disk may keep older ones (SPEC section 11).
"""

import datetime
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
from dropbox_app.protocol.fields import number_of, objects_of, text_of
from dropbox_app.protocol.keys import Seed, SigningKey

NAME = "vault.age"
MIN_PASSPHRASE = 16  # characters
CHEAP_FOR_TESTS = 4  # log2 of scrypt's N; protects nothing
USUAL = 18


@dataclass(frozen=True)
class HeldSeed:
    """A sealing seed that the desk still has, and the days of its window, both included."""

    seed: Seed
    first: datetime.date
    until: datetime.date


def check_passphrase(passphrase: str) -> None:
    """Raise Unfit for a passphrase that is too short to protect what it is for."""
    if len(passphrase) < MIN_PASSPHRASE:
        raise Unfit(
            f"The passphrase has {len(passphrase)} characters; it needs at least {MIN_PASSPHRASE}. "
            "Five words drawn by dice are easy to keep in mind and long enough."
        )


class Vault:
    """The opened vault. Changes are kept by ``save`` alone."""

    def __init__(self, disk: Disk, passphrase: str, archive: Seed, log_n: int) -> None:
        self._disk = disk
        self._passphrase = passphrase
        self._log_n = log_n
        self.archive = archive
        self._identities: dict[str, SigningKey] = {}
        self._seeds: dict[str, list[HeldSeed]] = {}

    @classmethod
    def create(cls, disk: Disk, passphrase: str, *, log_n: int = USUAL) -> "Vault":
        """A new vault in memory, with a new archive key; ``save(once=True)`` writes it."""
        check_passphrase(passphrase)
        return cls(disk, passphrase, Seed.generate(), log_n)

    @classmethod
    def open(cls, disk: Disk, passphrase: str, *, log_n: int = USUAL) -> "Vault":
        """Open the vault of a desk. Raises NotSetUp, WrongPassphrase or Damaged."""
        try:
            sealed = disk.read(NAME)
        except FileNotFoundError:
            raise NotSetUp(
                f"There is no desk in {disk.root}; make one with 'klankbord-desk init INVITATION', "
                "or name its folder with --dir."
            ) from None
        try:
            fields = from_line(age.open_with_passphrase(sealed, passphrase))
            return cls._read(disk, passphrase, fields, log_n)
        except WrongPassphrase:
            raise WrongPassphrase("The passphrase does not fit this desk; try again.") from None
        except (AgeError, FormatError) as error:
            raise Damaged(
                f"{disk.path(NAME)} is damaged ({error}); restore the desk from its backup."
            ) from None

    def save(self, *, once: bool = False) -> None:
        """Write the vault: safe on disk, whole, before this returns."""
        line = to_line(
            {
                "v": 1,
                "archive": self.archive.reveal(),
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

    @property
    def sites(self) -> tuple[str, ...]:
        """The sites that this desk has an identity for."""
        return tuple(sorted(self._identities))

    def signing(self, site: str) -> SigningKey:
        """The identity for a site. Raises NotSetUp."""
        try:
            return self._identities[site]
        except KeyError:
            raise NotSetUp("This desk has no identity for that site.") from None

    def seeds(self, site: str) -> tuple[HeldSeed, ...]:
        """The sealing seeds for a site that are still there, oldest first."""
        return tuple(sorted(self._seeds.get(site, ()), key=lambda held: held.first))

    def openers(self, site: str) -> list[Seed]:
        """All that may open an item of a site: its seeds, the newest first, and the archive's."""
        return [*(held.seed for held in reversed(self.seeds(site))), self.archive]

    def join(self, site: str) -> SigningKey:
        """The identity for a site, a new one if there is none: never one for two sites."""
        return self._identities.setdefault(check_hex(site, 16), SigningKey.generate())

    def hold(self, site: str, seeds: Iterable[HeldSeed]) -> None:
        """Take new sealing seeds for a site."""
        self._seeds.setdefault(site, []).extend(seeds)

    def destroy(self, site: str, doomed: Sequence[HeldSeed]) -> None:
        """Take seeds out; they are gone once ``save`` has returned."""
        self._seeds[site] = [held for held in self.seeds(site) if held not in doomed]

    def backup(self, write: Callable[[bytes], object]) -> age.PassphraseSealer:
        """What seals the contents of a backup, in pieces, under the same passphrase."""
        return age.PassphraseSealer(write, self._passphrase, self._log_n)

    @classmethod
    def _read(cls, disk: Disk, passphrase: str, fields: dict[str, Json], log_n: int) -> "Vault":
        if number_of(fields, "v") != 1:
            raise FormatError("it was written by a newer version")
        vault = cls(disk, passphrase, Seed.parse(text_of(fields, "archive")), log_n)
        for entry in objects_of(fields, "identities"):
            site = check_hex(text_of(entry, "site"), 16)
            vault._identities[site] = SigningKey(unb64(text_of(entry, "signing"), 32))
        for entry in objects_of(fields, "seeds"):
            held = HeldSeed(
                Seed.parse(text_of(entry, "seed")),
                check_day(text_of(entry, "from")),
                check_day(text_of(entry, "until")),
            )
            vault.hold(check_hex(text_of(entry, "site"), 16), [held])
        return vault


def open_backup(read: Callable[[int], bytes], passphrase: str) -> Iterator[bytes]:
    """The contents of a backup, in pieces; whole only at the end. WrongPassphrase or Damaged."""
    try:
        yield from age.open_chunks_with_passphrase(read, passphrase)
    except WrongPassphrase:
        raise WrongPassphrase("The passphrase does not fit this backup; try again.") from None
    except AgeError as error:
        raise Damaged(f"This is no backup of a desk, or it is damaged ({error}).") from None
