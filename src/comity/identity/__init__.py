"""Who a node is, and how that is written down: keys, fingerprints, addresses, names, cards, certificates,
sealed messages and signed envelopes.

Pure: it reads no file, clock or socket. The one randomness is what the cryptographic library draws for new
keys and for sealing. It decides nothing about trust: ``protocol.trust`` does. Import its modules: a command
that needs an address only shouldn't load the cryptographic library.
"""
