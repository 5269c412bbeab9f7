"""IO between machines: sockets, TLS, the rendezvous's client, the relay's, and an in-memory network for tests."""
