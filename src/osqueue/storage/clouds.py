"""Openers of the cloud stores: from a URL's parts to a constructor's arguments.

::

    s3://bucket/folder?region=&endpoint=&path_style=&access_key_id=&secret_access_key=...
    gs://bucket/folder?endpoint=&project=&credentials=&anonymous=...
    az://container/folder?account=&endpoint=&account_key=&sas_token=&connection_string=...

The path is a folder; ``prefix`` in its place is taken as it is.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any
from urllib.parse import SplitResult, unquote

from osqueue.errors import ConfigError
from osqueue.storage.azure import AzureBackend
from osqueue.storage.gcs import GCSBackend
from osqueue.storage.prefixes import folder
from osqueue.storage.protocol import Store
from osqueue.storage.query import Reader, flag, parse_options, seconds, text
from osqueue.storage.s3 import S3Backend

__all__ = ["open_azure", "open_gcs", "open_s3"]

_COMMON: Mapping[str, Reader] = {"prefix": text, "endpoint": text, "timeout": seconds}
_S3: Mapping[str, Reader] = MappingProxyType(
    {
        **_COMMON,
        "region": text,
        "path_style": flag,
        "access_key_id": text,
        "secret_access_key": text,
        "session_token": text,
        "profile": text,
        "etag": text,
    }
)
_GCS: Mapping[str, Reader] = MappingProxyType(
    {**_COMMON, "project": text, "credentials": text, "anonymous": flag}
)
_AZURE: Mapping[str, Reader] = MappingProxyType(
    {
        **_COMMON,
        "account": text,
        "account_key": text,
        "sas_token": text,
        "connection_string": text,
    }
)
_KEYWORDS = MappingProxyType({"timeout": "timeout_s", "credentials": "credentials_file"})
"""Options whose keyword has another name."""


def open_s3(parts: SplitResult) -> Store:
    return S3Backend(_name(parts), **_arguments(parts, _S3))


def open_gcs(parts: SplitResult) -> Store:
    return GCSBackend(_name(parts), **_arguments(parts, _GCS))


def open_azure(parts: SplitResult) -> Store:
    return AzureBackend(_name(parts), **_arguments(parts, _AZURE))


def _name(parts: SplitResult) -> str:
    scheme = parts.scheme
    if "@" in parts.netloc:
        raise ConfigError(
            f"{scheme}://: credentials do not stand before an @: give them as options, or leave "
            "them to the environment"
        )
    if not parts.netloc:
        raise ConfigError(f"{scheme}:// needs a name: write {scheme}://name/folder")
    if ":" in parts.netloc:
        raise ConfigError(f"{scheme}:// takes a name, not an address: give that by endpoint=")
    if parts.fragment:
        raise ConfigError(f"{scheme}:// takes no fragment: write %23 for a #")
    return parts.netloc


def _arguments(parts: SplitResult, known: Mapping[str, Reader]) -> dict[str, Any]:
    options = parse_options(parts.query, known, scheme=parts.scheme)
    in_path = folder(unquote(parts.path))
    if in_path and "prefix" in options:
        raise ConfigError("prefix: the URL's path says it already: leave one of them out")
    arguments = {_KEYWORDS.get(name, name): value for name, value in options.items()}
    return {"prefix": in_path, **arguments}
