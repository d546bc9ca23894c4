"""The two sites of the neighbouring tests."""

from tests.server.web.conftest import two

__all__ = ["two"]
