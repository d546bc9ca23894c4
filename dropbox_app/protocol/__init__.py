"""The protocol: pure rules shared by server and desk, written down in SPEC.md.

Bytes and dataclasses in and out. No clock, file, socket, log or web framework is used here;
randomness comes from the libraries that make keys, or is handed in.
"""
