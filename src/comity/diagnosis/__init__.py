"""The doctor's judgement: facts about the way to the rendezvous and to a peer in, findings out. Pure.

``transport.probing`` gathers the facts of the network, ``services.doctor`` those of the node. Nothing here
opens, waits or reads a clock.
"""
