"""A process that embeds a queue for plain code. Arguments: what it does, and the storage's URL."""

from __future__ import annotations

import os
import signal
import sys

import msgspec

from osqueue import SyncQueue
from osqueue.config import BrokerSettings, LeadershipSettings, QueueLimits
from osqueue.embedded import QueueOptions, SyncConsumer
from osqueue.errors import BrokerLeadershipError, TransportConfigError

SETTINGS = BrokerSettings(
    limits=QueueLimits(lease_timeout_ms=3_000),
    leadership=LeadershipSettings(heartbeat_interval_ms=100, heartbeat_timeout_ms=2_000),
)


class Note(msgspec.Struct):
    number: int


def say(*words: object) -> None:
    sys.stdout.write(" ".join(map(str, words)) + "\n")
    sys.stdout.flush()


def lead(options: QueueOptions) -> None:
    """Lead, hold a job, and be killed."""
    with SyncQueue(Note, **options) as q:
        for number in range(3):
            q.push(Note(number))
        for job in q.consume():
            say("holding", job.job_id)
            sys.stdin.read()


def forget(options: QueueOptions) -> None:
    """End without closing anything."""
    q = SyncQueue(Note, **options)
    say("pushed", q.push(Note(1)))
    jobs = q.consume()
    say("holding", next(jobs).job_id)
    kept.extend([q, jobs])


kept: list[object] = []


def fork(options: QueueOptions) -> None:
    """Parent and child both go on with a queue that the parent has begun."""
    q = SyncQueue(Note, **options)
    q.push(Note(1))
    jobs = q.consume()
    held = next(jobs)
    child = os.fork()
    if child == 0:
        _be_child(q, jobs, brokerless=options.get("brokerless", False))
    _, status = os.waitpid(child, 0)
    with held:
        q.push(Note(2))
    say("child", os.waitstatus_to_exitcode(status))
    jobs.close()
    q.close()


def _be_child(q: SyncQueue[Note], jobs: SyncConsumer[Note], *, brokerless: bool) -> None:
    try:
        next(jobs)
    except TransportConfigError:
        pass
    else:
        sys.exit(4)
    try:
        q.push(Note(3))
    except BrokerLeadershipError:
        sys.exit(2 if brokerless else 0)
    sys.exit(0 if brokerless else 3)


def share(options: QueueOptions) -> None:
    """Push 25 jobs and consume whatever comes, beside others, until killed."""
    with SyncQueue(Note, **options) as q, q.consume() as jobs:
        for number in range(25):
            say("pushed", q.push(Note(number)))
        for job in jobs:
            say("done", job.job_id)


WAYS = {"lead": lead, "forget": forget, "fork": fork, "share": share}


def main(way: str, url: str, brokerless: str = "") -> None:
    WAYS[way](QueueOptions(storage=url, settings=SETTINGS, brokerless=brokerless == "brokerless"))


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)  # who started us may ignore it
    main(*sys.argv[1:])
