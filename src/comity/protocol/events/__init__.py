"""Events between trusted peers, as bytes and states (docs: protocol, "Events"). Pure.

``topics`` names them, ``messages`` are their bytes, ``feed`` is the broker's side of one subscription and
``subscriber`` the other side. ``services.events`` carries out what these say.
"""
