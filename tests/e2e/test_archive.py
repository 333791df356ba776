"""`osqueue archive` as a user meets it, on a directory that a broker has filled."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
from tests.e2e.processes import osqueue

from osqueue.model.batches import batch_key

HOUR_MS = 3_600_000


@pytest.fixture
def place(tmp_path: Path) -> str:
    """A queue's storage: jobs that ended now and two hours ago, and something foreign."""
    now_ms = int(time.time() * 1_000)  # noqa: TID251 - the command reads the same clock
    for hours, status in ((2, "completed"), (0, "dead")):
        at = now_ms - hours * HOUR_MS
        path = tmp_path / batch_key([f"j{hours}"], at, "t")
        path.parent.mkdir(parents=True)
        line = {"id": f"j{hours}", "status": status, "createdAt": 1, "endedAt": at, "attempts": 1}
        path.write_text(json.dumps(line) + "\n")
    (tmp_path / "archive/readme.txt").write_text("not a batch")
    return f"file://{tmp_path}"


def lines(*arguments: str) -> list[str]:
    done = osqueue("archive", *arguments)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_ls_when_asked_then_one_line_for_each_object_of_the_time(place: str) -> None:
    table = lines("ls", "--storage", place)
    assert table[0].split() == ["object", "jobs", "bytes"]
    assert [row.split()[1] for row in table[1:]] == ["1", "1"]
    assert len(lines("ls", "--storage", place, "--since", "30m")) == 2
    (only,) = [json.loads(line) for line in lines("ls", "--storage", place, "--json")][:1]
    assert only["jobs"] == 1
    assert only["key"].startswith("archive/")


def test_cat_when_asked_then_the_jobs_of_the_time_as_json_lines(place: str) -> None:
    def ids(*arguments: str) -> list[str]:
        return [json.loads(line)["id"] for line in lines("cat", "--storage", place, *arguments)]

    assert ids() == ids("--since", "0") == ["j2", "j0"]
    assert ids("--since", "90m") == ["j0"]
    assert ids("--status", "completed") == ["j2"]
    assert ids("--status", "discarded") == []


def test_archive_when_it_is_empty_then_said(tmp_path: Path) -> None:
    assert lines("ls", "--storage", f"file://{tmp_path}") == ["nothing in the archive since then"]
    assert lines("cat", "--storage", f"file://{tmp_path}") == []


def test_archive_when_asked_for_nonsense_then_the_flag_is_named(place: str) -> None:
    done = osqueue("archive", "cat", "--since", "soon", "--storage", place)
    assert done.returncode == 2
    assert "--since: 'soon' is no length of time: write 90s, 15m, 2h or 7d" in done.stderr
    done = osqueue("archive", "cat", "--storage", "/var/lib/queue")
    assert done.returncode == 2
    assert "--storage: a storage URL begins with its kind" in done.stderr
