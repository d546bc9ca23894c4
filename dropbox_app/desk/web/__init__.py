"""The desk's page on the counsellor's own computer."""
