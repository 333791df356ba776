"""Packages whose public names are imported when they are first asked for.

What a program does not use costs it nothing: a client needs no broker's packages, a process of
handlers few of the client's, and the pytest plugin, which everybody loads, almost none.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module

__all__ = ["lazy_names"]


def lazy_names(
    package: str, homes: Mapping[str, str]
) -> tuple[Callable[[str], object], Callable[[], list[str]]]:
    """What a package's ``__getattr__`` and ``__dir__`` are to be; ``homes``: names by module."""

    def find(name: str) -> object:
        if name not in homes:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        return getattr(import_module(homes[name]), name)

    return find, lambda: sorted(import_module(package).__all__)
