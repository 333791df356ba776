from __future__ import annotations

import asyncio
from typing import cast

from osqueue.client.transports.gathered import GatheringTransport


class Wire:
    """What a transport is asked to write."""

    def __init__(self) -> None:
        self.writes: list[bytes] = []
        self.closing = False

    def is_closing(self) -> bool:
        return self.closing

    def write(self, data: bytes) -> None:
        self.writes.append(data)


def _gathering() -> tuple[GatheringTransport, Wire]:
    wire = Wire()
    return GatheringTransport(cast("asyncio.Transport", wire)), wire


async def test_write_when_there_are_several_in_a_turn_then_they_go_out_as_one_in_order() -> None:
    gathering, wire = _gathering()

    gathering.write(b"a")
    gathering.write(b"b")
    assert wire.writes == []
    await asyncio.sleep(0)

    assert wire.writes == [b"ab"]


async def test_write_when_it_is_in_a_later_turn_then_goes_out_by_itself() -> None:
    gathering, wire = _gathering()

    gathering.write(b"a")
    await asyncio.sleep(0)
    gathering.write(b"b")
    await asyncio.sleep(0)

    assert wire.writes == [b"a", b"b"]


async def test_write_when_the_connection_ends_before_the_turn_does_then_goes_nowhere() -> None:
    gathering, wire = _gathering()

    gathering.write(b"a")
    wire.closing = True
    await asyncio.sleep(0)

    assert (wire.writes, gathering.is_closing()) == ([], True)
