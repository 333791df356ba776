"""A broken connection is an error of the system, whichever event loop it belongs to."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest
import uvloop

from osqueue.testing.http_peer import Peer


async def talk_after_the_end() -> None:
    def left(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    async with await asyncio.start_server(left, "127.0.0.1", 0) as server:
        peer = await Peer.dial(server.sockets[0].getsockname())
        peer.abort()
        await peer.left()
        with pytest.raises(OSError, match="broken off"):
            await peer.send(b"hello?")
        peer.reset()


@pytest.mark.parametrize("new_loop", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_peer_when_its_connection_is_gone_then_sending_fails_and_a_reset_does_no_harm(
    new_loop: Callable[[], asyncio.AbstractEventLoop],
) -> None:
    with asyncio.Runner(loop_factory=new_loop) as runner:
        runner.run(talk_after_the_end())
