"""THE COUNSELLOR'S MACHINE: the only zone with secret keys of a counsellor.

``folder`` opens a desk, and ``session`` is its work on one site. ``storage`` has the vault with
the secrets and the encrypted database; ``keys`` says which sealing keys must exist. ``transport``
carries sealed bytes, through Tor; ``sync`` fetches, sends and renews the card. ``threads`` opens
and checks conversations; ``untrusted_files`` inspects strangers' files in a sandbox. ``register``
and ``annual`` are the case register and the annual report. ``actions`` is all that a person can
do, ``cli`` and ``web`` show it, and ``printables`` makes posters and cards.
"""
