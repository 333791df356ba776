"""From a URL to a store: one table of schemes, one opener for each.

``memory://`` is a new, empty store each time: to share one, pass the store itself around.
``file:///path`` is a directory of this machine; ``file:path`` is one relative to where the
process was started. ``s3://``, ``gs://`` and ``az://`` are buckets: `osqueue.storage.clouds`.
Percent-escapes are decoded. No message repeats what stands before an ``@``.

More kinds of store need no change here: ``open_store(url, openers={**OPENERS, "db": open_db})``,
and `osqueue.testing.store_contract` to prove them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from urllib.parse import SplitResult, unquote, urlsplit

from osqueue.errors import ConfigError, UnsupportedStoreError
from osqueue.storage.clouds import open_azure, open_gcs, open_s3
from osqueue.storage.local import LocalBackend
from osqueue.storage.memory import MemoryBackend
from osqueue.storage.protocol import Store

__all__ = ["OPENERS", "Opener", "open_store"]

Opener = Callable[[SplitResult], Store]
"""Makes a store of a URL's parts, without touching it. Raises `ConfigError` for parts that make
no sense."""


def open_store(url: str, *, openers: Mapping[str, Opener] | None = None) -> Store:
    """The store that ``url`` names. Nothing is read or written yet.

    Raises `ConfigError` when it is no such URL, `UnsupportedStoreError` for a kind of store that
    this version does not have.
    """
    known = OPENERS if openers is None else openers
    parts = _split(url)
    opener = known.get(parts.scheme)
    if opener is None:
        raise _unsupported(parts.scheme, known)
    return opener(parts)


def _split(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
    except ValueError as error:
        raise ConfigError(f"the storage URL is malformed: {error}") from error
    if parts.scheme:
        return parts
    if url.startswith("/"):
        raise ConfigError(f"a storage URL begins with its kind: write file://{url}")
    raise ConfigError(
        "a storage URL begins with its kind: s3://bucket/folder, gs://, az://, file:///path for a "
        "directory, or memory://"
    )


def _open_memory(parts: SplitResult) -> Store:
    if parts.netloc or parts.path or parts.query or parts.fragment:
        raise ConfigError(
            "memory:// takes no name, and each one is a new store: to share one between parts of "
            "a process, pass the store itself"
        )
    return MemoryBackend()


def _open_file(parts: SplitResult) -> Store:
    path = unquote(parts.path, errors="surrogateescape")
    if parts.netloc not in {"", "localhost"}:
        raise ConfigError(
            "file:// takes a path on this machine: file:///path with three slashes, or "
            "file:path for one relative to the current directory"
        )
    if parts.query or parts.fragment:
        raise ConfigError("file:// takes no options: write %3F for a ? and %23 for a # in a path")
    if not path or "\0" in path:
        raise ConfigError("file:// needs the path of a directory, such as file:///var/lib/osqueue")
    if path.lstrip("/").startswith("~"):
        raise ConfigError("~ stands for nothing in a file: URL: write the whole path")
    return LocalBackend(path)


def _unsupported(scheme: str, known: Mapping[str, Opener]) -> UnsupportedStoreError:
    if scheme in {"http", "https"}:
        return UnsupportedStoreError(
            "the address of a server is an option of its kind of store: write "
            f"s3://bucket/folder?endpoint={scheme}://host:port"
        )
    supported = ", ".join(f"{name}://" for name in sorted(known))
    return UnsupportedStoreError(f"no kind of store is called {scheme}://; there are {supported}")


OPENERS: Mapping[str, Opener] = MappingProxyType(
    {
        "az": open_azure,
        "azure": open_azure,
        "file": _open_file,
        "gcs": open_gcs,
        "gs": open_gcs,
        "memory": _open_memory,
        "s3": open_s3,
    }
)
"""The kinds of store of this version, by scheme."""
