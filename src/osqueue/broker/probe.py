"""Asking a leader's address who is there."""

from __future__ import annotations

import errno

import aiohttp

from osqueue.engine.election import ProbeAnswer
from osqueue.model.snapshot import Origin

__all__ = ["probe_leader"]

PROBE_S_MAX = 2.0
"""A leader that does not answer by then counts as silent; the object's standing still decides."""


async def probe_leader(origin: Origin) -> ProbeAnswer:
    """What answers at the address of the object's leader."""
    url = f"http://{origin.broker}/readyz"
    timeout = aiohttp.ClientTimeout(total=PROBE_S_MAX)
    try:
        async with aiohttp.ClientSession(timeout=timeout) as session, session.get(url) as answer:
            body = await answer.json(content_type=None)
    except aiohttp.ClientConnectorError as error:
        refused = error.os_error.errno == errno.ECONNREFUSED
        return ProbeAnswer.REFUSED if refused else ProbeAnswer.SILENT
    except (TimeoutError, aiohttp.ClientError, ValueError, OSError):
        return ProbeAnswer.SILENT
    return _read(body, origin)


def _read(body: object, origin: Origin) -> ProbeAnswer:
    instance = body.get("brokerId") if isinstance(body, dict) else None
    if instance is None or origin.broker_id is None:
        return ProbeAnswer.SILENT
    if instance != origin.broker_id:
        return ProbeAnswer.OTHER
    leads = isinstance(body, dict) and body.get("status") == "ready"
    return ProbeAnswer.LEADER if leads else ProbeAnswer.SILENT
