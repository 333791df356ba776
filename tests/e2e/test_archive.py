"""`osqueue archive` as a user meets it, on a directory that a broker has filled."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
from tests.e2e.processes import osqueue

from osqueue.cli import archiving
from osqueue.errors import StoreNotFoundError
from osqueue.model.batches import batch_key
from osqueue.storage import MemoryBackend, Stored, Version

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
    assert table[0].split() == ["jobs", "bytes", "object"]
    assert [row.split()[0] for row in table[1:]] == ["1", "1"]
    assert len(lines("ls", "--storage", place, "--since", "30m")) == 2
    (only,) = [json.loads(line) for line in lines("ls", "--storage", place, "--json")][:1]
    assert only["jobs"] == 1
    assert only["key"].startswith("archive/")


def test_ls_when_an_object_is_deleted_meanwhile_then_the_others(
    capsys: pytest.CaptureFixture[str],
) -> None:
    class Sweeping(MemoryBackend):
        async def get(self, key: str, *, unless: Version | None = None) -> Stored | None:
            if key.endswith("-gone.jsonl"):
                raise StoreNotFoundError("there is no such object")
            return await super().get(key, unless=unless)

    async def look() -> None:
        store = Sweeping()
        for token in ("gone", "kept"):
            await store.create(batch_key([token], HOUR_MS, token), b"{}\n")
        await archiving.ls(store, 0, json_output=True)

    archiving.run(look())
    (only,) = capsys.readouterr().out.splitlines()
    assert only.count("-kept.jsonl") == 1


def test_cat_when_asked_then_the_jobs_of_the_time_as_json_lines(place: str) -> None:
    def ids(*arguments: str) -> list[str]:
        return [json.loads(line)["id"] for line in lines("cat", "--storage", place, *arguments)]

    assert ids() == ids("--since", "0") == ["j2", "j0"]
    assert ids("--since", "90m") == ["j0"]
    assert ids("--status", "completed") == ["j2"]
    assert ids("--status", "discarded") == []


def test_archive_when_it_is_empty_then_said(tmp_path: Path) -> None:
    place = f"file://{tmp_path}"
    assert lines("ls", "--storage", place) == [f"nothing in the archive of {place} since then"]
    assert lines("cat", "--storage", place) == []


def test_archive_when_nothing_is_asked_for_then_its_help() -> None:
    assert any("Read the jobs that have ended" in line for line in lines())


def test_archive_when_no_storage_is_named_then_asked_for() -> None:
    done = osqueue("archive", "ls")
    assert done.returncode == 2
    assert "--storage: say where the queue lives" in done.stderr


def test_archive_when_asked_for_nonsense_then_the_flag_is_named(place: str) -> None:
    done = osqueue("archive", "cat", "--since", "soon", "--storage", place)
    assert done.returncode == 2
    assert "--since: 'soon' is no length of time: write 90s, 15m, 2h or 7d" in done.stderr
    done = osqueue("archive", "cat", "--storage", "/var/lib/queue")
    assert done.returncode == 2
    assert "--storage: a storage URL begins with its kind" in done.stderr
