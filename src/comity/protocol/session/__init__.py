"""The session: what two approved nodes say on their one standing stream, port 444 (PURE)."""
