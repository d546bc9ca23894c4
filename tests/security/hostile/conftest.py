"""The two sites of the tests in ``tests/server/web``, and codes that are cheap to hash."""

from tests.server.web.conftest import two
from tests.support.codes import cheap_codes

__all__ = ["cheap_codes", "two"]
