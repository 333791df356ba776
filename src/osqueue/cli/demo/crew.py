"""The demo's processes: brokers on one storage, and workers; started again when they die.

One broker leads and the others stand by. Workers know only where the queue lives.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final

from osqueue.cli.demo.member import Member, stop_all
from osqueue.cli.demo.place import Place

__all__ = ["LEASE_TIMEOUT_MS", "Crew"]

HOST: Final = "127.0.0.1"

LEASE_TIMEOUT_MS: Final = 5_000
"""Jobs of a killed worker are given to another after this: short, as somebody watches."""

HEARTBEAT_INTERVAL_MS: Final = 500
HEARTBEAT_TIMEOUT_MS: Final = 2_000
"""A broker that hangs is replaced after this: as short as it can be on a disk that is busy."""

START_LOOK_S: Final = 0.02


class Crew:
    """The processes. ``port`` is the first broker's, and the others' follow; 0 takes free ones."""

    def __init__(self, place: Place, *, lock: int, port: int, brokers: int, workers: int) -> None:
        self.brokers = [
            Member(
                f"broker {number}" if brokers > 1 else "the broker",
                _broker_command(place, port + number - 1 if port else 0),
                place=place,
                lock=lock,
            )
            for number in range(1, brokers + 1)
        ]
        command = ["worker", "osqueue.cli.demo.worker:worker", "--storage", place.storage]
        self.workers = [
            Member(f"worker {number}", command, place=place, lock=lock)
            for number in range(1, workers + 1)
        ]

    async def start(self) -> None:
        """Start all, one broker ahead, so that it leads; needs `revive` to see that one fail."""
        first, *others = self.brokers
        first.start()
        while first.address is None:  # noqa: ASYNC110 - another process says it
            await asyncio.sleep(START_LOOK_S)
        for member in (*others, *self.workers):
            member.start()

    def revive(self) -> list[str]:
        """Start again who has died; tells of whom. Raises `CliError` when that does not help."""
        ends = [(member, member.end()) for member in (*self.brokers, *self.workers)]
        return [_started_again(member, end) for member, end in ends if end is not None]

    def roster(self, leader: Member) -> str:
        """Who is who, by their process ids."""
        standbys = [broker for broker in self.brokers if broker is not leader]
        parts = [f"{_named([leader])} leads"]
        if standbys:
            parts.append(f"{_named(standbys)} {'stands' if len(standbys) == 1 else 'stand'} by")
        workers = ", ".join(str(worker.pid) for worker in self.workers)
        roles = ", ".join(parts)
        return f"{roles[0].upper()}{roles[1:]}; workers {workers}."

    async def stop(self, leader: Member | None, *, keep_leader: bool = False) -> Member | None:
        """Stop the workers, then the brokers, which a last report may still have to reach.

        The leader is the last, so that no other one takes over in between. Answers it if it was to
        be kept and goes on.
        """
        await stop_all(self.workers)
        await stop_all([broker for broker in self.brokers if broker is not leader])
        if leader is None:
            return None
        if keep_leader and leader.is_running:
            leader.let_go()
            return leader
        await stop_all([leader])
        return None


def _named(brokers: Sequence[Member]) -> str:
    return ", ".join(f"{broker.name} ({broker.pid})" for broker in brokers)


def _started_again(member: Member, end: str) -> str:
    member.start_again()
    return f"{member.name} {end}; started again as {member.pid}"


def _broker_command(place: Place, port: int) -> list[str]:
    settings = {
        "--storage": place.storage,
        "--host": HOST,
        "--port": port,
        "--grpc-port": 0,  # the demo's own clients speak HTTP
        "--job-heartbeat-timeout-ms": LEASE_TIMEOUT_MS,
        "--broker-heartbeat-interval-ms": HEARTBEAT_INTERVAL_MS,
        "--broker-heartbeat-timeout-ms": HEARTBEAT_TIMEOUT_MS,
    }
    return ["broker", *(str(part) for setting in settings.items() for part in setting)]
