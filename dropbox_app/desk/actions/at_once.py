"""Run work for several sites at the same time, so that no site delays another."""

import contextlib
import threading
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from queue import Empty, SimpleQueue
from typing import TypeVar

from dropbox_app.desk.session import Desk

AT_ONCE = 25  # sites at the same time
TOLD_EVERY = 10.0  # seconds between reports of the unfinished sites
_MOMENT = 0.5  # seconds; on Windows, Ctrl-C does not interrupt longer waits

T = TypeVar("T")


def for_each(
    desks: Sequence[Desk],
    work: Callable[[Desk], T],
    waiting: Callable[[Collection[str]], object] = lambda _: None,
) -> Iterator[T]:
    """Run ``work`` for each desk in its own thread, and yield each result as it arrives.

    ``waiting`` is called with the employers whose work is unfinished whenever ``TOLD_EVERY``
    seconds have passed without a result. An exception in ``work`` is raised here once all threads
    have finished. Ctrl-C ends the wait, and the threads end with the program. The desk's process
    can safely be killed at any time.
    """
    todo: SimpleQueue[Desk] = SimpleQueue()
    came: SimpleQueue[tuple[Desk, T | None, BaseException | None]] = SimpleQueue()

    def run() -> None:
        with contextlib.suppress(Empty):
            while True:
                desk = todo.get_nowait()
                try:
                    came.put((desk, work(desk), None))
                except BaseException as error:  # the caller's thread raises it
                    came.put((desk, None, error))

    for desk in desks:
        todo.put(desk)
    for _ in range(min(AT_ONCE, len(desks))):
        threading.Thread(target=run, name="site", daemon=True).start()
    left = {desk.state.site: desk.state.name for desk in desks}
    faults: list[BaseException] = []
    last = time.monotonic()
    while left:
        try:
            desk, result, fault = came.get(timeout=min(_MOMENT, TOLD_EVERY))
        except Empty:
            if time.monotonic() - last >= TOLD_EVERY:
                waiting(sorted(left.values()))
                last = time.monotonic()
            continue
        last = time.monotonic()
        del left[desk.state.site]
        if fault is not None:
            faults.append(fault)
        else:
            yield result  # type: ignore[misc] # a result exists if nothing was raised
    if faults:
        raise faults[0]
