"""Nothing readable leaves the server but to the person it belongs to; nothing of it stays."""
