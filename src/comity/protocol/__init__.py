"""What is said on the wire, as frozen messages and pure state machines: ``handle(event, now) -> [events]``.

Nothing here awaits, logs, reads a clock or draws a random number.
"""
