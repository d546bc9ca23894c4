"""The storage of a site: sealed bytes, ids and days, without protocol and rules."""
