"""What others do to a state object: edit it by hand, take it over, overwrite it."""

from __future__ import annotations

import json
from typing import Any

from osqueue.config import QueueLimits
from osqueue.model.apply import apply
from osqueue.model.job import Moment
from osqueue.model.lineage import SHARED, CommitId
from osqueue.model.ops import Lead, Op, Resign, Share
from osqueue.model.snapshot import decode_state, encode_state

__all__ = ["edited", "job_ids", "older", "released", "shared_by", "taken_over", "without_job"]

NOW = Moment(1_800_000_000_000, 0)


def edited(data: bytes, **fields: Any) -> bytes:
    """The object as a person left it: some fields changed, all others as they were."""
    return json.dumps({**json.loads(data), **fields}).encode()


def without_job(data: bytes, job_id: str) -> bytes:
    """The object after a person has taken a job out of it."""
    jobs = [job for job in json.loads(data)["jobs"] if job["id"] != job_id]
    return edited(data, jobs=jobs)


def taken_over(data: bytes, *, epoch: int, broker: str = "rival:1") -> bytes:
    """The first version of another broker on top of ``data``."""
    state = decode_state(data, limits=QueueLimits(), now=NOW)
    apply(state, Lead(epoch, broker, "rival", 3_000), NOW)
    state.header.commit = f"{epoch}-1-rival"
    return encode_state(state)


def released(data: bytes) -> bytes:
    """The last version of a leader that has given its place back."""
    state = decode_state(data, limits=QueueLimits(), now=NOW)
    apply(state, Resign(), NOW)
    name = CommitId.parse(state.header.commit)
    assert name is not None
    state.header.commit = str(name._replace(number=name.number + 1))
    return encode_state(state)


def shared_by(
    writer: str, data: bytes, *ops: Op, epoch: int | None = None, now: Moment = NOW
) -> bytes:
    """The version of another process that shares the queue, with what it did on top of ``data``."""
    state = decode_state(data, limits=QueueLimits(), now=now)
    name = CommitId.parse(state.header.commit)
    assert name is not None
    ours = CommitId(epoch or name.epoch, name.number + 1, f"{SHARED}{writer}")
    apply(state, Share(ours.epoch, ours.writer), now)
    for op in ops:
        apply(state, op, now)
    state.header.commit = str(ours)
    return encode_state(state)


def older(data: bytes) -> bytes:
    """The object as an older implementation writes it: what it does not know is gone."""
    known = ("broker", "brokerHeartbeat", "jobs", "completedTotal")
    whole = json.loads(data)
    return json.dumps({name: whole[name] for name in known} | {"broker": "old:1"}).encode()


def job_ids(data: bytes) -> list[str]:
    """The jobs that stand in an object, in order."""
    return [job["id"] for job in json.loads(data)["jobs"]]
