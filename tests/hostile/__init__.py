"""Hostile peers: test doubles that speak a real protocol and break Comity's rules on purpose."""
