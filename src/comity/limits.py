"""Every bound of the program, in one place: what is larger, longer, older or more is refused.

It holds numbers only. Each is named in ``docs/reference/limits.md``. Units are bytes and seconds unless
the name says otherwise. Parsers check these before they allocate (DESIGN.md, house rule 5).
"""

from __future__ import annotations

KIB = 1024
MIB = 1024 * KIB
GIB = 1024 * MIB
MINUTE = 60
HOUR = 60 * MINUTE
DAY = 24 * HOUR

# ── names and texts ───────────────────────────────────────────────────────────────────────────────────
HOSTNAME_CHARS = 63
JUSTIFICATION_BYTES = 4 * KIB
CLAIM_BYTES = 512  # organization, contact, requested_by, a reason
TAGS = 16
TAG_CHARS = 64
FILE_NAME_BYTES = 255
PURPOSE_BYTES = 256

# ── statements (SECURITY.md rule 2, 4) ────────────────────────────────────────────────────────────────
STATEMENT_BYTES = 32 * KIB
CLOCK_SKEW = 5 * MINUTE
REQUEST_LIFETIME = 30 * DAY  # how long a handshake request can be answered
AGREEMENT_LIFETIME = 365 * DAY  # default of handshake --expires
AGREEMENT_LIFETIME_MAX = 3650 * DAY
REGISTRATION_LIFETIME = 10 * MINUTE
SEALING_KEY_LIFETIME = 30 * DAY
SEALING_KEY_RENEWAL = 7 * DAY  # a new one is made when less than this is left
REACHABILITY_LIFETIME = 15 * MINUTE
RECEIPT_LIFETIME = 3650 * DAY
REVOCATION_LIFETIME = 3650 * DAY
CERTIFICATE_LIFETIME = 90 * DAY
CERTIFICATE_BYTES = 2 * KIB  # identity: one Ed25519 certificate takes about 300
SEAL_PADDING = 4 * KIB
CANDIDATES = 8

# ── channel, links, sessions ──────────────────────────────────────────────────────────────────────────
FRAME_BYTES = 64 * KIB  # control frames
HELLO_BYTES = 4 * KIB
LANE_FRAME_BYTES = 8 * MIB + 4 * KIB  # a chunk and its header
TLS_RECORDS = 2**23  # half of RFC 8446 §5.5's bound for AES-GCM as SECURITY.md rule 10 states it
CONNECT_TIMEOUT = 10.0
HANDSHAKE_TIMEOUT = 10.0
HELLO_TIMEOUT = 10.0
LINK_IDLE = 60.0  # a pooled link without a stream is closed after this
LANE_TIMEOUT = 60.0  # no byte moved for this long: the lane is dead
HEARTBEAT_EVERY = 2.5
PEER_DEAD_AFTER = 8.0
RECONNECT_FIRST = 0.5
RECONNECT_MOST = 30.0
INBOUND_LINKS = 256  # links being served at once
INBOUND_UNAPPROVED = 32  # of which not yet admitted
POOLED_LINKS_PER_PEER = 4
STREAM_QUEUE_FRAMES = 64
RELAY_HEAD_START = 0.3  # how long a direct dial runs alone before the relay joins the race

# ── rendezvous ────────────────────────────────────────────────────────────────────────────────────────
MAIL_BYTES = 64 * KIB
MAIL_PER_RECIPIENT = 1000
MAIL_PER_STRANGER = 20  # from one sender to one recipient that has not reserved for it
MAIL_STRANGERS = 400  # from all strangers together to one recipient; the rest is reserved
MAIL_PER_SENDER = 100
MAIL_PER_NETWORK = 100_000
MAIL_LIFETIME = 30 * DAY
RESERVED_SENDERS = 1000
RESOLVE_BURST = 30
RESOLVE_PER_SECOND = 1.0
POST_BURST = 200
POST_PER_SECOND = 20.0
TICKET_BYTES = 32
TICKET_LIFETIME = 30.0
TICKETS_PER_NODE = 64
RENDEZVOUS_HEARTBEAT = 5.0
RENDEZVOUS_DEAD_AFTER = 15.0
RENDEZVOUS_CONNECTIONS = 20_000
RENDEZVOUS_REQUESTS = 64  # outstanding on one connection
PREFACE_TIMEOUT = 10.0
FIND_RESULTS = 100
NODE_FIRST = 0x10
NODE_STEP = 0x10

# ── exchange ──────────────────────────────────────────────────────────────────────────────────────────
CHUNK_BYTES = 8 * MIB
ARTIFACT_BYTES = 16 * 1024 * GIB
MANIFEST_PAGE_CHUNKS = 512  # entries in one page of a manifest: 512 × about 90 bytes fit a frame
PARTIAL_LIFETIME = 7 * DAY
FREE_SPACE_MARGIN = 64 * MIB  # left free on the receiver's disk

# ── this node ─────────────────────────────────────────────────────────────────────────────────────────
TRUSTED_PEERS = 10_000
PENDING_REQUESTS = 200
PENDING_PER_PEER = 1
OUTBOX_PER_PEER = 100
API_BODY_BYTES = 64 * KIB
HANDOFF_FILES = 64
HANDOFF_SECONDS = 30.0
LOG_BYTES = 10 * MIB
LOG_FILES = 5

# ── audit log ─────────────────────────────────────────────────────────────────────────────────────────
AUDIT_TREE_SIZE = 2**40  # leaves
AUDIT_ENTRY_BYTES = 32 * KIB  # canonical body
AUDIT_WORD_CHARS = 64  # a kind, an operation, a name in detail
AUDIT_REASONS = 32
AUDIT_TEXT_CHARS = 4 * KIB  # one reason, one text in detail
AUDIT_DETAILS = 32
NOTE_BYTES = 128 * KIB  # a signed note: 16 post-quantum signatures fit (C2SP signed-note)
NOTE_SIGNATURES = 100
NOTE_NAME_BYTES = 255
