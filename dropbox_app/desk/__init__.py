"""THE COUNSELLOR'S MACHINE: the only zone with secret keys of a counsellor.

``vault`` keeps the secrets; ``disk``, ``state`` and ``store`` the sealed local store; ``workplace``
the folder as a whole, ``backups`` all of it in one file. ``tunnel`` and ``courier`` carry sealed
bytes, through Tor; ``answers`` takes nothing that a server says as it comes. ``keyring`` says which
keys must be there and which must go, ``cardwork`` does it. ``inbox`` brings home, ``outbox`` sends,
``rounds`` is one fetch; ``casebook`` opens and checks. ``show``, ``terminal``, ``call`` and the
commands put it before a person.
"""
