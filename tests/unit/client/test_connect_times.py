"""Connect of a client, where a broker's own behaviour does not show it."""

from __future__ import annotations

import asyncio
from contextlib import aclosing

import pytest
from tests.unit.client.scripted_broker import ScriptedBroker, hangs, running

from osqueue.client.transports.connect import ConnectTransport
from osqueue.config import ClientSettings
from osqueue.errors import TransportConnectionError
from osqueue.wire.messages import SubscribeRequest
from osqueue.wire.operations import SUBSCRIBE


async def test_stream_when_no_connection_is_free_then_told_in_time_that_nothing_was_sent() -> None:
    async with running(ScriptedBroker()) as broker, asyncio.timeout(10):
        broker.otherwise = hangs()
        transport = ConnectTransport(broker.url, ClientSettings(connections_max=1))
        first = asyncio.ensure_future(
            anext(transport.stream(SUBSCRIBE, SubscribeRequest(), timeout_s=5))
        )
        try:
            await broker.until(lambda: broker.asked)
            async with aclosing(
                transport.stream(SUBSCRIBE, SubscribeRequest(), timeout_s=0.1)
            ) as second:
                with pytest.raises(TransportConnectionError) as caught:
                    await anext(second)
            assert caught.value.applied == "no"
        finally:
            first.cancel()
            await asyncio.wait({first})
            await transport.close()
