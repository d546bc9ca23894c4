"""The daily mail: a status without content, written by one program and sent by another."""
