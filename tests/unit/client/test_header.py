"""Every way to read the leader must say the same as decoding the whole object."""

from __future__ import annotations

import json
from typing import Any

import pytest

from osqueue.client import header
from osqueue.client.header import Leader, read_leader
from osqueue.config import QueueLimits
from osqueue.errors import CorruptStateError
from osqueue.model.job import Moment
from osqueue.model.snapshot import decode_state, encode_state

LED = {"broker": "10.0.0.5:8080", "epoch": 7}
JOBS = {"jobs": [{"id": "a", "payload": {"x": 1, "jobs": [{}]}}]}


def _ours(**fields: Any) -> bytes:
    state = {"format": 1, "commit": "7-1", "brokerHeartbeat": 1, **LED, **fields, **JOBS}
    return json.dumps(state, separators=(",", ":")).encode()


@pytest.fixture
def whole_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: bytes) -> None:
        raise AssertionError("the whole object was decoded")

    monkeypatch.setattr(header, "_whole", refuse)


@pytest.mark.usefixtures("whole_is_refused")
def test_read_leader_of_what_our_encoder_writes_looks_at_the_header_only() -> None:
    moment = Moment(wall=1, serving=1)
    limits = QueueLimits()
    jobs = b',"jobs":[{"id":"a","status":"unclaimed","payload":1,"createdAt":1,"attempts":0}]}'
    stored = b'{"format":1,"epoch":7,"commit":"c","broker":"b:1","brokerHeartbeat":1,"x":{"y":1}'
    state = decode_state(stored + jobs, limits=limits, now=moment)

    assert read_leader(encode_state(state)) == Leader("b:1", 7)


@pytest.mark.usefixtures("whole_is_refused")
def test_read_leader_does_not_look_behind_the_header() -> None:
    head, _, _ = _ours().partition(b',"jobs":[')

    assert read_leader(head + b',"jobs":[ and what not') == Leader("10.0.0.5:8080", 7)


@pytest.mark.usefixtures("whole_is_refused")
def test_read_leader_when_leadership_was_given_back_then_nobody() -> None:
    assert read_leader(_ours(broker=None)) == Leader(None, 7)


@pytest.mark.parametrize(
    "fields",
    [
        {"outbox": {"key": "k", "jobs": [1]}, "broker": None},
        {"note": 'he said ","jobs":[', "broker": "z:1"},
        {"note": {"a": 1, "jobs": [{"b": 1, "jobs": []}]}},
    ],
)
def test_read_leader_with_the_same_words_elsewhere_is_not_misled(fields: dict[str, Any]) -> None:
    data = _ours(**fields)
    assert read_leader(data).address == json.loads(data)["broker"]


@pytest.mark.parametrize(
    "order",
    [
        ["jobs", "broker", "epoch"],
        ["broker", "jobs", "epoch"],
        ["epoch", "jobs", "broker"],
        ["x", "jobs", "broker", "epoch"],
    ],
)
@pytest.mark.parametrize("indent", [None, 2])
def test_read_leader_of_keys_in_another_order_reads_them_all(
    order: list[str], indent: int | None
) -> None:
    fields = {**LED, **JOBS, "x": 1}
    state = {name: fields[name] for name in order}
    separators = (",", ":") if indent is None else None
    data = json.dumps(state, indent=indent, separators=separators).encode()

    assert read_leader(data) == Leader("10.0.0.5:8080", 7)


def test_read_leader_of_an_older_implementation_has_no_epoch() -> None:
    data = b'{"broker":"h:1","brokerHeartbeat":5,"jobs":[{"id":"a"}],"completedTotal":1}'
    assert read_leader(data) == Leader("h:1", None)


@pytest.mark.parametrize("data", [b"", b" ", b"[]", b'{"broker":5}', b'{"broker":"h:1"', b"\xff"])
def test_read_leader_of_no_state_object_says_so(data: bytes) -> None:
    with pytest.raises(CorruptStateError, match=r"is empty|is not a state object"):
        read_leader(data)
