"""What a request counts as, by what its answer may keep in memory."""

from __future__ import annotations

import msgspec
import pytest

from osqueue.server.websocket.methods import weight
from osqueue.wire.messages import ClaimRequest, SubmitRequest
from osqueue.wire.operations import EndedQuery, ListQuery, SchedulesQuery


@pytest.mark.parametrize(
    ("message", "counts"),
    [
        (SubmitRequest(), 1),
        (ClaimRequest(worker_id="w"), 1),
        (ClaimRequest(worker_id="w", max=160), 11),
        (ListQuery(limit=32), 3),
        (EndedQuery(limit=15), 1),
        (SchedulesQuery(limit=48), 4),
        (SchedulesQuery(), 7),
    ],
)
def test_weight_when_an_answer_may_be_large_then_counts_as_more(
    message: msgspec.Struct, counts: int
) -> None:
    assert weight(message) == counts
