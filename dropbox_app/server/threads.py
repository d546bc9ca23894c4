"""Who gets a thread next: circuits take turns, and within a circuit who came first.

Posts stretch codes and wait for their turn; a page of a session can be as long as its conversation.
Both have threads of their own and bounded queues, so that beside them the pages that everybody
reads stay as quick as ever. In each line one circuit of Tor has one thread at a time and a few
places: whatever it asks for, it waits for itself. A circuit that has nothing in the line yet gets
its turn, whatever the others have there. Who came by no circuit, through a web server, is one of
many, and all of them together have one turn like a circuit's, but every thread that is free.
"""

from collections import OrderedDict, deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from dropbox_app.server.circuits import NO_CIRCUIT
from dropbox_app.server.reporter.kdf_limiter import PLACES

OF_ONE = 8  # places in a line for one circuit; a browser asks for two or three things at once
# Circuits that have a place for one request each, however many places the others took. While much
# waits a request is hardly longer than 64 KiB (see ``worker``): these together are some 16 MiB.
CIRCUITS = 256


class Line:
    """Of one worker, used in its loop and so without a lock.

    Circuits together have ``places``, and so have those without; None is room for all. A circuit
    of which nothing waits needs none of them: else a few could fill the line for everybody.
    """

    def __init__(self, pool: ThreadPoolExecutor, threads: int, places: int | None = PLACES) -> None:
        self.pool = pool
        self._free = threads
        self._places = places
        # Those that wait, by their circuit; who had a thread longest ago comes first
        self._rows: OrderedDict[bytes, deque[Callable[[], object]]] = OrderedDict()
        self._inside: set[bytes] = set()  # circuits with a thread

    def enter(self, circuit: bytes, begin: Callable[[], object]) -> bool:
        """Call ``begin`` when there is a thread for it, perhaps at once; False if there is no place
        to wait in. Whoever began has to leave."""
        if (not self._free or circuit in self._inside) and not self._room(circuit):
            return False
        self._rows.setdefault(circuit, deque()).append(begin)
        self._go_on()
        return True

    def leave(self, circuit: bytes) -> None:
        """A thread is free again."""
        self._free += 1
        if circuit in self._inside:
            self._inside.remove(circuit)
            if circuit in self._rows:
                self._rows.move_to_end(circuit)
        self._go_on()

    def _room(self, circuit: bytes) -> bool:
        if self._places is None:
            return True
        if circuit == NO_CIRCUIT:
            return len(self._rows.get(circuit, ())) < self._places
        rows = [len(row) for of, row in self._rows.items() if of != NO_CIRCUIT]
        if circuit not in self._rows:
            return len(rows) < CIRCUITS
        return sum(rows) < self._places and len(self._rows[circuit]) < OF_ONE

    def _go_on(self) -> None:
        while self._free:
            circuit = next((one for one in self._rows if one not in self._inside), None)
            if circuit is None:
                return
            row = self._rows.pop(circuit)
            begin = row.popleft()
            if row:
                self._rows[circuit] = row  # behind the others
            if circuit != NO_CIRCUIT:
                self._inside.add(circuit)
            self._free -= 1
            begin()
