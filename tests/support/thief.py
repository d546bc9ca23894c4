"""A thief with a desk's folder and passphrase, and everything that these reveal."""

import base64
import json
import re
from collections.abc import Iterator
from pathlib import Path

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from sqlcipher3 import dbapi2 as sqlcipher  # type: ignore[import-untyped] # as the standard sqlite3

from dropbox_app.protocol import age
from dropbox_app.protocol.age_header import FILE_KEY_SIZE
from dropbox_app.protocol.errors import AgeError
from dropbox_app.protocol.keys import Seed

PAGE = 4096  # bytes of a page of SQLCipher 4; its last 80 are the vector (16) and the HMAC (64)
RESERVED = 80


class Thief:
    """Everything that a folder and a passphrase reveal. ``vaults``: additional vault files."""

    def __init__(self, folder: Path, passphrase: str, *vaults: bytes) -> None:
        self.files = [path.read_bytes() for path in folder.rglob("*") if path.is_file()]
        self.opened: list[bytes] = []
        for one in [*self.files, *vaults]:
            if one.startswith(b"age-encryption.org/v1\n-> scrypt"):
                self.opened.append(age.open_with_passphrase(one, passphrase))
        self._vaults = len(self.opened)
        self.file_keys: list[bytes] = []
        self.pages = b""
        for key in list(self.vault_keys()):
            for path in folder.rglob("*.db"):
                self._read(path, key)
        self._follow()

    def vault_keys(self) -> Iterator[bytes]:
        """Yield the database keys in the opened vaults."""
        for line in self.opened[: self._vaults]:
            database = json.loads(line).get("database")
            if database:
                yield base64.b64decode(database["key"])

    def _read(self, path: Path, key: bytes) -> None:
        connection = sqlcipher.connect(str(path))
        try:
            connection.execute("PRAGMA cipher_log_level = NONE").fetchall()
            connection.execute(f"PRAGMA key = \"x'{key.hex()}'\"").fetchall()
            tables = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
            for (table,) in tables.fetchall():
                for row in connection.execute(f'SELECT * FROM "{table}"').fetchall():  # noqa: S608 - names read from the database itself
                    values = [v.encode() if isinstance(v, str) else v for v in row]
                    self.opened += [v for v in values if isinstance(v, bytes)]
            keys = connection.execute("SELECT file_key FROM opened WHERE file_key IS NOT NULL")
            self.file_keys += [one for (one,) in keys.fetchall()]
        except sqlcipher.DatabaseError:
            return  # the key does not fit this file
        finally:
            connection.close()
        self.pages += decrypted(path.read_bytes(), key)

    def _follow(self) -> None:
        """Search every file with the keys found, until no more are found."""
        self.seeds: dict[str, Seed] = {}
        while True:
            found = {
                text.decode()
                for one in self.opened
                for text in re.findall(rb"AGE-SECRET-KEY-PQ-1[0-9A-Z]+", one)
            } - set(self.seeds)
            if not found:
                return
            self.seeds |= {text: Seed.parse(text) for text in found}
            self.opened += self.opens(one for one in self.files if one.startswith(b"age-"))

    def opens(self, sealed: Iterator[bytes] | list[bytes]) -> list[bytes]:
        """Return the contents of the files in ``sealed`` that a stolen seed or file key opens."""
        return [one for one in map(self._open, sealed) if one is not None]

    def knows(self, text: str) -> bool:
        """Return whether a text appears anywhere in the data found."""
        wanted = text.encode()
        return any(wanted in one for one in (*self.files, *self.opened, self.pages))

    def _open(self, sealed: bytes) -> bytes | None:
        try:
            return age.open_sealed(sealed, [*self.seeds.values()])
        except AgeError:
            pass
        for key in self.file_keys:
            parts: list[bytes] = []
            at = 0

            def read(size: int) -> bytes:
                nonlocal at
                at += size
                return sealed[at - size : at]

            try:
                age.open_with_file_key(read, parts.append, key)
            except AgeError:
                continue
            return b"".join(parts)
        return None


def decrypted(raw: bytes, key: bytes) -> bytes:
    """Return every page of a database file decrypted, including freed ones."""
    assert len(key) != FILE_KEY_SIZE
    pages = []
    for start in range(0, len(raw), PAGE):
        page = raw[start : start + PAGE]
        vector = page[-RESERVED : -RESERVED + 16]
        sealed = page[16 if start == 0 else 0 : -RESERVED]  # the first begins with the salt
        aes = Cipher(algorithms.AES(key), modes.CBC(vector)).decryptor()
        pages.append(aes.update(sealed) + aes.finalize())
    return b"".join(pages)
