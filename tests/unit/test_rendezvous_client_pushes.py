"""What the rendezvous pushes faster than it is handled: nobody's flood displaces or overtakes kept mail."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from comity import limits
from comity.errors import RendezvousUnreachable
from comity.protocol.registry import Mail
from comity.transport.rendezvous_pushes import Pushes
from tests.worlds import Diary

SENDER = "ab" * 32


def letter(number: int, *, keep: bool = True) -> Mail:
    return Mail(sender=SENDER, message_id=f"{number:032x}", blob=b"x", posted=0, keep=keep)


async def handed_out(pushes: Pushes, diary: Diary) -> None:
    """Work off what waits: until no more comes of it."""
    handing = asyncio.create_task(pushes.hand_out())
    before = -1
    while len(diary.letters) != before:
        before = len(diary.letters)
        await asyncio.sleep(0.3)
    handing.cancel()
    with suppress(asyncio.CancelledError, RendezvousUnreachable):
        await handing


async def test_a_flood_of_signals_displaces_no_letter() -> None:
    pushes = Pushes(diary := Diary())
    for number in range(4 * limits.RENDEZVOUS_PUSHES):
        pushes.put(letter(number, keep=False))
    pushes.put(letter(7))
    await handed_out(pushes, diary)
    assert diary.letters[-1] == letter(7)
    assert len(diary.letters) == limits.RENDEZVOUS_PUSHES + 1


async def test_a_whole_mailbox_of_strangers_displaces_no_partners_letter() -> None:
    """They stay unread while the desk is full: each connection would bring them first, and nothing else."""
    pushes = Pushes(diary := Diary())
    for number in range(limits.MAIL_PER_RECIPIENT):
        pushes.put(letter(number))
    await handed_out(pushes, diary)
    assert diary.letters == [letter(number) for number in range(limits.MAIL_PER_RECIPIENT)]


async def test_what_came_after_a_letter_that_did_not_fit_waits_for_it() -> None:
    pushes = Pushes(diary := Diary())
    for number in range(limits.MAIL_PER_RECIPIENT + 1):
        pushes.put(letter(number))
    handing = asyncio.create_task(handed_out(pushes, diary))
    await diary.until(lambda diary: bool(diary.letters))
    pushes.put(letter(limits.MAIL_PER_RECIPIENT + 1))  # there is room by now
    await handing
    assert diary.letters[-1] == letter(limits.MAIL_PER_RECIPIENT - 1)
