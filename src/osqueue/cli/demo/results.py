"""The demo's output: one small file for each job, written whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec

from osqueue.cli.demo.index import FileIndex

__all__ = ["Result", "Results", "write_whole"]

_SUFFIX = ".json"


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one file. ``skipped`` says why there is no index.

    ``attempt`` is how often the job was handed out, ``runs`` how often it ran to its end. Times are
    ms since the epoch.
    """

    job_id: str
    path: str
    attempt: int
    runs: int = 1
    created_at: int
    started_at: int
    index: FileIndex | None = None
    skipped: str | None = None


class Results:
    """A directory of results, by job id."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def write(self, result: Result) -> None:
        """Write a result; when there is one already, note that the job ran once more."""
        before = self.get(result.job_id)
        if before is not None:
            result = msgspec.structs.replace(result, runs=before.runs + 1)
        write_whole(self._path(result.job_id), msgspec.json.encode(result))

    def get(self, job_id: str) -> Result | None:
        """The result of a job, if there is one."""
        try:
            return msgspec.json.decode(self._path(job_id).read_bytes(), type=Result)
        except FileNotFoundError:
            return None

    def job_ids(self) -> set[str]:
        """The jobs that have a result."""
        try:
            names = [path.name for path in self._directory.iterdir()]
        except FileNotFoundError:
            return set()
        return {name.removesuffix(_SUFFIX) for name in names if name.endswith(_SUFFIX)}

    def all(self) -> list[Result]:
        """Every result."""
        found = (self.get(job_id) for job_id in self.job_ids())
        return [result for result in found if result is not None]

    def _path(self, job_id: str) -> Path:
        return self._directory / f"{job_id}{_SUFFIX}"


def write_whole(path: Path, content: bytes) -> None:
    """Write a file so that it is there whole, also after a power loss, or not at all."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    with draft.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
