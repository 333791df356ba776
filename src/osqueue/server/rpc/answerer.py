"""The methods of the service, served alike by Connect, gRPC-Web and gRPC: one table, one answer.

Laws: a payload comes in as bytes that nobody has read, and so does a result; both are checked to be
JSON before they get near the state; what an error is to a caller is said by `osqueue.wire.errors`
alone; a request that writes runs to its end although its caller has gone or lost patience, so that
what it has begun to store is not left behind. A claim does not: its jobs go back, also when its
answer was made already and nothing of it could be sent.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, Final, NamedTuple, Protocol, TypeAlias, TypeVar

import msgspec
from msgspec import Raw, UnsetType
from protobuf import Message

from osqueue.broker.dispatch import BROKER_HANDLERS, STREAM_HANDLERS, Call
from osqueue.broker.reply import Reply
from osqueue.broker.service import DEFAULT_QUEUE, QueueService
from osqueue.config import JOB_ID_CHARS_MAX, KIB, MIB, ROOMY_BYTES, ServerSettings
from osqueue.engine.callers import Caller, CallerGoneError
from osqueue.errors import BrokerProtocolError, JobNotFoundError, OsqueueError
from osqueue.model.payload import TOO_DEEP
from osqueue.server.door.auth import Principal
from osqueue.server.http import describe
from osqueue.server.rpc import any_bytes
from osqueue.wire import operations as ops
from osqueue.wire.gen.osqueue.v1 import queue_pb as pb
from osqueue.wire.messages import (
    CompleteBatchRequest,
    CompleteRef,
    CompleteRequest,
    LeaseRequest,
    SubmitBatchRequest,
    SubmitRequest,
)
from osqueue.wire.methods import METHODS, SERVICE, STREAMED, Asked, Method
from osqueue.wire.operations import Operation
from osqueue.wire.roles import Needed

__all__ = ["PUSHED", "UNARY", "Answerer", "Served", "read_request"]

logger = logging.getLogger("osqueue.server")
T = TypeVar("T")

BRIEF_BYTES: Final = 64 * 1024
"""A smaller request has no payload that is written apart, and may be dropped at any point."""

OPEN_BYTES_MAX: Final = KIB
"""The largest request of a method that is open to everybody: nobody's token answers for more."""

NOT_JSON: Final = "it is not JSON"

_read_json: Final = msgspec.json.Decoder(Raw).decode


Read: TypeAlias = Callable[[Any, int], Asked]
"""What a message of so many bytes asks for. The message is not needed any more then: one of many
jobs is dropped before its answer is waited for, or the collector looks at all its parts."""


class Serve(Protocol):
    """What does a method."""

    async def __call__(self, service: QueueService, call: Call) -> Reply[Any]: ...


class Served(NamedTuple):
    """A method as it is served: one request, and one answer unless it is pushed."""

    name: str
    operation: Operation
    request: type[Message[Any]]
    answer: type[Message[Any]]
    read: Read
    serve: Serve | None
    """``None``: its answers are a stream (`osqueue.server.rpc.streams`)."""
    large: str = ""
    """The field of the request that may be as large as a payload, if there is one."""

    @property
    def path(self) -> str:
        """The path of an HTTP request, and what gRPC calls the method."""
        return f"/{SERVICE}/{self.name}"

    @property
    def role(self) -> Needed:
        """Who may; ``None``: everybody."""
        return self.operation.role


class Answerer:
    """Answers requests that have been read, whichever protocol they came by."""

    def __init__(self, service: QueueService, settings: ServerSettings) -> None:
        self._service = service
        self._settings = settings
        self._under_way: set[asyncio.Task[Reply[Any]]] = set()

    def bytes_max(self, method: Served, *, as_text: bool = False) -> int:
        """The largest request of a method; ``as_text``: in JSON, which has payloads as base64."""
        if method.role is None:
            return OPEN_BYTES_MAX
        least = self._settings.body_bytes_max
        if not method.large:
            return least
        payload = self._settings.payload_bytes_max
        return max(least, MIB + (payload * 4 // 3 if as_text else payload))

    def too_large(self, method: Served) -> OsqueueError:
        """What is said of a larger one."""
        setting = ""
        if method.large:
            setting = "; --max-payload-bytes (BROKER_MAX_PAYLOAD_BYTES) sets the limit"
        return BrokerProtocolError(
            f"the request is larger than {self.bytes_max(method)} bytes ({method.name}){setting}",
            status=413,
        )

    def read(self, method: Served, message: Any, size: int) -> Asked:
        """What a message of ``size`` bytes asks for. Raises `OsqueueError`."""
        self._check_payload_size(method, message, size)
        with _faults_told(method):
            return method.read(message, size)

    async def answer(
        self,
        method: Served,
        asked: Asked,
        *,
        size: int,
        caller: Caller,
        principal: Principal | None,
    ) -> Reply[Any]:
        """The message that answers. Raises `OsqueueError`, and `CallerGoneError`."""
        assert method.serve is not None, "the others are streams"
        call = Call(asked.message, asked.job_id, size, caller=caller)
        if principal is not None:
            _expect_to_show(method, call, principal)
        serving = method.serve(self._service, call)
        with _faults_told(method):
            if method.operation.name in ops.WAITING and principal is not None:
                with principal.waiting(caller, method.role):
                    return await serving
            if size <= BRIEF_BYTES:
                return await serving
            return await self._to_its_end(serving)

    def give_back(self, method: Served, asked: Asked, answer: Any) -> None:
        """Nothing of an answer was sent: if it is to a claim, let others have its jobs.

        Not of one that can be repeated: another request of it may have brought them by now.
        """
        message = asked.message
        if method.operation is not ops.CLAIM or getattr(message, "claim_id", None) is not None:
            return
        jobs = getattr(answer, "jobs", None)
        for job in [answer] if jobs is None else jobs:
            if job.job_id:
                lease: str | None = getattr(job, "lease", None)
                held = LeaseRequest(worker_id=message.worker_id, lease=lease)
                self._run(self._service.release(DEFAULT_QUEUE, job.job_id, held))
                logger.info("job %s is given back: its claim's caller has gone", job.job_id)

    def _check_payload_size(self, method: Served, message: Any, size: int) -> None:
        if method.large and size > self._settings.payload_bytes_max:
            payload: bytes = getattr(message, method.large)
            if len(payload) > self._settings.payload_bytes_max:
                raise BrokerProtocolError(
                    f"the payload is larger than {self._settings.payload_bytes_max} bytes; "
                    "--max-payload-bytes (BROKER_MAX_PAYLOAD_BYTES) sets the limit",
                    status=413,
                )

    async def _to_its_end(self, serving: Coroutine[Any, Any, Reply[Any]]) -> Reply[Any]:
        return await asyncio.shield(self._run(serving))

    def _run(self, serving: Coroutine[Any, Any, Reply[Any]]) -> asyncio.Task[Reply[Any]]:
        task = asyncio.get_running_loop().create_task(serving, name="osqueue rpc")
        self._under_way.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[Reply[Any]]) -> None:
        self._under_way.discard(task)
        _ = task.cancelled() or task.exception()  # told to whoever is still there


@contextmanager
def _faults_told(method: Served) -> Iterator[None]:
    """Faults of our own are logged, and are errors like others to the caller."""
    try:
        yield
    except (OsqueueError, CallerGoneError):
        raise
    except Exception as error:
        logger.exception("%s failed inside", method.name)
        raise OsqueueError("the broker failed on this request") from error


def _expect_to_show(method: Served, call: Call, principal: Principal) -> None:
    """Say what the caller may not see. Raises `AuthError` where that is all there is."""
    if method.operation is ops.GET_PAYLOAD:
        principal.expect_payloads()
    call.hides_payloads = not principal.sees_payloads


async def _serve(service: QueueService, call: Call, *, method: Method) -> Reply[Any]:
    reply = await BROKER_HANDLERS[method.operation.name](service, call)
    value = reply.value
    if method.one:
        value = value.jobs[0] if value.jobs else None
    return reply._replace(value=_written(method, reply, value))


def _written(method: Method, reply: Reply[Any], value: Any) -> Message[Any]:
    try:
        return method.write_answer(value)
    except BaseException:
        if reply.sent is not None:
            reply.sent()
        raise


def read_request(method: Method, message: Any, size: int) -> Asked:
    """What a message of ``size`` bytes asks for. Raises `BrokerProtocolError`."""
    try:
        asked = method.read_request(message)
    except msgspec.ValidationError as error:
        raise BrokerProtocolError(describe(error)) from error
    match asked.message:
        case SubmitRequest() if size <= ROOMY_BYTES:  # a larger one is read off the loop
            _check_payload(asked.message, "payload")
        case SubmitBatchRequest():
            for at, job in enumerate(asked.message.jobs):
                _check_payload(job, "jobs[{}].payload", at)
        case CompleteRequest():
            _check_result(asked.message, "result")
        case CompleteBatchRequest():
            for at, done in enumerate(asked.message.jobs):
                _check_result(done, "jobs[{}].result", at)
    if method.operation.on_one_job:
        _check_job_id(asked.job_id)
    return asked


def _check_payload(request: SubmitRequest, field: str, at: int = 0) -> None:
    """Let only JSON pass, without the space around it."""
    if not isinstance(request.payload, UnsetType):
        request.payload = _json(request.payload, field, at)


def _check_result(request: CompleteRequest | CompleteRef, field: str, at: int = 0) -> None:
    if not isinstance(request.result, UnsetType):
        request.result = _json(request.result, field, at)


def _json(text: Raw, field: str, at: int) -> Raw:
    try:
        return _read_json(text)
    except RecursionError as error:
        raise BrokerProtocolError(f"`{field.format(at)}` cannot be kept: {TOO_DEEP}") from error
    except msgspec.DecodeError as error:
        fault = f"{NOT_JSON}: {error}"
        raise BrokerProtocolError(f"`{field.format(at)}` cannot be kept: {fault}") from error


def _check_job_id(job_id: str) -> None:
    if not job_id:
        raise BrokerProtocolError("`jobId`: it is required")
    if len(job_id) > JOB_ID_CHARS_MAX:
        raise JobNotFoundError(f"there is no job of such an id: {job_id[:JOB_ID_CHARS_MAX]}…")


def _unary(method: Method) -> Served:
    large = "payload" if method.operation is ops.SUBMIT else ""
    read, serve = partial(read_request, method), partial(_serve, method=method)
    return Served(method.name, method.operation, method.request, method.answer, read, serve, large)


def _of_any_bytes(
    name: str,
    operation: Operation,
    request: type[Message[Any]],
    answer: type[Message[Any]],
    serve: Serve,
) -> Served:
    large = "data" if operation is ops.SUBMIT else ""
    return Served(name, operation, request, answer, _as_it_is, serve, large)


def _as_it_is(message: Any, _size: int) -> Asked:
    return Asked(message)


def _is_unary(method: Method) -> bool:
    return method.operation.name not in STREAM_HANDLERS


UNARY: Final = (
    *(_unary(method) for method in (*METHODS, *STREAMED) if _is_unary(method)),
    _of_any_bytes("Push", ops.SUBMIT, pb.PushRequest, pb.PushResponse, any_bytes.push),
    _of_any_bytes("Claim", ops.CLAIM, pb.ClaimRequest, pb.ClaimResponse, any_bytes.claim),
    _of_any_bytes(
        "Complete", ops.COMPLETE, pb.CompleteRequest, pb.CompleteResponse, any_bytes.complete
    ),
)
"""Every method with one answer."""

PUSHED: Final = tuple(
    Served(
        method.name,
        method.operation,
        method.request,
        method.answer,
        partial(read_request, method),
        None,
    )
    for method in STREAMED
    if not _is_unary(method)
)
"""Every method with a stream of answers."""
