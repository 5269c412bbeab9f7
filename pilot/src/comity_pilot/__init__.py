"""The drop-in for scripts that were written for Pilot Protocol: ``pilotctl`` and ``pilot-rendezvous``.

Flags are Pilot's and output has the shape of Pilot's; everything that happens is Comity's, through its SDK.
It speaks Comity's protocol, not Pilot's.
"""

__version__ = "0.1.0"
