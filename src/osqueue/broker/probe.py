"""Asking a leader's address who is there."""

from __future__ import annotations

import errno
import logging
import ssl

import aiohttp
import msgspec

from osqueue.engine.election import Ask, ProbeAnswer
from osqueue.wire.messages import BrokerStatus

__all__ = ["judge", "probe_leader"]

logger = logging.getLogger("osqueue.broker")

ANSWER_BYTES_MAX = 64 * 1024
"""Longest answer read: whatever is there by now may never stop sending."""

_decoder = msgspec.json.Decoder(BrokerStatus)


async def probe_leader(ask: Ask, *, tls: ssl.SSLContext | None = None) -> ProbeAnswer:
    """What answers at the address of the object's leader, whose port speaks TLS as ours does."""
    query = {"standby": ask.broker_id, "address": ask.address, "waitMs": str(ask.wait_ms)}
    if not ask.broker_id:  # whoever asks is no broker, and stands by for nobody
        query = {}
    url = f"{'http' if tls is None else 'https'}://{ask.origin.broker}/v1/status"
    timeout = aiohttp.ClientTimeout(total=ask.most_ms / 1_000)
    try:
        async with (
            aiohttp.ClientSession(timeout=timeout) as session,
            session.get(url, params=query, allow_redirects=False, ssl=tls or True) as answer,
        ):
            status = _decoder.decode(await _content(answer))
    except aiohttp.ClientSSLError as error:
        logger.warning("the leader at %s cannot be asked over TLS: %s", ask.origin.broker, error)
        return ProbeAnswer.SILENT
    except aiohttp.ClientConnectorError as error:
        refused = error.os_error.errno == errno.ECONNREFUSED
        return ProbeAnswer.REFUSED if refused else ProbeAnswer.SILENT
    except (TimeoutError, aiohttp.ClientError, ValueError, OSError, RecursionError):
        return ProbeAnswer.SILENT
    return judge(status, ask)


def judge(status: BrokerStatus, ask: Ask) -> ProbeAnswer:
    """What a status that came from there says of the leader that was asked for."""
    origin = ask.origin
    if origin.broker_id is None:
        return ProbeAnswer.SILENT
    if status.broker_id == ask.broker_id:
        return ProbeAnswer.OURSELVES
    if status.broker_id != origin.broker_id:
        return ProbeAnswer.OTHER
    leads = status.role in {"leader", "stepping down"}  # it has the place until it lets go
    if not leads or status.epoch < (origin.epoch or 0):
        return ProbeAnswer.RESIGNED
    return ProbeAnswer.LEADER if status.writable else ProbeAnswer.SILENT


async def _content(answer: aiohttp.ClientResponse) -> bytes:
    body = b""
    async for chunk in answer.content.iter_any():
        body += chunk
        if len(body) > ANSWER_BYTES_MAX:
            raise ValueError("no broker answers at this length")
    return body
