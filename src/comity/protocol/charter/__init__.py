"""The signed life of a charter: what parties say about one, and what each node may conclude from it.

``statements`` are the bytes, ``terms`` what is remembered of a line of versions, ``machine`` the steps
(SECURITY.md rules 16 and 17; docs: protocol, "Charter").
"""
