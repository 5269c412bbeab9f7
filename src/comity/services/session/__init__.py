"""Sessions: the one standing authenticated link with each online peer that has an agreement.

``service`` owns them all, ``keeper`` decides when to dial, ``tunnel`` runs one, ``standing`` settles which of
two stays, ``reachability`` tells and learns addresses, ``punches`` carries the words of a simultaneous open.
What is said on a session is ``protocol.session``.
"""

from comity.services.session.punches import PunchDesk
from comity.services.session.reachability import Herald
from comity.services.session.service import SessionService

__all__ = ["Herald", "PunchDesk", "SessionService"]
