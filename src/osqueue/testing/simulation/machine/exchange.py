"""Requests of clients to brokers over the simulated network.

What travels is what the real transports carry: a request as the broker reads it, an answer with its
position, an error as its tag and message. A caller that goes away breaks the connection, and the
broker learns of it, unless that is lost, too.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from functools import partial
from typing import Any, Protocol

import msgspec

from osqueue.client.addresses import endpoint
from osqueue.client.transports.http_answers import resting_on
from osqueue.client.transports.protocol import Answer
from osqueue.errors import OsqueueError, TransportConnectionError
from osqueue.testing.simulation.machine.loop import SimulatedLoop
from osqueue.testing.simulation.machine.network import Network
from osqueue.testing.simulation.machine.process import SimulatedProcess
from osqueue.testing.simulation.machine.streaming import Pipe, Pusher
from osqueue.wire.errors import error_body, error_from_body, http_status
from osqueue.wire.operations import Operation

__all__ = [
    "Connection",
    "Exchange",
    "Server",
    "Serving",
    "SimulatedTransport",
    "Witness",
    "travelled",
]


class Exchange(msgspec.Struct):
    """One request, and what came of it as its sender saw it."""

    who: str
    operation: Operation
    request: msgspec.Struct | None
    job_id: str | None
    sent_us: int
    ended_us: int | None = None
    answer: Answer | None = None
    error: OsqueueError | None = None
    copies: int = 0
    """How often the request came there, or will."""
    floor: int = 0
    """How many jobs had durably completed when it was sent."""
    told: tuple[int, int] | None = None
    """The commit that a stream has told of last."""
    brought: int = 0
    """How many jobs a stream has brought."""

    @property
    def without_effect(self) -> bool:
        """Whether its sender was told that it was not applied, and it came no other time."""
        return self.error is not None and self.error.applied == "no" and self.copies < 2


class Witness(Protocol):
    """Is told of every request, by whatever process."""

    def sent(self, exchange: Exchange) -> None: ...

    def answered(self, exchange: Exchange) -> None: ...

    def given_up(self, exchange: Exchange) -> None:
        """Nobody waits for its answer any more."""
        ...

    def pushed(self, exchange: Exchange, message: Any) -> None:
        """A stream has brought something."""
        ...


class Server(Pusher, Protocol):
    """What listens at an address."""

    connections: list[Connection]
    """Connections with a request that has not been answered."""

    def serve(self, exchange: Exchange, reply: Callable[[Answer | OsqueueError], None]) -> Serving:
        """Begin to answer; what it returns is told when the caller has gone."""
        ...

    def push(self, exchange: Exchange, pipe: Pipe) -> Serving:
        """Begin to push what is asked for."""
        ...


class Serving(Protocol):
    """An answer that is being worked on."""

    def cancel(self) -> object: ...


class SimulatedTransport:
    """The way from one process to the broker at a URL: a transport as any other."""

    def __init__(
        self,
        url: str,
        process: SimulatedProcess,
        network: Network,
        servers: dict[str, Server],
        witness: Witness,
    ) -> None:
        self._place = "{}:{}".format(*endpoint(url))
        self._url = url
        self._process = process
        self._network = network
        self._servers = servers
        self._witness = witness

    async def call(
        self,
        operation: Operation,
        request: msgspec.Struct | None = None,
        *,
        job_id: str | None = None,
        timeout_s: float,
    ) -> Answer:
        loop = self._process.loop
        exchange = Exchange(self._process.name, operation, request, job_id, loop.now_us)
        connection = Connection(loop, self._network, self._process, exchange)
        self._witness.sent(exchange)
        connection.ask(self._servers.get(self._place))
        try:
            async with asyncio.timeout(timeout_s):
                answer: Answer = await connection.answer
        except TimeoutError as error:
            self._witness.given_up(exchange)
            connection.hang_up()
            message = f"{operation.name}: {self._url} did not answer within {timeout_s:g} s"
            raise TransportConnectionError(message) from error
        except OsqueueError as error:
            exchange.ended_us, exchange.error = loop.now_us, error
            self._witness.answered(exchange)
            raise
        except asyncio.CancelledError:
            self._witness.given_up(exchange)
            connection.hang_up()
            raise
        exchange.ended_us, exchange.answer = loop.now_us, answer
        self._witness.answered(exchange)
        return answer

    async def stream(
        self, operation: Operation, request: msgspec.Struct, *, timeout_s: float
    ) -> AsyncGenerator[Any, None]:
        loop, server = self._process.loop, self._servers.get(self._place)
        exchange = Exchange(self._process.name, operation, request, None, loop.now_us)
        pipe = Pipe(loop, self._network, self._process)
        self._witness.sent(exchange)
        pipe.ask(server, lambda: _begun(server, exchange, pipe))
        try:
            await self._accepted(pipe, timeout_s)
            while (message := await pipe.take()) is not None:
                self._witness.pushed(exchange, message)
                yield message
        finally:
            self._witness.given_up(exchange)
            pipe.hang_up()

    async def _accepted(self, pipe: Pipe, timeout_s: float) -> None:
        try:
            async with asyncio.timeout(timeout_s):
                await pipe.take()
        except TimeoutError as error:
            message = f"{self._url} was not reached within {timeout_s:g} s"
            raise TransportConnectionError(message) from error

    async def reconnect(self) -> None:
        """There is no connection that could be dropped."""

    async def close(self) -> None:
        """The same."""


class Connection:
    """A connection that carries one request."""

    def __init__(
        self, loop: SimulatedLoop, network: Network, process: SimulatedProcess, exchange: Exchange
    ) -> None:
        self._loop = loop
        self._network = network
        self._place = process.name
        self._life = process.life
        self._exchange = exchange
        self._server: Server | None = None
        self._serving: list[Serving] = []
        self.answer: asyncio.Future[Answer] = loop.create_future()

    def ask(self, server: Server | None) -> None:
        self._server = server
        if server is None or self._network.refuses(self._place, server.process.name):
            self._resolve(_refused())
        else:
            self._exchange.copies = self._network.send(
                self._place, server.process.name, self._arrive
            )

    def hang_up(self) -> None:
        """Let the broker know that nobody waits any more."""
        server = self._server
        if server is not None and self._serving:
            life = server.process.life
            self._network.send(self._place, server.process.name, self._cancel, life=life, once=True)

    def broken(self) -> None:
        """The process at the other end is gone, and its machine says so."""
        error = TransportConnectionError("the connection was reset")
        self._send_back(error)

    def _arrive(self) -> None:
        server = self._server
        assert server is not None
        if server.process.alive:
            self._loop.within(server.process.life, partial(self._serve, server))
        else:
            self._send_back(_refused())

    def _serve(self, server: Server) -> None:
        server.connections.append(self)
        self._serving.append(server.serve(self._exchange, self._send_back))

    def _cancel(self) -> None:
        self._forget()
        for serving in self._serving:
            serving.cancel()

    def _send_back(self, answer: Answer | OsqueueError) -> None:
        self._forget()
        server = self._server
        assert server is not None
        self._network.send(
            server.process.name,
            self._place,
            partial(self._resolve, answer),
            life=self._life,
            once=True,
        )

    def _forget(self) -> None:
        if self._server is not None and self in self._server.connections:
            self._server.connections.remove(self)

    def _resolve(self, answer: Answer | OsqueueError) -> None:
        if self.answer.done():
            return
        if isinstance(answer, OsqueueError):
            self.answer.set_exception(answer)
        else:
            self.answer.set_result(answer)


def _begun(server: Server | None, exchange: Exchange, pipe: Pipe) -> Serving:
    assert server is not None, "it has got there"
    return server.push(exchange, pipe)


def _refused() -> OsqueueError:
    error = TransportConnectionError("the connection was refused")
    error.applied = "no"
    return error


def travelled(operation: Operation, error: OsqueueError) -> OsqueueError:
    """An error as it comes out at the other end."""
    body, status = error_body(error), http_status(error)
    told = error_from_body(body, status=status, method=operation.name)
    position = error.position
    return resting_on(told, None if position is None else f"{position[0]}-{position[1]}")
