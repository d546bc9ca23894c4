"""The only code of the server that ever sees a text or a code."""
