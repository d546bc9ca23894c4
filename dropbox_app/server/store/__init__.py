"""The storage of a site: sealed bytes, ids and days. The package contains no protocol or rules."""
