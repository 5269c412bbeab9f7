"""The public Python API: a node's operations as functions, on the control types that the daemon takes and
returns.

    from comity import control
    from comity.sdk import trust
    from comity.sdk.client import Client

    result = trust.handshake(Client(), control.HandshakeRequest(peer="lab-b", justification="IRB #2026-0142"))

``client`` speaks to the daemon of one home; ``node``, ``peers``, ``trust``, ``exchange`` and ``audit`` name
its operations, one noun a module; ``home`` sets a node up, ``daemon`` starts and stops it, ``logs`` reads its
log, and ``offline`` verifies evidence without any of them. Nothing here prints or exits; every error is a
``ComityError``.
"""
