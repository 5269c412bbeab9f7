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
AGREEMENT_LIFETIME_LEAST = 1
AGREEMENT_LIFETIME_MOST = 3650 * DAY
REGISTRATION_LIFETIME = 10 * MINUTE
SEALING_KEY_LIFETIME = 30 * DAY
SEALING_KEY_RENEWAL = 7 * DAY  # a new one is made when less than this is left
REACHABILITY_LIFETIME = 15 * MINUTE
RECEIPT_LIFETIME = 3650 * DAY
REVOCATION_LIFETIME = 3650 * DAY
SUCCESSION_BYTES = 4 * KIB  # a retirement or a rotation in its envelope takes about 1 KiB
SUCCESSION_FILE_BYTES = 8 * KIB
ONCE_SECONDS = 300.0  # how long comity once may take, unless it is told
ONCE_QUIET_SECONDS = 10.0
RENDEZVOUS_KEYS = 32  # that one rendezvous can have, one after the other
RENDEZVOUS_LINEAGE_BYTES = 256 * KIB
CERTIFICATE_LIFETIME = 90 * DAY
CERTIFICATE_BYTES = 2 * KIB  # identity: one Ed25519 certificate takes about 300
SEAL_PADDING = 4 * KIB
CANDIDATES = 8

# ── channel, links, sessions ──────────────────────────────────────────────────────────────────────────
FRAME_BYTES = 64 * KIB  # control frames
HELLO_BYTES = 4 * KIB
LANE_FRAME_BYTES = 8 * MIB + 4 * KIB  # a chunk and its header
LANE_FRAMES_KEPT = 3  # long frames of a lane that are in memory beside the one that arrives
LANES_MOST = 4  # of one transfer, where the line is long
LANES_ROUND_TRIP = 0.015  # seconds: shorter lines are filled by one
LANES_BYTES = 64 * MIB  # smaller artifacts are there before further lanes would help
LANE_WINDOW_BYTES = MIB  # in the kernels between two programs, besides what the line's round trip holds
LANE_UNSENT_BYTES = 256 * KIB  # of those, what the sender's kernel takes before it can leave
LANE_ROUND_TRIP = 500_000  # microseconds: longer ones get no larger window
TLS_RECORDS = 2**23  # half of RFC 8446 §5.5's bound for AES-GCM as SECURITY.md rule 10 states it
CONNECT_TIMEOUT = 10.0
HANDSHAKE_TIMEOUT = 10.0
HELLO_TIMEOUT = 10.0
LINK_IDLE = 60.0  # a pooled link without a stream is closed after this
LANE_TIMEOUT = 60.0  # no byte moved for this long: the lane is dead
LANE_LOOK_SECONDS = 1.0  # between looks at whether the other machine still answers, while nothing moves
HEARTBEAT_EVERY = 2.5
PEER_DEAD_AFTER = 8.0
RECONNECT_FIRST = 0.5
RECONNECT_MOST = 30.0
INBOUND_LINKS = 256  # links being served at once
INBOUND_LINKS_PER_PEER = 32  # half of the relay lanes that a node may have
INBOUND_UNAPPROVED = 32  # of those at the front door, not yet admitted
INBOUND_GRACE = 1.0  # the oldest of them gives way to a newcomer after this
POOLED_LINKS_PER_PEER = 4
STREAM_QUEUE_FRAMES = 64
RELAY_GOOD_SECONDS = 60.0  # a relayed link is used again, although addresses are known that did not answer
RELAY_HEAD_START = 0.3  # how long a direct dial runs alone before the relay joins the race

# ── simultaneous open (SECURITY.md rule 9) ────────────────────────────────────────────────────────────
OBSERVERS = 2  # asked for one punch
OBSERVE_TIMEOUT = 3.0  # for all of them to answer
OBSERVED_HOLD = 15.0  # an observer keeps a connection so long that its mapping outlives the punch
PUNCH_SYNS = 10  # to one place
PUNCH_SYN_EVERY = 0.95  # less than the kernel's own second, so that no SYN is repeated by it
PUNCH_SECONDS = 5.0  # from go to giving up
PUNCH_LINGER = 1.0  # after one connected: others that the dialler may have taken instead
PUNCH_ANSWER_SECONDS = 3.0  # for the peer's answer to a call, and for the go after it
PUNCH_LEAD_MOST = 0.5  # how long the dialler waits for its go to arrive, at most
PUNCH_HEAD_START = 1.0  # how long a punch runs before the relay joins the race
PUNCHES_AT_ONCE = 32  # asked for or answered
PUNCHES_BURST = 16  # answered for one peer, then at this rate
PUNCHES_PER_SECOND = 0.5
PUNCH_REST_BEATEN = 2.0  # after the relay was faster, once
PUNCH_REST_FIRST = 60.0  # after one that failed, doubled at each further one
PUNCH_REST_MOST = float(HOUR)
PUNCH_LIFETIME = MINUTE  # of the statements that start one

# ── sessions ──────────────────────────────────────────────────────────────────────────────────────────
SESSION_STATEMENTS = 64  # told and not acknowledged, or delivered and not handled, in one session
SESSION_PINGS = 16  # unanswered in one session
SESSION_QUEUE_FRAMES = 64  # waiting to be written
UPGRADE_FIRST = 0.2  # from a session's start on a lesser path to the first try of a better one
UPGRADE_SECOND = 30.0  # to the next, doubled at each further one
UPGRADE_MOST = 900.0
SEEK_FIRST = 0.5  # from a relayed transfer's start to the first look for a better path, doubled each time
SEEK_MOST = 30.0
SESSION_DIALS = 32  # session dials at once
SESSION_SIGNALS = 16  # reachability signals being sealed and posted at once
SESSION_DIAL_SECONDS = 30.0  # all paths, TLS and hello
REACHABILITY_BURST = 10  # statements from one peer that are taken at once
REACHABILITY_PER_SECOND = 0.1
TELL_SECONDS = 2.0  # how long a statement waits for its acknowledgement
GOODBYE_SECONDS = 1.0  # how long a session's end may take
DELIVER_SECONDS = 30.0  # how long the handling of one statement may take
PINGS = 100  # round trips of one comity ping
LOG_TAIL_BYTES = MIB  # of the end of the log, for comity logs
CONTROL_GRACE_SECONDS = 2.0  # for requests that run when the daemon stops
READY_SECONDS = 8.0  # how long a starting daemon waits for its rendezvous before it warns
SHUTDOWN_SECONDS = 6.0  # for goodbyes and running requests, when the daemon stops
MAINTENANCE_EVERY = 60.0  # while registered: what is still owed to peers is tried again
CONTROL_CONNECTIONS = 128  # on the control socket at once

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
SMALL_CHUNK_BYTES = MIB  # of files without inner structure; more would not fit a processor's cache
IN_HAND_BYTES = 3 * MIB  # that have arrived and are hashed and written; no more chunks are taken beyond it
SMALL_CHUNKS = 2**16  # at most so many of those; larger files have chunks of CHUNK_BYTES
TENSOR_HEADER_BYTES = 16 * MIB  # safetensors files with longer headers get equal chunks
TENSOR_GROUP_BYTES = 256 * KIB  # neighbouring tensors share a chunk up to this
FOLDER_ITEMS = 100_000  # files in a folder that is sent as one artifact
FOLDER_DEPTH = 32
FOLDER_PATH_LENGTH = 1024  # characters
LISTING_BYTES = 8 * MIB  # of a folder's paths and lengths
FOLDER_SYNC_EACH = 64  # files; a folder of more is synced with its filesystem in one call, where there is one
FILE_BLOCK = 4 * KIB  # what a small file takes on a disk at least
ARTIFACT_BYTES = 8 * 1024 * GIB  # MANIFEST_CHUNKS of the largest chunks
MANIFEST_PAGE_CHUNKS = 512  # entries in one page of a manifest: 512 × about 90 bytes fit a frame
SAFETENSORS_HEADER_BYTES = 32 * MIB
SAFETENSORS_TENSORS = 2**18
SAFETENSORS_RANK = 16  # dimensions of a tensor
PARTIAL_LIFETIME = 7 * DAY  # how long an interrupted transfer can be taken up again
PARTIALS_PER_PEER = 16  # interrupted transfers from one peer whose parts are kept; the oldest go
FREE_SPACE_MARGIN = 64 * MIB  # left free on the receiver's disk

# ── this node ─────────────────────────────────────────────────────────────────────────────────────────
TRUSTED_PEERS = 10_000  # agreements in force
MEMBERSHIPS = 16  # networks that one node is a member of
PENDING_REQUESTS = 200
OUTGOING_REQUESTS = 4  # unanswered requests to one peer that are remembered
REQUESTS_BURST = 50  # handshake requests that are taken at once, of one partner or of all strangers
REQUESTS_PER_SECOND = 0.1
MAIL_HELD = 1000  # letters that can't be handled yet, tried again every MAINTENANCE_EVERY seconds
OUTBOX_PER_PEER = 100  # statements that it has not taken yet; revocations come on top
API_BODY_BYTES = 640 * KIB  # the largest charter, its quotes escaped
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
AUDIT_PAGE_ENTRIES = 1024  # read at once
AUDIT_READERS = 4  # long readings of the log at once, each in a thread of its own
AUDIT_REDACTIONS = 1000  # entries that one redaction may erase
AUDIT_REASON_CHARS = 500  # why something was erased
EXPORT_LINE_BYTES = MIB
EXPORT_COSIGNATURES = 4096  # the newest countersigned heads that an export proves
CHECKPOINT_FILE_BYTES = 256 * KIB  # a countersigned head with the certificates of both keys
WITNESS_SUBMISSION_BYTES = 16 * KIB  # C2SP tlog-witness: a proof of 63 hashes and a signed head
WITNESS_EVERY = float(HOUR)  # each partner is asked to countersign at least so often
WITNESS_CHECK_EVERY = 15.0  # how soon somebody who came online is asked
WITNESS_SETTLE = 2.0  # what happens within this after a transfer is countersigned with it
WITNESS_LEAST = 10.0  # between two requests to one partner
WITNESS_RETRY_FIRST = 60.0  # after a failure, doubled up to WITNESS_EVERY
WITNESS_TIMEOUT = 20.0  # one request, dialling included
WITNESSES_AT_ONCE = 8  # asked at the same time
WITNESS_CONFLICTS = 100  # kept of one partner
WITNESS_BURST = 60  # of one partner's requests, then at this rate
WITNESS_PER_SECOND = 0.2
REPORT_ENTRIES = 20_000  # in one report; a shorter period has fewer

# ── rendezvous server ─────────────────────────────────────────────────────────────────────────────────
NODES_PER_NETWORK = 100_000
NETWORKS = 1000
NETWORK_NAME_CHARS = 63
INVITATIONS_PER_NETWORK = 10_000
INVITATION_USES = 10_000
INVITATION_LIFETIME = 7 * DAY  # of one that was made without --expires
INVITATION_LIFETIME_MOST = 365 * DAY
ADMIN_LINE_BYTES = 64 * MIB  # one answer to the administrator: all nodes of the largest network
ADMIN_SECONDS = 30.0  # for one request of the administrator
ADMIN_LOG_PAGE = 1000  # entries in one answer
BACKUP_DATABASE_BYTES = 512 * MIB  # a backup is made in memory
BACKUP_FILE_BYTES = 600 * MIB
MAIL_PER_NETWORK_STRANGERS = (
    50_000  # of MAIL_PER_NETWORK; the rest is for senders that recipients reserved for
)
MAIL_PAGE = 16  # letters read from the mailbox at once, for one node
REGISTER_BURST = 10
REGISTER_PER_SECOND = 0.5
RENDEZVOUS_UNREGISTERED = 512  # connections on which nobody has registered yet
RENDEZVOUS_UNREGISTERED_PER_ADDRESS = 128  # of those, from one IPv4 address or IPv6 network of 64 bits
RENDEZVOUS_UNREGISTERED_GRACE = 1.0  # the oldest of them may be dropped for a newcomer after this
RENDEZVOUS_REQUEST_BYTES = 128 * KIB  # one message of a node: base64 of the largest mail, two statements
RENDEZVOUS_QUEUE_BYTES = MIB  # waiting for one node to read them
RENDEZVOUS_QUEUES_BYTES = 256 * MIB  # waiting for all nodes together; then each has room for one message
RENDEZVOUS_QUEUE_MAIL_BYTES = (
    256 * KIB
)  # of which kept mail, so that signals and answers pass by a long backlog
RENDEZVOUS_FRAME_TIMEOUT = 60.0  # for a node to read one message, however slow its line
MAIL_BYTES_PER_NETWORK = 8 * GIB  # sealed bytes that wait; more than MAIL_PER_NETWORK letters can have
MAIL_BYTES_PER_RECIPIENT = MAIL_PER_RECIPIENT * MAIL_BYTES
MAIL_SENT_PER_NODE = 10_000  # letters of one node that wait, for all recipients together
MAIL_BYTES_SENT_PER_NODE = MAIL_SENT_PER_NODE * MAIL_BYTES
RELAY_BYTES_MOST = 2**50  # a quota in bytes, a day or a second, that is none
RELAY_PACE_SECONDS = 0.1  # what a node with a quota on its rate sends at once
MONITOR_CONNECTIONS = 16  # monitoring systems at once
MONITOR_SECONDS = 10.0  # for one of their requests
MONITOR_HEAD_BYTES = 16 * KIB
RENDEZVOUS_GOODBYE = 3.0  # for nodes to take their leave of a server that stops
RENDEZVOUS_SURRENDER = 2.0  # for relay lanes to pass on what they hold, before a successor gets them
COME_BACK_PER_SECOND = 200  # nodes that return to a server that was restarted, spread by it over time
COME_BACK_MOST = 60
RENDEZVOUS_JOBS = 1024  # for the books, at once
RENDEZVOUS_GHOSTS = 1000  # connections that ended and are still in memory, before all of it is searched
RENDEZVOUS_SEARCH_EVERY = 6 * HOUR  # all of memory is searched at least so often, which takes a second
RENDEZVOUS_BACKLOG = 1024  # connections that the kernel holds until they are accepted
RELAY_LANES = 2048
RELAY_LANES_PER_NODE = 64
RELAY_IDLE = 120.0  # sessions beat every 2.5 s and pooled links end after a minute: this one is dead
RELAY_PIPE_BYTES = MIB
REFUSALS_LOGGED_BURST = 100
REFUSALS_LOGGED_PER_SECOND = 5.0

# ── storage and guard ─────────────────────────────────────────────────────────────────────────────────
CONFIG_BYTES = 64 * KIB
KEY_FILE_BYTES = 16 * KIB
LEASE_BYTES = 4 * KIB
SOCKET_PATH_BYTES = 103  # sun_path holds 104 on macOS, 108 on Linux, with a final zero
DATABASE_LOCK_TIMEOUT = 5.0

# ── exchange machines and service ─────────────────────────────────────────────────────────────────────
MANIFEST_CHUNKS = MIB  # 2^20 chunks of 8 MiB: 8 TiB
MANIFEST_AHEAD_PAGES = 16  # pages that may travel before their answers; bounds what a receiver keeps track of
EXCHANGE_MESSAGE_BYTES = 8 * KIB  # the JSON messages but the receipt: two texts, escaped
ARTIFACT_SIGNATURE_BYTES = 4 * KIB  # in an offer
EXCHANGE_ANSWER_TIMEOUT = 30.0  # from an offer to its answer
SENDING_AT_ONCE = 4  # the rest wait for their turn
SENDING_MOST = 16  # with the first of each peer that would otherwise wait for another peer's
RECEIVING_RESERVED = 4  # of RECEIVING_AT_ONCE, for peers that have none under way
RECEIVING_AT_ONCE = 16
RECEIVING_PER_PEER = 8  # twice SENDING_AT_ONCE: a place is free only after the sender has its receipt
WORKING_EVERY = 5.0  # a receiver that checks or syncs says so this often
WORKING_MOST = 4096  # about six hours of it
PROGRESS_EVERY = 0.1
WATCH_EVERY = 0.5  # between two looks of somebody who watches all transfers
QUOTA_RECOUNT_SECONDS = 5.0  # a peer's received files are looked for again this often, where room is short
CANCEL_TELL_SECONDS = 5.0  # for the peer to take a cancellation
QUEUED_PER_PEER = 100  # files that wait for one peer
QUEUED_MOST = 1000
QUEUE_LOOK_SECONDS = 60.0  # between looks at whether what waits may still be sent
QUEUE_RETRY_FIRST = 1.0  # after an attempt that came to nothing though the peer is there, then doubled
QUEUE_RETRY_MOST = 60.0
RATE_LEAST = 16_000  # bytes a second that a bound on bandwidth may be: a peer must not take us for dead
RETRY_PAUSES = (0.5, 1.0, 2.0, 4.0, 8.0, 15.0, 30.0)  # seconds between attempts to go on after a lost link
RETRY_MOVED_BYTES = 32 * MIB  # an attempt that sent so much begins the pauses anew
GLANCE_SECONDS = 0.005  # between looks at whether the peer said something, while the next chunk is hashed
RECEIVED_SAME_NAME = 10_000  # NAME, NAME.2, … from one peer
TRANSFERS_LISTED = 1000  # the newest
RECEIVED_LISTED = 10_000  # the newest

# ── links ─────────────────────────────────────────────────────────────────────────────────────────────
CLOSE_TIMEOUT = 2.0  # how long a link that is closed may wait for the peer to close too
CLOSE_DRAIN_BYTES = 256 * KIB  # what the peer sent meanwhile and is thrown away; more cuts the connection
RELAY_READY_TIMEOUT = 10.0  # how long one side waits at the relay for the other

# ── rendezvous client ─────────────────────────────────────────────────────────────────────────────────
RENDEZVOUS_ANSWER_TIMEOUT = 10.0  # one request's, or the whole registration's
RENDEZVOUS_PUSHES = 256  # signals and offers not handled yet; of kept mail, MAIL_PER_RECIPIENT wait beside
AUDIT_CHECKPOINT_ENTRIES = 256  # after so many entries, or so many seconds, the next one signs the log's head
AUDIT_CHECKPOINT_SECONDS = 60.0
AUDIT_LOG_PAGE = 10_000  # entries in one answer
LOG_KEY_LIFETIME = 3650 * DAY
DENIALS_BURST = 100  # of one partner, or of all strangers: recorded one by one up to here, then at this rate
DENIALS_PER_SECOND = 0.1

# ── client of the control API ─────────────────────────────────────────────────────────────────────────
CONTROL_ANSWER_SECONDS = 30.0  # the daemon's answer to an operation that waits for nobody
CONTROL_SILENCE_SECONDS = 3600.0  # between two lines of a running transfer: it may wait for its turn
CONTROL_ANSWER_BYTES = 256 * MIB  # a page of the audit log at its longest
CONTROL_LINE_BYTES = MIB  # one line of a running transfer
START_SECONDS = 30.0  # from the start of a daemon to its being ready
STOP_SECONDS = 20.0  # from the order to stop to its end
ANSWER_WAIT_SECONDS = HOUR  # handshake --wait without a number
RECEIVED_WAIT_SECONDS = 600.0  # received --wait without --timeout
ARRIVALS_WAIT_SECONDS = 60.0  # one question of a program that iterates arrivals
PASSPHRASE_BYTES = 4 * KIB

# ── proxies ───────────────────────────────────────────────────────────────────────────────────────────
PROXY_ANSWER_BYTES = 16 * KIB  # the head of a proxy's answer
PROXY_CREDENTIALS_BYTES = KIB
DOCTOR_STEP_SECONDS = 5.0  # for one probe of comity doctor
DOCTOR_SECONDS = 90.0  # for all of them
UPGRADE_BYTES = 32 * KIB  # the head of a request for a WebSocket, or of its answer
WEBSOCKET_MESSAGE_BYTES = 256 * KIB
BRIDGES = 4096  # wrapped connections of one process: WebSockets, TLS to a proxy
BRIDGE_LINGER = 15.0  # after this side ended one: how long what is left may take to leave
PROXY_REFUSED_PAUSE = 600.0  # before refused credentials are sent again: a directory locks accounts

# ── charter ───────────────────────────────────────────────────────────────────────────────────────────
CHARTER_BYTES = 256 * KIB  # the YAML, and the canonical JSON (SECURITY.md rule 16)
CHARTER_DEPTH = 12  # mappings and lists inside each other
CHARTER_PARTIES = 64
CHARTER_ROLES = 16  # of a party, or named by a permission
CHARTER_ASSETS = 256
CHARTER_DIGESTS = 256  # of one asset
CHARTER_PERMISSIONS = 256
CHARTER_LIMITS = 32  # of the charter, or of one permission
CHARTER_ANOMALIES = 16
CHARTER_TOPICS = 64  # of one permission
CHARTER_TOPIC_CHARS = 128
CHARTER_PORTS = 64  # of one permission
CHARTER_TEXT_CHARS = 2000
CHARTER_NAME_CHARS = 200
POLICY_BYTES = 4 * MIB  # what a charter compiles to
CHARTER_PART_BYTES = 15 * KIB  # of a charter in one statement, which has to fit STATEMENT_BYTES
CHARTER_PARTS = 18  # CHARTER_BYTES in such parts
CHARTER_NOTE_BYTES = 12 * KIB  # a carried statement: an envelope's JSON
CHARTER_STATEMENT_LIFETIME = 3650 * DAY
CHARTER_OPEN_VERSIONS = 4  # of one line, waiting for signatures
CHARTER_LINES_OPEN = 64  # proposals that nobody here has signed, from all partners
CHARTER_ATTESTED = 100  # artifacts in one statement about their end
FORMAT_HEADER_BYTES = 64 * MIB  # of a safetensors file
FORMAT_TEXT_BYTES = 64 * MIB  # of a file that is to pass as JSON
FORMAT_MEMBERS = 100_000  # of a npz archive
FORMAT_ARRAY_HEADER_BYTES = 64 * KIB  # of a npy file
CHARTER_EARLY = 64  # signatures kept that came before their charter, from one partner


# ── events ────────────────────────────────────────────────────────────────────────────────────────────
TOPIC_CHARS = 128
TOPIC_LEVELS = 8
CONSUMER_CHARS = 256
EVENT_BYTES = 32 * KIB  # one event's data, as JSON text
EVENTS_LIFETIME = 7 * DAY  # how long a broker keeps an event
EVENTS_KEPT_BYTES = 256 * MIB  # of this node's own events; the oldest go first
EVENTS_FROM_PEER_BYTES = 32 * MIB  # left here by one peer with --to; more is refused
EVENT_OVERHEAD_BYTES = 160  # what an event counts besides its data and its topic
EVENTS_PER_MESSAGE = 256  # published, delivered or read at once
EVENTS_MESSAGE_BYTES = 60 * KIB  # of events in one message: a frame holds it
EVENTS_UNACKNOWLEDGED = 2048  # sent over one connection and not acknowledged
EVENTS_UNACKNOWLEDGED_BYTES = 2 * MIB  # the last page may pass it
EVENTS_TAIL = 8192  # newest events held in memory, so that those who keep up don't read the disk
EVENT_CONSUMERS = 1000  # of one reader
EVENT_SUBSCRIPTIONS = 64  # running at once, asked for on this machine
EVENT_READERS = 16  # subscriptions of one peer at once
EVENTS_BEAT_EVERY = 5.0
EVENTS_DEAD_AFTER = 15.0
EVENTS_RESCAN_SECONDS = 2.0  # how soon a subscription to all peers notices a new one
EVENTS_PUBLISH_TIMEOUT = 30.0  # for a peer to store what was published to it
EVENTS_ACKNOWLEDGE_TIMEOUT = 5.0  # for a broker to say that it has noted an acknowledgement
EVENTS_PRUNE_EVERY = 60.0
EVENTS_DENIED_SECONDS = 30.0  # until a topic that a charter denied to a partner is asked about again
EVENTS_DENIED_KEPT = 1000  # of such topics

# ── forwarding ────────────────────────────────────────────────────────────────────────────────────────
FORWARD_WINDOW = MIB  # on its way to one program in one connection, and not taken by it yet
FORWARD_CONNECTIONS = 128  # through one node at once, in either direction
FORWARD_CONNECTIONS_PER_PEER = 20  # the rest of INBOUND_LINKS_PER_PEER is for session and exchange
FORWARD_WAITING = 100  # connections of one forward that wait for one of those places
FORWARD_PLACE_TIMEOUT = 30.0  # for a place
FORWARD_OPEN_TIMEOUT = 15.0  # from the welcome to the answer whether the port is open
FORWARD_CONNECT_TIMEOUT = 5.0  # for the program on an exposed port to accept
FORWARD_BEAT_EVERY = 15.0
FORWARD_DEAD_AFTER = 45.0  # without a word from the peer's node; its program may be silent for ever
FORWARD_RECHECK_EVERY = 5.0  # whether charter and agreement still allow a connection
FORWARDS = 32  # running at once, asked for on this machine
EXPOSURES = 256
FORWARD_NOTICES = 256  # not read yet by who asked for a forward; more are left out
