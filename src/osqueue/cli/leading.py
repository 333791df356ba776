"""Who leads, and having it hand over."""

from __future__ import annotations

import asyncio
from typing import Final

import msgspec

from osqueue.cli import tables
from osqueue.cli.asking import ask
from osqueue.cli.failures import CliError
from osqueue.cli.options import Broker
from osqueue.cli.output import say, say_json
from osqueue.client import BrokerStatus, OsqueueClient
from osqueue.config import ClientSettings
from osqueue.errors import OsqueueError

__all__ = ["fail_over", "show"]

LOOKS_MAX: Final = 100
LOOK_S: Final = 0.1
"""For ten seconds in all: whoever stands by takes over in less than one."""


def show(broker: Broker, *, json_output: bool) -> None:
    """Print how the leader is doing; without one, how the broker asked is."""
    status = ask(broker, _leaders_status)
    if json_output:
        say_json(msgspec.to_builtins(status))
    else:
        tables.print_status(status)


def fail_over(broker: Broker) -> None:
    """Hand over, and say who leads then."""
    before, after = ask(broker, _handed_over)
    say(f"{before} has handed over; {after} leads now")


async def _leaders_status(client: OsqueueClient) -> BrokerStatus:
    status = await client.get_status()
    if status.leader is None or status.leader == status.address:
        return status
    return await _status_of(status.leader) or status


async def _handed_over(client: OsqueueClient) -> tuple[str, str]:
    before = (await _leaders_status(client)).address
    await client.fail_over()
    for _ in range(LOOKS_MAX):
        status = await _status_of(before)
        if status is not None and status.leader not in {None, before}:
            return before, str(status.leader)
        await asyncio.sleep(LOOK_S)
    raise CliError(f"{before} has handed over, but no other broker has taken over so far")


async def _status_of(address: str) -> BrokerStatus | None:
    """How one broker is doing, if it says so at once."""
    once = ClientSettings(retry_for_ms=0, timeout_ms=2_000)
    try:
        async with OsqueueClient(f"http://{address}", settings=once) as client:
            return await client.get_status()
    except OsqueueError:
        return None
