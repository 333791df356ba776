"""The demo's job."""

from __future__ import annotations

import pytest

from osqueue.cli.demo import worker
from osqueue.cli.demo.corpus import standard_library
from osqueue.cli.demo.crew import LEASE_TIMEOUT_MS
from osqueue.cli.demo.index import UnreadableSourceError, index_source
from osqueue.client import Job

JOB = Job(
    job_id="r-1",
    type="index-file",
    raw_payload=b'{"path":"ast.py"}',
    worker_id="w",
    lease="l",
    attempt=2,
    max_attempts=20,
    created_at=5,
)


def test_job_when_done_then_the_index_of_its_file() -> None:
    result = worker.indexed("ast.py", JOB)
    assert result.index == index_source((standard_library() / "ast.py").read_bytes())
    assert (result.job_id, result.path, result.attempt, result.created_at) == (
        "r-1",
        "ast.py",
        2,
        5,
    )
    assert result.skipped is None
    assert result.started_at > 5


def test_job_when_its_file_is_gone_then_skipped() -> None:
    result = worker.indexed("gone.py", JOB)
    assert result.index is None
    assert result.skipped == "No such file or directory"


def test_job_when_its_file_is_no_source_then_skipped(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_source: bytes) -> None:
        raise UnreadableSourceError("SyntaxError: no")

    monkeypatch.setattr(worker, "index_source", refuse)
    assert worker.indexed("ast.py", JOB).skipped == "SyntaxError: no"


def test_settings_when_a_worker_is_killed_then_its_leases_outlive_a_few_heartbeats() -> None:
    assert worker.SETTINGS.heartbeat_interval_ms * 3 <= LEASE_TIMEOUT_MS
