"""A store in a bucket of Google Cloud Storage.

Without a credentials file Google's own chain applies (application default credentials), on the
first call: finding credentials may ask the network.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from osqueue.errors import ConfigError
from osqueue.storage.cloud import TIMEOUT_S, CloudStore, check_timeout, require
from osqueue.storage.endpoints import check_bucket, check_endpoint, public_url
from osqueue.storage.gcs_bucket import GcsBucket

__all__ = ["GCSBackend"]


class GCSBackend(CloudStore):
    """A bucket of Google Cloud Storage, or a part of it.

    ``prefix`` stands before every key as it is (``jobs/`` for a folder). ``anonymous`` sends no
    credentials; by default only to an endpoint without TLS. ``timeout_s`` is the longest wait for
    the next bytes of an answer. Raises `ConfigError` for options that do not fit each other, and
    when ``osqueue[gcs]`` is not installed.
    """

    least_write_spacing_ms = 1_000
    """Google takes about one write a second of one object."""

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
        check_bucket(bucket)
        check_timeout(timeout_s)
        if anonymous and credentials_file is not None:
            raise ConfigError("anonymous and credentials_file: give one of them")
        require("google.cloud.storage", extra="gcs")
        if credentials_file is not None:
            _check_account_file(credentials_file)
        server = None if endpoint is None else check_endpoint(endpoint)
        account = _Account(server, project, credentials_file, anonymous)
        url = public_url("gs", bucket, prefix=prefix, options={"endpoint": endpoint})
        super().__init__(
            GcsBucket(bucket, account.client, timeout_s, url=url), url=url, prefix=prefix
        )


def _check_account_file(path: str) -> None:
    """Raise `ConfigError`, repeating nothing that stands in it, for a file that is no account's."""
    from google.oauth2.service_account import Credentials  # noqa: PLC0415 - an optional package

    if not Path(path).is_file():
        raise ConfigError(f"credentials: there is no file {path!r}")
    try:
        Credentials.from_service_account_file(path)  # type: ignore[no-untyped-call]
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"credentials: {path!r} is not a service account's key: create one as JSON"
        ) from error


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
