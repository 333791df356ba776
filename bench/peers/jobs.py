"""The job of the benchmark: it does nothing, and its payload is 200 bytes of JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping

from peers.tally import marks

__all__ = ["NAME", "Payload", "payload", "run", "run_async"]

Payload = dict[str, object]

NAME = "nothing"
PAYLOAD_BYTES = 200
EMPTY_BYTES = len(json.dumps({"n": 0, "text": ""}))


def payload(number: int) -> Payload:
    """What is submitted as this job."""
    return {"n": number, "text": "x" * (PAYLOAD_BYTES - EMPTY_BYTES - len(str(number)) + 1)}


def run(given: Mapping[str, object]) -> None:
    """The handler, for systems that run plain functions."""
    number = given["n"]
    assert isinstance(number, int)
    marks().mark(number)


async def run_async(given: Mapping[str, object]) -> None:
    """The handler, for systems that run coroutines."""
    run(given)
