"""What the service needs of an overview of its queue, where there is one."""

from __future__ import annotations

from typing import Any, Protocol, Self

from msgspec import Raw

from osqueue.broker.reply import Reply

__all__ = ["OverviewWatch", "Overviews"]


class OverviewWatch(Protocol):
    """The documents for one reader, as they come; to be closed in any case."""

    def __aiter__(self) -> Self: ...

    async def __anext__(self) -> Reply[Any]: ...

    async def aclose(self) -> None: ...


class Overviews(Protocol):
    """Tells how the broker and its queue stand; see `osqueue.server.dashboard`."""

    async def overview(self, since: str | None) -> Reply[Raw]:
        """The document of this moment. ``since``: the ``seq`` of what is known already."""
        ...

    def watch(self, since: str | None) -> OverviewWatch:
        """That, and what changes from then on. Raises unless this broker leads."""
        ...
