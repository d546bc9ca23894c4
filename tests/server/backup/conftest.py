"""A second implementation of age, as in the protocol tests."""

from tests.protocol.interop.conftest import peer

__all__ = ["peer"]
