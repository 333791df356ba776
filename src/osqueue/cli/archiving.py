"""What ``osqueue archive`` does: list the batches, and print the jobs in them."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Coroutine

import msgspec
from rich.table import Table

from osqueue.cli.output import say_json
from osqueue.cli.tables import make_console
from osqueue.engine.archive import list_batches
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
    """Print a line for each batch that was sealed since then."""
    table = Table(box=None, pad_edge=False)
    table.add_column("object", no_wrap=True)
    table.add_column("jobs", justify="right")
    table.add_column("bytes", justify="right")
    try:
        async for name, data in _batches(store, since_ms):
            jobs = data.count(b"\n")
            if json_output:
                say_json({"key": name.key, "jobs": jobs, "bytes": len(data)})
            else:
                table.add_row(name.key, f"{jobs:,}", f"{len(data):,}")
    finally:
        await store.close()
    if not json_output:
        make_console().print(table if table.row_count else "nothing in the archive since then")


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


async def _batches(store: Store, since_ms: int) -> AsyncIterator[tuple[BatchName, bytes]]:
    """The batches sealed since then: a job is sealed after it ended, so none is missed."""
    first = hour_of(max(0, since_ms))
    async for name in list_batches(store):
        if name.hour >= first:
            stored = await store.get(name.key)
            assert stored is not None, "only a read with a version is answered by nothing"
            yield name, stored.data
