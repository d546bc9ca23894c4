"""The annual report of a counsellor to one employer, designed to identify nobody.

The rules are in DECISIONS.md, "An annual report that betrays nobody". The modules are pure: they
turn rows and days into a report or its bytes.
"""
