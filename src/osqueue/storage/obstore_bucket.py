"""A bucket of S3 or a container of Azure, through the blocking side of ``obstore``.

Conditional writes go through a client that never retries: a retry turns a write that landed into
a false conflict. So do deletes. Reads and listings go through one that does. A version is the
object's ETag, as the store gave it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from osqueue.errors import (
    OsqueueError,
    StoreNotFoundError,
    StoreUnavailableError,
    StoreUnknownError,
)
from osqueue.storage.cloud import LIST_PAGE_KEYS, READ_RETRY_SHARE, content_type
from osqueue.storage.obstore_errors import ABSENT, NO_BUCKET, answer_of, verdict_on
from osqueue.storage.protocol import Stored, Version
from osqueue.storage.verdicts import Call, Verdict

if TYPE_CHECKING:
    from obstore import GetOptions
    from obstore.store import AzureStore, ClientConfig, RetryConfig, S3Store
    from typing_extensions import Buffer

__all__ = ["ObstoreBucket", "client_config", "retry_config"]

CONNECT_TIMEOUT_S = 5.0
"""A connection that takes longer will not come."""

READ_RETRIES_MAX = 5
"""Tries after the first: with the library's backoff they take about three seconds."""

COPY_BYTES = 1 << 20
"""Copied at once: a fraction of a millisecond. Joining the pieces lets other threads run."""

NO_FOLDER = "osqueue-no-such-folder"
"""Listed only to learn whether the bucket is there."""

_NAMES_THE_OBJECT = {"BlobNotFound", "NoSuchKey"}
"""Codes of a 404 that can only mean the object."""


class ObstoreBucket:
    """The blocking operations; ``unquoted`` leaves out the quotes of ETags in ``If-Match``."""

    def __init__(
        self, writes: S3Store | AzureStore, reads: S3Store | AzureStore, *, url: str
    ) -> None:
        self._writes = writes
        self._reads = reads
        self._url = url
        self.unquoted = False

    def get(self, key: str, unless: Version | None) -> Stored | None:
        from obstore import exceptions, get  # noqa: PLC0415 - an optional package

        with self._call(f"get {key!r}", writes=False):
            try:
                options: GetOptions | None = None if unless is None else {"if_none_match": unless}
                found = get(self._reads, key, options=options)
                version = _version(found.meta["e_tag"], StoreUnavailableError)
                return None if version == unless else Stored(_copied(found.bytes()), version)
            except exceptions.NotModifiedError:
                return None

    def head(self, key: str) -> Version:
        from obstore import head  # noqa: PLC0415 - an optional package

        with self._call(f"look at {key!r}", writes=False):
            return _version(head(self._reads, key)["e_tag"], StoreUnavailableError)

    def create(self, key: str, data: bytes) -> Version:
        return self._write(f"create {key!r}", key, data, mode="create")

    def put(self, key: str, data: bytes, if_version: Version) -> Version:
        e_tag = if_version.strip('"') if self.unquoted else str(if_version)
        return self._write(f"put {key!r}", key, data, mode={"e_tag": e_tag})

    def delete(self, key: str) -> None:
        from obstore import delete  # noqa: PLC0415 - an optional package

        try:
            with self._call(f"delete {key!r}", writes=True):
                delete(self._writes, key)
        except StoreNotFoundError:
            pass

    def last_modified_ms(self, key: str) -> int | None:
        from obstore import head  # noqa: PLC0415 - an optional package

        with self._call(f"look at {key!r}", writes=False):
            return int(head(self._reads, key)["last_modified"].timestamp() * 1_000)

    def pages(self, prefix: str) -> Iterator[Sequence[str]]:
        from obstore import list as list_objects  # noqa: PLC0415 - an optional package

        folder, _, start = prefix.rpartition("/")
        with self._call("list", writes=False):
            stream = list_objects(
                self._reads,
                folder or None,
                offset=(prefix[:-1] or None) if start else None,
                chunk_size=LIST_PAGE_KEYS,
            )
            for page in stream:
                yield [meta["path"] for meta in page]

    def close(self) -> None:
        """The library gives connections back by itself."""

    def _write(self, doing: str, key: str, data: bytes, *, mode: Any) -> Version:
        from obstore import put  # noqa: PLC0415 - an optional package

        with self._call(doing, writes=True):
            result = put(
                self._writes,
                key,
                data,
                mode=mode,
                attributes={"Content-Type": content_type(key)},
                use_multipart=False,
            )
            return _version(result["e_tag"], StoreUnknownError)

    @contextmanager
    def _call(self, doing: str, *, writes: bool) -> Iterator[None]:
        """Every error of the library becomes one of the store's here."""
        from obstore.exceptions import BaseError  # noqa: PLC0415 - an optional package

        try:
            yield
        except (BaseError, OSError, ValueError) as error:
            raise self._translated(Call(f"{doing} in {self._url}", writes), error) from error

    def _translated(self, call: Call, error: Exception) -> OsqueueError:
        verdict, answer = verdict_on(error), answer_of(error)
        if verdict is ABSENT and answer.code not in _NAMES_THE_OBJECT:
            verdict = self._what_is_absent()
        return call.failed(verdict, str(answer))

    def _what_is_absent(self) -> Verdict:
        """A 404 that does not say of what. The object is gone only if its bucket is there."""
        from obstore import list as list_objects  # noqa: PLC0415 - an optional package
        from obstore.exceptions import BaseError  # noqa: PLC0415 - an optional package

        try:
            next(iter(list_objects(self._reads, NO_FOLDER)), None)
        except (BaseError, OSError) as error:
            verdict = verdict_on(error)
            return NO_BUCKET if verdict is ABSENT else verdict
        return ABSENT


def _copied(data: Buffer) -> bytes:
    """The bytes of a large object, without holding up the other threads while they are copied."""
    whole = memoryview(data)
    starts = range(0, len(whole), COPY_BYTES)
    return b"".join([bytes(whole[start : start + COPY_BYTES]) for start in starts])


def client_config(timeout_s: float, *, endpoint: str | None) -> ClientConfig:
    """How the library talks HTTP; without TLS only where the endpoint says so."""
    return {
        "timeout": timedelta(seconds=timeout_s),
        "connect_timeout": timedelta(seconds=min(timeout_s, CONNECT_TIMEOUT_S)),
        "allow_http": endpoint is not None and endpoint.startswith("http://"),
    }


def retry_config(timeout_s: float) -> RetryConfig:
    """How reads are retried."""
    return {
        "max_retries": READ_RETRIES_MAX,
        "retry_timeout": timedelta(seconds=timeout_s * READ_RETRY_SHARE),
    }


def _version(e_tag: str | None, otherwise: type[OsqueueError]) -> Version:
    if e_tag is None:
        raise otherwise("the store answers without an ETag: it cannot carry a queue")
    return Version(e_tag)
