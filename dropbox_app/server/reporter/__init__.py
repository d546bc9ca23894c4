"""The only server code that sees the text of a message or a retrieval code."""
