"""Forwarding, virtual port 1003: one TCP connection of some program a stream.

``messages`` is what its DATA frames hold, ``flow`` how much may travel. Payload passes neither.
"""
