"""A process that uses the client for plain code, and forks, or just ends."""

from __future__ import annotations

import os
import sys

from osqueue import SyncOsqueueClient
from osqueue.errors import TransportConfigError


def fork(client: SyncOsqueueClient) -> None:
    """Parent and child both go on with what the parent has begun."""
    child = os.fork()
    if child == 0:
        client.submit_job("t", job_id="child")
        sys.exit()
    client.submit_job("t", job_id="parent")
    _, status = os.waitpid(child, 0)
    client.submit_job("t", job_id="parent-again")
    sys.exit(os.waitstatus_to_exitcode(status))


def iterate(client: SyncOsqueueClient) -> None:
    """The child cannot go on with what has begun to come to its parent, and can end."""
    updates = client.iter_jobs()
    assert next(updates).job_id == "before"
    child = os.fork()
    if child == 0:
        try:
            next(updates)
        except TransportConfigError:
            sys.exit()
        sys.exit(1)
    assert next(updates, None) is None
    _, status = os.waitpid(child, 0)
    sys.exit(os.waitstatus_to_exitcode(status))


def main(way: str, url: str, transport: str) -> None:
    client = SyncOsqueueClient(url, transport=transport)
    client.submit_job("t", job_id="before")
    if way == "fork":
        fork(client)
    if way == "iterate":
        iterate(client)


if __name__ == "__main__":
    main(*sys.argv[1:])
