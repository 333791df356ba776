"""Attempts at the edges: times without end, leases lost early, results that are not JSON."""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest
from msgspec import Raw
from tests.unit.worker.conftest import ManualTime, NaiveQueue, eventually, settled

from osqueue.client import OsqueueClient
from osqueue.config import TIME_MS_MAX
from osqueue.worker import JobContext, Worker

BEAT_MS = 5_000

LAZY = """
import {test} as test
test.IMPORTING.set()
assert test.GO_ON.wait(30)
def handle(payload):
    test.HANDLED.append(payload)
"""

IMPORTING, GO_ON = threading.Event(), threading.Event()
HANDLED: list[Any] = []


@pytest.fixture
def lazy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A handler whose import waits until it may go on."""
    IMPORTING.clear()
    GO_ON.clear()
    HANDLED.clear()
    (tmp_path / "lazy_handlers_of_test_execution.py").write_text(LAZY.format(test=__name__))
    monkeypatch.syspath_prepend(tmp_path)
    yield "lazy_handlers_of_test_execution:handle"
    sys.modules.pop("lazy_handlers_of_test_execution", None)


async def test_attempt_when_it_may_take_till_the_end_of_time_then_its_handler_runs(
    client: OsqueueClient, queue: NaiveQueue
) -> None:
    deadlines: list[datetime | None] = []

    async def handle(_: Any, ctx: JobContext) -> None:
        deadlines.append(ctx.deadline)

    job_id = queue.push()
    queue.ready[0] = msgspec.structs.replace(queue.ready[0], timeout_ms=TIME_MS_MAX)
    async with Worker(client, {"t": handle}):
        await eventually(lambda: queue.completed or queue.failed)

    assert (queue.failed, queue.completed) == ([], [job_id])
    assert deadlines == [datetime.max.replace(microsecond=0, tzinfo=UTC)]


async def test_attempt_whose_lease_is_lost_while_its_handler_is_imported_then_it_does_not_run(
    client: OsqueueClient, queue: NaiveQueue, time: ManualTime, lazy: str
) -> None:
    job_id = queue.push()
    async with Worker(client, {"t": lazy}):
        await asyncio.to_thread(IMPORTING.wait, 30)
        queue.lose(job_id)
        await time.pass_ms(BEAT_MS)
        GO_ON.set()
        next_id = queue.push(b"2")
        await eventually(lambda: queue.completed == [next_id])

    assert HANDLED == [2]


async def test_attempt_whose_time_is_up_while_its_handler_is_imported_then_it_fails_and_never_runs(
    client: OsqueueClient, queue: NaiveQueue, lazy: str
) -> None:
    job_id = queue.push()
    queue.ready[0] = msgspec.structs.replace(queue.ready[0], timeout_ms=1)
    async with Worker(client, {"t": lazy}):
        await eventually(lambda: queue.failed)
        GO_ON.set()
        next_id = queue.push(b"2")
        await eventually(lambda: queue.completed == [next_id])

    assert [failed[0] for failed in queue.failed] == [job_id]
    assert HANDLED == [2]


async def test_attempt_whose_time_is_up_in_its_thread_then_what_it_returns_to_wait_for_is_cancelled(
    client: OsqueueClient, queue: NaiveQueue
) -> None:
    failed, cancelled = threading.Event(), asyncio.Event()

    async def rest() -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.set()
            raise

    def handle(_: Any) -> Any:
        assert failed.wait(30)
        return rest()

    queue.push()
    queue.ready[0] = msgspec.structs.replace(queue.ready[0], timeout_ms=1)
    async with Worker(client, {"t": handle}, on_job_failed=lambda *_: failed.set()):
        async with asyncio.timeout(10):
            await cancelled.wait()
        await settled()

    assert len(queue.failed) == 1


@pytest.mark.parametrize(
    "text", [b"", b"nonsense", b"NaN", b'1},{"jobId":"job-2"', b'"\xff"', b"[" * 2_000]
)
async def test_attempt_that_returns_a_text_that_is_no_json_then_it_alone_fails_for_good(
    client: OsqueueClient, queue: NaiveQueue, text: bytes
) -> None:
    async def handle(_: Any) -> Raw:
        return Raw(text)

    queue.push()
    queue.ready[0] = msgspec.structs.replace(queue.ready[0], keep_result=True)
    async with Worker(client, {"t": handle}):
        await eventually(lambda: queue.completed or queue.failed)
        await settled()

    ((_, report),) = queue.failed
    assert (queue.completed, report.retry) == ([], False)
    assert "result" in report.error.message
