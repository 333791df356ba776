"""A store in this process's memory, for tests, benchmarks and queues that need not outlive it.

Laws: no operation suspends, so each is atomic on its event loop and costs no switch of tasks; a
version is never given twice by one instance, even after a delete; the bytes handed in are kept as
they are, neither copied nor hashed. Nothing is shared between instances: those who mean the same
store pass the same object around.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

from osqueue.errors import CASConflictError, StoreNotFoundError
from osqueue.storage.keys import check_key
from osqueue.storage.protocol import Stored, Version

__all__ = ["MemoryBackend"]


class MemoryBackend:
    """A dictionary that keeps the contract of `osqueue.storage.protocol.Store`."""

    def __init__(self) -> None:
        self._objects: dict[str, Stored] = {}
        self._writes = 0

    @property
    def url(self) -> str:
        return "memory://"

    async def get(self, key: str, *, unless: Version | None = None) -> Stored | None:
        stored = self._existing(key)
        return None if stored.version == unless else stored

    async def head(self, key: str) -> Version:
        return self._existing(key).version

    async def create(self, key: str, data: bytes) -> Version:
        check_key(key)
        if key in self._objects:
            raise CASConflictError(f"cannot create {key!r}: it exists")
        return self._write(key, data)

    async def put(self, key: str, data: bytes, *, if_version: Version) -> Version:
        if self._existing(key).version != if_version:
            raise CASConflictError(f"cannot put {key!r}: it is at another version")
        return self._write(key, data)

    async def delete(self, key: str) -> None:
        self._objects.pop(key, None)

    async def list(self, prefix: str = "") -> AsyncIterator[str]:
        for key in sorted(key for key in self._objects if key.startswith(prefix)):
            yield key

    async def close(self) -> None:
        """Nothing to give back; the objects stay."""

    def _existing(self, key: str) -> Stored:
        stored = self._objects.get(key)
        if stored is None:
            raise StoreNotFoundError(f"there is no {key!r} in memory")
        return stored

    def _write(self, key: str, data: bytes) -> Version:
        self._writes += 1
        version = Version(str(self._writes))
        self._objects[key] = Stored(data, version)
        return version
