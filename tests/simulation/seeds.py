"""``python -m tests.simulation --seeds 300``: runs seeds, and prints what came of them as JSON.

Exits with 1 when a law did not hold: then with the seed, the shortest list of disturbances under
which it still does not, and the end of that run's trace. Ctrl-C ends it after the seed under way,
with what came of them so far. ``--trace SEED`` prints all of one run.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import signal
import sys
from collections import Counter
from itertools import count, islice
from types import FrameType
from typing import Self

import msgspec

from osqueue.cli.progress import Progress
from osqueue.testing.simulation import Report, plan_of, simulate
from osqueue.testing.simulation.shrink import shrunk

TRACE_LINES = 60
"""How much of a failing run's trace is printed: its end."""

RUNS_PER_PROCESS = 100

STOPPED = 130
"""What it exits with when it was stopped before its end: as a shell says it of Ctrl-C."""


def main() -> int:
    asked = _asked()
    if asked.trace is not None:
        report = simulate(plan_of(asked.trace), traced=True)
        print(*report.trace, sep="\n")
        return int(report.violation is not None)
    seeds = _seeds(asked.first, asked.seeds, shared=asked.shared)
    summary = _run_all(seeds, asked.processes)
    print(json.dumps(msgspec.to_builtins(summary.told())))
    for report in summary.failed[:3]:
        _tell(report)
    if summary.failed:
        return 1
    return 0 if summary.seeds == len(seeds) else STOPPED


def _asked() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--seeds", type=int, default=300, help="how many")
    parser.add_argument("--first", type=int, default=1, help="the first of them")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--shared", action="store_true", help="only worlds without a broker")
    parser.add_argument("--trace", type=int, metavar="SEED", help="print one run")
    return parser.parse_args()


def _seeds(first: int, number: int, *, shared: bool) -> list[int]:
    wanted = (seed for seed in count(first) if plan_of(seed).sharers or not shared)
    return list(islice(wanted, number))


def _run_all(seeds: list[int], processes: int) -> Summary:
    """What came of them, or of the first of them if Ctrl-C is pressed."""
    summary = Summary()
    context = multiprocessing.get_context("spawn")
    with (
        Progress("simulating", len(seeds), of="seeds") as progress,
        CtrlC() as ctrl_c,
        context.Pool(processes, _leave_ctrl_c, maxtasksperchild=RUNS_PER_PROCESS) as pool,
    ):
        # In the order of the seeds, so that a run that was stopped can go on.
        for report in pool.imap(_run, seeds):
            summary.add(report)
            if report.violation:
                progress.note(f"seed {report.plan.seed}: {report.violation}")
            progress.show(summary.seeds)
            if ctrl_c.pressed and summary.seeds < len(seeds):
                progress.note(f"stopped; --first {seeds[summary.seeds]} goes on")
                break
    return summary


class CtrlC:
    """Asked about between two seeds: an exception amid them could leave the pool's locks held.

    Also where whoever started it had it ignored, as a shell does for what runs in its background.
    The second time it is as it was before.
    """

    def __init__(self) -> None:
        self.pressed = False

    def __enter__(self) -> Self:
        self._before = signal.signal(signal.SIGINT, self._press)
        return self

    def __exit__(self, *_: object) -> None:
        signal.signal(signal.SIGINT, self._before)

    def _press(self, _number: int, _frame: FrameType | None) -> None:
        self.pressed = True
        signal.signal(signal.SIGINT, self._before)


def _leave_ctrl_c() -> None:
    """It is for the process that sums up."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _run(seed: int) -> Report:
    return msgspec.structs.replace(simulate(plan_of(seed)), trace=[])


class Summary:
    """Adds up what came of the runs."""

    def __init__(self) -> None:
        self.seeds = 0
        self.failed: list[Report] = []
        self._sums: Counter[str] = Counter()
        self._happened: Counter[str] = Counter()
        self._virtual_s = 0.0

    def add(self, report: Report) -> None:
        for name in ("steps", "requests", "commits", "jobs"):
            self._sums[name] += getattr(report, name)
        self._virtual_s += report.virtual_s
        self._happened += report.happened
        if report.violation is not None:
            self.failed.append(report)
        self.seeds += 1

    def told(self) -> dict[str, object]:
        return {
            "seeds": self.seeds,
            **self._sums,
            "virtual_hours": round(self._virtual_s / 3_600, 1),
            "happened": dict(sorted(self._happened.items())),
            "failed": sorted(report.plan.seed for report in self.failed),
        }


def _tell(report: Report) -> None:
    """The seed, the shortest that still fails, and how that goes."""
    print(f"\nseed {report.plan.seed}: {report.violation}", file=sys.stderr)
    shortest = shrunk(report)
    print(f"still fails with: {shortest.violation}", file=sys.stderr)
    for each in shortest.plan.disturbances:
        print(f"  at {each.at_s:.3f} s: {each}", file=sys.stderr)
    print(f"as JSON: {msgspec.json.encode(shortest.plan).decode()}", file=sys.stderr)
    print(*shortest.trace[-TRACE_LINES:], sep="\n", file=sys.stderr)
