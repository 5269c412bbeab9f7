"""What a node keeps: its home folder, keys, lease and database, and the stores over that database.

Everything here does IO and nothing here decides: stores keep rows, ``comity.services`` says which. Each store
that a test would rather not put on disk has an in-memory twin under the same contract tests; for the database
that twin is SQLite's own ``:memory:``.
"""
