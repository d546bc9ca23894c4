"""The server's own log: a few lines on standard error, without times or anything a visitor sent."""

import logging
import sys
from typing import IO

from dropbox_app.server.errors import visible

logger = logging.getLogger("klankbord")


class OneLine(logging.Formatter):
    """Escapes a name from a folder, so that a terminal obeys nothing in it."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the record as one line, escaped."""
        return visible(super().format(record))


def set_up_logging(stream: IO[str] | None = None) -> None:
    """Write this logger's warnings to ``stream`` (standard error), and to no other handler."""
    if not logger.handlers:
        handler = logging.StreamHandler(stream or sys.stderr)
        handler.setFormatter(OneLine("klankbord: %(message)s"))
        logger.addHandler(handler)
        logger.setLevel(logging.WARNING)
        logger.propagate = False


def fault_location(error: BaseException | None) -> str:
    """Return the type of an exception and the module and line that raised it.

    Its message is left out, because it could contain something that somebody wrote.
    """
    if error is None:
        return "an exception"
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    if trace is None:
        return type(error).__name__
    module = trace.tb_frame.f_globals.get("__name__", "?")
    return f"{type(error).__name__} at {module}:{trace.tb_lineno}"
