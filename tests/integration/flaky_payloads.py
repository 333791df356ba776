"""A store in memory whose payload objects fail as a test says; its state object never does."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from osqueue.model.job import PAYLOADS
from osqueue.storage import MemoryBackend
from osqueue.storage.protocol import Stored, Version


class FlakyPayloads(MemoryBackend):
    """``fails[verb]`` holds the errors that the next calls of a verb raise, first come first.

    With ``applied`` a failing create or delete takes effect all the same.
    """

    def __init__(self) -> None:
        super().__init__()
        self.fails: dict[str, list[Exception]] = {"get": [], "create": [], "delete": []}
        self.applied = False
        self.calls: list[str] = []
        self.held: asyncio.Event | None = None
        """What reads of payloads wait for."""

    @property
    def payloads(self) -> dict[str, bytes]:
        """The payload objects that are there."""
        return {
            key: stored.data for key, stored in self._objects.items() if key.startswith(PAYLOADS)
        }

    def lose(self, keys: Iterable[str] | None = None) -> None:
        """Somebody removes payload objects: all, or these."""
        for key in list(self.payloads) if keys is None else keys:
            del self._objects[key]

    def damage(self, key: str, data: bytes) -> None:
        """Somebody overwrites one."""
        self._objects[key] = Stored(data, Version("damaged"))

    async def get(self, key: str, *, unless: Version | None = None) -> Stored | None:
        if key.startswith(PAYLOADS):
            self._fail("get")
            if self.held is not None:
                await self.held.wait()
        return await super().get(key, unless=unless)

    async def create(self, key: str, data: bytes) -> Version:
        if key.startswith(PAYLOADS):
            if self.applied and self.fails["create"]:
                await super().create(key, data)
            self._fail("create")
        return await super().create(key, data)

    async def delete(self, key: str) -> None:
        if key.startswith(PAYLOADS):
            self._fail("delete")
        await super().delete(key)

    def _fail(self, verb: str) -> None:
        self.calls.append(verb)
        if self.fails[verb]:
            raise self.fails[verb].pop(0)
