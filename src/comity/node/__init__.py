"""The daemon of one node: the program around the services.

``config`` settles what it is told, ``build`` picks the adapters and puts everything together, ``run`` is its
life; ``api`` and ``handoff`` serve the command line and scripts, ``logs`` writes what happens.
"""
