"""The tables of the server's SQLite file, as the migrations that make them.

A script that was released never changes: ``storage.database`` counts those that a file has had.
"""

from __future__ import annotations

SCHEMA_1 = """
CREATE TABLE networks (
    network INTEGER PRIMARY KEY,
    next_number INTEGER NOT NULL
);
INSERT INTO networks VALUES (1, 16); -- limits.NODE_FIRST

CREATE TABLE nodes (
    network INTEGER NOT NULL REFERENCES networks,
    key BLOB NOT NULL,
    number INTEGER NOT NULL,
    hostname TEXT NOT NULL,
    public INTEGER NOT NULL,
    tags TEXT NOT NULL,
    sealing_key TEXT NOT NULL,
    sealing_sequence INTEGER NOT NULL,
    last_seen INTEGER NOT NULL,
    PRIMARY KEY (network, key),
    UNIQUE (network, hostname),
    UNIQUE (network, number)
);
CREATE INDEX nodes_public ON nodes (network, hostname) WHERE public;

CREATE TABLE node_tags (
    network INTEGER NOT NULL,
    tag TEXT NOT NULL,
    key BLOB NOT NULL,
    PRIMARY KEY (network, tag, key),
    FOREIGN KEY (network, key) REFERENCES nodes
) WITHOUT ROWID;
CREATE INDEX node_tags_key ON node_tags (network, key);

CREATE TABLE letters (
    place INTEGER PRIMARY KEY AUTOINCREMENT,
    network INTEGER NOT NULL REFERENCES networks,
    recipient BLOB NOT NULL,
    sender BLOB NOT NULL,
    message_id BLOB NOT NULL,
    posted INTEGER NOT NULL,
    reserved INTEGER NOT NULL,
    blob BLOB NOT NULL,
    UNIQUE (network, recipient, sender, message_id)
);
CREATE INDEX letters_waiting ON letters (network, recipient, place, reserved);
CREATE INDEX letters_sent ON letters (network, sender, reserved);
CREATE INDEX letters_posted ON letters (posted);

CREATE TABLE letter_totals (
    network INTEGER PRIMARY KEY REFERENCES networks,
    held INTEGER NOT NULL,
    strangers INTEGER NOT NULL
);
CREATE TRIGGER letter_added AFTER INSERT ON letters BEGIN
    INSERT OR IGNORE INTO letter_totals VALUES (new.network, 0, 0);
    UPDATE letter_totals SET held = held + 1, strangers = strangers + (1 - new.reserved)
        WHERE network = new.network;
END;
CREATE TRIGGER letter_removed AFTER DELETE ON letters BEGIN
    UPDATE letter_totals SET held = held - 1, strangers = strangers - (1 - old.reserved)
        WHERE network = old.network;
END;

CREATE TABLE reservations (
    network INTEGER NOT NULL,
    recipient BLOB NOT NULL,
    sender BLOB NOT NULL,
    PRIMARY KEY (network, recipient, sender)
) WITHOUT ROWID;
"""

SCHEMA_2 = """
ALTER TABLE networks ADD COLUMN name TEXT NOT NULL DEFAULT 'default';
ALTER TABLE networks ADD COLUMN open INTEGER NOT NULL DEFAULT 1;
ALTER TABLE networks ADD COLUMN max_nodes INTEGER NOT NULL DEFAULT 100000; -- limits.NODES_PER_NETWORK
ALTER TABLE networks ADD COLUMN max_mail INTEGER NOT NULL DEFAULT 100000; -- limits.MAIL_PER_NETWORK
ALTER TABLE networks ADD COLUMN created INTEGER NOT NULL DEFAULT 0;
CREATE UNIQUE INDEX networks_name ON networks (name);

CREATE TABLE invitations (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    network INTEGER NOT NULL REFERENCES networks,
    digest BLOB NOT NULL UNIQUE,
    uses INTEGER NOT NULL,
    used INTEGER NOT NULL,
    created INTEGER NOT NULL,
    expires INTEGER NOT NULL,
    revoked INTEGER NOT NULL,
    note TEXT NOT NULL
);
CREATE INDEX invitations_network ON invitations (network, id);

CREATE TABLE removals (
    network INTEGER NOT NULL REFERENCES networks,
    key BLOB NOT NULL,
    number INTEGER NOT NULL,
    before INTEGER NOT NULL,
    PRIMARY KEY (network, key)
) WITHOUT ROWID;

CREATE TABLE released_names (
    network INTEGER NOT NULL REFERENCES networks,
    hostname TEXT NOT NULL,
    key BLOB NOT NULL,
    PRIMARY KEY (network, hostname, key)
) WITHOUT ROWID;

CREATE TABLE acts (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    at INTEGER NOT NULL,
    who TEXT NOT NULL,
    act TEXT NOT NULL,
    network INTEGER NOT NULL,
    detail TEXT NOT NULL
);
"""

SCHEMA_3 = """
CREATE TABLE ended_keys (
    key BLOB PRIMARY KEY,
    at INTEGER NOT NULL,
    how TEXT NOT NULL,
    reason TEXT NOT NULL,
    proof TEXT NOT NULL
) WITHOUT ROWID;
CREATE INDEX reservations_sender ON reservations (sender, network);
"""

SCHEMA_4 = """
CREATE TABLE ended_members (
    key BLOB NOT NULL,
    network INTEGER NOT NULL REFERENCES networks,
    PRIMARY KEY (key, network)
) WITHOUT ROWID;
"""

SCHEMA_5 = """
ALTER TABLE networks ADD COLUMN quotas TEXT NOT NULL DEFAULT '{}';

ALTER TABLE letters ADD COLUMN size INTEGER NOT NULL DEFAULT 0;
UPDATE letters SET size = LENGTH(blob);
DROP INDEX letters_waiting;
CREATE INDEX letters_waiting ON letters (network, recipient, place, reserved, size);
DROP INDEX letters_sent;
CREATE INDEX letters_sent ON letters (network, sender, reserved, size);

ALTER TABLE letter_totals ADD COLUMN bytes INTEGER NOT NULL DEFAULT 0;
UPDATE letter_totals SET bytes =
    (SELECT COALESCE(SUM(size), 0) FROM letters WHERE letters.network = letter_totals.network);
DROP TRIGGER letter_added;
CREATE TRIGGER letter_added AFTER INSERT ON letters BEGIN
    INSERT OR IGNORE INTO letter_totals VALUES (new.network, 0, 0, 0);
    UPDATE letter_totals SET held = held + 1, strangers = strangers + (1 - new.reserved),
        bytes = bytes + new.size WHERE network = new.network;
END;
DROP TRIGGER letter_removed;
CREATE TRIGGER letter_removed AFTER DELETE ON letters BEGIN
    UPDATE letter_totals SET held = held - 1, strangers = strangers - (1 - old.reserved),
        bytes = bytes - old.size WHERE network = old.network;
END;

CREATE TABLE relayed (
    network INTEGER NOT NULL REFERENCES networks,
    key BLOB NOT NULL,
    day INTEGER NOT NULL,
    bytes INTEGER NOT NULL,
    PRIMARY KEY (day, network, key)
) WITHOUT ROWID;

CREATE TABLE act_tree (
    level INTEGER NOT NULL,
    place INTEGER NOT NULL,
    hash BLOB NOT NULL,
    PRIMARY KEY (level, place)
) WITHOUT ROWID;

CREATE TABLE marks (
    name TEXT PRIMARY KEY,
    at INTEGER NOT NULL
) WITHOUT ROWID;
"""

MIGRATIONS = (SCHEMA_1, SCHEMA_2, SCHEMA_3, SCHEMA_4, SCHEMA_5)
