"""A store in a bucket of S3, or of any server that speaks its protocol and keeps preconditions.

Without keys the library's own chain finds them: the environment, a web identity, the container's
or the machine's role. The profiles of ``~/.aws`` are read with the help of ``boto3``, when a
``profile`` is named or ``AWS_PROFILE`` is set.

Servers differ in whether an ETag in ``If-Match`` stands in quotes, as HTTP says, or without (Ceph
16): `S3Backend.dialect`.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import msgspec

from osqueue.errors import ConfigError
from osqueue.storage.cloud import TIMEOUT_S, CloudStore, check_timeout, require
from osqueue.storage.endpoints import check_bucket, check_endpoint, public_url, with_host_prefix
from osqueue.storage.obstore_bucket import ObstoreBucket, client_config, retry_config

if TYPE_CHECKING:
    from obstore.store import S3Config, S3Credential, S3Store

__all__ = ["DIALECTS", "S3Backend"]

DIALECTS = ("quoted", "unquoted")
"""How ETags stand in ``If-Match``."""

_ENDPOINT_VARIABLES = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT")


class S3Backend(CloudStore):
    """A bucket of S3, or a part of it.

    ``prefix`` stands before every key as it is (``jobs/`` for a folder). ``path_style`` puts the
    bucket into the URL's path; by default only where an ``endpoint`` is given, or the bucket's
    name has a dot. ``timeout_s`` is the longest wait for an answer. Raises `ConfigError` for
    options that do not fit each other, and when ``osqueue[s3]`` is not installed.
    """

    def __init__(  # noqa: PLR0913 - the signature is the list of options
        self,
        bucket: str,
        *,
        prefix: str = "",
        region: str | None = None,
        endpoint: str | None = None,
        path_style: bool | None = None,
        access_key_id: str | None = None,
        secret_access_key: str | None = None,
        session_token: str | None = None,
        profile: str | None = None,
        etag: str | None = None,
        timeout_s: float = TIMEOUT_S,
    ) -> None:
        check_bucket(bucket)
        check_timeout(timeout_s)
        if etag not in {None, *DIALECTS}:
            raise ConfigError(f"etag: it can be {' or '.join(DIALECTS)}, not {etag!r}")
        keys = _Keys(access_key_id, secret_access_key, session_token, profile)
        keys.check()
        require("obstore", extra="s3")
        place = _Place(bucket, region, _endpoint(endpoint), path_style)
        url = public_url("s3", bucket, prefix=prefix, options={"endpoint": endpoint})
        self._dialects = DIALECTS if etag is None else (etag,)
        self._s3 = ObstoreBucket(
            _client(place, keys, timeout_s, retries=False),
            _client(place, keys, timeout_s, retries=True),
            url=url,
        )
        self.dialect = self._dialects[0]
        super().__init__(self._s3, url=url, prefix=prefix)

    @property
    def dialects(self) -> tuple[str, ...]:
        """The ways to write an ETag that are to be tried; one if ``etag`` was given."""
        return self._dialects

    @property
    def dialect(self) -> str:
        """The way in use."""
        return DIALECTS[self._s3.unquoted]

    @dialect.setter
    def dialect(self, name: str) -> None:
        if name not in self._dialects:
            raise ValueError(f"it can be {' or '.join(self._dialects)}, not {name!r}")
        self._s3.unquoted = name == "unquoted"


class _Place(msgspec.Struct, frozen=True):
    """Where the bucket is."""

    bucket: str
    region: str | None
    endpoint: str | None
    path_style: bool | None

    def config(self) -> S3Config:
        config: S3Config = {"disable_bulk_delete": True}
        if self.region is not None:
            config["region"] = self.region
        in_path = self.endpoint is not None or "." in self.bucket
        if self.path_style is not None:
            in_path = self.path_style
        config["virtual_hosted_style_request"] = not in_path
        if self.endpoint is not None:
            whole = self.endpoint if in_path else with_host_prefix(self.endpoint, self.bucket)
            config["aws_endpoint_url_s3"] = whole  # the one that no variable outdoes
        return config


class _Keys(msgspec.Struct, frozen=True):
    """How to sign requests, if that was said."""

    access_key_id: str | None
    secret_access_key: str | None
    session_token: str | None
    profile: str | None

    def check(self) -> None:
        if (self.access_key_id is None) != (self.secret_access_key is None):
            raise ConfigError("access_key_id and secret_access_key: give both, or neither")
        if self.session_token is not None and self.access_key_id is None:
            raise ConfigError("session_token: it belongs to an access_key_id: give both")
        if self.profile is not None and self.access_key_id is not None:
            raise ConfigError("profile and access_key_id: give one of them")

    def provider(self) -> Any:  # obstore's protocol of providers exists for type checkers only
        if self.access_key_id is not None:
            return self._given()
        if profile := self.profile or _profile_of_the_environment():
            return _provider_of(profile)
        return None

    def _given(self) -> Callable[[], S3Credential]:
        """As the library's options these would be mixed with the environment's session token."""
        assert self.access_key_id is not None
        assert self.secret_access_key is not None
        credential: S3Credential = {
            "access_key_id": self.access_key_id,
            "secret_access_key": self.secret_access_key,
            "token": self.session_token,
            "expires_at": None,
        }
        return lambda: credential


def _endpoint(given: str | None) -> str | None:
    variables = (os.environ.get(name) for name in _ENDPOINT_VARIABLES)
    endpoint = given or next(filter(None, variables), None)
    return None if endpoint is None else check_endpoint(endpoint)


def _profile_of_the_environment() -> str | None:
    """Keys in the environment win over a profile that it names, as everywhere."""
    if os.environ.get("AWS_ACCESS_KEY_ID"):
        return None
    return os.environ.get("AWS_PROFILE") or None


def _provider_of(profile: str) -> Any:  # obstore's protocol of providers exists for type checkers
    try:
        from boto3.session import Session  # noqa: PLC0415 - needed for profiles only
        from botocore.exceptions import BotoCoreError  # noqa: PLC0415 - the same
        from obstore.auth.boto3 import Boto3CredentialProvider  # noqa: PLC0415 - the same
    except ImportError as error:
        raise ConfigError(
            f"the profile {profile!r} is read with boto3: pip install boto3, or give the keys"
        ) from error
    try:
        return Boto3CredentialProvider(Session(profile_name=profile))
    except (BotoCoreError, ValueError) as error:
        raise ConfigError(f"the profile {profile!r} gives no credentials: {error}") from error


def _client(place: _Place, keys: _Keys, timeout_s: float, *, retries: bool) -> S3Store:
    from obstore.exceptions import BaseError  # noqa: PLC0415 - an optional package
    from obstore.store import S3Store  # noqa: PLC0415 - an optional package

    try:
        return S3Store(
            place.bucket,
            config=place.config(),
            client_options=client_config(timeout_s, endpoint=place.endpoint),
            retry_config=retry_config(timeout_s) if retries else {"max_retries": 0},
            credential_provider=keys.provider(),
        )
    except (BaseError, ValueError) as error:
        raise ConfigError(f"s3://{place.bucket}: the options make no sense: {error}") from error
