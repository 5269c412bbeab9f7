"""Events between trusted peers (docs: protocol, "Events"): publish, subscribe, acknowledge.

``service`` is what others use. ``broker`` stores and hands out this node's topics, ``audience`` says who may
read, ``reception`` answers on port 1002 and lets ``serving`` feed each reader; ``subscription`` merges the
brokers that one reader here listens to, each of them a ``source``. ``talk`` moves frames for both sides,
``inside`` stands in for a link where the broker is our own.
"""

from comity.services.events.service import EventsService
from comity.services.events.surroundings import Surroundings

__all__ = ["EventsService", "Surroundings"]
