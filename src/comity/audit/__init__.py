"""The audit log as mathematics: entries, commitments, the Merkle tree over them, signed checkpoints.

Pure: nothing here stores, reads a clock or draws a salt; ``comity.storage`` keeps the rows and
``comity.services.audit`` decides what is written. Specified by RFC 9162 §2.1 (tree), RFC 8785 (entries)
and C2SP signed-note, tlog-checkpoint and tlog-cosignature (checkpoints).
"""
