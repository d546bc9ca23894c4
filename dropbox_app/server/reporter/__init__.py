"""The only server code that ever sees the text of a message or a retrieval code."""
