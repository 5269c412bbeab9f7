"""The control API: HTTP and JSON on the daemon's Unix socket, one POST an operation (docs: reference,
"Control API").

``app`` puts it together from one module a noun, ``failures`` turns errors into answers, ``server`` runs it.
"""
