"""The one error tree: every failure has a code, a message, a hint and an exit status.

It does not print, log or exit: the edges (CLI, control API, wire) do that with what is here.
Messages are lower case, without a full stop; a hint names one thing to try next. The table of codes and
exit statuses in ``docs/reference/errors.md`` is checked against this module by a test.
"""

from comity.errors.artifacts import (
    AgreementInvalid,
    AuditInvalid,
    DiskFull,
    FileChanged,
    FileUnusable,
<<<<<<< HEAD
    InboxFull,
=======
    InvalidWeights,
>>>>>>> main
    NameRefused,
    TooLarge,
    TransferCancelled,
    TransferFailed,
    UnknownTransfer,
    VerificationFailed,
)
from comity.errors.base import (
    ComityError,
    all_errors,
    from_code,
)
from comity.errors.events import BrokerFull, ConsumerReplaced
from comity.errors.forwarding import ForwardsBusy, NotExposed, TargetUnreachable
from comity.errors.local import (
    AlreadyInitialised,
    AlreadyRunning,
    HomeUnsafe,
    InvalidCard,
    InvalidCharter,
    InvalidInput,
    InvalidJoinUrl,
    NewerDatabase,
    NotInitialised,
    NotRunning,
    StorageUnusable,
    WrongPassphrase,
)
from comity.errors.peers import (
    AmbiguousPeer,
    Denied,
    HandshakeRejected,
    IdentityMismatch,
    MailboxFull,
    NameTaken,
    NotAdmitted,
    NothingPending,
    PeerRefused,
    PeerUnreachable,
    RateLimited,
    RendezvousIdentityMismatch,
    RendezvousRefused,
    RendezvousUnreachable,
    RequestChanged,
    UnknownPeer,
    UntrustedPeer,
)
from comity.errors.proxies import ProxyAuthentication, ProxyFailed
from comity.errors.wire import (
    LinkLost,
    LocalProtocolError,
    RemoteProtocolError,
    TimedOut,
    VersionMismatch,
)

__all__ = [
    "AgreementInvalid",
    "AlreadyInitialised",
    "AlreadyRunning",
    "AmbiguousPeer",
    "AuditInvalid",
    "BrokerFull",
    "ComityError",
    "ConsumerReplaced",
    "Denied",
    "DiskFull",
    "FileChanged",
    "FileUnusable",
    "ForwardsBusy",
    "HandshakeRejected",
    "HomeUnsafe",
    "IdentityMismatch",
    "InboxFull",
    "InvalidCard",
    "InvalidCharter",
    "InvalidInput",
    "InvalidJoinUrl",
    "InvalidWeights",
    "LinkLost",
    "LocalProtocolError",
    "MailboxFull",
    "NameRefused",
    "NameTaken",
    "NewerDatabase",
    "NotAdmitted",
    "NotExposed",
    "NotInitialised",
    "NotRunning",
    "NothingPending",
    "PeerRefused",
    "PeerUnreachable",
    "ProxyAuthentication",
    "ProxyFailed",
    "RateLimited",
    "RemoteProtocolError",
    "RendezvousIdentityMismatch",
    "RendezvousRefused",
    "RendezvousUnreachable",
    "RequestChanged",
    "StorageUnusable",
    "TargetUnreachable",
    "TimedOut",
    "TooLarge",
    "TransferCancelled",
    "TransferFailed",
    "UnknownPeer",
    "UnknownTransfer",
    "UntrustedPeer",
    "VerificationFailed",
    "VersionMismatch",
    "WrongPassphrase",
    "all_errors",
    "from_code",
]
