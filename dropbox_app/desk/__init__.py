"""THE COUNSELLOR'S COMPUTER: the only zone with a counsellor's secret keys.

``folder`` opens a desk, and ``session`` is the desk's work on one site. ``storage`` has the vault
with the secrets and the encrypted database; ``keys`` says which sealing keys must exist.
``transport`` carries sealed bytes, through Tor; ``sync`` fetches, sends and renews the card.
``threads`` opens and checks conversations; ``untrusted_files`` inspects strangers' files in a
sandbox. ``register`` and ``annual`` are the case register and the annual report. ``actions`` has
everything that a user can do, ``cli`` and ``web`` are its interfaces, and ``printables`` makes
posters and cards.
"""
