"""The server's own log: a few lines on standard error, without times or visitors' data."""

import logging
import sys
from typing import IO

from dropbox_app.server.errors import visible

logger = logging.getLogger("klankbord")


class OneLine(logging.Formatter):
    """A formatter that escapes folder names, so that they cannot control a terminal."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the record as one escaped line."""
        return visible(super().format(record))


def set_up_logging(stream: IO[str] | None = None) -> None:
    """Write this logger's warnings to ``stream`` (default: standard error) and nowhere else."""
    if not logger.handlers:
        handler = logging.StreamHandler(stream or sys.stderr)
        handler.setFormatter(OneLine("klankbord: %(message)s"))
        logger.addHandler(handler)
        logger.setLevel(logging.WARNING)
        logger.propagate = False


def fault_location(error: BaseException | None) -> str:
    """Return the type of an exception, and the module and line that raised it.

    The exception's message is left out, because it could contain something that a person wrote.
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
