"""The exchange on virtual port 1001 (docs: protocol, "Exchange"): a manifest, its chunks, a signed receipt.

``messages`` is the wire, ``manifest`` what is promised, ``names`` what a file may be called, ``sender`` and
``receiver`` the two machines. Payload passes none of them: they say which chunk to move, and a lane's thread
moves it.
"""
