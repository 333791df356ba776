"""The way to whichever broker leads: one transport for all the brokers of a queue.

A call asks the broker that is most likely to lead, and follows redirects at once, `HOPS_MAX` at
the most; they are no failures. A broker that fails is put behind the others, so the next call asks
another one; when none of them leads, the state object is asked, if there is a storage to look in.
When news of another leader comes, requests that wait elsewhere are given up and sent to that one,
under the same ids, where `retries` lets them be repeated after a broken connection. The same goes
for a broker that is silent: before anything else is sent to it, it is asked whether it is there,
since those that stand by may name it for a while yet.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator
from contextlib import aclosing
from functools import partial
from typing import Any, Final, NamedTuple

import msgspec

from osqueue.client.brokers import Brokers
from osqueue.client.connections import Connections
from osqueue.client.discovery import Discovery
from osqueue.client.health import ask_health
from osqueue.client.retries import may_repeat, request_again, wait_ms
from osqueue.client.runtime import Runtime
from osqueue.client.transports.kinds import Dial
from osqueue.client.transports.protocol import Answer, QueueTransportAdapter, streaming
from osqueue.client.underway import GivenUpError, UnderWay
from osqueue.client.watching import Watch
from osqueue.errors import (
    AuthError,
    BrokerLeadershipError,
    BrokerProtocolError,
    JobIdConflictError,
    JobNotFoundError,
    LeaseLostError,
    OsqueueError,
    OverloadedError,
    PayloadValidationError,
    TransportConfigError,
    TransportConnectionError,
    for_one,
)
from osqueue.wire.operations import Operation

__all__ = ["HOPS_MAX", "Following", "Footprint"]

_log = logging.getLogger(__name__)

HOPS_MAX: Final = 3
"""Most redirects of one try: a standby names the leader, so one is enough; more means that the
place is changing hands, and asking again after a pause is right."""

SILENT_MS: Final = 500
"""A call that its caller cancels after this long without an answer, beyond what it asked to wait,
counts as a broker that does not answer: its caller may have a time-out of its own. Ten times what
a commit takes; a leader that was only slow is found again by a redirect."""

_BROKEN: Final = TransportConnectionError("given up")
_ANSWERS: Final = (
    BrokerProtocolError,
    PayloadValidationError,
    JobIdConflictError,
    JobNotFoundError,
    LeaseLostError,
    OverloadedError,
)
"""What a broker that leads says of a request. Any other error is of a broker that cannot serve."""


class Footprint(NamedTuple):
    """How much a client keeps at a moment."""

    brokers: int
    """Brokers that are known."""
    connections: int
    """Transports to them."""
    under_way: int
    """Requests that may be repeated, and wait for an answer."""
    watched: int
    """Brokers that are asked now and then whether they are there."""


class _Request(msgspec.Struct, frozen=True):
    """One call. ``timeout_s`` covers the answer and what the request itself waits."""

    operation: Operation
    body: msgspec.Struct | None
    job_id: str | None
    timeout_s: float
    started_ms: int

    def after(self, now_ms: int) -> _Request:
        """The call as it is sent again: the same ids, and what is left of its wait."""
        body = request_again(self.body, gone_ms=now_ms - self.started_ms)
        waited_s = (wait_ms(self.body) - wait_ms(body)) / 1_000
        return msgspec.structs.replace(self, body=body, timeout_s=self.timeout_s - waited_s)

    async def over(self, transport: QueueTransportAdapter) -> Answer:
        """The answer that comes over ``transport``."""
        return await transport.call(
            self.operation, self.body, job_id=self.job_id, timeout_s=self.timeout_s
        )


class Following:
    """A transport to the leader among ``brokers``, and those that they or the store name."""

    def __init__(
        self,
        brokers: Brokers,
        dial: Dial,
        runtime: Runtime,
        *,
        probe: Dial,
        discovery: Discovery | None,
    ) -> None:
        self._brokers = brokers
        self._connections = Connections(dial)
        self._probes = Connections(probe)
        self._clock = runtime.clock
        self._discovery = discovery
        self._under_way = UnderWay()
        self._watch = Watch(self._check, runtime.sleep)
        self._probing: dict[str, asyncio.Task[None]] = {}
        self._streams = 0

    async def call(
        self,
        operation: Operation,
        request: msgspec.Struct | None = None,
        *,
        job_id: str | None = None,
        timeout_s: float,
    ) -> Answer:
        asked = _Request(operation, request, job_id, timeout_s, self._clock.mono_ms())
        in_doubt = False
        for hops_left in reversed(range(HOPS_MAX + 1)):
            url = await self._leader(timeout_s)
            try:
                return await self._ask(url, asked.after(self._clock.mono_ms()))
            except OsqueueError as error:
                elsewhere = self._judge(url, operation, error)
                if not (elsewhere and hops_left):
                    told = self._told(url, error, in_doubt=in_doubt)
                    if told is error:
                        raise
                    raise told from error
                in_doubt |= error.applied != "no"
                _log.debug("%s: %s; asking %s", operation.name, error, self._brokers.first)
        raise AssertionError("the last hop returns or raises")

    async def stream(
        self, operation: Operation, request: msgspec.Struct, *, timeout_s: float
    ) -> AsyncGenerator[Any, None]:
        """A stream of whichever broker leads when it begins; it ends with that broker's lead."""
        asked = _Request(operation, request, None, timeout_s, self._clock.mono_ms())
        for hops_left in reversed(range(HOPS_MAX + 1)):
            url, begun = await self._leader(timeout_s), False
            try:
                async with aclosing(self._pushed(url, asked)) as messages:
                    async for message in messages:
                        begun = True
                        yield message
            except OsqueueError as error:
                elsewhere = self._judge(url, operation, error) and not begun
                if not (elsewhere and hops_left):
                    raise
                _log.debug("%s: %s; asking %s", operation.name, error, self._brokers.first)
            else:
                return

    @property
    def footprint(self) -> Footprint:
        """What is kept in memory: each figure has a bound of its own."""
        return Footprint(
            brokers=len(self._brokers.known),
            connections=len(self._connections) + len(self._probes),
            under_way=len(self._under_way),
            watched=len(self._watch) + len(self._probing),
        )

    async def reconnect(self) -> None:
        self._brokers.forget_epoch()
        await self._connections.reconnect()
        await self._probes.reconnect()

    async def close(self) -> None:
        await self._watch.close()
        probing = list(self._probing.values())
        for each in probing:
            each.cancel()
        await asyncio.gather(*probing, return_exceptions=True)
        await self._connections.close()
        await self._probes.close()
        if self._discovery is not None:
            await self._discovery.close()

    async def _leader(self, timeout_s: float) -> str:
        """The broker to ask."""
        if self._discovery is not None and self._brokers.lost:
            await self._discover(self._discovery, timeout_s)
        url = self._brokers.first
        if url is None:
            assert self._discovery is not None, "brokers are configured, or a storage is"
            raise self._discovery.error()
        return url

    async def _discover(self, discovery: Discovery, timeout_s: float) -> None:
        try:
            leader = await discovery.look(timeout_s=timeout_s)
        except OsqueueError as error:
            if not self._brokers.configured:
                raise
            _log.warning("the leader cannot be looked for in the storage: %s", error)
            return
        if leader is None or leader.address is None or not self._brokers.lost:
            return  # or somebody was quicker, and has asked a broker
        if self._brokers.discovered(leader.address, leader.epoch):
            self._send_on()

    async def _ask(self, url: str, asked: _Request) -> Answer:
        sent_ms = self._clock.mono_ms()
        try:
            answer = await self._answer(url, asked)
        except asyncio.CancelledError:
            if self._clock.mono_ms() - sent_ms >= wait_ms(asked.body) + SILENT_MS:
                self._brokers.unreached(url)
            raise
        self._answered(url, None if answer.position is None else answer.position.epoch)
        return answer

    async def _answer(self, url: str, asked: _Request) -> Answer:
        transport = self._connections.at(url, keep=self._brokers.known)
        if self._brokers.is_silent(url) and not self._alone:
            await self._probe(url)
        with self._watch.over(url):
            if not may_repeat(asked.operation, _BROKEN):
                return await asked.over(transport)
            async with self._under_way.at(url):
                return await asked.over(transport)

    async def _pushed(self, url: str, asked: _Request) -> AsyncGenerator[Any, None]:
        """What one broker pushes. While it is silent for long, it is asked whether it is there."""
        assert asked.body is not None, "streams are asked for by a message"
        transport = streaming(self._connections.at(url, keep=self._brokers.known))
        pushed = transport.stream(asked.operation, asked.body, timeout_s=asked.timeout_s)
        self._streams += 1
        try:
            async with aclosing(pushed) as messages:
                while True:
                    with self._watch.over(url):
                        async with self._under_way.at(url):
                            message = await anext(messages, None)
                    if message is None:
                        return
                    self._brokers.heard(url)
                    yield message
        finally:
            self._streams -= 1

    async def _check(self, url: str) -> None:
        """Give up what waits at a broker that is silent, if there is another one to ask.

        A stream is given up in any case: it has no time-out of its own.
        """
        if self._alone and not self._streams:
            return
        try:
            await self._probe(url)
        except TransportConnectionError:
            self._brokers.unreached(url)
            self._under_way.give_up(url)

    async def _probe(self, url: str) -> None:
        """Raises `TransportConnectionError` when nobody is there. All who ask at once share it."""
        probing = self._probing.get(url)
        if probing is None:
            probing = asyncio.create_task(self._ask_health(url), name=f"osqueue-probe-{url}")
            self._probing[url] = probing
            probing.add_done_callback(partial(self._probed, url))
        await asyncio.wait({probing})
        if probing.cancelled():
            raise TransportConnectionError(f"asking {url} was given up: the client is closed")
        error = probing.exception()
        if isinstance(error, OsqueueError):
            raise for_one(error) from error.__cause__
        if error is not None:
            raise error

    def _probed(self, url: str, probing: asyncio.Task[None]) -> None:
        """Over, also when all who asked have gone, and nobody hears of it."""
        self._probing.pop(url, None)
        _ = probing.cancelled() or probing.exception()

    async def _ask_health(self, url: str) -> None:
        transport = self._probes.at(url, keep=self._brokers.known)
        try:
            await ask_health(transport, url)
        except TransportConnectionError as error:
            error.applied = "no"
            raise
        except OsqueueError:
            pass  # somebody is there, and says more when asked for more
        self._brokers.heard(url)

    @property
    def _alone(self) -> bool:
        """Whether there is nobody else to ask."""
        return self._discovery is None and len(self._brokers.known) == 1

    def _judge(self, url: str, operation: Operation, error: OsqueueError) -> bool:
        """What an error says of its broker; answers whether to ask another one at once."""
        if isinstance(error, TransportConnectionError):
            self._brokers.unreached(url)
            return isinstance(error, GivenUpError)
        if error.remote:
            self._brokers.heard(url)
        if isinstance(error, BrokerLeadershipError):
            named = self._brokers.redirected(url, error.leader)
            return named and (error.applied == "no" or may_repeat(operation, error))
        if isinstance(error, _ANSWERS):
            if error.remote:  # or it never left this process
                self._answered(url, None if error.position is None else error.position[0])
        elif not isinstance(error, AuthError | TransportConfigError):
            self._brokers.failed(url)
        return False

    def _answered(self, url: str, epoch: int | None) -> None:
        self._brokers.heard(url)
        if self._brokers.answered(url, epoch):
            self._send_on()
        if self._discovery is not None and not self._brokers.lost:
            self._discovery.works()

    def _send_on(self) -> None:
        leader = self._brokers.first
        if leader is not None:
            self._under_way.give_up_elsewhere(leader)

    def _told(self, url: str, error: OsqueueError, *, in_doubt: bool) -> OsqueueError:
        """The error as the caller is told it: with all that was tried, and what is in doubt."""
        told = error
        if isinstance(error, TransportConnectionError | BrokerLeadershipError):
            others = [each for each in self._brokers.tried if each != url]
            message = error.message + (f" (also tried: {', '.join(others)})" if others else "")
            if self._discovery is not None and self._discovery.looked and error.applied == "no":
                told = self._discovery.error(message)
            error.message, error.args = message, (message,)
        if in_doubt and told.applied == "no":
            told.applied = "unknown"
        return told
