"""The dashboard's files: read once, at the start of a broker, and served from memory.

Laws: only what is in the package is served, under the name that it has there, so that no path can
lead anywhere else; a kind of file that is not known here is not served at all.
"""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from functools import cached_property
from hashlib import sha256
from importlib.resources import files
from importlib.resources.abc import Traversable
from types import MappingProxyType
from typing import Final

__all__ = ["INDEX", "Asset", "read_assets"]

INDEX: Final = "index.html"
"""The page itself; all others are what it loads."""

_FOLDER: Final = "assets"

_TEXTS: Final = MappingProxyType(
    {
        "css": b"text/css; charset=utf-8",
        "html": b"text/html; charset=utf-8",
        "js": b"text/javascript; charset=utf-8",
        "json": b"application/json; charset=utf-8",
        "svg": b"image/svg+xml",
        "txt": b"text/plain; charset=utf-8",
    }
)
"""What is worth compressing."""

_KINDS: Final = MappingProxyType({**_TEXTS, "png": b"image/png", "woff2": b"font/woff2"})
"""The media type of each kind of file."""


class Asset:
    """One file. ``name``: its path in the folder, with slashes."""

    def __init__(self, name: str, data: bytes) -> None:
        self.name = name
        self.data = data
        suffix = name.rpartition(".")[2]
        self.kind = _KINDS[suffix]
        """Its media type."""
        self.etag = b'W/"%b"' % sha256(data).hexdigest()[:32].encode()
        """Weak, for it stands for the file compressed and as it is."""
        self._is_text = suffix in _TEXTS

    @cached_property
    def compressed(self) -> bytes:
        """The file by gzip, or as it is where that would not be smaller."""
        if not self._is_text:
            return self.data
        smaller = gzip.compress(self.data, mtime=0)
        return smaller if len(smaller) < len(self.data) else self.data


def read_assets() -> dict[str, Asset]:
    """All files by name, the `INDEX` among them."""
    folder = files("osqueue.server.dashboard") / _FOLDER
    return {name: Asset(name, found.read_bytes()) for name, found in _known(folder, "")}


def _known(folder: Traversable, prefix: str) -> Iterator[tuple[str, Traversable]]:
    for found in sorted(folder.iterdir(), key=lambda each: each.name):
        name = prefix + found.name
        if found.is_dir():
            yield from _known(found, f"{name}/")
        elif name.rpartition(".")[2] in _KINDS:
            yield name, found
