"""No plaintext leaves the server except to its owner, and none of it stays."""
