"""A store in a bucket of Google Cloud Storage, through the official client and its JSON API.

A version is the object's generation. Conditional writes are never retried by the library (a retry
turns a write that landed into a false conflict); reads and listings are. Without a credentials
file Google's own chain applies (application default credentials), on the first call.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec

from osqueue.errors import (
    ConfigError,
    OsqueueError,
    StoreNotFoundError,
    StoreUnavailableError,
    StoreUnknownError,
)
from osqueue.storage.cloud import (
    LIST_PAGE_KEYS,
    READ_RETRY_SHARE,
    TIMEOUT_S,
    CloudStore,
    check_timeout,
    content_type,
    require,
)
from osqueue.storage.endpoints import check_endpoint, public_url
from osqueue.storage.gcs_errors import ABSENT, NO_BUCKET, status_of, verdict_on
from osqueue.storage.protocol import Stored, Version
from osqueue.storage.verdicts import Call, Verdict

__all__ = ["GCSBackend"]

NEVER = 1
"""A generation that no object has: they are microseconds since 1970."""

NOT_MODIFIED = 304


class GCSBackend(CloudStore):
    """A bucket of Google Cloud Storage, or a part of it.

    ``prefix`` stands before every key as it is (``jobs/`` for a folder). ``anonymous`` sends no
    credentials; by default only to an endpoint without TLS. ``timeout_s`` is the longest wait for
    the next bytes of an answer. Raises `ConfigError` for options that do not fit each other, and
    when ``osqueue[gcs]`` is not installed.
    """

    def __init__(
        self,
        bucket: str,
        *,
        prefix: str = "",
        endpoint: str | None = None,
        project: str | None = None,
        credentials_file: str | None = None,
        anonymous: bool | None = None,
        timeout_s: float = TIMEOUT_S,
    ) -> None:
        check_timeout(timeout_s)
        if anonymous and credentials_file is not None:
            raise ConfigError("anonymous and credentials_file: give one of them")
        if credentials_file is not None and not Path(credentials_file).is_file():
            raise ConfigError(f"credentials: there is no file {credentials_file!r}")
        require("google.cloud.storage", extra="gcs")
        server = None if endpoint is None else check_endpoint(endpoint)
        account = _Account(server, project, credentials_file, anonymous)
        url = public_url("gs", bucket, prefix=prefix, options={"endpoint": endpoint})
        super().__init__(_GcsBucket(bucket, account, timeout_s, url), url=url, prefix=prefix)


class _Account(msgspec.Struct, frozen=True):
    """Who asks, and where."""

    endpoint: str | None
    project: str | None
    credentials_file: str | None
    anonymous: bool | None

    def client(self) -> Any:  # the library has no types
        """Make the client; finding credentials may ask the network."""
        client = self._plain_client()
        client._bucket_metadata_cache = None  # noqa: SLF001 - else a daemon thread reads the bucket
        return client

    def _plain_client(self) -> Any:
        from google.auth.credentials import AnonymousCredentials  # noqa: PLC0415 - optional
        from google.cloud.storage import Client  # noqa: PLC0415 - optional

        options = None if self.endpoint is None else {"api_endpoint": self.endpoint}
        if self.credentials_file is not None:
            return Client.from_service_account_json(self.credentials_file, client_options=options)
        if self._is_anonymous():
            credentials = AnonymousCredentials()  # type: ignore[no-untyped-call]
            return Client(self.project, credentials, client_options=options)
        named = {} if self.project is None else {"project": self.project}
        return Client(client_options=options, **named)

    def _is_anonymous(self) -> bool:
        if self.anonymous is not None:
            return self.anonymous
        return self.endpoint is not None and self.endpoint.startswith("http://")


class _GcsBucket:
    """The blocking operations."""

    def __init__(self, name: str, account: _Account, timeout_s: float, url: str) -> None:
        self._name = name
        self._account = account
        self._timeout_s = timeout_s
        self._url = url
        self._lock = threading.Lock()
        self._client: Any = None

    def get(self, key: str, unless: Version | None) -> Stored | None:
        with self._call(f"get {key!r}", writes=False) as bucket:
            blob = bucket.blob(key)
            try:
                data = blob.download_as_bytes(
                    if_generation_not_match=_generation(unless, otherwise=None), **self._reading()
                )
            except _library_errors() as error:
                if status_of(error) == NOT_MODIFIED:
                    return None
                raise
            version = _version(blob.generation, StoreUnavailableError)
            return None if version == unless else Stored(data, version)

    def create(self, key: str, data: bytes) -> Version:
        return self._write(f"create {key!r}", key, data, generation=0)

    def put(self, key: str, data: bytes, if_version: Version) -> Version:
        generation = _generation(if_version, otherwise=NEVER)
        return self._write(f"put {key!r}", key, data, generation=generation)

    def delete(self, key: str) -> None:
        try:
            with self._call(f"delete {key!r}", writes=True) as bucket:
                bucket.blob(key).delete(timeout=self._timeout_s, retry=None)
        except StoreNotFoundError:
            pass

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

    def _write(self, doing: str, key: str, data: bytes, *, generation: int | None) -> Version:
        with self._call(doing, writes=True) as bucket:
            blob = bucket.blob(key)
            blob.upload_from_string(
                data,
                content_type=content_type(key),
                if_generation_match=generation,
                timeout=self._timeout_s,
                retry=None,
            )
            return _version(blob.generation, StoreUnknownError)

    def _reading(self) -> dict[str, Any]:
        from google.cloud.storage.retry import DEFAULT_RETRY  # noqa: PLC0415 - optional

        retry = DEFAULT_RETRY.with_timeout(self._timeout_s * READ_RETRY_SHARE)
        return {"timeout": self._timeout_s, "retry": retry}

    @contextmanager
    def _call(self, doing: str, *, writes: bool) -> Iterator[Any]:
        """The bucket to call; every error of the library becomes one of the store's here."""
        call = Call(f"{doing} in {self._url}", writes)
        try:
            with self._lock:
                self._client = self._client or self._account.client()
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


def _named(error: Exception) -> str:
    status = status_of(error)
    return f"HTTP {status}" if status else "no answer"


def _generation(version: Version | None, *, otherwise: int | None) -> int | None:
    """The number that a version is; a version of another store is none."""
    return int(version) if version is not None and version.isdecimal() else otherwise


def _version(generation: int | None, otherwise: type[OsqueueError]) -> Version:
    if generation is None:
        raise otherwise("the store answers without a generation: it cannot carry a queue")
    return Version(str(generation))
