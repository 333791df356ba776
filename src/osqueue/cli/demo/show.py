"""The course of the demo: begin or carry on, do the work, check, tell."""

from __future__ import annotations

import asyncio
from pathlib import Path

import msgspec

from osqueue.cli.demo.crew import Crew
from osqueue.cli.demo.findings import faults, summarize
from osqueue.cli.demo.place import KeptBroker, Place
from osqueue.cli.demo.record import RunRecord, begin_run, end_run
from osqueue.cli.demo.report import print_check, print_figures, print_findings
from osqueue.cli.demo.results import Results, write_whole
from osqueue.cli.demo.session import Outcome, Session
from osqueue.cli.output import say
from osqueue.cli.progress import Progress
from osqueue.cli.signals import StopRequest, StopRequestedError, first_of

__all__ = ["DemoPlan", "run"]


class DemoPlan(msgspec.Struct, frozen=True, kw_only=True):
    """How to show it."""

    data: Path
    workers: int
    port: int
    keep: bool
    limit: int | None


def run(plan: DemoPlan) -> int:
    """Show it; answers the exit code."""
    return asyncio.run(_run(plan))


async def _run(plan: DemoPlan) -> int:
    with StopRequest() as stop:
        try:
            return await stop.unless_requested(_show(plan))
        except StopRequestedError:
            say("Interrupted. Started again, it carries on.")
            raise


async def _show(plan: DemoPlan) -> int:
    place = Place(plan.data.absolute())
    async with place.taken(say) as lock:
        record, continued = await asyncio.to_thread(begin_run, place, plan.limit)
        done = len(Results(place.results).job_ids())
        _introduce(record, done=done, continued=continued)
        with Progress("indexing", len(record.files), done=done) as progress:
            crew = Crew(place, lock=lock, port=plan.port, workers=plan.workers, note=progress.note)
            outcome = await _work(crew, Session(place, record, url=crew.url, progress=progress),
                                  keep=plan.keep)  # fmt: skip
        complaints = _tell(place, record, outcome)
        if plan.keep:
            _tell_kept(place, crew)
        return 1 if complaints else 0


async def _work(crew: Crew, session: Session, *, keep: bool) -> Outcome:
    keep_broker = False
    try:
        outcome = await first_of(session.run(crew), crew.watch())
        keep_broker = keep
        return outcome
    finally:
        await crew.stop(keep_broker=keep_broker)


def _introduce(record: RunRecord, *, done: int, continued: bool) -> None:
    files = f"{len(record.files):,} files"
    if continued:
        say(f"Carrying on with an interrupted run: {done:,} of {files} are done.")
    else:
        say(f"A new run: one job for each of {files} of Python {record.python}'s library.")


def _tell(place: Place, record: RunRecord, outcome: Outcome) -> list[str]:
    results = Results(place.results).all()
    findings = summarize(results)
    complaints = faults(record.paths(), results, left=outcome.left, dead=outcome.dead)
    print_findings(findings)
    print_figures(outcome.figures)
    print_check(findings, complaints, files=len(record.files))
    end_run(place, record)
    return complaints


def _tell_kept(place: Place, crew: Crew) -> None:
    kept = KeptBroker(crew.broker.pid, crew.url)
    write_whole(place.kept, msgspec.json.encode(kept))
    say(f"\nThe broker goes on at {kept.address}, its queue in {place.queue}.")
    say(f"Stop it with: kill {kept.pid}")
