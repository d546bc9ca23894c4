"""THE COUNSELLOR'S MACHINE: the only zone with secret keys of a counsellor.

``vault`` keeps the secrets, ``disk``, ``state`` and ``store`` the sealed local store; ``courier``
carries sealed bytes (over ``tunnel``, through Tor); ``keyring`` says which keys must be there and
which must go; ``rounds`` fetches, ``outbox`` sends, ``casebook`` opens and checks; ``terminal``
and the ``cli`` modules show it to a person. Data flows courier -> rounds -> casebook -> terminal.
"""
