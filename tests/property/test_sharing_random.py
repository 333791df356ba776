"""Several processes share a queue in a world in which everything goes wrong at any time.

Races, lost requests and replies, late writes, processes that die or stand still, leaders and older
implementations between them. Nothing acknowledged is lost, nothing takes effect twice, no lease is
taken back before its time, whoever concludes that a commit was not applied is right, and while the
queue is paused nobody hands anything out. Once with room in the lineage, and once with so little
that entries leave it all the time.
"""

from __future__ import annotations

from typing import ClassVar

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from osqueue.config import LINEAGE_WRITERS_MAX
from osqueue.model.ops import Pause, Resume

from ..traces.harness import Trace
from .sharing_world import PROCESSES, SharedWorld

FATES = ("ok", "lost request", "lost reply", "late", "busy", "sent twice")
SOME_FATES = st.sampled_from(("ok",) * 8 + FATES)
ENDINGS = ("complete", "complete", "fail", "heartbeat", "cancel")
numbers = st.integers(0, 30)
processes = st.integers(0, PROCESSES - 1)
times = st.sampled_from([1, 20, 300, 1_100, 9_000, 16_000, 31_000])


class SharedQueue(RuleBasedStateMachine):
    writers_max: ClassVar[int] = LINEAGE_WRITERS_MAX

    def __init__(self) -> None:
        super().__init__()
        self.world = SharedWorld(self.writers_max)
        self.jobs = 0

    def alive(self, number: int) -> Trace | None:
        """The process of that number, or the next that has not ended."""
        everybody = self.world.processes
        turned = [*everybody[number:], *everybody[:number]]
        return next((process for process in turned if process.end is None), None)

    def asking(self, number: int, *kinds: str) -> Trace | None:
        """The next process that waits for an answer of the store."""
        everybody = self.world.processes
        turned = [*everybody[number:], *everybody[:number]]
        asks = [each for each in turned if each.end is None and {*kinds} & {*each.asks_for()}]
        return asks[0] if asks else None

    # Callers

    @rule(number=processes, same=st.booleans())
    def submit(self, number: int, same: bool) -> None:
        self.jobs += not (same and self.jobs)
        process = self.world.processes[number]
        self.world.submitted[f"j{self.jobs}"] += 1
        process.submit(f"j{self.jobs}")
        self.world.look(process)

    @precondition(lambda self: self.jobs > 0)
    @rule(number=processes, parents=st.lists(numbers, min_size=1, max_size=2))
    def submit_after(self, number: int, parents: list[int]) -> None:
        """A job that waits for others, which another process may be about to end."""
        after = dict.fromkeys(f"j{each % self.jobs + 1}" for each in parents)
        self.jobs += 1
        process = self.world.processes[number]
        self.world.submitted[f"j{self.jobs}"] += 1
        process.submit(f"j{self.jobs}", after=tuple(after))
        self.world.look(process)

    @rule(number=processes, waits=st.booleans(), most=st.integers(1, 3))
    def claim(self, number: int, waits: bool, most: int) -> None:
        process = self.world.processes[number]
        process.claim(waits=waits, most=most)
        self.world.look(process)

    @rule(number=processes, op=st.sampled_from([Pause(), Resume(), Resume()]))
    def pause_or_resume(self, number: int, op: Pause | Resume) -> None:
        self.world.pause_or_resume(self.world.processes[number], op)

    @rule(first=processes, second=processes)
    def all_know_of_a_pause(self, first: int, second: int) -> None:
        """One asks for it, and another one for jobs."""
        pauses, claims = self.alive(first), self.alive(second)
        if pauses is not None and claims is not None:
            self.world.pause_or_resume(pauses, Pause())
            self.world.goes_well(50)
            claims.submit(f"p{len(claims.asked)}")
            claims.claim()
            self.world.goes_well(50)

    @rule(number=processes, which=numbers, priority=st.integers(-1, 1))
    def set_priority(self, number: int, which: int, priority: int) -> None:
        process = self.world.processes[number]
        process.set_priority(f"j{which % (self.jobs + 1)}", priority)
        self.world.look(process)

    @rule(number=processes, which=numbers, what=st.sampled_from(ENDINGS))
    def work(self, number: int, which: int, what: str) -> None:
        process = self.world.processes[number]
        grants = self.world.grants[process]
        if not grants:
            return
        grant = grants[which % len(grants)]
        match what:
            case "complete":
                process.complete(grant)
            case "fail":
                process.fail(grant)
            case "heartbeat":
                process.heartbeat(grant)
            case "cancel":
                process.cancel(grant.id)
        self.world.look(process)

    @rule(number=processes, which=numbers)
    def caller_leaves(self, number: int, which: int) -> None:
        process = self.world.processes[number]
        if process.asked:
            held = process.asked[-1 - which % len(process.asked)]
            if held not in process.gone:
                process.withdraw(held)
        self.world.look(process)

    @rule(number=processes, consistent=st.booleans())
    def read(self, number: int, consistent: bool) -> None:
        self.world.processes[number].stats(consistent=consistent)
        self.world.look(self.world.processes[number])

    # The store

    @rule(number=processes, how=SOME_FATES)
    def write_is_answered(self, number: int, how: str) -> None:
        process = self.asking(number, "Write")
        if process is not None:
            self.world.tells(process, how)

    @rule(number=processes, fails=st.sampled_from([False, False, False, True]))
    def read_is_answered(self, number: int, fails: bool) -> None:
        process = self.asking(number, "ReadBack", "Check", "Save")
        if process is not None:
            self.world.answers(process, fails=fails)

    @precondition(lambda self: self.world.late)
    @rule(number=numbers)
    def late_write_lands(self, number: int) -> None:
        self.world.lands(number)

    # Time

    @rule(ms=times)
    def time_passes(self, ms: int) -> None:
        self.world.passes(ms)

    @rule(ms=times)
    def all_goes_well(self, ms: int) -> None:
        self.world.goes_well(ms)

    @rule(ms=times, number=processes)
    def one_stands_still(self, ms: int, number: int) -> None:
        """The others work on meanwhile."""
        process = self.world.processes[number]
        self.world.goes_well(ms, still=process)
        process.runs(0)
        self.world.look(process)

    # Those who come and go

    @rule(number=processes, crash=st.booleans())
    def process_is_replaced(self, number: int, crash: bool) -> None:
        self.world.replace(number, crash=crash)

    @rule(count=st.integers(1, 5))
    def short_scripts_come_and_go(self, count: int) -> None:
        for _ in range(count):
            self.world.stranger_writes()

    @rule(number=processes, count=st.integers(1, 5), cut=st.integers(0, 5))
    def reply_is_lost_and_others_go_on(self, number: int, count: int, cut: int) -> None:
        """Until its writer looks again, much has been written; once in a while over it."""
        process = self.asking(number, "Write")
        if process is None:
            return
        self.world.tells(process, "lost reply")
        if cut == 0:
            self.world.older_writes()
        self.short_scripts_come_and_go(count)

    @rule(chance=st.integers(0, 5), stays=st.booleans())
    def leader_comes(self, chance: int, stays: bool) -> None:
        if chance == 0:
            self.world.leader_takes_over()
            if not stays:
                self.world.leader_releases()

    @rule()
    def leader_goes(self) -> None:
        self.world.leader_releases()

    @rule(chance=st.integers(0, 5))
    def somebody_edits(self, chance: int) -> None:
        if chance == 0:
            self.world.edit()

    @rule(chance=st.integers(0, 15))
    def older_implementation_writes(self, chance: int) -> None:
        if chance == 0:
            self.world.older_writes()

    @invariant()
    def sound(self) -> None:
        self.world.sound()

    def teardown(self) -> None:
        try:
            self.world.settle()
            self.world.sound()
        finally:
            self.world.close()


class CrowdedQueue(SharedQueue):
    """Three entries for everybody who ever wrote."""

    writers_max = 3


TestSharedQueue = SharedQueue.TestCase
TestSharedQueue.settings = settings(max_examples=150, stateful_step_count=60)
TestCrowdedQueue = CrowdedQueue.TestCase
TestCrowdedQueue.settings = settings(max_examples=150, stateful_step_count=60)
