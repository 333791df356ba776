"""What a broker pushes to a client over the simulated network: a connection that stays open.

What is put in at one end comes out at the other, once and in its order, as over TCP: a message that
is lost is sent again, and those after it wait. Nothing is left out but by the connection's end.
When nothing passes for long it breaks; a machine that is gone says nothing, and the reader's own
machine finds that out after a while.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any, Final, Protocol

import msgspec

from osqueue.errors import OsqueueError, TransportConnectionError
from osqueue.testing.simulation.machine.loop import SimulatedLoop
from osqueue.testing.simulation.machine.network import Network
from osqueue.testing.simulation.machine.process import SimulatedProcess

__all__ = ["Pipe", "Pusher"]

WINDOW: Final = 64
"""Messages that fit between a broker and its reader; a broker waits with more."""

RESEND_S: Final = 0.4
"""After how long a message that was lost is sent again."""

PATIENCE_S: Final = 15.0
"""How long nothing may pass until the connection is given up at the broker."""

KEEPALIVE_S: Final = 30.0
"""After how long a reader's machine has found out that there is nobody at the other end."""

ACCEPTED: Final = object()
"""The first that comes: the request has got there."""


class Pushing(Protocol):
    """A stream that is being worked on."""

    def cancel(self) -> object: ...


class Pusher(Protocol):
    """Whose connections these are."""

    process: SimulatedProcess
    pipes: list[Pipe]


class _Over(msgspec.Struct, frozen=True):
    """The last that comes. ``error``: why; ``None`` when there was nothing more to push."""

    error: OsqueueError | None


class Pipe:
    """One stream's connection, from a broker to a process that reads."""

    def __init__(self, loop: SimulatedLoop, network: Network, reader: SimulatedProcess) -> None:
        self._loop = loop
        self._network = network
        self._reader = reader.name
        self._life = reader.life
        self._pusher: Pusher | None = None
        self._serving: Pushing | None = None
        self._sent: deque[Any] = deque()
        """What is on its way, in order."""
        self._here: deque[Any] = deque()
        """What has come, and was not read."""
        self._carrying = False
        self._stuck_s = 0.0
        self._closed = False
        self._news: asyncio.Future[None] | None = None
        self._room: asyncio.Future[None] | None = None

    # The reader's end

    def ask(self, pusher: Pusher | None, begin: Callable[[], Pushing]) -> None:
        """Send the request; ``begin`` answers it, as a step of the broker."""
        if pusher is None:
            self._come(_Over(_refused()))
            return
        self._pusher = pusher
        arrive = partial(self._arrive, pusher, begin)
        self._network.send(self._reader, pusher.process.name, arrive, once=True)

    async def take(self) -> Any:
        """What comes next: `ACCEPTED` first; ``None`` at the end, or the error that it ended by."""
        while not self._here:
            self._news = self._loop.create_future()
            await self._news
        if isinstance(self._here[0], _Over):
            if self._here[0].error is not None:
                raise self._here[0].error
            return None
        message = self._here.popleft()
        _wake(self._room)
        return message

    def hang_up(self) -> None:
        """Read no more. If the broker does not hear of it, it will when it pushes."""
        self._closed = True
        pusher = self._pusher
        if pusher is not None and self._serving is not None:
            life = pusher.process.life
            self._network.send(self._reader, pusher.process.name, self._left, life=life, once=True)

    # The broker's end

    async def put(self, message: Any) -> None:
        """Push it, when there is room for it."""
        while len(self._sent) + len(self._here) >= WINDOW:
            self._room = self._loop.create_future()
            await self._room
        self._push(message)

    def end(self, error: OsqueueError | None) -> None:
        """Push that there is nothing more, and why."""
        self._forget()
        self._push(_Over(error))

    def broken(self) -> None:
        """The process at the broker's end is gone, and its machine says so."""
        self._forget()
        self._sent.clear()
        over = partial(self._come, _Over(_reset()))
        if not self._network.send(self._source, self._reader, over, life=self._life, once=True):
            self.silent()

    def silent(self) -> None:
        """Its machine is gone, or cut off for good."""
        self._forget()
        self._sent.clear()
        self._loop.within(self._life, partial(self._come, _Over(_reset())), after_s=KEEPALIVE_S)

    @property
    def _source(self) -> str:
        assert self._pusher is not None, "somebody was asked"
        return self._pusher.process.name

    def _arrive(self, pusher: Pusher, begin: Callable[[], Pushing]) -> None:
        if pusher.process.alive:
            self._loop.within(pusher.process.life, partial(self._serve, pusher, begin))
        else:
            self._push(_Over(_refused()))

    def _serve(self, pusher: Pusher, begin: Callable[[], Pushing]) -> None:
        pusher.pipes.append(self)
        self._push(ACCEPTED)
        self._serving = begin()

    def _push(self, message: Any) -> None:
        self._sent.append(message)
        if not self._carrying:
            self._carrying = True
            self._carry()

    def _carry(self) -> None:
        """Send the first again and again until it passes: as the broker's machine does, whatever
        the broker is at.
        """
        if not self._sent:
            self._carrying = False
        elif self._network.send(self._source, self._reader, self._passed, once=True):
            self._stuck_s = 0.0
        elif self._stuck_s < PATIENCE_S:
            self._stuck_s += RESEND_S
            self._loop.outside(self._carry, after_s=RESEND_S)
        else:
            self._left()
            self.silent()

    def _passed(self) -> None:
        if self._closed or not self._life.alive:
            self._sent.clear()
            self._left()
        elif self._sent:
            self._come(self._sent.popleft())
        self._carry()

    def _come(self, message: Any) -> None:
        """A message is there; its reader goes on when it can."""
        if not (self._here and isinstance(self._here[-1], _Over)):
            self._here.append(message)
        _wake(self._news)

    def _left(self) -> None:
        """Nobody reads any more."""
        self._forget()
        if self._serving is not None:
            self._serving.cancel()

    def _forget(self) -> None:
        if self._pusher is not None and self in self._pusher.pipes:
            self._pusher.pipes.remove(self)


def _wake(waiting: asyncio.Future[None] | None) -> None:
    if waiting is not None and not waiting.done():
        waiting.set_result(None)


def _refused() -> OsqueueError:
    error = TransportConnectionError("the connection was refused")
    error.applied = "no"
    return error


def _reset() -> OsqueueError:
    return TransportConnectionError("the connection was reset")
