"""Comity: institutions share models, not data, under an agreement that the software enforces.

This module holds the version and nothing else; import what you need from ``comity.sdk``.
"""

__version__ = "0.1.0"
