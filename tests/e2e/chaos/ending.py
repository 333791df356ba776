"""What stands in the store when all is over, read without any broker."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import msgspec

from osqueue.errors import StoreNotFoundError
from osqueue.model.batches import ARCHIVE_PREFIX
from osqueue.storage import Store

__all__ = ["Ended", "Ending", "read_ending", "wait_drained"]

LOOK_S = 0.2


class Ended(msgspec.Struct, frozen=True, gc=False):
    """A job that is over; ``where``: an archive object's key, or ``finished`` in the state."""

    id: str
    status: str
    where: str
    lease: str | None = None
    attempts: int = 0


class Ending(msgspec.Struct):
    """Every job that is over, as often as it stands there, and those that are not."""

    ended: list[Ended]
    open: list[str]
    completed_total: int


async def read_ending(store: Store) -> Ending:
    """Only of a queue without brokers: the state and the archive are read one after the other.

    A sealed batch whose object is there stands in the state for a moment longer.
    """
    state = await _state(store)
    outbox = state.get("outbox") or {"key": "", "ids": ()}
    ended, keys = [], [key async for key in store.list(ARCHIVE_PREFIX)]
    for key in keys:
        found = await store.get(key)
        assert found is not None, "only a read with a version is answered by nothing"
        ended += [_ended(json.loads(line), key) for line in found.data.splitlines()]
    moved = outbox["ids"] if outbox["key"] in keys else ()
    ended += [_ended(each, "finished") for each in state["finished"] if each["id"] not in moved]
    left = [job["id"] for job in state["jobs"]]
    return Ending(ended, left, state["completedTotal"])


async def wait_drained(store: Store, *, archived: bool) -> None:
    """Return when every job is over, and with ``archived`` when all of them are in the archive."""
    while True:
        state = await _state(store)
        left = state["jobs"] or state.get("outbox")
        if not left and not (archived and state["finished"]):
            return
        await asyncio.sleep(LOOK_S)


async def _state(store: Store) -> dict[str, Any]:
    """The state; one that no broker ever made is empty."""
    empty = {"finished": [], "jobs": [], "completedTotal": 0}
    try:
        found = await store.get("queue.json")
    except StoreNotFoundError:
        return empty
    assert found is not None, "only a read with a version is answered by nothing"
    return {**empty, **json.loads(found.data)}


def _ended(entry: dict[str, Any], where: str) -> Ended:
    return Ended(
        id=entry["id"],
        status=entry["status"],
        where=where,
        lease=entry.get("lease"),
        attempts=entry["attempts"],
    )
