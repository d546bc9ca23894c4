"""The annual report of a counsellor to one employer, made so that it gives nobody away.

The rules are in DECISIONS.md, "An annual report that cannot betray". Modules are pure: rows and
days go in, a report or its bytes come out.
"""
