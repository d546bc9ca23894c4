"""The two sites of the neighbouring tests, and codes that cost next to nothing."""

from tests.server.web.conftest import two
from tests.support.codes import cheap_codes

__all__ = ["cheap_codes", "two"]
