"""Asking a leader's address who is there."""

from __future__ import annotations

import errno

import aiohttp
import msgspec

from osqueue.engine.election import ProbeAnswer
from osqueue.model.snapshot import Origin

__all__ = ["probe_leader"]

PROBE_S_MAX = 2.0
"""A leader that does not answer by then counts as silent; the object's standing still decides."""

ANSWER_BYTES_MAX = 64 * 1024
"""Longest answer read: whatever is there by now may never stop sending."""


async def probe_leader(origin: Origin) -> ProbeAnswer:
    """What answers at the address of the object's leader."""
    url = f"http://{origin.broker}/readyz"
    timeout = aiohttp.ClientTimeout(total=PROBE_S_MAX)
    try:
        async with (
            aiohttp.ClientSession(timeout=timeout) as session,
            session.get(url, allow_redirects=False) as answer,
        ):
            body = msgspec.json.decode(await _content(answer))
    except aiohttp.ClientConnectorError as error:
        refused = error.os_error.errno == errno.ECONNREFUSED
        return ProbeAnswer.REFUSED if refused else ProbeAnswer.SILENT
    except (TimeoutError, aiohttp.ClientError, ValueError, OSError, RecursionError):
        return ProbeAnswer.SILENT
    return _judge(body, origin)


async def _content(answer: aiohttp.ClientResponse) -> bytes:
    body = b""
    async for chunk in answer.content.iter_any():
        body += chunk
        if len(body) > ANSWER_BYTES_MAX:
            raise ValueError("no broker answers at this length")
    return body


def _judge(body: object, origin: Origin) -> ProbeAnswer:
    instance = body.get("brokerId") if isinstance(body, dict) else None
    if instance is None or origin.broker_id is None:
        return ProbeAnswer.SILENT
    if instance != origin.broker_id:
        return ProbeAnswer.OTHER
    leads = isinstance(body, dict) and body.get("status") == "ready"
    return ProbeAnswer.LEADER if leads else ProbeAnswer.SILENT
