"""Messages to and from bytes, small and large ones."""

from __future__ import annotations

import pytest

from osqueue.config import ROOMY_BYTES
from osqueue.errors import BrokerProtocolError
from osqueue.server.rpc.messages import decode, encode, is_large
from osqueue.wire.gen.osqueue.v1 import queue_pb as pb

LARGE = b"1" * (ROOMY_BYTES + 1)


@pytest.mark.parametrize("payload", [b"1", LARGE], ids=["small", "large"])
@pytest.mark.parametrize("as_text", [True, False])
async def test_message_when_written_and_read_then_the_same(payload: bytes, as_text: bool) -> None:
    message = pb.ClaimJobResponse(job_id="a", payload=payload)
    written = await encode(message, as_text=as_text)
    assert await decode(pb.ClaimJobResponse, written, as_text=as_text) == message


@pytest.mark.parametrize("size", [1, ROOMY_BYTES + 1])
@pytest.mark.parametrize("as_text", [True, False])
async def test_bytes_when_they_are_no_message_then_refused_by_its_name(
    size: int, as_text: bool
) -> None:
    with pytest.raises(BrokerProtocolError, match=r"osqueue\.v1\.SubmitJobRequest"):
        await decode(pb.SubmitJobRequest, b"\xff" * size, as_text=as_text)


@pytest.mark.parametrize(
    ("message", "large"),
    [
        (pb.ClaimJobResponse(payload=LARGE), True),
        (pb.ClaimJobsResponse(jobs=[pb.ClaimJobResponse(payload=LARGE[::2])] * 3), True),
        (pb.GetPayloadResponse(payload=LARGE), True),
        (pb.ListJobsResponse(jobs=[pb.JobInfo(payload=LARGE)]), True),
        (pb.ClaimJobResponse(payload=b"1"), False),
        (pb.HeartbeatResponse(), False),
    ],
)
def test_answer_when_it_brings_large_payloads_then_large(message: object, *, large: bool) -> None:
    assert is_large(message) == large
