"""Large answers in pieces: neither built nor sent in one go, which would hold up all others.

A payload's bytes are never copied into a larger text: the text around it is made without it, and
the payload is put in its place on the way out.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator
from typing import Final, TypeAlias, TypeGuard

import msgspec
from msgspec import UNSET, UnsetType
from msgspec.structs import replace
from starlette.types import Send

from osqueue.config import MIB
from osqueue.engine.callers import CallerGoneError
from osqueue.model.job import length_of
from osqueue.server.connection import Connection
from osqueue.server.http import JSON
from osqueue.wire.messages import ClaimAnswer, ClaimedJob, JobsPage

__all__ = [
    "PIECES_FROM",
    "Pieces",
    "chunks",
    "claim_pieces",
    "is_large",
    "job_pieces",
    "page_pieces",
    "page_texts",
    "respond_pieces",
]

Pieces: TypeAlias = list[bytes | memoryview]

PIECES_FROM: Final = MIB
"""Answers with more payload bytes are made and sent in pieces: a whole one takes about 1 ms."""

WHOLE_BYTES_MAX: Final = 256 * 1024
"""Smaller payloads are copied into the text around them: about 50 microseconds."""

CHUNK_BYTES: Final = 256 * 1024
"""What is handed to the socket at a time; the next waits until most of it has gone."""

ENCODE_BYTES: Final = 1024 * 1024
"""What is encoded before others have their turn."""

_NO_JOBS: Final = b'"jobs":[]'
_encode = msgspec.json.Encoder().encode


def is_large(value: object) -> TypeGuard[ClaimedJob | ClaimAnswer | JobsPage]:
    """Whether an answer is too large to be made in one go."""
    match value:
        case ClaimedJob():
            return length_of(value.payload) > PIECES_FROM
        case ClaimAnswer() | JobsPage():
            return sum([length_of(job.payload) for job in value.jobs]) > PIECES_FROM
        case _:
            return False


def job_pieces(job: ClaimedJob) -> Pieces:
    """A claimed job; its payload stands behind its id."""
    if isinstance(job.payload, UnsetType) or length_of(job.payload) <= WHOLE_BYTES_MAX:
        return [_encode(job)]
    whole = _encode(replace(job, payload=UNSET))
    head = b'{"jobId":' + _encode(job.job_id)
    assert whole.startswith(head), "the id stands first"
    return [head + b',"payload":', memoryview(job.payload), whole[len(head) :]]


def claim_pieces(answer: ClaimAnswer) -> Pieces:
    """The answer to a claim of many."""
    pieces: Pieces = [b'{"jobs":[']
    for at, job in enumerate(answer.jobs):
        pieces += [b"," if at else b"", *job_pieces(job)]
    return [*pieces, b"]}"]


def page_texts(page: JobsPage) -> Iterator[bytes]:
    """A page of a listing, encoded job by job."""
    head, mark, tail = _encode(replace(page, jobs=[])).partition(_NO_JOBS)
    assert mark, "a page has a list of jobs"
    yield head + mark[:-1]
    for at, job in enumerate(page.jobs):
        yield b"," + _encode(job) if at else _encode(job)
    yield mark[-1:] + tail


async def page_pieces(page: JobsPage) -> Pieces:
    """The same, while others have their turn."""
    pieces: Pieces = []
    size = 0
    for text in page_texts(page):
        pieces.append(text)
        size += len(text)
        if size >= ENCODE_BYTES:
            size = 0
            await asyncio.sleep(0)
    return pieces


async def respond_pieces(
    send: Send,
    pieces: Pieces,
    *,
    headers: Iterable[tuple[bytes, bytes]],
    connection: Connection,
    stall_s: float,
    kind: tuple[bytes, bytes] = JSON,
) -> None:
    """Send a text as the caller takes it in; one who takes nothing for so long is dropped."""
    length = (b"content-length", b"%d" % sum(map(len, pieces)))
    start = {"type": "http.response.start", "status": 200, "headers": [kind, length, *headers]}
    await send(start)
    try:
        for chunk in chunks(pieces):
            async with asyncio.timeout(stall_s):
                await send({"type": "http.response.body", "body": chunk, "more_body": True})
            if connection.lost:
                raise CallerGoneError
            await asyncio.sleep(0)
        await send({"type": "http.response.body", "body": b""})
    except TimeoutError as error:
        connection.abort()
        raise CallerGoneError from error


def chunks(pieces: Iterable[bytes | memoryview]) -> Iterator[bytes]:
    """The pieces cut or joined to chunks of about one size."""
    small: list[bytes] = []
    size = 0
    for piece in pieces:
        for at in range(0, len(piece), CHUNK_BYTES):
            small.append(bytes(piece[at : at + CHUNK_BYTES]))
            size += len(small[-1])
            if size >= CHUNK_BYTES:
                yield b"".join(small)
                small, size = [], 0
    if small:
        yield b"".join(small)
