"""What payloads a worker's job types have, told to whoever leads, for those who make jobs by hand.

It is told when the worker starts and when the leader changes, beside the claims and never before
them. Nothing rests on it: a broker that does not know of such a thing is left alone, and one that
cannot be reached is told later.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from typing import NoReturn

from osqueue.client.announcing import JsonSchemas
from osqueue.errors import OsqueueError
from osqueue.jobs.json_schemas import json_schemas
from osqueue.jobs.schema import Schema
from osqueue.worker.context import WorkerContext
from osqueue.worker.handlers import Handlers

__all__ = ["announce"]

_log = logging.getLogger("osqueue.worker")


async def announce(context: WorkerContext, handlers: Handlers) -> NoReturn:
    """Tell each leader of job types, until cancelled."""
    client = context.client
    while True:
        if await _told(context, handlers.schemas):
            await context.introduction.another_leader(client.epoch)
        else:
            await client.runtime.sleep(context.settings.heartbeat_interval_ms / 1_000)


async def _told(context: WorkerContext, schemas: Mapping[str, Schema | None]) -> bool:
    """Tell the leader; answers whether that is settled, for this leader."""
    try:
        await context.client.announce_types(await _made(schemas))
    except OsqueueError as error:
        _log.debug("the job types are not announced: %s", error)
        return not error.retryable
    except Exception as error:  # noqa: BLE001 - of a transport of one's own; nothing rests on this
        _log.debug("the job types are not announced: %r", error)
    return True


async def _made(schemas: Mapping[str, Schema | None]) -> JsonSchemas:
    """On a thread: of many types it takes a while, and jobs want to run."""
    if all(schema is None for schema in schemas.values()):
        return dict.fromkeys(schemas)
    return await asyncio.to_thread(json_schemas, schemas)
