"""Raw clients, one for each way into a broker, that know the wire contract and none of our code.

Each takes an operation by its name with the fields of its JSON request, sends it as the contract
says, and tells what came back in the same words, so that one test can ask all of them.
"""

from __future__ import annotations

import base64
import io
import json
import struct
from typing import Any, ClassVar, NamedTuple, Protocol
from urllib.parse import quote, urlencode

import aiohttp
import grpc
import grpc.aio
from google.protobuf import json_format
from google.rpc import error_details_pb2, status_pb2
from tests.conformance import stubs

__all__ = ["PEERS", "Address", "Peer", "Said"]

PACKAGE = "osqueue.v1.QueueService"
CODES = {number.value[0]: number.name.lower() for number in grpc.StatusCode}


class Said(NamedTuple):
    """What a broker answered. ``value`` is the JSON of a success, ``{}`` for an empty one."""

    value: dict[str, Any]
    tag: str | None = None
    message: str = ""
    status: str = ""
    """How a refusal is classified: an HTTP status, a code of Connect or gRPC, or nothing."""
    more: dict[str, Any] = {}  # noqa: RUF012 - never changed
    """What else a refusal says: ``applied`` and ``leader``."""


class Address(NamedTuple):
    """Where a broker is: a URL, and the ``host:port`` of gRPC."""

    http: str
    grpc: str


class Peer(Protocol):
    """One way in. ``loose``: it can say what breaks the types of the contract.

    What headers the session sends with every request, a peer sends in its own way.
    """

    name: ClassVar[str]
    loose: ClassVar[bool]

    def __init__(self, address: Address, session: aiohttp.ClientSession) -> None: ...

    async def ask(self, operation: str, /, **fields: Any) -> Said: ...

    async def close(self) -> None: ...


ROUTES = {
    "submitJob": ("POST", "/v1/jobs"),
    "submitJobs": ("POST", "/v1/jobs/batch"),
    "claimJob": ("POST", "/v1/jobs/claim"),
    "claimJobs": ("POST", "/v1/jobs/claim"),
    "heartbeat": ("POST", "/v1/jobs/{}/heartbeat"),
    "heartbeatJobs": ("POST", "/v1/jobs/heartbeat"),
    "completeJob": ("POST", "/v1/jobs/{}/complete"),
    "completeJobs": ("POST", "/v1/jobs/complete"),
    "failJob": ("POST", "/v1/jobs/{}/fail"),
    "releaseJob": ("POST", "/v1/jobs/{}/release"),
    "retryJob": ("POST", "/v1/jobs/{}/retry"),
    "cancelJob": ("DELETE", "/v1/jobs/{}"),
    "setPriority": ("POST", "/v1/jobs/{}/priority"),
    "pauseQueue": ("POST", "/v1/pause"),
    "resumeQueue": ("POST", "/v1/resume"),
    "getJob": ("GET", "/v1/jobs/{}"),
    "getPayload": ("GET", "/v1/jobs/{}/payload"),
    "getWorkflow": ("GET", "/v1/jobs/{}/workflow"),
    "listJobs": ("GET", "/v1/jobs"),
    "getStats": ("GET", "/v1/stats"),
    "getStatus": ("GET", "/v1/status"),
    "getTypes": ("GET", "/v1/types"),
    "announceTypes": ("PUT", "/v1/types"),
    "getSettings": ("GET", "/v1/settings"),
    "failOver": ("POST", "/v1/failover"),
    "listSchedules": ("GET", "/v1/schedules"),
    "putSchedule": ("PUT", "/v1/schedules/{}"),
    "dropSchedule": ("DELETE", "/v1/schedules/{}"),
    "pauseSchedule": ("POST", "/v1/schedules/{}/pause"),
    "resumeSchedule": ("POST", "/v1/schedules/{}/resume"),
    "runSchedule": ("POST", "/v1/schedules/{}/run"),
    "noSuchThing": ("POST", "/v1/no-such-thing"),
}


class Rest:
    """JSON over HTTP."""

    name: ClassVar = "REST"
    loose: ClassVar = True

    def __init__(self, address: Address, session: aiohttp.ClientSession) -> None:
        self._url, self._session = address.http, session

    async def ask(self, operation: str, /, **fields: Any) -> Said:
        verb, path = ROUTES[operation]
        if "{}" in path:
            named = "name" if "schedules" in path else "jobId"
            path = path.format(quote(fields.pop(named), safe=""))
        if verb == "GET" and fields:
            path += "?" + urlencode({key: str(value) for key, value in fields.items()})
        body = json.dumps(fields).encode() if verb in {"POST", "PUT"} else None
        headers = {"content-type": "application/json"} if body else {}
        async with self._session.request(
            verb, self._url + path, data=body, headers=headers, allow_redirects=False
        ) as response:
            text = await response.read()
            value = json.loads(text) if text else {}
            if response.status < 300:
                found = {"payload": value} if operation == "getPayload" and text else value
                return Said(found)
            return _refused(value, str(response.status))

    async def close(self) -> None:
        pass


class WebSocket:
    """JSON frames."""

    name: ClassVar = "WebSocket"
    loose: ClassVar = True

    def __init__(self, address: Address, session: aiohttp.ClientSession) -> None:
        self._url, self._session = address.http, session
        self._socket: aiohttp.ClientWebSocketResponse | None = None
        self._sent = 0

    async def ask(self, operation: str, /, **fields: Any) -> Said:
        if self._socket is None:
            try:
                self._socket = await self._session.ws_connect(self._url + "/v1/ws")
            except aiohttp.WSServerHandshakeError as error:
                return Said({}, None, error.message, str(error.status))
        self._sent += 1
        frame = {"id": str(self._sent), "method": operation, "params": fields}
        await self._socket.send_str(json.dumps(frame))
        received = await self._socket.receive(timeout=20)
        if received.type is aiohttp.WSMsgType.CLOSE:
            return Said({}, None, str(received.extra), str(received.data))
        answer = json.loads(received.data)
        assert answer["id"] == str(self._sent), "one request at a time is answered in turn"
        if not answer["ok"]:
            return _refused(answer["error"], "")
        result = answer["result"]
        if operation == "getPayload":
            return Said({} if result is None else result)
        return Said(result or {})

    async def close(self) -> None:
        if self._socket is not None:
            await self._socket.close()


class ConnectJson:
    """Connect with JSON bodies."""

    name: ClassVar = "Connect, JSON"
    loose: ClassVar = True

    def __init__(self, address: Address, session: aiohttp.ClientSession) -> None:
        self._url, self._session = address.http, session

    async def ask(self, operation: str, /, **fields: Any) -> Said:
        body = json.dumps(_for_rpc(fields)).encode()
        headers = {"content-type": "application/json", "connect-protocol-version": "1"}
        url = f"{self._url}/{PACKAGE}/{_method(operation)}"
        async with self._session.post(url, data=io.BytesIO(body), headers=headers) as response:
            answer = json.loads(await response.read())
            if response.status == 200:
                return Said(_from_rpc(answer))
            return _connect_error(answer)

    async def close(self) -> None:
        pass


class ConnectProto:
    """Connect with bodies of Protocol Buffers."""

    name: ClassVar = "Connect"
    loose: ClassVar = False

    def __init__(self, address: Address, session: aiohttp.ClientSession) -> None:
        self._url, self._session = address.http, session

    async def ask(self, operation: str, /, **fields: Any) -> Said:
        asks, answers = stubs.messages(_method(operation))
        body = json_format.ParseDict(_for_rpc(fields), asks()).SerializeToString()
        headers = {"content-type": "application/proto", "connect-protocol-version": "1"}
        url = f"{self._url}/{PACKAGE}/{_method(operation)}"
        async with self._session.post(url, data=io.BytesIO(body), headers=headers) as response:
            content = await response.read()
            if response.status == 200:
                return Said(_plain(answers.FromString(content)))
            return _connect_error(json.loads(content))

    async def close(self) -> None:
        pass


class GrpcWeb:
    """gRPC-Web, as browsers' libraries speak it."""

    name: ClassVar = "gRPC-Web"
    loose: ClassVar = False

    def __init__(self, address: Address, session: aiohttp.ClientSession) -> None:
        self._url, self._session = address.http, session

    async def ask(self, operation: str, /, **fields: Any) -> Said:
        asks, answers = stubs.messages(_method(operation))
        message = json_format.ParseDict(_for_rpc(fields), asks()).SerializeToString()
        body = struct.pack(">BI", 0, len(message)) + message
        headers = {"content-type": "application/grpc-web+proto", "x-grpc-web": "1"}
        url = f"{self._url}/{PACKAGE}/{_method(operation)}"
        async with self._session.post(url, data=io.BytesIO(body), headers=headers) as response:
            assert response.status == 200, await response.text()
            frames, trailers = _frames(await response.read())
            trailers = {**{k.lower(): v for k, v in response.headers.items()}, **trailers}
            if trailers["grpc-status"] == "0":
                return Said(_plain(answers.FromString(frames[0])))
            details = trailers.get("grpc-status-details-bin", "")
            return _grpc_error(int(trailers["grpc-status"]), _unpadded(details))

    async def close(self) -> None:
        pass


class Grpc:
    """gRPC over HTTP/2 on its own port."""

    name: ClassVar = "gRPC"
    loose: ClassVar = False

    def __init__(self, address: Address, session: aiohttp.ClientSession) -> None:
        self._channel = grpc.aio.insecure_channel(address.grpc)
        self._metadata = tuple((name.lower(), value) for name, value in session.headers.items())

    async def ask(self, operation: str, /, **fields: Any) -> Said:
        asks, answers = stubs.messages(_method(operation))
        call: Any = self._channel.unary_unary(
            f"/{PACKAGE}/{_method(operation)}",
            request_serializer=asks.SerializeToString,
            response_deserializer=answers.FromString,
        )
        try:
            message = json_format.ParseDict(_for_rpc(fields), asks())
            return Said(_plain(await call(message, metadata=self._metadata)))
        except grpc.aio.AioRpcError as error:
            details = dict(error.trailing_metadata() or ()).get("grpc-status-details-bin", b"")
            assert isinstance(details, bytes), "metadata that ends in -bin is bytes"
            return _grpc_error(error.code().value[0], details)

    async def close(self) -> None:
        await self._channel.close()


PEERS: tuple[type[Peer], ...] = (Rest, WebSocket, ConnectJson, ConnectProto, GrpcWeb, Grpc)
"""Every way in, in the order of the table."""


def _method(operation: str) -> str:
    return operation[0].upper() + operation[1:]


def _for_rpc(fields: dict[str, Any]) -> dict[str, Any]:
    """Any JSON is bytes there: base64 in JSON."""
    said = dict(fields)
    for key in ANY_JSON:
        if key in said:
            said[key] = _base64(json.dumps(said[key], separators=(",", ":")).encode())
    if isinstance(said.get("data"), bytes):
        said["data"] = _base64(said["data"])
    if isinstance(said.get("jobs"), list):
        said["jobs"] = [_for_rpc(each) for each in said["jobs"]]
    if isinstance(said.get("types"), dict):
        told = said["types"].items()
        said["types"] = {n: _for_rpc(each) if isinstance(each, dict) else each for n, each in told}
    return said


def _from_rpc(answer: Any) -> Any:
    """The same words as in REST: what is any JSON as JSON, 64-bit numbers as numbers."""
    if isinstance(answer, list):
        return [_from_rpc(each) for each in answer]
    if not isinstance(answer, dict):
        return answer
    said = {key: _from_rpc(value) for key, value in answer.items()}
    for key in ANY_JSON:
        if key in said:
            said[key] = json.loads(base64.b64decode(said[key]))
    if "data" in said:
        said["data"] = base64.b64decode(said["data"])
    for key in LONG:
        if isinstance(said.get(key), str):
            said[key] = int(said[key])
    return said


ANY_JSON = ("payload", "result", "schema", "value")
"""What may be any JSON, and so is bytes to Protocol Buffers."""

LONG = (
    "createdAt", "heartbeat", "priority", "completedTotal", "deadTotal", "endedAt", "at",
    "runAt", "baseMs", "maxMs", "timeoutMs", "everyMs", "nextAt", "lastAt",
)  # fmt: skip
"""Numbers of 64 bits, which JSON of Protocol Buffers has as texts."""


def _plain(message: Any) -> dict[str, Any]:
    said = _from_rpc(json_format.MessageToDict(message))
    assert isinstance(said, dict), "a message is an object"
    return said


def _refused(body: dict[str, Any], status: str) -> Said:
    more: dict[str, Any] = {str(key): body[key] for key in ("applied", "leader") if key in body}
    return Said({}, body["_tag"], body["message"], status, more)


def _connect_error(body: dict[str, Any]) -> Said:
    if "_tag" in body:  # there is no such method: the answer is that of any unknown route
        return _refused(body, str(body["statusCode"]))
    details = [each for each in body.get("details", []) if each["type"].endswith("ErrorInfo")]
    if not details:
        return Said({}, None, body.get("message", ""), body["code"])
    info = error_details_pb2.ErrorInfo.FromString(_unpadded(details[0]["value"]))
    return _from_info(info, body.get("message", ""), body["code"])


def _grpc_error(code: int, details: bytes) -> Said:
    status = status_pb2.Status.FromString(details)
    for each in status.details:
        info = error_details_pb2.ErrorInfo()
        if each.Unpack(info):
            return _from_info(info, status.message, CODES[code])
    return Said({}, None, status.message, CODES[code])


def _from_info(info: error_details_pb2.ErrorInfo, message: str, code: str) -> Said:
    more: dict[str, Any] = {
        key: info.metadata[key] for key in ("applied", "leader") if key in info.metadata
    }
    return Said({}, info.reason, message, code, more)


def _frames(body: bytes) -> tuple[list[bytes], dict[str, str]]:
    frames, trailers = [], {}
    while body:
        flags, length = struct.unpack(">BI", body[:5])
        content, body = body[5 : 5 + length], body[5 + length :]
        if flags & 0x80:
            lines = content.decode().split("\r\n")
            trailers = {k.lower(): v.strip() for k, _, v in (x.partition(":") for x in lines if x)}
        else:
            frames.append(content)
    return frames, trailers


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _unpadded(text: str) -> bytes:
    return base64.b64decode(text + "=" * (-len(text) % 4))
