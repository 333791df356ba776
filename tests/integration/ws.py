"""Talking to a broker by WebSocket, frame by frame."""

from __future__ import annotations

import asyncio
import itertools
import json
from types import TracebackType
from typing import Any, NamedTuple, Self

from tests.integration.rest import Answer, Wire, json_bytes
from websockets.frames import Frame, Opcode

from osqueue.app import BrokerServer
from osqueue.server.websocket.frames import BINARY, CLOSE, CONT, PING, PONG, TEXT
from osqueue.server.websocket.protocol import WebSocket

__all__ = ["BINARY", "CLOSE", "CONT", "PING", "PONG", "TEXT", "Closed", "Ws", "sockets_of"]

KEY = "sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ=="
HEAD = ("upgrade: websocket", "connection: Upgrade", "sec-websocket-version: 13", KEY)


class Closed(NamedTuple):
    """How the broker ended a connection."""

    code: int | None
    reason: str


def masked(opcode: int, data: bytes, *, fin: bool = True) -> bytes:
    """A frame as a client sends it."""
    return Frame(Opcode(opcode), data, fin).serialize(mask=True)


def upgrade(path: str = "/v1/ws", *headers: str, method: str = "GET") -> bytes:
    """The request that opens a WebSocket."""
    lines = [f"{method} {path} HTTP/1.1", "host: localhost", *HEAD, *headers]
    return "\r\n".join([*lines, "", ""]).encode()


class Ws:
    """One connection. A context manager; it closes without a word."""

    def __init__(self, wire: Wire, answer: Answer) -> None:
        self.wire = wire
        self.answer = answer
        self._ids = itertools.count(1)

    @classmethod
    async def open(cls, broker: BrokerServer, *headers: str) -> Self:
        wire = await Wire.open(broker)
        await wire.send(upgrade("/v1/ws", *headers))
        answer = await wire.answer()
        assert answer.status == 101, answer
        return cls(wire, answer)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.wire.drop()

    async def frame(self, opcode: int, data: bytes = b"", *, fin: bool = True) -> None:
        await self.wire.send(masked(opcode, data, fin=fin))

    async def text(self, text: bytes) -> None:
        await self.frame(TEXT, text)

    async def send(self, method: str, params: object = None, **fields: object) -> str:
        """Ask for something; answers the id, a decimal string as the older clients make it."""
        id_ = str(next(self._ids))
        asked = {"id": id_, "method": method, "params": params, **fields}
        await self.text(json_bytes(asked))
        return id_

    async def ask(self, method: str, params: object = None, **fields: object) -> Any:
        """Ask, and take the next message, which has to be the answer."""
        id_ = await self.send(method, params, **fields)
        answer = await self.receive()
        assert answer["id"] == fields.get("id", id_), answer
        return answer

    async def result(self, method: str, params: object = None, **fields: object) -> Any:
        """What is answered to something that succeeds."""
        answer = await self.ask(method, params, **fields)
        assert answer["ok"], answer
        return answer["result"]

    async def error(self, method: str, params: object = None, **fields: object) -> Any:
        """The error of something that fails."""
        answer = await self.ask(method, params, **fields)
        assert not answer["ok"], answer
        assert list(answer) == ["id", "ok", "error"]
        return answer["error"]

    async def raw(self) -> tuple[int, bytes, bool]:
        """The next frame: opcode, data, and whether it is the last of its message."""
        async with asyncio.timeout(20):
            first, length = await self.wire.reader.readexactly(2)
            if length == 126:
                length = int.from_bytes(await self.wire.reader.readexactly(2), "big")
            elif length == 127:
                length = int.from_bytes(await self.wire.reader.readexactly(8), "big")
            return first & 0x0F, await self.wire.reader.readexactly(length), first >= 0x80

    async def bytes(self) -> bytes:
        """The next message, which has to be text; pings are left unanswered."""
        message = b""
        while True:
            opcode, data, fin = await self.raw()
            if opcode == PING:
                continue
            assert opcode == (CONT if message else TEXT), (opcode, data)
            message += data
            if fin:
                return message

    async def receive(self) -> Any:
        return json.loads(await self.bytes())

    async def closed(self) -> Closed:
        """How the connection is closed, whatever comes before that."""
        while True:
            opcode, data, _ = await self.raw()
            if opcode == CLOSE:
                code = int.from_bytes(data[:2], "big") if data else None
                return Closed(code, data[2:].decode())


def sockets_of(broker: BrokerServer) -> list[WebSocket]:
    """The WebSockets that a broker has open."""
    assert broker._http is not None
    connections: set[Any] = set(broker._http._server.server_state.connections)
    return [each for each in connections if isinstance(each, WebSocket)]
