"""What a run of the demo set out to do, kept so that an interrupted one is carried on."""

from __future__ import annotations

import platform
from pathlib import Path

import msgspec

from osqueue.cli.demo.corpus import job_id, source_files, standard_library
from osqueue.cli.demo.place import Place
from osqueue.cli.demo.results import write_whole
from osqueue.cli.failures import CliError
from osqueue.clock import SystemEntropy

__all__ = ["RunRecord", "begin_run", "end_run"]


class RunRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A run: its files, and of which interpreter."""

    run_id: str
    python: str
    root: str
    files: list[str]
    ended: bool = False

    def paths(self) -> dict[str, str]:
        """The files by the ids of their jobs."""
        return {job_id(self.run_id, path): path for path in self.files}


def begin_run(place: Place, limit: int | None) -> tuple[RunRecord, bool]:
    """The run to do, and whether it is an interrupted one; the data of an ended one is cleared."""
    record = _read(place.record)
    root, python = standard_library(), platform.python_version()
    if (
        record is not None
        and not record.ended
        and (record.root, record.python) == (str(root), python)
    ):
        place.prepare()
        return record, True
    files = source_files(root, limit)
    if not files:
        raise CliError(f"there are no Python sources in {root}")
    place.clear()
    place.prepare()
    record = RunRecord(
        run_id=SystemEntropy().token()[:8], python=python, root=str(root), files=files
    )
    _write(place.record, record)
    return record, False


def end_run(place: Place, record: RunRecord) -> None:
    """The run has come to its end: the next start begins a new one."""
    _write(place.record, msgspec.structs.replace(record, ended=True))


def _read(path: Path) -> RunRecord | None:
    try:
        return msgspec.json.decode(path.read_bytes(), type=RunRecord)
    except (FileNotFoundError, msgspec.DecodeError):
        return None


def _write(path: Path, record: RunRecord) -> None:
    write_whole(path, msgspec.json.encode(record))
