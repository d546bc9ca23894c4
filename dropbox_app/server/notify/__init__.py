"""The daily mail with a status but no content. One program writes the status, another sends it."""
