"""Finding the leader in the queue's state object, for a client that has no broker to ask.

The object is read only when no known broker leads, by one reading at a time for all who wait, with
growing, jittered pauses between two; and it is downloaded only when it has changed. Nothing here
waits for a pause to end: a caller that comes too soon is told so, and makes a pause of its own.

`osqueue.storage` is loaded by the first client that is given a storage URL, and by no other.
"""

from __future__ import annotations

import asyncio
from typing import Any, Final, Protocol

import msgspec

from osqueue.client.header import Leader, read_leader
from osqueue.client.retries import backoff_ms
from osqueue.client.runtime import Runtime
from osqueue.config import STATE_KEY, STORE_ANSWER_S_MAX, ClientSettings
from osqueue.errors import (
    CorruptStateError,
    DiscoveryError,
    OsqueueError,
    StoreNotFoundError,
    TransportConfigError,
)
from osqueue.wire.leaders import called, is_dialled

__all__ = ["Discovery", "LeaderStore", "StoredObject", "open_leader_store"]


class StoredObject(Protocol):
    """An object's bytes and its version."""

    @property
    def data(self) -> bytes: ...

    @property
    def version(self) -> Any:
        """Opaque: whatever the store takes as ``unless``."""
        ...


class LeaderStore(Protocol):
    """What is asked of a store here; `osqueue.storage.protocol.Store` has it all."""

    @property
    def url(self) -> str:
        """Where it is, without credentials."""
        ...

    async def get(self, key: str, *, unless: Any = None) -> StoredObject | None:
        """Read an object; ``None`` if its version is still ``unless``.

        Raises `StoreNotFoundError` when there is none, and other `OsqueueError`.
        """
        ...

    async def close(self) -> None:
        """Give back threads and connections."""
        ...


class _Finding(msgspec.Struct, frozen=True):
    """What one look has shown, as the end of a sentence that begins with the store's URL."""

    what: str
    leader: Leader | None = None
    cause: OsqueueError | None = None


_NOT_YET: Final = _Finding("has not answered in time")


class Discovery:
    """Looks for the leader of the queue in ``store``, which it closes if it is ``owned``."""

    def __init__(
        self, store: LeaderStore, settings: ClientSettings, runtime: Runtime, *, owned: bool
    ) -> None:
        self._store = store
        self._settings = settings
        self._runtime = runtime
        self._owned = owned
        self._seen: tuple[Any, Leader] | None = None
        self._finding: _Finding | None = None
        self._looks = 0
        self._not_before_ms = 0
        self._reading: asyncio.Task[_Finding] | None = None

    @property
    def looked(self) -> bool:
        """Whether the leader had to be looked for at all."""
        return self._finding is not None

    async def look(self, *, timeout_s: float) -> Leader | None:
        """The leader that the object names now; ``None`` if none, or if it is too soon to look.

        Raises what no later look can put right, such as `StoreDeniedError`.
        """
        if self._reading is None and self._too_soon():
            return None
        finding = self._finding = await self._read_together(timeout_s)
        if finding.cause is not None and not finding.cause.retryable:
            raise finding.cause
        return finding.leader

    def works(self) -> None:
        """The leader has answered: the next search does not begin with a long pause."""
        self._looks = 0

    def error(self, tried: str = "") -> DiscoveryError:
        """That no leader was found: where it was looked for, and what was there."""
        finding = self._finding or _NOT_YET
        found = f"{self._store.url} {finding.what}"
        error = DiscoveryError(f"no leader found: {found}" + (f"; {tried}" if tried else ""))
        error.applied = "no"
        error.__cause__ = finding.cause
        return error

    async def close(self) -> None:
        """Close the store, if it is this client's own. A second close does nothing."""
        if self._reading is not None:
            self._reading.cancel()
            await asyncio.wait({self._reading})
        if self._owned:
            await self._store.close()

    def _too_soon(self) -> bool:
        return self._runtime.clock.mono_ms() < self._not_before_ms

    async def _read_together(self, timeout_s: float) -> _Finding:
        """The reading under way, or a new one; it goes on when one who waits for it gives up."""
        if self._reading is None:
            self._reading = asyncio.create_task(self._read(), name="osqueue-discovery")
            self._reading.add_done_callback(self._ended)
        done, _ = await asyncio.wait({self._reading}, timeout=timeout_s)
        if not done:
            return _NOT_YET
        (reading,) = done
        return _NOT_YET if reading.cancelled() else reading.result()

    def _ended(self, _reading: asyncio.Task[_Finding]) -> None:
        self._reading = None
        self._looks += 1
        jitter = self._runtime.entropy.jitter()
        pause_ms = backoff_ms(self._settings, failures=self._looks, jitter=jitter)
        self._not_before_ms = self._runtime.clock.mono_ms() + round(pause_ms)

    async def _read(self) -> _Finding:
        try:
            async with asyncio.timeout(STORE_ANSWER_S_MAX):
                return self._named(await self._leader())
        except TimeoutError:
            return _NOT_YET
        except StoreNotFoundError as error:
            return _Finding(f"holds no {STATE_KEY}: no broker has begun there", cause=error)
        except CorruptStateError as error:
            passing = DiscoveryError(error.message)  # somebody may be putting it right
            return _Finding(f"holds a {STATE_KEY} that {error.message}", cause=passing)
        except OsqueueError as error:
            return _Finding(f"cannot be read: {error.message}", cause=error)

    async def _leader(self) -> Leader:
        version = None if self._seen is None else self._seen[0]
        stored = await self._store.get(STATE_KEY, unless=version)
        if stored is None:
            assert self._seen is not None, "only a version that was seen can be still there"
            return self._seen[1]
        leader = read_leader(stored.data)
        self._seen = stored.version, leader
        return leader

    @staticmethod
    def _named(leader: Leader) -> _Finding:
        if leader.address is None:
            return _Finding(
                f"holds a {STATE_KEY} that names no leader: the last one stopped, and none has "
                "followed yet"
            )
        if not is_dialled(leader.address):
            return _Finding(
                f"is led by {called(leader.address)}, which takes no requests of others: use the "
                "queue there, or start a broker once it is closed"
            )
        return _Finding(f"names {leader.address} as the leader", leader)


def open_leader_store(url: str) -> LeaderStore:
    """The store of a URL. Raises `ConfigError` and `UnsupportedStoreError`."""
    if url.partition(":")[0].lower() == "memory":
        raise TransportConfigError(
            "memory:// is a store of its own in each process, so no leader can be found in it: "
            "give the broker's URL, or the store itself if the broker is in this process"
        )
    from osqueue.storage.urls import open_store  # noqa: PLC0415 - not loaded for broker URLs

    return open_store(url)
