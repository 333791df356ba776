"""Room for bytes in memory: whoever wants to hold many waits in line until there is room.

Law: what is held never exceeds the room, but for one that is larger than all of it and is alone.
"""

from __future__ import annotations

import asyncio
from collections import deque
from types import TracebackType
from typing import Self

from osqueue.errors import OverloadedError

__all__ = ["Room", "Share"]


class Share:
    """Room that somebody has; give it back once. A context manager."""

    __slots__ = ("_room", "_size")

    def __init__(self, room: Room, size: int) -> None:
        self._room = room
        self._size = size

    def give_back(self) -> None:
        """A second time does nothing."""
        size, self._size = self._size, 0
        self._room.take_back(size)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.give_back()


class Room:
    """``what`` names, for whoever is refused, what there is no room for."""

    def __init__(self, bytes_max: int, *, wait_ms: int, what: str) -> None:
        self._max = self._free = bytes_max
        self._wait_s = wait_ms / 1_000
        self._what = what
        self._line: deque[tuple[int, asyncio.Future[None]]] = deque()

    @property
    def free(self) -> int:
        return self._free

    @property
    def taken(self) -> int:
        """Bytes that somebody has room for."""
        return self._max - self._free

    def take_now(self, size: int) -> Share:
        """Room without waiting. Raises `OverloadedError`."""
        size = min(size, self._max)
        if self._line or size > self._free:
            raise self._full()
        self._free -= size
        return Share(self, size)

    async def take(self, size: int) -> Share:
        """Room, after those who came before. Raises `OverloadedError` when it takes too long."""
        size = min(size, self._max)
        if not self._line and size <= self._free:
            return self.take_now(size)
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._line.append((size, turn))
        try:
            async with asyncio.timeout(self._wait_s):
                await turn
        except BaseException as error:
            self._leave(size, turn)
            if isinstance(error, TimeoutError):
                raise self._full() from error
            raise
        return Share(self, size)

    def take_back(self, size: int) -> None:
        """Called by `Share`."""
        self._free += size
        self._admit()

    def _leave(self, size: int, turn: asyncio.Future[None]) -> None:
        if turn.done() and not turn.cancelled():
            self.take_back(size)  # its turn had come
        else:
            self._line.remove((size, turn))
            self._admit()

    def _admit(self) -> None:
        while self._line and self._line[0][0] <= self._free:
            size, turn = self._line[0]
            if turn.cancelled():
                return  # it is about to leave, which lets in the next
            self._line.popleft()
            self._free -= size
            turn.set_result(None)

    def _full(self) -> OverloadedError:
        return OverloadedError(f"too many bytes of {self._what} are under way; try again later")
