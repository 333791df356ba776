"""The loop in a thread of its own, at its end."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from osqueue.client.loop_thread import LoopThread
from osqueue.errors import TransportConfigError


async def ready() -> str:
    return "ready"


def test_stop_while_a_call_is_under_way_then_it_is_told_that_it_is_over() -> None:
    thread, began = LoopThread(), threading.Event()

    async def forever() -> None:
        began.set()
        await asyncio.get_running_loop().create_future()

    with ThreadPoolExecutor(1) as threads:
        call = threads.submit(thread.run, forever)
        began.wait(10)
        thread.stop()
        with pytest.raises(TransportConfigError, match="closed"):
            call.result(10)


def test_call_that_was_about_to_begin_when_it_stops_then_it_is_told_that_it_is_over() -> None:
    thread = LoopThread()
    thread.run(ready)
    loop = thread._begun()
    thread.stop()
    with pytest.raises(TransportConfigError, match="closed"):
        loop.run(ready)


def test_calls_of_many_threads_while_it_stops_then_each_ends() -> None:
    for _ in range(20):
        thread, begun = LoopThread(), threading.Barrier(5)

        def call(thread: LoopThread = thread, begun: threading.Barrier = begun) -> int:
            done = 0
            begun.wait(10)
            try:
                while True:
                    done += thread.run(ready) == "ready"
            except TransportConfigError:
                return done

        with ThreadPoolExecutor(4) as threads:
            calls = [threads.submit(call) for _ in range(4)]
            begun.wait(10)
            thread.stop()
            assert all(each.result(10) >= 0 for each in calls)


def test_stop_with_a_last_call_then_what_goes_wrong_in_it_is_told() -> None:
    thread = LoopThread()
    thread.run(ready)

    async def fails() -> None:
        raise TransportConfigError("so be it")

    with pytest.raises(TransportConfigError, match="so be it"):
        thread.stop(fails)
    thread.stop()
