"""Countersigning: partners sign each other's log heads, so that neither can rewrite its own (SECURITY.md rule
19). C2SP tlog-witness and tlog-cosignature over a stream of their own.

``asking`` has this node's log countersigned, ``answering`` countersigns others', ``service`` decides when.
"""

from comity.services.witnessing.service import WitnessService

__all__ = ["WitnessService"]
