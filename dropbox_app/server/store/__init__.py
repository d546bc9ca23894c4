"""The storage of a site: sealed bytes, ids and days, without any protocol or rules."""
