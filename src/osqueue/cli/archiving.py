"""What ``osqueue archive`` does: list the batches, and print the jobs in them."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Coroutine

import msgspec

from osqueue.cli.output import say, say_json
from osqueue.engine.archive import list_batches
from osqueue.errors import StoreNotFoundError
from osqueue.model.batches import BatchName, hour_of
from osqueue.storage import Store

__all__ = ["cat", "ls", "run"]


class _Ended(msgspec.Struct, rename="camel"):
    status: str
    ended_at: int


_decoder = msgspec.json.Decoder(_Ended)


def run(work: Coroutine[object, object, None]) -> None:
    """Do it on a loop of its own. Raises the store's errors."""
    asyncio.run(work)


async def ls(store: Store, since_ms: int, *, json_output: bool) -> None:
    """Print a line for each batch that was sealed since then, as soon as it has been read."""
    found = 0
    try:
        async for name, data in _batches(store, since_ms):
            jobs, found = data.count(b"\n"), found + 1
            if json_output:
                say_json({"key": name.key, "jobs": jobs, "bytes": len(data)})
                continue
            if found == 1:
                _print_line("jobs", "bytes", "object")
            _print_line(f"{jobs:,}", f"{len(data):,}", name.key)
    finally:
        await store.close()
    if not found and not json_output:
        say(f"nothing in the archive of {store.url} since then")


async def cat(store: Store, since_ms: int, *, status: str | None) -> None:
    """Print the jobs that ended since then, as they stand in the archive."""
    try:
        async for _, data in _batches(store, since_ms):
            for line in data.splitlines(keepends=True):
                ended = _decoder.decode(line)
                if ended.ended_at >= since_ms and status in {None, ended.status}:
                    sys.stdout.buffer.write(line)
            sys.stdout.buffer.flush()
    finally:
        await store.close()


def _print_line(jobs: str, size: str, key: str) -> None:
    """The key last: many terminals are narrower. When nobody reads any more, the command ends."""
    sys.stdout.write(f"{jobs:>6}  {size:>10}  {key}\n")
    sys.stdout.flush()


async def _batches(store: Store, since_ms: int) -> AsyncIterator[tuple[BatchName, bytes]]:
    """The batches sealed since then: a job is sealed after it ended, so none is missed."""
    first = hour_of(max(0, since_ms))
    async for name in list_batches(store):
        if name.hour >= first:
            data = await _read(store, name.key)
            if data is not None:
                yield name, data


async def _read(store: Store, key: str) -> bytes | None:
    try:
        stored = await store.get(key)
    except StoreNotFoundError:
        return None  # its time was over meanwhile, and a broker deleted it
    assert stored is not None, "only a read with a version is answered by nothing"
    return stored.data
