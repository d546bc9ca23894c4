"""Tables in memory that all worker processes of one server share.

The master creates a table before it forks its workers, and later workers share the same memory. The
table has no name in a file system, is never written to disk and ends with the server.

A worker may be killed at any moment. The lock is a kernel record lock, which is released when its
process ends. An entry that was being written at that moment counts as empty.
"""

import fcntl
import mmap
import os
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager

KEY = 16  # bytes of a key; keys must look random

_HEAD = struct.Struct("=d16s")  # the time until which the entry is valid, and the key
_UNTIL = struct.Struct("=d")


class SharedTable:
    """Entries of one size: a key, the time until which it is valid, and ``value`` bytes.

    A key belongs to one of ``buckets`` groups of ``slots`` entries, so a look-up reads one group.
    Times are in seconds, by a clock that the caller chooses. Threads and processes can share it.
    """

    def __init__(self, buckets: int, slots: int, value: int = 0) -> None:
        self._buckets = buckets
        self._slots = slots
        self._value = value
        self._width = _HEAD.size + value
        self._size = _UNTIL.size + buckets * slots * self._width
        self._file = os.memfd_create("klankbord", os.MFD_CLOEXEC)
        os.ftruncate(self._file, self._size)
        self._memory = mmap.mmap(self._file, self._size)
        self._thread = threading.Lock()

    @contextmanager
    def locked(self) -> Iterator["Rows"]:
        """Hold the table's lock briefly, and yield its entries."""
        with self._thread:
            fcntl.lockf(self._file, fcntl.LOCK_EX)
            try:
                yield Rows(self)
            finally:
                fcntl.lockf(self._file, fcntl.LOCK_UN)

    def close(self) -> None:
        """Release the memory. Call this only for a table that no other process uses."""
        self._memory.close()
        os.close(self._file)

    def bucket_of(self, key: bytes) -> range:
        """Return the positions of the entries in the bucket of ``key``."""
        first = int.from_bytes(key[:8], "big") % self._buckets * self._slots
        begin = _UNTIL.size + first * self._width
        return range(begin, begin + self._slots * self._width, self._width)

    def places(self) -> range:
        """Return the positions of all entries."""
        return range(_UNTIL.size, self._size, self._width)

    def until(self, place: int) -> float:
        """Return the time until which the entry at a position is valid; 0 if it is empty."""
        return float(_UNTIL.unpack_from(self._memory, place)[0])

    def key(self, place: int) -> bytes:
        """Return the key of the entry at a position."""
        return self._memory[place + _UNTIL.size : place + _HEAD.size]

    def value(self, place: int) -> bytes:
        """Return the value of the entry at a position."""
        return self._memory[place + _HEAD.size : place + self._width]

    def write(self, place: int, key: bytes, until: float, value: bytes) -> None:
        """Write an entry. The time is written last, so until then the entry counts as empty."""
        if len(key) != KEY or len(value) != self._value:
            raise ValueError("a key or a value of another size than the table's")
        _UNTIL.pack_into(self._memory, place, 0.0)
        self._memory[place + _UNTIL.size : place + self._width] = key + value
        _UNTIL.pack_into(self._memory, place, until)

    def wipe(self, place: int) -> None:
        """Overwrite the entry at a position with zeros."""
        self._memory[place : place + self._width] = bytes(self._width)

    @property
    def mark(self) -> float:
        """Return the time that belongs to the whole table; initially 0."""
        return self.until(0)

    @mark.setter
    def mark(self, value: float) -> None:
        _UNTIL.pack_into(self._memory, 0, value)


class Rows:
    """The entries of a table, while its lock is held."""

    def __init__(self, table: SharedTable) -> None:
        self._table = table

    def get(self, key: bytes, now: float) -> bytes | None:
        """Return the value of ``key``, or None if it is missing or expired."""
        place = self._find(key)
        return (
            None if place is None or self._table.until(place) <= now else self._table.value(place)
        )

    def put(self, key: bytes, until: float, now: float, value: bytes = b"") -> bool:
        """Write an entry over one with the same key, or over an empty or expired one.

        Returns False if its bucket is full.
        """
        place = self._find(key)
        if place is None:
            free = (p for p in self._table.bucket_of(key) if self._table.until(p) <= now)
            place = next(free, None)
        if place is None:
            return False
        self._table.write(place, key, until, value)
        return True

    def replace_first(self, key: bytes, until: float, value: bytes = b"") -> float:
        """Write an entry over the one in its bucket that expires first.

        Returns the expiry time of the replaced entry. If the new entry expires first, nothing is
        written and its own time is returned.
        """
        first = min(self._table.bucket_of(key), key=self._table.until)
        before = self._table.until(first)
        if until <= before:
            return until
        self._table.write(first, key, until, value)
        return before

    def change(self, key: bytes, value: bytes) -> None:
        """Change the value of an existing entry of ``key``, but not its time."""
        place = self._find(key)
        if place is not None:
            self._table.write(place, key, self._table.until(place), value)

    def drop(self, key: bytes) -> None:
        """Overwrite the entry of ``key`` with zeros, if it exists."""
        place = self._find(key)
        if place is not None:
            self._table.wipe(place)

    def drop_expired(self, now: float) -> None:
        """Overwrite expired entries with zeros."""
        for place in self._table.places():
            if 0 < self._table.until(place) <= now:
                self._table.wipe(place)

    @property
    def mark(self) -> float:
        """Return the table's own time, see ``SharedTable.mark``."""
        return self._table.mark

    @mark.setter
    def mark(self, value: float) -> None:
        self._table.mark = value

    def _find(self, key: bytes) -> int | None:
        table = self._table
        places = table.bucket_of(key)
        return next((p for p in places if table.key(p) == key and table.until(p) > 0), None)
