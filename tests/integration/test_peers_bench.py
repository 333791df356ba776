"""The benchmark beside peers: it counts every job, and it hides no failure."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

sys.path.append(str(Path(__file__).parents[2] / "bench"))  # it is no package of ours
from peers import install
from peers.catalogue import OURS, SYSTEMS
from peers.jobs import PAYLOAD_BYTES, payload
from peers.measures import MEASURES, Plan, WrongCountError, expect, percentiles, ran
from peers.producers import Tasks, Threads
from peers.table import Row, markdown, table
from peers.tally import Tally
from peers.worker_process import WorkerProcess

BENCH = Path(__file__).parents[2] / "bench"


@pytest.fixture(scope="session")
def installed() -> None:
    """The first time, these are some 20 MB of Debian's and 60 packages of PyPI's."""
    subprocess.run([sys.executable, str(BENCH / "peers/install.py")], check=True)


def side_by_side(*arguments: str) -> tuple[list[dict[str, Any]], str]:
    """The lines of a run, and the table after them."""
    command = [sys.executable, str(BENCH / "side_by_side.py"), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    lines = done.stdout.splitlines()
    rows = [json.loads(line) for line in lines if line.startswith("{")]
    return rows, "\n".join(line for line in lines if not line.startswith("{"))


@pytest.mark.external
@pytest.mark.usefixtures("installed")
def test_side_by_side_when_run_small_then_every_system_has_every_figure() -> None:
    rows, _ = side_by_side("--jobs", "50", "--settings", "best")
    failed = [row for row in rows if "failed" in row]
    assert not failed
    assert {(row["system"], row["measure"]) for row in rows} == {
        (system.name, measure) for system in SYSTEMS for measure in MEASURES
    }


def test_side_by_side_when_osqueue_is_measured_then_each_job_has_run_once() -> None:
    rows, shown = side_by_side(OURS, "--jobs", "50", "--settings", "best")
    figures = {row["measure"]: row for row in rows}
    assert list(figures) == ["latency", "single", "concurrent", "bulk", "drain", "after", "ran"]
    assert figures["ran"]["figure"] == 65
    assert figures["ran"]["twice"] == 0
    assert "1.00x" in shown


def test_side_by_side_when_it_is_terminated_then_nothing_stays_behind(tmp_path: Path) -> None:
    command = [sys.executable, str(BENCH / "side_by_side.py"), OURS, "--settings", "default"]
    own = {**os.environ, "TMPDIR": str(tmp_path)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=own) as running:
        assert running.stdout is not None
        assert json.loads(running.stdout.readline())["measure"] == "latency"
        assert list(tmp_path.glob("peers-*"))
        running.terminate()
        assert running.wait() == 1
    assert list(tmp_path.glob("peers-*")) == []


def test_side_by_side_when_a_peer_cannot_run_then_each_measure_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import side_by_side as bench  # noqa: PLC0415 - a script: it puts folders on the path

    monkeypatch.setattr(bench, "PYTHON", tmp_path / "python")
    (system,) = [system for system in SYSTEMS if system.name == "huey-sqlite"]
    rows = list(bench.measured(system, "default", Plan(1, 1, 1, 1)))
    assert [row.measure for row in rows] == list(MEASURES)
    assert all("`make bench-peers` installs it" in str(row.failed) for row in rows)
    assert "failed: " in table(rows)


def test_side_by_side_when_a_setting_is_unknown_to_the_system_then_it_has_failed() -> None:
    import side_by_side as bench  # noqa: PLC0415 - a script: it puts folders on the path

    (system,) = [system for system in SYSTEMS if system.name == OURS]
    rows = list(bench.measured(system, "fastest", Plan(1, 1, 1, 1)))
    assert [row.failed for row in rows] == ["KeyError: 'fastest'"] * len(MEASURES)


def test_binary_when_nothing_was_unpacked_then_says_what_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(install, "DEBIAN", tmp_path)
    with pytest.raises(install.MissingPeerError, match="redis-server not found: `make bench-peers"):
        install.binary("redis-server")


def test_payload_then_it_has_200_bytes_whatever_its_number() -> None:
    assert {len(json.dumps(payload(number))) for number in (0, 9, 10, 12_345)} == {PAYLOAD_BYTES}


def test_plan_then_each_job_has_a_number_of_its_own() -> None:
    plan = Plan(backlog=5, concurrent=4, single=3, latency=2)
    numbers = [number for part in plan.numbers() for number in part]
    assert numbers == list(range(plan.jobs))


def test_tally_when_jobs_ran_elsewhere_then_knows_which_and_how_often(tmp_path: Path) -> None:
    tally = Tally.create(tmp_path / "tally", 4)
    there = Tally(tmp_path / "tally")
    for number in (1, 3, 3):
        there.mark(number)
    assert tally.missing(range(4)) == 2
    assert tally.missing(range(1, 2)) == 0
    assert tally.repeated(range(4)) == 1
    assert 0 < tally.first(range(1, 2)) <= tally.began(3)


class Leaky:
    """A queue that forgets every tenth job."""

    def __init__(self) -> None:
        self._taken = 0

    def enqueue(self, _payload: dict[str, object]) -> None:
        self._taken += 1

    def unfinished(self) -> int:
        return self._taken - self._taken // 10


async def test_expect_when_the_queue_has_lost_jobs_then_refuses_to_go_on() -> None:
    calls = Threads(Leaky())
    await calls.enqueue_by(4, [payload(number) for number in range(20)])
    with pytest.raises(WrongCountError, match="20 jobs were submitted, and the queue holds 18"):
        await expect(calls, 20)


class Kept:
    def __init__(self) -> None:
        self.numbers: list[object] = []

    async def enqueue(self, payload: dict[str, object]) -> None:
        self.numbers.append(payload["n"])

    async def unfinished(self) -> int:
        return len(self.numbers)


async def test_enqueue_bulk_when_there_is_no_call_for_it_then_each_job_goes_once() -> None:
    kept = Kept()
    await Tasks(kept).enqueue_bulk([payload(number) for number in range(200)])
    assert sorted(map(str, kept.numbers)) == sorted(map(str, range(200)))


async def test_ran_when_the_worker_has_ended_then_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(BENCH)
    tally = Tally.create(tmp_path / "tally", 1)
    with (
        WorkerProcess("no_such_system", "default", "") as worker,
        pytest.raises(ChildProcessError, match="the worker ended with status 1"),
    ):
        await ran(tally, worker, range(1))


def test_percentiles_when_there_are_many_then_the_first_do_not_count() -> None:
    assert percentiles([9.0] * 10 + [0.001] * 99 + [0.005]) == {
        "figure": 1.0,
        "p99": 5.0,
        "samples": 100,
    }


def test_table_then_ratios_above_one_are_in_our_favour_whatever_the_unit() -> None:
    rows = [
        Row(OURS, "default", "drain", figure=1_000),
        Row(OURS, "best", "drain", figure=3_000),
        Row("rq", "best", "drain", figure=100),
        Row(OURS, "best", "latency", figure=2.0, p99=3.0),
        Row("rq", "best", "latency", figure=1.0, p99=9.0),
    ]
    shown = table(rows).splitlines()
    drain, latency = [line.split() for line in shown if line.startswith("rq")]
    assert drain == ["rq", "best", "100", "10.00x", "30.00x"]
    assert latency == ["rq", "best", "1", "9", "0.50x"]


def test_table_when_a_system_failed_then_it_is_listed_with_the_reason() -> None:
    shown = table([Row(OURS, "best", "drain", figure=9), Row("rq", "best", "drain", failed="why")])
    assert "rq             best            failed: why" in shown


def test_table_when_there_were_rounds_then_shows_the_median_of_those_that_succeeded() -> None:
    rows = [Row("rq", "best", "bulk", figure=figure) for figure in (1, 50, 3)]
    rows.append(Row("rq", "best", "bulk", failed="once"))
    (line,) = [line for line in table(rows).splitlines() if line.startswith("rq")]
    assert line.split() == ["rq", "best", "3"]


def test_markdown_then_each_setting_has_a_line_and_each_measure_a_column() -> None:
    rows = [
        Row("rq", "best", "drain", figure=1_234.0),
        Row("rq", "best", "latency", figure=1.5, p99=9.25),
        Row("rq", "best", "bulk", failed="why"),
    ]
    head, _, line = markdown(rows).splitlines()
    assert head == "| | drain | bulk | concurrent | single | latency | after |"
    assert line == "| rq best | 1,234 | failed | failed | failed | 1.5 / 9.25 | failed |"
