"""Charters between parties: their signed life, what they allow, what suspends a partner, and their end.

``service`` is what others use, ``governance`` what the guard asks. ``registrar`` stores each step,
``hearing`` takes in what peers say, ``post`` hands things to them.
"""
