"""What an offer says of its content where a charter governs (docs: protocol, "Exchange", under a charter)."""

from __future__ import annotations

from typing import Annotated

import msgspec

from comity import limits
from comity.protocol.wire import Digest


class Described(msgspec.Struct, frozen=True, kw_only=True):
    """What the sender says of the content, where a charter governs: the receiver judges by it, and verifies
    all of it before the artifact appears.

    ``signature``: the JSON of a DSSE envelope over ``statements.ArtifactSignature``.
    """

    digest: Digest
    format: Annotated[str, msgspec.Meta(pattern=r"^[a-z0-9-]{0,32}\Z")]
    signature: Annotated[str, msgspec.Meta(max_length=limits.ARTIFACT_SIGNATURE_BYTES)] = ""
