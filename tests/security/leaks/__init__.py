"""No plaintext leaves the server except to its owner, and none stays on the server."""
