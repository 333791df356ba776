"""Rounds of one fault on one running cluster, and what was found."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random  # noqa: TID251 - seeded

import msgspec
from tests.e2e.chaos.brokers import Broker, Kind
from tests.e2e.chaos.checker import Finding, check
from tests.e2e.chaos.ending import Ending, read_ending, wait_drained
from tests.e2e.chaos.faults import FAULTS, FROM_OUTSIDE, INSIDE, Scene
from tests.e2e.chaos.history import History, Round, Sample, now
from tests.e2e.chaos.load import PRODUCER, WAYS, Knows, Load
from tests.e2e.chaos.places import Place
from tests.e2e.chaos.timing import Timing
from tests.e2e.chaos.waiting import until

from osqueue.errors import OsqueueError
from osqueue.model.snapshot import read_origin
from osqueue.storage import Store

__all__ = ["Course", "Result", "run_fault", "unserved"]

SAMPLE_S = 0.1

logger = logging.getLogger("chaos")


class Course(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be run."""

    fault: str
    rounds: int
    brokers: int
    seed: int
    timing: Timing


class Result(msgspec.Struct, kw_only=True):
    """What became of it."""

    course: Course
    store: str
    history: History
    ending: Ending
    late_writes: int
    findings: list[Finding]


async def run_fault(course: Course, place: Place, folder: Path) -> Result:
    """Run it, drain the queue, check everything."""
    history, random = History(), Random(course.seed)
    findings: list[Finding] = []
    async with _cluster(course, place, folder, history) as brokers:
        scene = Scene(
            brokers=brokers, place=place, history=history, timing=course.timing, random=random
        )
        knows = Knows([broker.url for broker in brokers], place.client_url)
        async with Load(knows, history, timing=course.timing, seed=course.seed) as load:
            try:
                await _rounds(course, scene)
                await load.end_submits()
                async with asyncio.timeout(course.timing.drain_s_max):
                    await wait_drained(place.store, archived=_archives_soon(course, place))
            except TimeoutError as error:
                findings.append(Finding("service", str(error) or "the queue was not drained"))
        late_writes = place.late_writes(brokers)
        history.leads += [lead for broker in brokers for lead in broker.leads()]
        findings += [
            Finding("broker", f"{broker.name} failed inside: {line}")
            for broker in brokers
            for line in broker.said().splitlines()
            if "Traceback" in line
        ]
    ending = await read_ending(place.store)
    findings += check(history, ending)
    return Result(
        course=course,
        store=place.store.url,
        history=history,
        ending=ending,
        late_writes=late_writes,
        findings=findings,
    )


def _inside(course: Course, place: Place) -> bool:
    """Whether the brokers are processes that take faults, rather than the plain command."""
    return course.fault in INSIDE or (place.inside and course.fault not in FROM_OUTSIDE)


def _archives_soon(course: Course, place: Place) -> bool:
    """Whether ended jobs wait for company only briefly on their way to the archive.

    The command has no option for that. And the wait goes by the wall clock: what ended in an hour
    that was stepped back from waits for that hour to come again.
    """
    return _inside(course, place) and course.fault != "clock"


@asynccontextmanager
async def _cluster(
    course: Course, place: Place, folder: Path, history: History
) -> AsyncIterator[Sequence[Broker]]:
    inside = _inside(course, place)
    brokers = [
        Broker(
            f"b{number}",
            Kind(storage=place.urls[number], inside=inside),
            timing=course.timing,
            place=folder,
        )
        for number in range(course.brokers)
    ]
    sampling = asyncio.create_task(_sample(place.store, history.samples), name="chaos-samples")
    try:
        for broker in brokers:
            await broker.start(history)
            await broker.answers()
        yield brokers
    finally:
        sampling.cancel()
        await asyncio.wait({sampling})
        await asyncio.gather(*(broker.stop() for broker in brokers))


async def _rounds(course: Course, scene: Scene) -> None:
    await _served(scene, since=0)
    for number in range(course.rounds):
        await _calm(scene)
        this = Round(fault=course.fault, variant="", start=now())
        scene.history.rounds.append(this)
        await FAULTS[course.fault](scene, this)
        this.healed = now()
        await _served(scene, since=this.healed)
        this.end = now()
        logger.info(
            "%s: round %d of %d (%s): %.1f s", course.fault, number + 1, course.rounds,
            this.variant or "-", this.end - this.start,
        )  # fmt: skip
    await _calm(scene)


async def _calm(scene: Scene) -> None:
    """Wait until every broker answers again, and then for a random while."""
    await asyncio.gather(*(broker.answers() for broker in scene.brokers))
    await scene.leader()
    await asyncio.sleep(scene.timing.calm_s / 2)
    await scene.a_while(scene.timing.calm_s)


def unserved(history: History, since: float) -> set[str]:
    """The transports over which no producer's submit that began then or later was acknowledged.

    Clients that are loyal to one broker don't count: they don't look for service.
    """
    waiting = set(WAYS)
    for call in reversed(history.calls):
        if call.start < since or not waiting:
            break
        if call.op == "submit" and call.ok and call.client.startswith(PRODUCER):
            waiting.discard(call.way)
    return waiting


async def _served(scene: Scene, *, since: float) -> None:
    """Raises `TimeoutError` when over some transport there is no service from then on in time."""
    timing, history = scene.timing, scene.history
    if not await until(lambda: not unserved(history, since), timeout_s=timing.back_s_max):
        over = ", ".join(sorted(unserved(history, since)))
        raise TimeoutError(f"no submit was acknowledged over {over} for {timing.back_s_max} s")


async def _sample(store: Store, samples: list[Sample]) -> None:
    """Look at the state object again and again; each version is written down once."""
    while True:
        try:
            origin = read_origin((await store.get("queue.json")).data)  # type: ignore[union-attr]
        except OsqueueError:
            await asyncio.sleep(SAMPLE_S)
            continue
        if (
            origin.epoch is not None
            and origin.commit is not None
            and (not samples or samples[-1].commit != origin.commit)
        ):
            samples.append(
                Sample(now(), origin.epoch, origin.commit, origin.broker, origin.broker_id)
            )
        await asyncio.sleep(SAMPLE_S)
