"""Speaking Connect and gRPC-Web in plain HTTP, and what is needed for it."""

from __future__ import annotations

import base64
import json
import struct
from collections.abc import Mapping
from typing import Any, NamedTuple

from tests.integration.rest import Answer, Rest

__all__ = [
    "JSON_KIND",
    "PROTO",
    "SERVICE",
    "WEB",
    "b64",
    "envelope",
    "envelopes",
    "info",
    "post",
    "trailers",
]

SERVICE = "/osqueue.v1.QueueService/"
JSON_KIND = {"content-type": "application/json"}
PROTO = {"content-type": "application/proto"}
WEB = {"content-type": "application/grpc-web+proto"}


class Info(NamedTuple):
    """What an error says."""

    code: str
    reason: str
    status: str


async def post(
    rest: Rest, method: str, body: object = b"", headers: Mapping[str, str] = JSON_KIND
) -> Answer:
    """``body``: bytes, chunks of them, or a message for JSON."""
    if isinstance(body, dict):
        body = json.dumps(body).encode()
    return await rest.send("POST", SERVICE + method, body, headers=headers)


def info(answer: Answer) -> Info:
    """Of a refusal in Connect."""
    (detail,) = answer.json["details"]
    assert detail["type"] == "google.rpc.ErrorInfo"
    said = detail["debug"]
    return Info(answer.json["code"], said["reason"], said["metadata"]["status"])


def b64(value: Any) -> str:
    """A payload in JSON."""
    return base64.b64encode(json.dumps(value).encode()).decode()


def envelope(message: bytes, flags: int = 0) -> bytes:
    return struct.pack(">BI", flags, len(message)) + message


def envelopes(data: bytes) -> list[tuple[int, bytes]]:
    """The flags and content of each."""
    found = []
    while data:
        flags, length = struct.unpack(">BI", data[:5])
        found.append((flags, data[5 : 5 + length]))
        data = data[5 + length :]
    return found


def trailers(text: bytes) -> dict[str, str]:
    pairs = [line.partition(": ") for line in text.decode().splitlines() if line]
    return {name: value for name, _, value in pairs}
