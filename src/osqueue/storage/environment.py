"""The storage URL that the environment names, for the command line and for programs.

``OSQUEUE_STORAGE`` is a URL, and wins. ``STORAGE_BACKEND`` is the older implementations' way: the
kind, then its bucket, prefix and more in variables of their own. Such a prefix is taken character
for character. Credentials are not read here: each provider's library has variables for them.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

import msgspec

from osqueue.errors import ConfigError
from osqueue.storage.endpoints import public_url

__all__ = ["storage_url"]


class _Kind(msgspec.Struct, frozen=True):
    """A kind of store: its scheme, what names the bucket, and the variable of each option."""

    scheme: str
    name: str
    options: Mapping[str, str]


_KINDS: Mapping[str, _Kind] = MappingProxyType(
    {
        "s3": _Kind(
            "s3",
            "S3_BUCKET",
            {
                "prefix": "S3_PREFIX",
                "region": "S3_REGION",
                "endpoint": "S3_ENDPOINT",
                "path_style": "S3_PATH_STYLE",
            },
        ),
        "gcs": _Kind(
            "gs",
            "GCS_BUCKET",
            {"prefix": "GCS_PREFIX", "endpoint": "GCS_ENDPOINT", "project": "GCS_PROJECT"},
        ),
        "azure": _Kind(
            "az",
            "AZURE_CONTAINER",
            {"prefix": "AZURE_PREFIX", "account": "AZURE_ACCOUNT", "endpoint": "AZURE_ENDPOINT"},
        ),
    }
)


def storage_url(environ: Mapping[str, str]) -> str:
    """The URL of the storage; ``memory://`` when nothing names one.

    Raises `ConfigError`, which names the variable that is wrong or missing.
    """
    if url := environ.get("OSQUEUE_STORAGE"):
        return url
    backend = environ.get("STORAGE_BACKEND") or "memory"
    if backend == "memory":
        return "memory://"
    if backend == "local":
        return _directory(environ)
    kind = _KINDS.get(backend)
    if kind is None:
        known = ", ".join(sorted(["local", "memory", *_KINDS]))
        raise ConfigError(f"STORAGE_BACKEND={backend}: it can be {known}")
    return _bucket(kind, backend, environ)


def _bucket(kind: _Kind, backend: str, environ: Mapping[str, str]) -> str:
    name = _required(kind.name, backend, environ)
    options = {option: environ.get(variable) or None for option, variable in kind.options.items()}
    prefix = options.pop("prefix") or ""
    return public_url(kind.scheme, name, prefix=prefix, options=options)


def _directory(environ: Mapping[str, str]) -> str:
    path = _required("LOCAL_PATH", "local", environ)
    if path.startswith("~"):
        raise ConfigError(f"LOCAL_PATH={path}: ~ stands for nothing here: write the whole path")
    return Path(path).absolute().as_uri()


def _required(variable: str, backend: str, environ: Mapping[str, str]) -> str:
    value = environ.get(variable)
    if not value:
        raise ConfigError(f"STORAGE_BACKEND={backend} needs {variable}: set it")
    return value
