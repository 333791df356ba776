"""Talking to a broker in plain HTTP: through aiohttp, and byte by byte where bytes matter."""

from __future__ import annotations

import asyncio
import io
import json
import socket
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import aiohttp
from yarl import URL

from osqueue.app import BrokerServer

JSON_TYPE = {"content-type": "application/json"}


class Answer(NamedTuple):
    """One answer, with its headers under lower-case names."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def tag(self) -> str:
        return str(self.json["_tag"])

    @property
    def message(self) -> str:
        return str(self.json["message"])

    @property
    def commit(self) -> tuple[int, int]:
        epoch, _, number = self.headers["osqueue-commit"].partition("-")
        return int(epoch), int(number)


class Rest:
    """A client that does nothing by itself."""

    def __init__(self, session: aiohttp.ClientSession, url: str) -> None:
        self.session = session
        self.url = url

    async def send(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        headers: Mapping[str, str] = JSON_TYPE,
    ) -> Answer:
        """``path`` goes out as it is, escapes and all; ``body`` is bytes or chunks of bytes."""
        if isinstance(body, bytes) and len(body) >= 2**20:
            body = io.BytesIO(body)  # aiohttp warns of large bytes
        async with self.session.request(
            method,
            URL(self.url + path, encoded=True),
            data=body,
            headers=headers,
            skip_auto_headers=("content-type", "accept", "accept-encoding", "user-agent"),
            allow_redirects=False,
        ) as response:
            headers = {name.lower(): value for name, value in response.headers.items()}
            return Answer(response.status, dict(headers), await response.read())

    async def get(self, path: str, **headers: str) -> Answer:
        return await self.send("GET", path, headers=headers)

    async def post(self, path: str, message: object = None, **headers: str) -> Answer:
        """Send JSON; without a message neither body nor content-type."""
        if message is None:
            return await self.send("POST", path, headers=headers)
        return await self.send("POST", path, json_bytes(message), headers={**JSON_TYPE, **headers})

    async def delete(self, path: str) -> Answer:
        return await self.send("DELETE", path, headers={})

    async def submit(self, **fields: object) -> str:
        answer = await self.post("/v1/jobs", fields)
        assert answer.status == 200, answer
        return str(answer.json["jobId"])

    async def claim(self, worker_id: str = "w", **fields: object) -> Any:
        """One job, or ``{}``; with ``max`` the list of jobs."""
        answer = await self.post("/v1/jobs/claim", {"workerId": worker_id, **fields})
        assert answer.status == 200, answer
        return answer.json["jobs"] if "max" in fields else answer.json

    async def job(self, job_id: str) -> Any:
        return (await self.get(f"/v1/jobs/{job_id}")).json

    async def state(self) -> Any:
        """The stored object, without what changes with every commit."""
        state = (await self.get("/state?consistent=true")).json
        return {k: v for k, v in state.items() if k not in {"commit", "brokerHeartbeat"}}


def check(answer: Answer, *, status: int = 400) -> None:
    """It is a refusal of a bad request."""
    assert answer.status == status, answer
    assert answer.headers["content-type"] == "application/json; charset=utf-8"
    assert list(answer.json) == ["_tag", "message"]
    assert answer.tag == "BrokerProtocolError"


def json_bytes(message: object) -> bytes:
    return json.dumps(message, separators=(",", ":")).encode()


class Wire:
    """One connection, read and written as bytes."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    @classmethod
    async def open(cls, broker: BrokerServer) -> Wire:
        host, _, port = broker.address.rpartition(":")
        return cls(*await asyncio.open_connection(host, int(port)))

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def answer(self, *, body: bool = True) -> Answer:
        """The next answer on the connection; ``body=False``: of a HEAD request."""
        async with asyncio.timeout(20):
            head = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
            pairs = [line.partition(": ") for line in head[1:] if line]
            headers = {name.lower(): value for name, _, value in pairs}
            assert len(headers) == len(pairs), f"a header stands twice: {head}"
            length = int(headers.get("content-length", "0")) if body else 0
            return Answer(int(head[0].split()[1]), headers, await self.reader.readexactly(length))

    async def ended(self) -> bytes:
        """What still comes until the broker closes the connection."""
        async with asyncio.timeout(20):
            return await self.reader.read()

    def drop(self) -> None:
        """Close at once, without a word."""
        self.writer.transport.abort()


def request(
    path: str, body: bytes = b"", *headers: str, method: str = "POST", version: str = "1.1"
) -> bytes:
    """A request as bytes."""
    lines = [f"{method} {path} HTTP/{version}", "host: broker", *headers]
    if body:
        lines += ["content-type: application/json", f"content-length: {len(body)}"]
    return "\r\n".join([*lines, "", ""]).encode() + body


def connect(broker: BrokerServer) -> socket.socket:
    """A bare, blocking socket."""
    host, _, port = broker.address.rpartition(":")
    return socket.create_connection((host, int(port)), timeout=20)


def waiting_claims(broker: BrokerServer) -> int:
    engine = broker._engine
    assert engine is not None
    assert engine._term is not None
    return len(engine._term.committer._intake.waiting)


def open_connections(broker: BrokerServer) -> int:
    assert broker._http is not None
    return len(broker._http._server.server_state.connections)


async def eventually(true: Callable[[], object]) -> None:
    """Let everything run until ``true()``; fails when it never is."""
    async with asyncio.timeout(10):
        while not true():  # noqa: ASYNC110 - looks at what has no event of its own
            await asyncio.sleep(0)
