"""The desk, on the counsellor's computer: the only zone with a counsellor's secret keys.

``folder`` opens a desk, and ``session`` contains what the desk needs to work on one site.
``storage`` contains the vault with the secrets and the encrypted database. ``keys`` determines
which sealing keys must exist. ``transport`` transmits sealed bytes between desk and server.
``sync`` fetches and sends messages, and renews the card. ``threads`` opens and verifies
conversations, and ``untrusted_files`` inspects reporters' files in a sandbox. ``register`` and
``annual`` are the case register and the annual report. ``actions`` contains everything that a user
can do, ``cli`` and ``web`` are the interfaces to it, and ``printables`` makes posters and cards.
"""
