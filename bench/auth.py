"""What asking for tokens costs: submits over REST to two broker processes, one of which does.

They take turns, so that whatever else the machine does harms both alike; the processor time that a
broker spends on a request tells more than the rate, which the load generator limits as well.
"""

from __future__ import annotations

import os
from statistics import median

import uvloop
from load import Connection, connections, drive, emit
from rest import broker, cpu_s, submit

from osqueue.clock import SystemEntropy
from osqueue.server.door.tokens import new_token, token_line
from osqueue.wire.roles import Role

CONNECTIONS = 64
ROUNDS = int(os.environ.get("BENCH_ROUNDS", "40"))
ROUND_S = float(os.environ.get("BENCH_SECONDS", "0.5"))


class Side:
    """One broker, and what it was measured at."""

    def __init__(self, pid: int, pool: list[Connection]) -> None:
        self.pid, self.pool = pid, pool
        self.rates: list[float] = []
        self.us: list[float] = []

    async def turn(self) -> None:
        before = cpu_s(self.pid)
        rate = await drive(self.pool, ROUND_S, submit)
        self.rates.append(rate)
        self.us.append((cpu_s(self.pid) - before) / (rate * ROUND_S) * 1e6)


async def main() -> None:
    made = new_token("bench", frozenset({Role.PRODUCE}), SystemEntropy())
    with broker() as (port, pid), broker(tokens=token_line(made.entry)) as (port2, pid2):
        async with connections(port, CONNECTIONS) as pool, connections(port2, CONNECTIONS) as pool2:
            for connection in pool2:
                connection.headers = f"authorization: Bearer {made.token}\r\n".encode()
            sides = {"off": Side(pid, pool), "on": Side(pid2, pool2)}
            for number in range(ROUNDS):
                for side in list(sides.values())[:: 1 if number % 2 else -1]:
                    await side.turn()
    for name, side in sides.items():
        emit(f"auth.{name}.submits_per_s", figure=round(median(side.rates)), rounds=ROUNDS)
        emit(f"auth.{name}.broker_us_per_submit", figure=round(median(side.us), 1))
    pairs = zip(sides["on"].us, sides["off"].us, strict=True)
    ratio = median(on / off for on, off in pairs) - 1
    emit("auth.cost", percent=round(ratio * 100, 1), target=5)


if __name__ == "__main__":
    uvloop.run(main())
