"""How much a peer may leave here: counted in logical bytes, in the database, before its first byte comes.

What is on its way counts whole from the moment when it is let in until it has failed, so two offers can't
share the last bytes. What was received counts as long as the file lies where it was put; a file that is gone
is noticed when its room is needed, at most every ``limits.QUOTA_RECOUNT_SECONDS`` for one peer, because its
offers are what makes us look.
"""

from __future__ import annotations

from comity import limits
from comity.errors import InboxFull, TooLarge
from comity.identity.keys import PublicKey
from comity.services.exchange.surroundings import Surroundings
from comity.storage.occupancy import Occupancy


class Quota:
    """For the event loop's thread: between ``require`` and the row of the transfer nothing may wait."""

    def __init__(self, around: Surroundings) -> None:
        self._around = around
        self._occupancy = Occupancy(around.db)
        self._recounted: dict[str, float] = {}

    def require(self, peer: PublicKey, size: int) -> None:
        """InboxFull where this peer may not leave ``size`` more bytes here, TooLarge where nobody may."""
        rules = self._around.rules
        if rules.artifact_limit is not None and size > rules.artifact_limit:
            raise TooLarge(
                f"an artifact of {size} bytes, where {rules.artifact_limit} are allowed",
                hint="ask your partner to raise artifact_limit, or send it in parts",
            )
        if rules.inbox_quota is None:
            return
        used = self._used(peer, rules.inbox_quota - size)
        if used + size > rules.inbox_quota:
            raise InboxFull(
                f"{size} bytes do not fit in this partner's quota: {used} of {rules.inbox_quota} are used"
            )

    def _used(self, peer: PublicKey, fits: int) -> int:
        """Bytes that count; exact where they are more than ``fits``."""
        occupancy, now = self._occupancy, self._around.clock.monotonic()
        used = occupancy.of(peer)
        last = self._recounted.get(peer.hex)
        if used <= fits or (last is not None and now - last < limits.QUOTA_RECOUNT_SECONDS):
            return used
        self._recounted[peer.hex] = now
        for file in occupancy.lying(peer):
            if not self._around.blobs.present(file.folder, file.stored):
                occupancy.removed(file.row, self._around.clock.now())
        return occupancy.of(peer)
