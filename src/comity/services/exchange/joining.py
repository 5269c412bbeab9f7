"""The receiver's side of a transfer that moves or spreads: a further stream on which its sender would go on.

The stream's handler lasts as long as the transfer; its bytes are the transfer's thread's.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from comity.errors import RemoteProtocolError, TransferFailed
from comity.protocol.exchange.failure import refuse_for
from comity.protocol.exchange.messages import Accept, Join, encode_message, parse_message
from comity.services.exchange.commit import Arrival
from comity.transport.interface import Stream


async def join(stream: Stream, body: bytes, running: Iterable[Arrival]) -> None:
    """Answer a JOIN: a transfer of this peer's may go on here. RemoteProtocolError, LinkLost."""
    message = parse_message(body)
    if not isinstance(message, Join):
        raise RemoteProtocolError("a join that is none")
    arrival = _of(stream, message, running)
    if arrival is None or arrival.lane is None or arrival.over.is_set():
        refusal = refuse_for(TransferFailed("no such transfer is under way"))
        await stream.send(encode_message(refusal))
        return
    lane = stream.lane()
    accept = encode_message(Accept(transfer=message.transfer))
    if message.number:
        if arrival.lane.add(lane, message.number):
            await asyncio.to_thread(lane.send, accept)  # nothing else uses it before it is answered
            await arrival.over.wait()
        else:
            stream.abort()
    elif arrival.lane.move(lane, accept):
        await arrival.over.wait()  # its thread has finished the lane, or ended it
    else:
        stream.abort()


def _of(stream: Stream, message: Join, running: Iterable[Arrival]) -> Arrival | None:
    for arrival in running:
        if arrival.peer.key == stream.peer and arrival.offer.transfer == message.transfer:
            return arrival
    return None
