"""The other implementation of age, as the tests of the protocol have it."""

from tests.protocol.interop.conftest import peer

__all__ = ["peer"]
