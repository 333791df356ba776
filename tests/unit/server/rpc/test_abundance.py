"""Counting the parts of a request without reading it."""

from __future__ import annotations

import pytest

from osqueue.errors import BrokerProtocolError
from osqueue.server.rpc.abundance import (
    PARTS_MAX,
    UNCOUNTED_BYTES,
    expect_few_objects,
    expect_few_parts,
)
from osqueue.wire.gen.osqueue.v1 import queue_pb as pb

EMPTY_JOB = b"\x0a\x00"
PARTS = {
    "jobs": EMPTY_JOB,
    "numbers": b"\x98\x06\x01",
    "large numbers": b"\x98\x06" + b"\xff" * 9 + b"\x01",
    "fixed": b"\x99\x06" + bytes(8),
    "half as long": b"\x9d\x06" + bytes(4),
    "groups": b"\x9b\x06\x9c\x06",
}


@pytest.mark.parametrize("name", PARTS)
def test_parts_when_there_are_too_many_then_refused(name: str) -> None:
    with pytest.raises(BrokerProtocolError, match="more than 4096 parts"):
        expect_few_parts(PARTS[name] * UNCOUNTED_BYTES)


def test_parts_when_they_follow_a_group_then_counted_all_the_same() -> None:
    with pytest.raises(BrokerProtocolError):
        expect_few_parts(PARTS["groups"] + EMPTY_JOB * UNCOUNTED_BYTES)


def test_parts_when_as_many_as_a_batch_may_have_then_let_pass() -> None:
    job = pb.SubmitJobRequest(payload=b"{}" * 50, type="t")
    batch = pb.SubmitJobsRequest(jobs=[job] * 1_000).to_binary()
    expect_few_parts(batch)
    expect_few_parts(b"\0" * 5 + batch, 5)


def test_parts_when_exactly_as_many_as_are_counted_then_let_pass() -> None:
    part = b"\x0a\x08" + bytes(8)
    expect_few_parts(part * PARTS_MAX)
    with pytest.raises(BrokerProtocolError):
        expect_few_parts(part * (PARTS_MAX + 1))


@pytest.mark.parametrize("data", [b"\xff" * 20_000, b"\x0f" * 20_000, b"\x0a\xff\xff\x7f" * 5_000])
def test_parts_when_they_are_none_then_left_to_the_reader(data: bytes) -> None:
    expect_few_parts(data)


def test_objects_when_there_are_too_many_then_refused() -> None:
    with pytest.raises(BrokerProtocolError):
        expect_few_objects(b'{"jobs":[' + b"{}," * 10_000 + b"{}]}")
    expect_few_objects(b'{"jobs":[' + b'{"payload":"MQ=="},' * 999 + b"{}]}")
