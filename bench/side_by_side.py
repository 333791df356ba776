"""osqueue and its peers, side by side: the same jobs, on the same machine, in the same run.

Prints a line of JSON for each system, setting and measure, and at the end a table with the ratios.
A system that fails is listed with the reason. `make bench-peers` installs all of it first;
``python bench/side_by_side.py osqueue rq`` runs some, ``--help`` tells the rest.
"""

from __future__ import annotations

import argparse
import json
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import IO, Any

from load import emit

sys.path.insert(0, str(Path(__file__).parents[1]))
from peers.catalogue import OURS, SYSTEMS, System
from peers.install import PYTHON, MissingPeerError
from peers.measures import MEASURES, Plan
from peers.services import serving
from peers.table import Row, markdown, table

HERE = Path(__file__).parent

RUN_S_MAX = 1_500
"""For all measures of one system at one setting."""

REASON_CHARS_MAX = 300


def main() -> None:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that what was started is ended
    arguments = parse()
    chosen = [
        system for system in SYSTEMS if system.name in arguments.systems or not arguments.systems
    ]
    plan = Plan(
        backlog=arguments.jobs,
        concurrent=arguments.jobs // 4,
        single=max(1, arguments.jobs // 50),
        latency=max(1, arguments.jobs // 50),
    )
    rows = [
        row
        for _ in range(arguments.rounds)
        for system in chosen
        for setting in system.settings
        if setting in (arguments.settings or system.settings)
        for row in measured(system, setting, plan)
    ]
    print(markdown(rows) if arguments.markdown else table(rows))
    sys.exit(any(row.failed and row.system == OURS for row in rows))


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="osqueue and its peers, side by side")
    names = [system.name for system in SYSTEMS]
    parser.add_argument("systems", nargs="*", choices=[*names, []], help=f"of {', '.join(names)}")
    parser.add_argument("--settings", action="append", help="only this one; may be repeated")
    parser.add_argument("--jobs", type=int, default=10_000, help="the backlog (default: 10000)")
    parser.add_argument("--rounds", type=int, default=1, help="all of it so often (default: 1)")
    parser.add_argument("--markdown", action="store_true", help="end with a table for the docs")
    return parser.parse_args()


def measured(system: System, setting: str, plan: Plan) -> Iterator[Row]:
    """Each measure, as soon as it is there; then the missing ones, with the reason."""
    missing = list(MEASURES)
    failed = ""
    try:
        with serving(system.service) as store:
            for figures in driven(system, setting, store, plan):
                missing.remove(figures["measure"])
                emit("peers", system=system.name, setting=setting, **figures)
                figure, p99 = figures["figure"], figures.get("p99")
                yield Row(system.name, setting, figures["measure"], figure=figure, p99=p99)
    except (MissingPeerError, TimeoutError, RuntimeError) as error:
        failed = " ".join(str(error).split())[:REASON_CHARS_MAX]
    for measure in missing:
        row = Row(system.name, setting, measure, failed=failed or "it was not measured")
        emit("peers", **{name: value for name, value in asdict(row).items() if value is not None})
        yield row


def driven(system: System, setting: str, store: str, plan: Plan) -> Iterator[dict[str, Any]]:
    """The lines of a driver process. Raises `RuntimeError` with the last that it said."""
    python = sys.executable if system.name == OURS else installed()
    command = [python, "-m", "peers.drive", system.module, setting, store, json.dumps(asdict(plan))]
    with (
        tempfile.TemporaryFile("w+") as said,
        subprocess.Popen(
            command, cwd=HERE, stdout=subprocess.PIPE, stderr=said, text=True
        ) as driver,
    ):
        late = threading.Timer(RUN_S_MAX, driver.kill)
        late.start()
        try:
            assert driver.stdout is not None
            yield from map(json.loads, driver.stdout)
            status = driver.wait()
        finally:
            late.cancel()
            driver.kill()
        if status:
            raise RuntimeError(last_line(said) or f"its driver ended with status {status}")


def installed() -> str:
    if not PYTHON.exists():
        raise MissingPeerError(f"{PYTHON} not found: `make bench-peers` installs it")
    return str(PYTHON)


def last_line(said: IO[str]) -> str:
    said.seek(0)
    lines = said.read().strip().splitlines()
    return lines[-1] if lines else ""


if __name__ == "__main__":
    main()
