"""The server. It holds public keys only and cannot decrypt what it stores."""
