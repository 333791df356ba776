"""What handlers say of their progress, until it is sent."""

from __future__ import annotations

import asyncio

from osqueue.worker.progress import ProgressBoard, progress_of

HALF = progress_of(1, 2, "")
WHOLE = progress_of(2, 2, "")


async def _told(*leases: str) -> ProgressBoard:
    board = ProgressBoard()
    for lease in leases:
        board.tell(lease, HALF)
    await asyncio.sleep(0)
    return board


async def test_progress_when_it_could_not_be_sent_then_it_is_to_be_sent_again() -> None:
    board = await _told("a", "b")
    board.take()
    board.tell("b", WHOLE)
    await asyncio.sleep(0)
    board.put_back()
    assert board.told.is_set()
    assert board.take() == {"a": HALF, "b": WHOLE}


async def test_progress_when_its_job_has_ended_while_it_was_sent_then_it_is_not_kept() -> None:
    board = await _told("a")
    board.take()
    board.forget("a")
    board.put_back()
    assert len(board) == 0
    assert not board.told.is_set()
