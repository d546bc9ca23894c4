"""The sites and servers of the neighbouring tests."""

from tests.e2e.conftest import box, mould
from tests.server.web.conftest import two

__all__ = ["box", "mould", "two"]
