"""The course of the demo: begin or carry on, do the work, check, tell."""

from __future__ import annotations

import asyncio
from pathlib import Path

import msgspec

from osqueue.cli.demo.crew import Crew
from osqueue.cli.demo.findings import faults, summarize
from osqueue.cli.demo.member import Member
from osqueue.cli.demo.place import KeptBroker, Place
from osqueue.cli.demo.record import RunRecord, begin_run, end_run
from osqueue.cli.demo.report import print_check, print_figures, print_findings
from osqueue.cli.demo.results import Results, write_whole
from osqueue.cli.demo.session import Outcome, Session
from osqueue.cli.demo.watch import Watch
from osqueue.cli.output import say
from osqueue.cli.progress import Progress
from osqueue.cli.signals import StopRequest, StopRequestedError, first_of

__all__ = ["DemoPlan", "run"]


class DemoPlan(msgspec.Struct, frozen=True, kw_only=True):
    """How to show it."""

    data: Path
    brokers: int
    workers: int
    port: int
    keep: bool
    open_page: bool
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
            crew = Crew(
                place, lock=lock, port=plan.port, brokers=plan.brokers, workers=plan.workers
            )
            watch = Watch(crew, progress.note)
            session = Session(
                place, record, watch=watch, progress=progress, open_page=plan.open_page
            )
            outcome, kept = await _work(crew, watch, session, keep=plan.keep)
        complaints = _tell(place, record, outcome)
        if plan.keep:
            _tell_kept(place, kept)
        return 1 if complaints else 0


async def _work(
    crew: Crew, watch: Watch, session: Session, *, keep: bool
) -> tuple[Outcome, Member | None]:
    """What came out, and the broker that goes on."""
    keep_leader = False
    try:
        outcome = await first_of(session.run(crew), watch.run())
        keep_leader = keep
    finally:
        kept = await crew.stop(watch.leader, keep_leader=keep_leader)
    return outcome, kept


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


def _tell_kept(place: Place, broker: Member | None) -> None:
    if broker is None or broker.address is None:
        say("\nNo broker led when all was done, so none goes on.")
        return
    kept = KeptBroker(broker.pid, broker.address)
    write_whole(place.kept, msgspec.json.encode(kept))
    say(f"\nThe leader goes on at {kept.address}, its queue in {place.queue}.")
    say(f"Stop it with: kill {kept.pid}")
