"""A process that uses the client for plain code, and forks, or just ends."""

from __future__ import annotations

import os
import sys

from osqueue import SyncOsqueueClient


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


def main(way: str, url: str, transport: str) -> None:
    client = SyncOsqueueClient(url, transport=transport)
    client.submit_job("t", job_id="before")
    if way == "fork":
        fork(client)


if __name__ == "__main__":
    main(*sys.argv[1:])
