"""Being told to stop."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Iterator
from typing import Any, NoReturn

import pytest

from osqueue.cli import signals
from osqueue.cli.signals import KEEP_RUNNING, StopRequest, StopRequestedError, either, first_of
from osqueue.clock import SystemClock


async def never() -> NoReturn:
    await asyncio.Event().wait()
    raise AssertionError("an event that nobody sets")


async def after_a_turn(value: Any) -> Any:
    await asyncio.sleep(0)
    if isinstance(value, Exception):
        raise value
    return value


async def test_first_of_when_the_work_is_done_then_its_answer() -> None:
    assert await first_of(after_a_turn(3), never()) == 3


async def test_first_of_when_the_work_fails_then_its_error() -> None:
    with pytest.raises(ZeroDivisionError):
        await first_of(after_a_turn(ZeroDivisionError()), never())


async def test_first_of_when_the_guard_raises_then_that_after_the_work_was_cleaned_up() -> None:
    cleaned = []

    async def work() -> None:
        try:
            await never()
        finally:
            await asyncio.sleep(0)
            cleaned.append(True)

    with pytest.raises(ZeroDivisionError):
        await first_of(work(), after_a_turn(ZeroDivisionError()))
    assert cleaned


async def test_first_of_when_cancelled_then_both_are() -> None:
    task = asyncio.ensure_future(first_of(never(), never()))
    await asyncio.sleep(0)
    others = asyncio.all_tasks() - {asyncio.current_task(), task}
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert others
    assert all(other.cancelled() for other in others)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_stop_when_signalled_then_the_work_is_cut_short(number: signal.Signals) -> None:
    with StopRequest() as stop:
        os.kill(os.getpid(), number)
        with pytest.raises(StopRequestedError) as caught:
            await stop.unless_requested(never())
    assert stop.requested
    assert caught.value.exit_code == 128 + number


async def test_stop_when_not_signalled_then_the_work_is_done() -> None:
    with StopRequest() as stop:
        assert await stop.unless_requested(after_a_turn(3)) == 3
    assert not stop.requested


async def test_stop_when_signalled_twice_then_at_once_but_not_for_the_same_signal(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    exits: list[int] = []
    monkeypatch.setattr(os, "_exit", exits.append)
    with StopRequest() as stop:
        stop._clock = clock = ManualClock()
        stop._signalled(signal.SIGTERM)
        stop._signalled(signal.SIGTERM)
        assert exits == []
        clock.now_ms += signals.SAME_SIGNAL_MS
        stop._signalled(signal.SIGINT)
    assert exits == [130]


async def test_stop_when_somebody_can_hurry_then_the_second_asks_that_and_the_third_ends_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    exits: list[int] = []
    monkeypatch.setattr(os, "_exit", exits.append)
    with StopRequest(hurries=True) as stop:
        stop._clock = clock = ManualClock()
        stop._signalled(signal.SIGTERM)
        assert (stop.requested, stop.exit_code) == (True, 0)
        clock.now_ms += signals.SAME_SIGNAL_MS
        stop._signalled(signal.SIGINT)
        stop._signalled(signal.SIGINT)
        await stop.wait_hurry()
        assert (stop.exit_code, exits) == (130, [])
        clock.now_ms += signals.SAME_SIGNAL_MS
        stop._signalled(signal.SIGINT)
    assert exits == [130]


async def test_stop_when_requested_by_another_part_then_as_by_a_signal() -> None:
    with StopRequest(hurries=True) as stop:
        stop.request()
        await stop.wait()
        assert stop.exit_code == 0
        stop.request(hurry=True)
        await stop.wait_hurry()
        assert stop.exit_code == 143


async def test_stop_when_a_supervisor_is_sooner_than_the_signal_to_all_then_asked_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    exits: list[int] = []
    monkeypatch.setattr(os, "_exit", exits.append)
    with StopRequest(hurries=True) as stop:
        stop._clock = clock = ManualClock()
        stop.request()
        stop._signalled(signal.SIGTERM)
        assert (stop.requested, stop.exit_code) == (True, 0)
        clock.now_ms += signals.SAME_SIGNAL_MS
        stop.request(hurry=True)
        stop._signalled(signal.SIGTERM)
        assert (stop.exit_code, exits) == (143, [])
        clock.now_ms += signals.SAME_SIGNAL_MS
        stop._signalled(signal.SIGTERM)
    assert exits == [143]


async def test_either_when_one_is_over_then_the_others_are_cancelled() -> None:
    others = asyncio.ensure_future(never())

    async def other() -> None:
        await others

    await either(other(), after_a_turn(1))
    assert others.cancelled()


class ManualClock(SystemClock):
    now_ms = 1_000

    def mono_ms(self) -> int:
        return self.now_ms


@pytest.fixture
def supervisor(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """The writing end of this process's stdin."""
    reading, writing = os.pipe()
    with os.fdopen(reading) as stdin:
        monkeypatch.setattr(sys, "stdin", stdin)
        yield writing
        try:
            os.close(writing)
        except OSError:
            assert True, "the test closed it"


async def test_supervised_when_its_stdin_ends_then_it_is_asked_to_stop(supervisor: int) -> None:
    with StopRequest(supervised=True) as stop:
        os.close(supervisor)
        async with asyncio.timeout(5):
            await stop.wait()


async def test_supervised_when_told_to_keep_running_then_the_end_of_stdin_does_not_matter(
    supervisor: int,
) -> None:
    with StopRequest(supervised=True) as stop:
        os.write(supervisor, KEEP_RUNNING)
        os.close(supervisor)
        for _ in range(20):
            await asyncio.sleep(0)
        assert not stop.requested
