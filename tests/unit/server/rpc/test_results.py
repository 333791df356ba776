"""Results come as bytes that nobody has read: only JSON passes."""

from __future__ import annotations

import pytest
from msgspec import UNSET, Raw

from osqueue.errors import BrokerProtocolError
from osqueue.server.rpc.answerer import read_request
from osqueue.wire import operations as ops
from osqueue.wire.gen.osqueue.v1 import queue_pb as pb
from osqueue.wire.methods import method_of

ODD = [b"", b"{", b"nul", b"1 2", b"\xff", b'"\x01"', b"[" * 100_000]


@pytest.mark.parametrize("odd", ODD, ids=lambda odd: repr(odd[:8]))
def test_complete_when_its_result_is_no_json_then_refused_by_name(odd: bytes) -> None:
    message = pb.CompleteJobRequest(job_id="j", worker_id="w", result=odd)
    with pytest.raises(BrokerProtocolError, match="`result` cannot be kept"):
        read_request(method_of(ops.COMPLETE), message, 10)


@pytest.mark.parametrize("odd", ODD, ids=lambda odd: repr(odd[:8]))
def test_completes_when_a_result_is_no_json_then_refused_by_its_place(odd: bytes) -> None:
    refs = [pb.CompleteRef(job_id="i", result=b"1"), pb.CompleteRef(job_id="j", result=odd)]
    message = pb.CompleteJobsRequest(worker_id="w", jobs=refs)
    with pytest.raises(BrokerProtocolError, match=r"`jobs\[1\]\.result` cannot be kept"):
        read_request(method_of(ops.COMPLETE_BATCH), message, 10)


def test_complete_when_its_result_is_json_with_space_around_it_then_without_that() -> None:
    message = pb.CompleteJobRequest(job_id="j", worker_id="w", result=b' {"a": 1}\n')
    asked = read_request(method_of(ops.COMPLETE), message, 10)
    assert asked.message.result == Raw(b'{"a": 1}')


def test_complete_when_it_brings_none_then_there_is_none() -> None:
    message = pb.CompleteJobRequest(job_id="j", worker_id="w")
    assert read_request(method_of(ops.COMPLETE), message, 10).message.result is UNSET
