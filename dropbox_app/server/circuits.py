"""Which of Tor's circuits a connection came by: the line that Tor says before anything else.

Over Tor there are no addresses. What a visitor cannot have many of at no cost is circuits, so those
take turns, see ``threads``. That line is believed at the socket files for Tor, and there a
connection without it is closed; who else can open those could say to be any circuit, and gains no
more by it than others' turns. A circuit is known for as long as a connection of it is open, in
memory, and nowhere else: it would tell which requests are one person's.
"""

import io
import os
import re
from collections import Counter
from collections.abc import Callable, Mapping
from typing import TypeVar

NO_CIRCUIT = b""  # of whoever came another way
# "HiddenServiceExportCircuitID haproxy": version 1 of the PROXY protocol, from an address that Tor
# makes up of the circuit's number.
_LINE = re.compile(
    rb"PROXY TCP6 fc00:dead:beef:4dad::([0-9a-f]{1,4}:[0-9a-f]{1,4}) ::1 [0-9]{1,5} [0-9]{1,5}\r\n"
)
_LONGEST = 107  # bytes, as that protocol has it


T = TypeVar("T")


class NoCircuit(Exception):
    """Whoever came does not say it as Tor does."""


def take(buffer: io.BytesIO) -> bytes | None:
    """Take the line out of what has come. None if it is not whole yet. Raises NoCircuit."""
    start = buffer.getbuffer()[:_LONGEST].tobytes()
    found = _LINE.match(start)
    if found is None:
        if b"\n" in start or len(start) == _LONGEST:
            raise NoCircuit
        return None
    rest = buffer.getvalue()[found.end() :]
    buffer.seek(0)
    buffer.truncate()
    buffer.write(rest)
    buffer.seek(0, os.SEEK_END)
    return found[1]


def first_to_go(held: Mapping[T, int], circuit_of: Callable[[T], bytes]) -> T:
    """Of those of the circuit that holds most: the first. By what each holds, longest there first;
    there must be one."""
    by_circuit: Counter[bytes] = Counter()
    for one, much in held.items():
        by_circuit[circuit_of(one)] += much
    most = max(by_circuit, key=lambda circuit: by_circuit[circuit])
    return next(one for one in held if circuit_of(one) == most)
