"""A worker that is started anew whenever a source file changes: for development."""

from __future__ import annotations

import asyncio
import sys
import sysconfig
from collections.abc import AsyncIterator
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from watchfiles import Change, PythonFilter, awatch

from osqueue.cli.failures import CliError
from osqueue.cli.output import say
from osqueue.cli.signals import StopRequest, either
from osqueue.cli.workers.member import Member, how_it_ended
from osqueue.cli.workers.plan import WorkerPlan

__all__ = ["reload", "watched_paths"]

FINISH_S: Final = 2.0
"""How long jobs may finish before a changed program takes its place; then they run again."""

NAMES_MAX: Final = 3

HURRY_S: Final = 3.0
"""How long the old program may then take to give them back."""


async def reload(plan: WorkerPlan) -> int:
    """Run a worker, and a new one after each change, until stopped; answers the exit code."""
    paths = watched_paths(plan.target)
    say(f"Reloading when a file changes in {', '.join(map(str, paths))}")
    with StopRequest(supervised=plan.supervised, hurries=True) as stop:
        return await _Reloader(plan, stop).run(awatch(*paths, watch_filter=PythonFilter()))


def watched_paths(target: str) -> list[Path]:
    """The current directory, and where the target's package is, unless it was installed."""
    here = Path.cwd()
    package = target.partition(":")[0].partition(".")[0]
    try:
        spec = find_spec(package)
    except (ImportError, ValueError):
        spec = None
    places = [] if spec is None else [*(spec.submodule_search_locations or [spec.origin or ""])]
    folders = [path if path.is_dir() else path.parent for path in map(Path, places)]
    installed = Path(sysconfig.get_path("purelib"))
    outside = [
        folder
        for folder in folders
        if folder.is_absolute()
        and not folder.is_relative_to(here)
        and not folder.is_relative_to(installed)
        and not folder.is_relative_to(sys.base_prefix)
    ]
    return [here, *outside]


class _Reloader:
    def __init__(self, plan: WorkerPlan, stop: StopRequest) -> None:
        self._plan = plan
        self._stop = stop
        self._changed = asyncio.Event()

    async def run(self, changes: AsyncIterator[set[tuple[Change, str]]]) -> int:
        watching = asyncio.create_task(self._watch(changes), name="osqueue-reloader")
        try:
            while not self._stop.requested:
                self._changed.clear()
                await self._live()
                if watching.done():
                    watching.result()
        finally:
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)
        return self._stop.exit_code

    async def _live(self) -> None:
        """The life of one process, up to a change or to the end of all."""
        member = await Member.start(self._plan, number=1)
        await either(member.ended(), self._over())
        if self._stop.requested:
            await self._end(member, finish_s=None)
        elif self._changed.is_set():
            await self._end(member, finish_s=FINISH_S)
        else:
            say(f"The worker {how_it_ended(await member.ended())}; waiting for a change")
            await self._over()

    async def _end(self, member: Member, *, finish_s: float | None) -> None:
        """Let its jobs finish, have it give back the others, and see to it that it ends."""
        member.stop()
        limit = () if finish_s is None else (asyncio.sleep(finish_s),)
        await either(member.ended(), self._stop.wait_hurry(), *limit)
        member.hurry()
        await either(member.ended(), asyncio.sleep(HURRY_S))
        member.kill()
        await member.ended()

    async def _over(self) -> None:
        await either(self._changed.wait(), self._stop.wait())

    async def _watch(self, changes: AsyncIterator[set[tuple[Change, str]]]) -> None:
        try:
            async for each in changes:
                names = sorted({Path(path).name for _, path in each})
                say(f"Reloading: {', '.join(names[:NAMES_MAX])} changed")
                self._changed.set()
        except (OSError, RuntimeError) as error:
            raise CliError(f"--reload: files cannot be watched: {error}") from error
        finally:
            self._changed.set()
