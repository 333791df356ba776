"""The proof: every fault on a fresh cluster, one after the other."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

import msgspec
import uvloop
from tests.e2e.chaos.places import CephPlace, FilePlace
from tests.e2e.chaos.run import Course, Result, run_fault
from tests.e2e.chaos.timing import Timing
from tests.integration.servers.ceph import Ceph
from tests.integration.servers.ceph import ceph as run_ceph

__all__ = ["Proof", "prove", "prove_fault"]


class Proof(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be proved."""

    store: str
    faults: Sequence[str]
    rounds: int
    brokers: int
    seed: int
    timing: Timing

    def course(self, fault: str) -> Course:
        """Each fault draws from a seed of its own: it can be run alone with the same result."""
        return Course(
            fault=fault,
            rounds=self.rounds,
            brokers=self.brokers,
            seed=self.seed ^ zlib.crc32(fault.encode()),
            timing=self.timing,
        )


def prove(proof: Proof, folder: Path) -> Iterator[Result]:
    """Results as they come. Files go to ``folder``, a folder for each fault."""
    with ExitStack() as stack:
        ceph = stack.enter_context(run_ceph()) if proof.store == "ceph" else None
        for fault in proof.faults:
            yield prove_fault(proof.course(fault), folder, ceph)


def prove_fault(course: Course, folder: Path, ceph: Ceph | None) -> Result:
    """One fault on a new queue: on ``ceph``, if there is one, else in a directory."""
    place = folder / course.fault
    place.mkdir()
    result = uvloop.run(_proved(course, place, ceph))
    if result.findings:
        result.history.write(place / "history.jsonl")
    return result


async def _proved(course: Course, folder: Path, ceph: Ceph | None) -> Result:
    if ceph is None:
        local = FilePlace(folder / "queue", course.brokers)
        try:
            return await run_fault(course, local, folder)
        finally:
            await local.store.close()
    remote = CephPlace(ceph, course.brokers)
    async with remote.proxied():
        try:
            return await run_fault(course, remote, folder)
        finally:
            await remote.store.close()
