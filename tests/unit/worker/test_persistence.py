from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

import pytest
from tests.unit.worker.conftest import ManualTime, eventually

from osqueue.client import Runtime
from osqueue.config import ClientSettings
from osqueue.errors import AuthError, LeaseLostError, TransportConnectionError
from osqueue.worker.persistence import Persistence


@pytest.fixture
def persistence(runtime: Runtime) -> Persistence:
    return Persistence(
        "claiming jobs", ClientSettings(backoff_first_ms=50, backoff_max_ms=200), runtime
    )


def _steps(*steps: BaseException | str) -> Callable[[], Awaitable[str]]:
    remaining = list(steps)

    async def attempt() -> str:
        step = remaining.pop(0)
        if isinstance(step, BaseException):
            raise step
        return step

    return attempt


def _broke() -> TransportConnectionError:
    return TransportConnectionError("broke")


async def _finish(task: asyncio.Task[str], time: ManualTime) -> list[float]:
    """Let time pass until the task is done; answers its pauses."""
    pauses: list[float] = []
    while True:
        await eventually(lambda: task.done() or time.pauses_ms())
        if task.done():
            return pauses
        pauses += time.pauses_ms()
        await time.pass_ms(pauses[-1])


async def test_until_answered_repeats_with_growing_pauses(
    persistence: Persistence, time: ManualTime
) -> None:
    steps = _steps(*[_broke() for _ in range(5)], "done")

    task = asyncio.ensure_future(persistence.until_answered(steps))

    assert await _finish(task, time) == [25, 50, 100, 100, 100]
    assert await task == "done"


async def test_until_answered_with_a_refusal_raises_it(persistence: Persistence) -> None:
    with pytest.raises(LeaseLostError):
        await persistence.until_answered(_steps(LeaseLostError("gone")))


async def test_until_answered_with_an_error_not_ours_raises_it(persistence: Persistence) -> None:
    with pytest.raises(ZeroDivisionError):
        await persistence.until_answered(_steps(ZeroDivisionError()))


async def test_until_done_repeats_whatever_the_error(
    persistence: Persistence, time: ManualTime
) -> None:
    steps = _steps(AuthError("who are you"), ZeroDivisionError(), _broke(), "done")

    task = asyncio.ensure_future(persistence.until_done(steps))
    await _finish(task, time)

    assert await task == "done"


async def test_until_done_when_cancelled_ends(persistence: Persistence) -> None:
    with pytest.raises(asyncio.CancelledError):
        await persistence.until_done(_steps(asyncio.CancelledError()))


async def test_an_outage_is_logged_once_and_its_end_too(
    persistence: Persistence, time: ManualTime, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "osqueue.worker")
    for _ in range(2):
        steps = _steps(_broke(), _broke(), _broke(), "done")
        await _finish(asyncio.ensure_future(persistence.until_answered(steps)), time)
        await persistence.until_answered(_steps("done"))

    outage = ["claiming jobs: broke; trying again", "claiming jobs: working again"]
    assert caplog.messages == outage * 2


async def test_an_unexpected_error_is_logged_with_its_traceback(
    persistence: Persistence, time: ManualTime, caplog: pytest.LogCaptureFixture
) -> None:
    task = asyncio.ensure_future(persistence.until_done(_steps(ZeroDivisionError("bug"), "done")))
    await _finish(task, time)

    assert caplog.records[0].exc_info is not None
