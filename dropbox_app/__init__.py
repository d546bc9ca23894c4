"""Klankbord: a sealed drop box for confidential counsellors.

Each folder is a place where code runs, which determines the secrets that the code may hold:

``protocol``  pure rules that both sides share: bytes in, bytes out; no clock, file, socket or log.
``server``    public keys only; stores sealed files, identifiers and days.
``desk``      the counsellor's computer: the only zone with a counsellor's secret keys.
``browser``   JavaScript for the reporter's browser: the protocol again, and the reporter's keys.

``server`` and ``desk`` import ``protocol`` and never import each other (tests/test_zones.py).
"""
