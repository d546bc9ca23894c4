"""The protocol: the pure rules that the server and the desks share, as specified in SPEC.md.

Functions take and return bytes and dataclasses. This package uses no clock, file, socket, log or
web framework. Randomness comes from the libraries that make keys, or is passed in.
"""
