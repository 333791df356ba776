"""The demo's input: every Python source of the running interpreter's standard library."""

from __future__ import annotations

import hashlib
import os
import sysconfig
from collections.abc import Iterator
from pathlib import Path
from typing import Final

__all__ = ["job_id", "source_files", "standard_library"]

_NOT_STANDARD: Final = frozenset({"site-packages", "dist-packages", "__pycache__"})


def standard_library() -> Path:
    """Where the sources are."""
    return Path(sysconfig.get_path("stdlib"))


def source_files(root: Path, limit: int | None = None) -> list[str]:
    """The sources below ``root``, relative and in order; ``limit`` takes some from all over."""
    files = sorted(_walk(root))
    if limit is None or limit >= len(files):
        return files
    return [files[at * len(files) // limit] for at in range(limit)]


def job_id(run_id: str, path: str) -> str:
    """The id of the job for one file: submitted again, it is the same job."""
    return f"{run_id}-{hashlib.sha256(path.encode()).hexdigest()[:20]}"


def _walk(root: Path) -> Iterator[str]:
    for directory, names, files in os.walk(root):
        names[:] = [name for name in names if name not in _NOT_STANDARD]
        for name in files:
            if name.endswith(".py"):
                yield (Path(directory) / name).relative_to(root).as_posix()
