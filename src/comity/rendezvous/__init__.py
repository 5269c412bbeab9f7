"""The self-hosted server: registry (who is where), mailbox (sealed messages), relay (blind bytes).

It sees keys, names, addresses, sizes and times; never a justification, an agreement or a byte of an artifact.
Nodes trust it with availability, not with identity (docs/reference/rendezvous.md).
"""
