"""IO between machines: sockets, TLS, clients of rendezvous and relay, and an in-memory network for tests."""
