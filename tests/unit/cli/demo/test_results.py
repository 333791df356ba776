"""The files of the demo's results."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from msgspec.structs import replace

from osqueue.cli.demo.index import FileIndex, Function
from osqueue.cli.demo.results import Result, Results, write_whole

INDEX = FileIndex(lines=1, words={"ü": 2}, functions=1, classes=0, longest=Function("f", 1, 1))
RESULT = Result(job_id="r-1", path="a.py", attempt=1, created_at=5, started_at=6, index=INDEX)


@pytest.fixture
def results(tmp_path: Path) -> Results:
    return Results(tmp_path)


def test_result_when_written_then_read_back(results: Results) -> None:
    results.write(RESULT)
    results.write(replace(RESULT, job_id="r-2", index=None, skipped="no"))
    assert results.get("r-1") == RESULT
    assert results.job_ids() == {"r-1", "r-2"}
    assert {each.job_id for each in results.all()} == {"r-1", "r-2"}


def test_result_when_written_again_then_one_that_counts_its_runs(results: Results) -> None:
    for attempt in (1, 2, 3):
        results.write(replace(RESULT, attempt=attempt))
    assert results.all() == [replace(RESULT, attempt=3, runs=3)]


def test_results_when_there_are_none_then_empty(tmp_path: Path) -> None:
    results = Results(tmp_path / "missing")
    assert results.get("r-1") is None
    assert results.job_ids() == set()
    assert results.all() == []


def test_file_when_its_writer_dies_then_the_old_one_or_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "x.json"
    write_whole(path, b"old")

    def die(_file: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", die)
    with pytest.raises(KeyboardInterrupt):
        write_whole(path, b"new")
    assert path.read_bytes() == b"old"
    assert Results(tmp_path).job_ids() == {"x"}
