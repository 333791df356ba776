"""Measures one system, in the environment that has it: a line of JSON for each measure.

``python -m peers.drive SYSTEM SETTING STORE PLAN``, where the plan is how many jobs each measure
has, as JSON.
"""

from __future__ import annotations

import asyncio
import importlib
import json
import os
import sys
import tempfile
from pathlib import Path
from typing import cast

import uvloop
from peers.measures import Plan, take
from peers.producers import System
from peers.tally import PATH, Tally
from peers.worker_process import WorkerProcess

__all__ = ["load", "main"]

DEFAULT = "default"
"""The setting that leaves everything as it comes, the loop of its producer too."""


def load(name: str) -> System:
    """The module of a system has what `System` says."""
    return cast("System", importlib.import_module(f"peers.systems.{name}"))


async def measure(name: str, setting: str, store: str, plan: Plan) -> None:
    with tempfile.TemporaryDirectory() as folder:
        os.environ[PATH] = f"{folder}/tally"
        tally = Tally.create(Path(folder, "tally"), plan.jobs)
        worker = WorkerProcess(name, setting, store)
        async with load(name).connect(setting, store) as calls:
            async for measured, figures in take(calls, tally, worker, plan):
                print(json.dumps({"measure": measured, **figures}), flush=True)


def main() -> None:
    name, setting, store, plan = sys.argv[1:]
    loop = asyncio.new_event_loop if setting == DEFAULT else uvloop.new_event_loop
    with asyncio.Runner(loop_factory=loop) as runner:
        runner.run(measure(name, setting, store, Plan(**json.loads(plan))))


if __name__ == "__main__":
    main()
