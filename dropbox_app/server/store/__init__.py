"""The storage of a site: sealed bytes, ids and days. It knows no protocol and no rules."""
