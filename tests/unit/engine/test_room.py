from __future__ import annotations

import asyncio

import pytest

from osqueue.engine.room import Room
from osqueue.errors import OverloadedError

from .conftest import soon

LONG_MS = 60_000


def room(size: int = 10, wait_ms: int = LONG_MS) -> Room:
    return Room(size, wait_ms=wait_ms, what="things")


async def waiting(room: Room, size: int) -> asyncio.Task[object]:
    """Somebody in the line."""
    task: asyncio.Task[object] = asyncio.ensure_future(room.take(size))
    await asyncio.sleep(0)
    assert not task.done()
    return task


async def test_room_when_there_is_enough_then_taken_at_once_and_given_back_once() -> None:
    space = room()
    share = await space.take(4)
    with space.take_now(6):
        assert space.free == 0
    share.give_back()
    share.give_back()
    assert space.free == 10


async def test_room_when_there_is_too_little_then_in_the_order_of_arrival() -> None:
    space = room()
    share = space.take_now(8)
    large, small = await waiting(space, 5), await waiting(space, 1)
    share.give_back()
    await soon(asyncio.gather(large, small))
    assert space.free == 4


async def test_room_when_more_is_asked_for_than_there_ever_is_then_it_comes_alone() -> None:
    space = room()
    with await space.take(1_000):
        assert space.free == 0
        with pytest.raises(OverloadedError, match="bytes of things"):
            space.take_now(1)
    assert space.free == 10


async def test_room_when_somebody_waits_then_nobody_passes_by() -> None:
    space = room()
    share = space.take_now(8)
    first = await waiting(space, 5)
    with pytest.raises(OverloadedError):
        space.take_now(1)
    share.give_back()
    await soon(first)


async def test_room_when_it_takes_too_long_then_refused_and_the_next_gets_on() -> None:
    space = room(wait_ms=20)
    share = space.take_now(8)
    with pytest.raises(OverloadedError):
        await soon(space.take(5))
    with space.take_now(2):
        pass
    share.give_back()
    assert space.free == 10


async def test_room_when_the_first_in_line_leaves_then_the_next_gets_on() -> None:
    space = room()
    share = space.take_now(8)
    first, second = await waiting(space, 5), await waiting(space, 2)
    first.cancel()
    await soon(second)
    share.give_back()
    assert space.free == 8


async def test_room_when_one_leaves_whose_turn_has_come_then_nothing_is_lost() -> None:
    space = room()
    share = space.take_now(8)
    first = await waiting(space, 5)
    share.give_back()
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    assert space.free == 10


async def test_room_when_it_frees_up_while_the_first_is_leaving_then_the_next_has_it() -> None:
    space = room()
    share = space.take_now(10)
    leaving, next_ = await waiting(space, 5), await waiting(space, 7)
    leaving.cancel()
    share.give_back()
    with pytest.raises(asyncio.CancelledError):
        await leaving
    await soon(next_)
    assert space.free == 3
