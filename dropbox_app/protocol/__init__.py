"""The protocol: pure rules shared by server and desk, as specified in SPEC.md.

Bytes and dataclasses in and out. This package uses no clock, file, socket, log or web framework.
Randomness comes from the libraries that make keys, or is passed in.
"""
