"""When a transport may be used: until it is closed, and in one event loop; and when a call ends."""

from __future__ import annotations

import asyncio

from osqueue.errors import TransportConfigError

__all__ = ["Lifetime", "is_cancelled"]


class Lifetime:
    """Begins with the first use, which also says in which loop the others must be."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._closed = False

    def use(self) -> None:
        """Raise `TransportConfigError` when it is over, or another loop's."""
        loop = asyncio.get_running_loop()
        if self._closed:
            raise TransportConfigError("this client is closed; make a new one")
        if self._loop is None:
            self._loop = loop
        elif self._loop is not loop:
            raise TransportConfigError(
                "this client was first used in another event loop; make one client per loop, "
                "or close it at the end of each"
            )

    def forget(self) -> None:
        """Let the next use be in any loop: there are no connections left."""
        self._loop = None

    def close(self) -> None:
        """Let there be no further use."""
        self._closed = True


def is_cancelled() -> bool:
    """Whether the running task was asked to end, rather than something that it waits for."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
