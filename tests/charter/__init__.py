"""Parties that sign, amend and end charters, without the network."""
