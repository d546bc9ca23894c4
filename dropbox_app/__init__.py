"""Klankbord: a sealed drop box for confidential counsellors.

A folder is a place where code runs, and so who may hold which secret:

``protocol``  pure rules, shared by all: bytes in, bytes out; no clock, file, socket, log.
``server``    the server: public keys only; stores sealed files, identifiers and days.
``desk``      the counsellor's machine: the only zone with a counsellor's secret keys.

``server`` and ``desk`` import ``protocol`` and never each other (tests/test_zones.py).
"""
