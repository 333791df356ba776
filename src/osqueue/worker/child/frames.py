"""What passes between a worker and a process of its handlers: messages in frames, on a socket pair.

The worker trusts nothing that comes out of that process: messages are plain data, decoded strictly,
and a handler that writes into the socket itself is found out by the mark before each frame.
"""

from __future__ import annotations

import struct
from datetime import datetime
from typing import Final, TypeAlias

import msgspec

from osqueue.client.models import Job
from osqueue.config import MIB
from osqueue.wire.messages import JobError, Progress

__all__ = [
    "EXHAUSTED_EXIT",
    "HEADER_BYTES",
    "UNHEARD_EXIT",
    "Answer",
    "Begin",
    "Begun",
    "Cancel",
    "Discarded",
    "Done",
    "Failed",
    "FrameError",
    "ProcessContext",
    "Progressed",
    "Request",
    "Retried",
    "Run",
    "answer_bytes",
    "body_bytes",
    "decode_answer",
    "decode_request",
    "frame",
]

HEADER: Final = struct.Struct("!4sI")
HEADER_BYTES: Final = HEADER.size
MARK: Final = b"\xf0oq\x01"
"""Not UTF-8: no text that a handler prints begins like this."""

EXHAUSTED_EXIT: Final = 213
"""Exit code of a process that ran out of memory, and could not even say so."""

UNHEARD_EXIT: Final = 214
"""Exit code of a process that could not tell its worker anything more."""

ANSWER_BYTES_MAX: Final = MIB
"""Largest answer: a result, or the texts of a failure, take 64 KiB."""


class ProcessContext(msgspec.Struct, frozen=True, kw_only=True):
    """What a handler in a process can know of its job. Times are ms since the epoch."""

    job_id: str
    type: str
    attempt: int
    max_attempts: int
    created_at: int
    priority: int = 0
    worker_id: str = ""
    lease: str = ""
    traceparent: str | None = None
    timeout_ms: int | None = None
    deadline_ms: int | None = None
    keep_result: bool = False
    """Whether what the handler returns is wanted; otherwise it is dropped where it is."""
    types: bytes = b""
    """The payload's and the result's, pickled by the worker, who is trusted; where there are none,
    those of the handler's own definition hold."""

    @classmethod
    def of(cls, job: Job, *, deadline: datetime | None, types: bytes) -> ProcessContext:
        """Of a job as it was claimed."""
        same = {name: getattr(job, name) for name in _OF_JOB}
        deadline_ms = None if deadline is None else round(deadline.timestamp() * 1_000)
        return cls(deadline_ms=deadline_ms, types=types, **same)

    def job(self, payload: bytes) -> Job:
        """The job as it was claimed."""
        return Job(raw_payload=payload, **{name: getattr(self, name) for name in _OF_JOB})


_OF_JOB: Final = tuple(
    name for name in Job.__struct_fields__ if name in ProcessContext.__struct_fields__
)


class Begin(msgspec.Struct, frozen=True, kw_only=True, tag="begin"):
    """The first message: what the process is to be."""

    path: list[str]
    """Where modules are found."""
    argv: list[str]
    main_name: str | None = None
    """The worker's main module, by its name or by its file: ``__main__`` of a target is that."""
    main_path: str | None = None
    targets: list[str] = []
    """What to import in advance."""
    memory_bytes_max: int | None = None
    logging: bytes = b""
    """Levels and format, pickled: from the worker, who is trusted."""


class Run(msgspec.Struct, frozen=True, tag="run"):
    """Run a handler, named ``module:name``, with a payload in JSON."""

    number: int
    target: str
    payload: bytes
    context: ProcessContext


class Cancel(msgspec.Struct, frozen=True, tag="cancel"):
    """Tell the handler to end. The process is killed soon if it does not."""

    number: int


class Begun(msgspec.Struct, frozen=True, tag="begun"):
    """The job is being looked at: if the process dies from here on, that may be its doing."""

    number: int


class Progressed(msgspec.Struct, frozen=True, tag="progressed"):
    number: int
    progress: Progress


class Done(msgspec.Struct, frozen=True, tag="done"):
    """The handler returned; ``result`` is JSON, where one was wanted."""

    number: int
    result: bytes | None


class Failed(msgspec.Struct, frozen=True, tag="failed"):
    """The handler, or what had to be done around it, failed; without ``retry`` for good."""

    number: int
    error: JobError
    retry: bool


class Retried(msgspec.Struct, frozen=True, tag="retried"):
    """The handler raised `osqueue.Retry`."""

    number: int
    after: float | None
    reason: str


class Discarded(msgspec.Struct, frozen=True, tag="discarded"):
    """The handler raised `osqueue.Discard`."""

    number: int
    reason: str


Request: TypeAlias = Begin | Run | Cancel
Answer: TypeAlias = Begun | Progressed | Done | Failed | Retried | Discarded


class FrameError(ValueError):
    """What came was not written by us."""


def frame(message: Request | Answer) -> bytes:
    """A message as it is sent."""
    body = _encode(message)
    return HEADER.pack(MARK, len(body)) + body


def body_bytes(header: bytes) -> int:
    """How much follows a header. Raises `FrameError`."""
    mark, size = HEADER.unpack(header)
    if mark != MARK:
        raise FrameError("a frame without its mark")
    return int(size)


def answer_bytes(header: bytes) -> int:
    """The same of an answer, which is never large. Raises `FrameError`."""
    size = body_bytes(header)
    if size > ANSWER_BYTES_MAX:
        raise FrameError(f"an answer of {size} bytes")
    return size


def decode_request(body: bytes) -> Request:
    """What the worker says."""
    request: Request = _decode_request(body)
    return request


def decode_answer(body: bytes) -> Answer:
    """What the process says. Raises `FrameError`."""
    try:
        answer: Answer = _decode_answer(body)
    except (ValueError, RecursionError) as error:
        raise FrameError(f"an answer that cannot be read: {error}") from error
    return answer


_encode = msgspec.msgpack.Encoder().encode
_decode_request = msgspec.msgpack.Decoder(Request).decode
_decode_answer = msgspec.msgpack.Decoder(Answer).decode
