"""The storage of a site: sealed bytes, ids and days.

The package implements neither the protocol nor the rules.
"""
