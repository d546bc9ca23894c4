"""The storage of a site: sealed bytes, ids and days. It contains no protocol and no rules."""
