"""A bucket of Google Cloud Storage, through the official client and its JSON API.

A version is the object's generation. A conditional write is one request, of one kind for every
size, and is never retried: a retry turns a write that landed into a false conflict. Deletes are
not retried either, nor is a look at a version, which is repeated anyhow; reads and listings are.
"""

from __future__ import annotations

import threading
from base64 import b64encode
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, cast
from urllib.parse import quote

import msgspec

from osqueue.clock import SystemEntropy
from osqueue.errors import (
    OsqueueError,
    StoreNotFoundError,
    StoreUnavailableError,
    StoreUnknownError,
)
from osqueue.storage.cloud import LIST_PAGE_KEYS, READ_RETRY_SHARE, content_type
from osqueue.storage.gcs_errors import ABSENT, NO_BUCKET, status_of, verdict_on
from osqueue.storage.protocol import Stored, Version
from osqueue.storage.verdicts import Call, Verdict

__all__ = ["GcsBucket"]

NEVER = 1
"""A generation that no object has: they are microseconds since 1970."""

READ_RETRY_DELAY_S = 0.1
"""Longest wait before a read is sent again for the first time; later ones double."""

OK = 200
NOT_MODIFIED = 304

_ENTROPY = SystemEntropy()


class GcsBucket:
    """The blocking operations. ``make_client`` is called once, by the first of them."""

    def __init__(
        self, name: str, make_client: Callable[[], Any], timeout_s: float, *, url: str
    ) -> None:
        self._name = name
        self._make_client = make_client
        self._timeout_s = timeout_s
        self._url = url
        self._lock = threading.Lock()
        self._client: Any = None

    def get(self, key: str, unless: Version | None) -> Stored | None:
        with self._call(f"get {key!r}", writes=False):
            response = self._retry()(self._download)(key, unless)
            if response.status_code == NOT_MODIFIED:
                return None
            version = _version(response.headers.get("X-Goog-Generation"), StoreUnavailableError)
            return None if version == unless else Stored(response.content, version)

    def head(self, key: str) -> Version:
        with self._call(f"look at {key!r}", writes=False) as bucket:
            blob = bucket.blob(key)
            blob.reload(timeout=self._timeout_s, retry=None)
            return _version(blob.generation, StoreUnavailableError)

    def create(self, key: str, data: bytes) -> Version:
        return self._write(f"create {key!r}", key, data, generation=0)

    def put(self, key: str, data: bytes, if_version: Version) -> Version:
        return self._write(f"put {key!r}", key, data, generation=_generation(if_version))

    def delete(self, key: str) -> None:
        try:
            with self._call(f"delete {key!r}", writes=True) as bucket:
                bucket.blob(key).delete(timeout=self._timeout_s, retry=None)
        except StoreNotFoundError:
            pass

    def last_modified_ms(self, key: str) -> int | None:
        with self._call(f"look at {key!r}", writes=False) as bucket:
            blob = bucket.blob(key)
            blob.reload(**self._reading())
            return None if blob.updated is None else int(blob.updated.timestamp() * 1_000)

    def pages(self, prefix: str) -> Iterator[Sequence[str]]:
        with self._call("list", writes=False) as bucket:
            found = bucket.list_blobs(
                prefix=prefix,
                page_size=LIST_PAGE_KEYS,
                fields="items(name),nextPageToken",
                **self._reading(),
            )
            for page in found.pages:
                yield [blob.name for blob in page]

    def close(self) -> None:
        if self._client is not None:
            self._client.close()

    def _write(self, doing: str, key: str, data: bytes, *, generation: int) -> Version:
        with self._call(doing, writes=True):
            answer = self._upload(key, data, generation)
            return _version(answer.get("generation"), StoreUnknownError)

    def _download(self, key: str, unless: Version | None) -> Any:
        """The library's own download leaves the connections of refused requests open."""
        known = _generation(unless) if unless is not None else None
        return self._checked(
            self._client._http.get(  # noqa: SLF001 - the session that signs requests
                f"{self._url_of('download')}/{quote(key, safe='')}",
                params={"alt": "media", "ifGenerationNotMatch": known},
                headers={"Accept-Encoding": "identity"},
                timeout=self._timeout_s,
            )
        )

    def _upload(self, key: str, data: bytes, generation: int) -> dict[str, Any]:
        """One request for any size, so that comparing and writing are one step of the server.

        The library sends what is larger than 8 MiB in several.
        """
        boundary = _ENTROPY.token()
        response = self._checked(
            self._client._http.post(  # noqa: SLF001 - the session that signs requests
                self._url_of("upload"),
                params={"uploadType": "multipart", "ifGenerationMatch": str(generation)},
                data=_multipart(key, data, boundary),
                headers={"Content-Type": f"multipart/related; boundary={boundary}"},
                timeout=self._timeout_s,
            )
        )
        return cast("dict[str, Any]", response.json())

    def _url_of(self, kind: str) -> str:
        bucket = quote(self._name, safe="")
        return f"{self._client.api_endpoint}/{kind}/storage/v1/b/{bucket}/o"

    def _checked(self, response: Any) -> Any:
        from google.api_core.exceptions import from_http_response  # noqa: PLC0415 - optional

        if response.status_code in {OK, NOT_MODIFIED}:
            return response
        raise from_http_response(response)  # type: ignore[no-untyped-call]

    def _retry(self) -> Any:
        from google.cloud.storage.retry import DEFAULT_RETRY  # noqa: PLC0415 - optional

        soon = DEFAULT_RETRY.with_delay(initial=READ_RETRY_DELAY_S)
        return soon.with_timeout(self._timeout_s * READ_RETRY_SHARE)

    def _reading(self) -> dict[str, Any]:
        return {"timeout": self._timeout_s, "retry": self._retry()}

    @contextmanager
    def _call(self, doing: str, *, writes: bool) -> Iterator[Any]:
        """The bucket to call; every error of the library becomes one of the store's here."""
        call = Call(f"{doing} in {self._url}", writes)
        try:
            with self._lock:
                self._client = self._client or self._make_client()
        except _library_errors() as error:
            raise Call(call.doing, writes=False).failed(verdict_on(error), _named(error)) from error
        try:
            yield self._client.bucket(self._name)
        except _library_errors() as error:
            raise self._translated(call, error) from error

    def _translated(self, call: Call, error: Exception) -> OsqueueError:
        verdict = verdict_on(error)
        if verdict is ABSENT:
            verdict = self._what_is_absent()
        return call.failed(verdict, _named(error))

    def _what_is_absent(self) -> Verdict:
        """A 404 does not say of what. The object is gone only if its bucket is there."""
        try:
            found = self._client.list_blobs(self._name, max_results=1, **self._reading())
            next(iter(found.pages), None)
        except _library_errors() as error:
            verdict = verdict_on(error)
            return NO_BUCKET if verdict is ABSENT else verdict
        return ABSENT


def _library_errors() -> tuple[type[Exception], ...]:
    from google.api_core.exceptions import GoogleAPIError  # noqa: PLC0415 - optional
    from google.auth.exceptions import GoogleAuthError  # noqa: PLC0415 - optional
    from google.cloud.storage.exceptions import (  # noqa: PLC0415 - optional
        DataCorruption,
        InvalidResponse,
    )
    from urllib3.exceptions import HTTPError  # noqa: PLC0415 - optional

    return (
        GoogleAPIError, GoogleAuthError, DataCorruption, InvalidResponse, HTTPError, OSError,
        ValueError,
    )  # fmt: skip


def _multipart(key: str, data: bytes, boundary: str) -> bytes:
    """An object and what describes it, with a checksum for the server to compare."""
    from google_crc32c import Checksum  # noqa: PLC0415 - optional

    digest: bytes = Checksum(data).digest()  # type: ignore[no-untyped-call]
    kind = content_type(key)
    described = {"name": key, "contentType": kind, "crc32c": b64encode(digest).decode()}
    return b"".join(
        (
            f"--{boundary}\r\nContent-Type: application/json\r\n\r\n".encode(),
            msgspec.json.encode(described),
            f"\r\n--{boundary}\r\nContent-Type: {kind}\r\n\r\n".encode(),
            data,
            f"\r\n--{boundary}--\r\n".encode(),
        )
    )


def _named(error: Exception) -> str:
    status = status_of(error)
    return f"HTTP {status}" if status else "no answer"


def _generation(version: Version) -> int:
    """The number that a version is; a version of another store is none that ever was."""
    return int(version) if version.isdecimal() else NEVER


def _version(generation: object, otherwise: type[OsqueueError]) -> Version:
    if generation is None:
        raise otherwise("the store answers without a generation: it cannot carry a queue")
    return Version(str(generation))
