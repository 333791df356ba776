"""Calls that come one by one, and the moment for which they wait for one another."""

from __future__ import annotations

import asyncio

from osqueue.server.rpc.gathering import MANY, TRIED_EVERY, Gathering


async def went_on(gathering: Gathering, calls: int) -> list[asyncio.Task[None]]:
    tasks = [asyncio.ensure_future(gathering.turn()) for _ in range(calls)]
    await asyncio.sleep(0)
    return tasks


async def tried(gathering: Gathering) -> None:
    """Come to the call that is held up to see whether others come."""
    for _ in range(TRIED_EVERY):
        await gathering.turn()


async def test_calls_when_few_then_they_go_on_at_once() -> None:
    done = await went_on(Gathering(), TRIED_EVERY)
    assert all(task.done() for task in done)


async def test_calls_when_many_come_then_they_go_on_together_and_so_do_the_next() -> None:
    gathering = Gathering()
    await tried(gathering)
    for _ in range(2):
        waiting = await went_on(gathering, MANY)
        assert not any(task.done() for task in waiting)
        await asyncio.gather(*waiting)


async def test_call_when_no_others_come_then_those_after_it_go_on_at_once() -> None:
    gathering = Gathering()
    await tried(gathering)
    await gathering.turn()
    done = await went_on(gathering, TRIED_EVERY)
    assert all(task.done() for task in done)


async def test_call_when_given_up_while_it_waits_then_the_others_go_on() -> None:
    gathering = Gathering()
    await tried(gathering)
    gone, *others = await went_on(gathering, MANY)
    gone.cancel()
    await asyncio.gather(*others)
    assert gone.cancelled()
