"""The laws of what those are told who wait for what jobs bring.

A result is the one that came with the lease that completed the job. And when all is well, whoever
waits for a job's end is told as soon as it has come.
"""

from __future__ import annotations

from typing import Any, Final

from msgspec import UNSET

from osqueue.testing.simulation.laws.law import expect
from osqueue.testing.simulation.laws.line import Line
from osqueue.testing.simulation.laws.requests import Requests
from osqueue.testing.simulation.machine.exchange import Exchange
from osqueue.wire.messages import JobInfo
from osqueue.wire.operations import JobQuery

__all__ = ["expect_brought", "expect_waited"]

PROMPT_US: Final = 3_000_000
"""How long after the end, at most, who waits is told of it when all is well: a leader proves each
second that it leads."""


def expect_waited(exchange: Exchange, line: Line) -> None:
    """Who has waited for a job's end while all was well was told of it soon, and whoever asks once
    it has come is told at once.
    """
    query, well_us, told_us = exchange.request, line.well_us, exchange.ended_us
    over_us = line.over_us(exchange.job_id or "")
    asked = isinstance(query, JobQuery) and query.wait_ms > 0
    if not asked or well_us is None or over_us is None or exchange.sent_us < well_us:
        return
    assert told_us is not None, "it was answered"
    late_us = told_us - max(over_us, exchange.sent_us)
    expect(
        late_us < PROMPT_US,
        "job %s was over, and that was told %s us late",
        exchange.job_id,
        late_us,
    )


def expect_brought(info: Any, line: Line, asked: Requests) -> None:
    """What a completed job is shown to have brought is what its lease's holder has said."""
    assert isinstance(info, JobInfo), "it is what is answered"
    life = line.lives.get(info.id)
    if info.status != "completed" or info.created_at is UNSET or life is None or life.end is None:
        return  # or all but the end is forgotten
    said = asked.results.get(life.end.lease or "", [])
    brought = None if info.result is UNSET else bytes(info.result)
    expect(brought in said, "job %s is said to have brought %s: %s", info.id, brought, said)
