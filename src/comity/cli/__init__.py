"""The command line: arguments in, text or JSON out, and no logic (docs/reference/cli.md).

``app`` is where it starts and ends, ``commands`` says what every command has in common, ``output`` is the
only place that prints; the other modules hold the commands, one noun a file, and are imported when they are
called.
"""
