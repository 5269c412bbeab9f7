"""What tests of the rendezvous share: a node's statements, and a minimal client over a real channel."""
