"""What may happen between two nodes, as pure functions: an operation and an agreement in, a decision out.

``comity.services.guard`` asks and records; nothing here looks anything up.
"""
