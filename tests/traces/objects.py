"""What others do to a state object: edit it by hand, take it over, overwrite it."""

from __future__ import annotations

import json
from typing import Any

from osqueue.config import QueueLimits
from osqueue.model.apply import apply
from osqueue.model.job import Moment
from osqueue.model.ops import Lead
from osqueue.model.snapshot import decode_state, encode_state

__all__ = ["edited", "job_ids", "older", "taken_over", "without_job"]

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


def older(data: bytes) -> bytes:
    """The object as an older implementation writes it: what it does not know is gone."""
    known = ("broker", "brokerHeartbeat", "jobs", "completedTotal")
    whole = json.loads(data)
    return json.dumps({name: whole[name] for name in known} | {"broker": "old:1"}).encode()


def job_ids(data: bytes) -> list[str]:
    """The jobs that stand in an object, in order."""
    return [job["id"] for job in json.loads(data)["jobs"]]
