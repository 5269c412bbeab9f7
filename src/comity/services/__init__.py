"""Use cases of a node: what owns state, asks the guard, writes the audit log and moves statements about.

A service takes requests and returns results of ``comity.control``, reaches disks through ``comity.storage``
and peers through the protocols of ``comity.transport.interface``; what is allowed, valid or next is decided
by the pure packages.
"""
