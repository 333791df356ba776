"""Waiting for results where brokers are not as they should be."""

from __future__ import annotations

import asyncio
import math

import pytest
from tests.unit.client.conftest import ScriptedTransport

from osqueue.client import OsqueueClient, awaiting
from osqueue.config import RESULT_WAIT_MS
from osqueue.errors import JobNotFoundError
from osqueue.wire import messages
from osqueue.wire.operations import JobQuery


def _job(status: str, **fields: int) -> messages.JobInfo:
    return messages.JobInfo(id="a", status=status, **fields)  # type: ignore[arg-type]


async def test_result_when_the_broker_is_an_older_one_then_it_is_asked_again_after_a_pause(
    client: OsqueueClient, transport: ScriptedTransport, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(awaiting, "PAUSE_S", 0.001)
    transport.answers(_job("unclaimed"), _job("in_progress"), _job("completed", created_at=5))

    assert await client.result("a") is None

    assert [call.request for call in transport.calls] == [JobQuery(wait_ms=RESULT_WAIT_MS)] * 3


async def test_result_when_the_time_is_short_then_the_broker_waits_no_longer(
    client: OsqueueClient, transport: ScriptedTransport
) -> None:
    transport.answers(_job("completed", created_at=5))

    await client.result("a", timeout=1.5)

    assert transport.calls[0].request.wait_ms in range(1_400, 1_501)


async def test_result_when_the_time_is_without_end_then_it_is_as_if_none_was_given(
    client: OsqueueClient, transport: ScriptedTransport
) -> None:
    transport.answers(_job("completed", created_at=5))

    assert await client.result("a", timeout=math.inf) is None

    assert transport.calls[0].request == JobQuery(wait_ms=RESULT_WAIT_MS)


async def test_result_when_what_the_job_brought_is_not_kept_any_more_then_that_is_said(
    client: OsqueueClient, transport: ScriptedTransport
) -> None:
    transport.answers(_job("completed", ended_at=5))

    with pytest.raises(JobNotFoundError, match="not kept any more"):
        await client.result("a")


async def test_result_when_cancelled_from_outside_then_it_is_no_timeout(
    client: OsqueueClient, transport: ScriptedTransport
) -> None:
    transport.answers(*[_job("unclaimed")] * 100)
    task = asyncio.ensure_future(client.result("a", timeout=60))
    await asyncio.sleep(0)
    task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await task
