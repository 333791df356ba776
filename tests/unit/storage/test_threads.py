from __future__ import annotations

import asyncio
import os
import threading
from functools import partial

import pytest

from osqueue.errors import StoreUnavailableError
from osqueue.storage.threads import LATER_MAX, STATE_THREADS, TRANSFER_THREADS, Lane, StoreThreads


class Gate:
    """Work that begins, and then waits to be let go."""

    def __init__(self) -> None:
        self.begun = threading.Semaphore(0)
        self.go = threading.Event()

    def work(self) -> str:
        self.begun.release()
        self.go.wait()
        return threading.current_thread().name

    async def wait_begun(self, calls: int) -> None:
        for _ in range(calls):
            await asyncio.to_thread(self.begun.acquire)


async def test_run_then_its_result_and_error_come_back() -> None:
    threads = StoreThreads()
    assert await threads.run(Lane.STATE, lambda: 7) == 7
    with pytest.raises(ZeroDivisionError):
        await threads.run(Lane.TRANSFER, lambda: 1 // 0)
    await threads.close()


async def test_transfers_when_all_threads_are_taken_then_the_state_goes_on() -> None:
    threads, gate = StoreThreads(), Gate()
    slow = [asyncio.ensure_future(threads.run(Lane.TRANSFER, gate.work)) for _ in range(9)]
    await gate.wait_begun(TRANSFER_THREADS)
    assert await threads.run(Lane.STATE, lambda: "committed") == "committed"
    gate.go.set()
    names = await asyncio.gather(*slow)
    await threads.close()
    assert len(set(names)) <= TRANSFER_THREADS


async def test_put_that_hangs_then_a_look_beside_it_goes_on() -> None:
    assert STATE_THREADS > 1
    threads, gate = StoreThreads(), Gate()
    hanging = asyncio.ensure_future(threads.run(Lane.STATE, gate.work))
    await gate.wait_begun(1)
    assert await threads.run(Lane.STATE, lambda: "looked") == "looked"
    gate.go.set()
    await hanging
    await threads.close()


async def test_run_when_cancelled_then_the_work_is_done_and_the_thread_goes_on() -> None:
    threads, gate = StoreThreads(), Gate()
    done: list[str] = []
    call = asyncio.ensure_future(threads.run(Lane.STATE, lambda: done.append(gate.work())))
    await gate.wait_begun(1)
    call.cancel()
    await asyncio.gather(call, return_exceptions=True)
    gate.go.set()
    assert await threads.run(Lane.STATE, lambda: "next") == "next"
    await threads.close()
    assert len(done) == 1


async def test_run_when_cancelled_before_it_began_then_never_done() -> None:
    threads, gate = StoreThreads(), Gate()
    done: list[int] = []
    slow = [asyncio.ensure_future(threads.run(Lane.STATE, gate.work)) for _ in range(STATE_THREADS)]
    await gate.wait_begun(STATE_THREADS)
    waiting = asyncio.ensure_future(threads.run(Lane.STATE, lambda: done.append(1)))
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    gate.go.set()
    await asyncio.gather(*slow)
    await threads.close()
    assert done == []


async def test_close_then_what_was_begun_ends_and_what_waits_is_refused() -> None:
    threads, gate = StoreThreads(), Gate()
    calls = [
        asyncio.ensure_future(threads.run(Lane.STATE, gate.work)) for _ in range(STATE_THREADS + 1)
    ]
    await gate.wait_begun(STATE_THREADS)
    closing = asyncio.ensure_future(threads.close())
    await asyncio.sleep(0)
    with pytest.raises(StoreUnavailableError, match="closed"):
        await threads.run(Lane.STATE, lambda: None)
    gate.go.set()
    await closing
    *begun, waiting = await asyncio.gather(*calls, return_exceptions=True)
    assert all(isinstance(name, str) for name in begun)
    assert isinstance(waiting, StoreUnavailableError)
    assert not [each for each in threading.enumerate() if each.name in begun]


async def test_close_twice_then_harmless_and_later_calls_are_refused() -> None:
    threads = StoreThreads()
    await threads.close()
    await threads.close()
    with pytest.raises(StoreUnavailableError, match="closed"):
        await threads.run(Lane.TRANSFER, lambda: None)


async def test_later_when_others_tidy_already_then_nobody_waits_and_at_close_all_is_done() -> None:
    threads, gate, done = StoreThreads(), Gate(), list[int]()
    threads.later(gate.work)
    await gate.wait_begun(1)
    for number in range(LATER_MAX - 1):
        threads.later(partial(done.append, number))
    assert done == []
    gate.go.set()
    await threads.close()
    assert done == list(range(LATER_MAX - 1))


async def test_later_when_too_much_waits_then_it_is_done_at_once() -> None:
    threads, gate, done = StoreThreads(), Gate(), list[str]()
    for _ in range(LATER_MAX):
        threads.later(gate.work)
    threads.later(lambda: done.append(threading.current_thread().name))
    assert done == [threading.current_thread().name]
    gate.go.set()
    await threads.close()


async def test_later_when_the_system_refuses_then_nobody_hears_and_there_is_room_again() -> None:
    threads, done = StoreThreads(), list[int]()
    for _ in range(LATER_MAX * 2):
        threads.later(partial(os.close, -1))
    threads.later(partial(done.append, 1))
    await threads.close()
    assert done == [1]


async def test_beside_then_its_result_and_error_come_when_asked_for() -> None:
    threads, gate = StoreThreads(), Gate()
    named, failed = threads.beside(gate.work), threads.beside(lambda: 1 // 0)
    await gate.wait_begun(1)
    gate.go.set()
    assert named() != threading.current_thread().name
    with pytest.raises(ZeroDivisionError):
        failed()
    await threads.close()
    assert threads.beside(gate.work)() == threading.current_thread().name


async def test_later_when_the_threads_have_ended_then_it_is_done_at_once_each_time() -> None:
    threads, done = StoreThreads(), list[int]()
    await threads.close()
    for number in range(LATER_MAX * 2):
        threads.later(partial(done.append, number))
    assert done == list(range(LATER_MAX * 2))
