"""How a call of gRPC ends when it is refused: by its error's code, with the error as a detail.

A handler that just leaves, cancelled or not, says nothing to its caller, who then waits for ever.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final, TypeAlias

import grpc
from protobuf.wkt import Any as AnyMessage

from osqueue.errors import OsqueueError
from osqueue.server.http import commit_header
from osqueue.wire.errors import CODES, error_info, rpc_code
from osqueue.wire.gen.google.rpc.errors_pb import Status

__all__ = ["Context", "name_commit", "refuse"]

Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"

MESSAGE_CHARS_MAX: Final = 1_000
"""What is said of an error: it travels in headers, twice, and clients take 8 KiB of those."""

_CODES: Final[Mapping[str, Any]] = MappingProxyType(
    {
        name: next(each for each in grpc.StatusCode if each.value[0] == n)
        for name, n in CODES.items()
    }
)


async def name_commit(context: Context, position: tuple[int, int] | None) -> None:
    """Send the head of an answer, if there is a commit that the answer rests on."""
    named = [(name.decode(), value.decode()) for name, value in commit_header(position)]
    if named:
        await context.send_initial_metadata(tuple(named))


async def refuse(context: Context, error: OsqueueError, *, within_s: float) -> None:
    """End the call by an error. Does not return.

    Behind messages that are stuck the error waits with gRPC, for as long as the connection lives:
    a caller who reads on gets them and then it. After ``within_s`` nobody waits for that here.
    """
    code = rpc_code(error)
    message = error.message[:MESSAGE_CHARS_MAX]
    status = Status(code=CODES[code], message=message, details=[AnyMessage.pack(error_info(error))])
    await name_commit(context, error.position)
    trailers = (("grpc-status-details-bin", status.to_binary()),)
    try:
        async with asyncio.timeout(within_s):
            await context.abort(_CODES[code], message, trailers)
    except TimeoutError:
        raise asyncio.CancelledError from None
