"""The committer in a world in which everything goes wrong at any time.

Requests and replies get lost, writes land late and in any order, conflicts are false, people edit
and remove the object, rivals and older implementations take it over, processes die and stand still.
Nothing acknowledged is lost, nothing takes effect twice, everybody is told the truth, a queue that
is paused hands out nothing, whoever leads it, and each time of a schedule brings one job.
"""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from osqueue.model.ops import Pause, Resume

from .committer_world import World

FATES = ("ok", "lost request", "lost reply", "late", "busy", "conflict", "sent twice")
SOME_FATES = st.sampled_from(("ok",) * 6 + FATES)
ENDINGS = ("complete", "fail", "heartbeat", "cancel", "withdraw")
types = st.sampled_from([(), ("a",), ("b",), ("a", "b")])
claim_ids = st.sampled_from([None, None, "c1", "c2"])
numbers = st.integers(0, 30)


class CommitterInTheWorld(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.world = World()
        self.jobs = 0

    def leads(self) -> bool:
        return self.world.leader.end is None

    def is_asked(self, kind: str) -> bool:
        return self.leads() and kind in self.world.leader.asks_for()

    def stored(self) -> bool:
        return self.world.current is not None

    # Callers

    @rule(type_=st.sampled_from("ab"), large=st.booleans())
    def submit(self, type_: str, large: bool) -> None:
        self.jobs += 1
        (self.world.submit_large if large else self.world.submit)(f"j{self.jobs}", type_)

    @rule(name=st.sampled_from(["s", "r"]), every_ms=st.sampled_from([1_000, 1_000, 25_000, None]))
    def schedule(self, name: str, every_ms: int | None) -> None:
        self.world.schedule(name, every_ms)

    @precondition(lambda self: self.jobs > 0)
    @rule(parents=st.lists(numbers, min_size=1, max_size=3))
    def submit_after(self, parents: list[int]) -> None:
        """A job that waits for others, which may be over, or not have come to pass."""
        after = dict.fromkeys(f"j{number % self.jobs + 1}" for number in parents)
        self.jobs += 1
        self.world.submit(f"j{self.jobs}", "a", tuple(after))

    @rule()
    def sweep(self) -> None:
        self.world.sweep()

    @precondition(lambda self: self.jobs > 0)
    @rule(number=numbers, large=st.booleans())
    def submit_again(self, number: int, large: bool) -> None:
        """A retry with the same id; its type tells whether it is the same job."""
        job_id = f"j{number % self.jobs + 1}"
        (self.world.submit_large if large else self.world.submit)(job_id, "a")

    @rule(types=types, waits=st.booleans(), most=st.integers(1, 3), again=claim_ids)
    def claim(self, types: tuple[str, ...], waits: bool, most: int, again: str | None) -> None:
        self.world.claim(*types, waits=waits, most=most, claim_id=again)

    @rule(op=st.sampled_from([Pause(), Resume(), Resume()]))
    def pause_or_resume(self, op: Pause | Resume) -> None:
        self.world.pause_or_resume(op)

    @precondition(lambda self: self.jobs > 0)
    @rule(number=numbers, priority=st.integers(-1, 1))
    def set_priority(self, number: int, priority: int) -> None:
        self.world.leader.set_priority(f"j{number % self.jobs + 1}", priority)
        self.world.look()

    @precondition(lambda self: self.world.grants)
    @rule(number=numbers, what=st.sampled_from(ENDINGS))
    def work(self, number: int, what: str) -> None:
        leader, grants = self.world.leader, self.world.grants
        held, grant = grants[number % len(grants)]
        match what:
            case "complete":
                leader.complete(grant)
            case "fail":
                leader.fail(grant)
            case "heartbeat":
                leader.heartbeat(grant)
            case "cancel":
                leader.cancel(grant.id)
            case "withdraw" if held not in self.world.superseded:
                leader.withdraw(held)
        self.world.look()

    @rule(ms=st.sampled_from([0, 500, 86_400_000]))
    def throttle(self, ms: int) -> None:
        """The store would rather not be written for a while."""
        self.world.leader.ready_at = self.world.leader.now.mono + ms

    @precondition(lambda self: self.world.leader.asked)
    @rule(number=numbers, gone=st.booleans())
    def leave(self, number: int, gone: bool) -> None:
        """A caller's wait is over, or the caller has gone."""
        leader = self.world.leader
        held = leader.asked[-1 - number % len(leader.asked)]
        if held not in leader.gone | self.world.superseded:
            (leader.withdraw if gone else leader.wait_over)(held)
            if gone:
                self.world.forget_wait(held)
        self.world.look()

    @rule(consistent=st.booleans())
    def read(self, consistent: bool) -> None:
        self.world.leader.stats(consistent=consistent)
        self.world.look()

    @precondition(leads)
    @rule(
        how=st.sampled_from(["complete", "fail", "fail", "cancel"]),
        wait=st.booleans(),
        awaited=st.booleans(),
    )
    def jobs_come_and_end(self, how: str, wait: bool, awaited: bool) -> None:
        """A few jobs, from submit to end, while all goes well; the end may not be durable yet."""
        for _ in range(3):
            self.jobs += 1
            self.world.submit(f"j{self.jobs}", "a")
            if awaited:
                self.world.await_end(f"j{self.jobs}")
        self.work_off(how)
        if wait:
            self.world.goes_well(50)
            self.world.nobody_waits_in_vain()

    def work_off(self, how: str) -> None:
        had = len(self.world.grants)
        self.world.leader.claim(most=3)
        self.world.goes_well(50)
        for at in range(had, len(self.world.grants)):
            self.work(at, how)

    @precondition(lambda self: self.jobs > 0)
    @rule(number=numbers)
    def somebody_waits_for_an_end(self, number: int) -> None:
        self.world.await_end(f"j{number % self.jobs + 1}")

    @rule(wanted=st.booleans())
    def observer_comes_or_goes(self, wanted: bool) -> None:
        self.world.observe(wanted=wanted)

    # The archive

    @rule(most=st.integers(1, 3))
    def batch_is_sealed(self, most: int) -> None:
        self.world.seal(most)

    @precondition(lambda self: self.world.batches)
    @rule(number=numbers)
    def batch_is_created(self, number: int) -> None:
        self.world.create(number)

    @precondition(lambda self: self.world.archive)
    @rule(number=numbers)
    def batch_is_dropped(self, number: int) -> None:
        self.world.drop(number)

    @precondition(lambda self: self.jobs > 0)
    @rule(number=numbers)
    def dead_letter_is_retried(self, number: int) -> None:
        self.world.retry(f"j{number % self.jobs + 1}")

    @precondition(leads)
    @rule(times=st.integers(1, 3), meddle=st.booleans())
    def archiver_runs(self, times: int, meddle: bool) -> None:
        """All of its steps, while all goes well; somebody may want back what is on its way."""
        for _ in range(times):
            self.world.seal(2)
            self.world.goes_well(50)
            if meddle and self.world.batches:
                for job_id in self.world.outboxes[self.world.batches[-1].key]:
                    self.world.retry(job_id)
                self.work_off("complete")
            if self.leads() and self.world.batches:
                self.world.create(-1)
                self.world.drop(-1)

    # Time

    @precondition(leads)
    @rule(ms=st.sampled_from([1, 20, 100, 700, 3_000, 31_000]))
    def time_passes(self, ms: int) -> None:
        self.world.leader.runs(ms)
        self.world.look()

    @precondition(leads)
    @rule(ms=st.sampled_from([20, 1_200, 31_000]))
    def all_goes_well(self, ms: int) -> None:
        """For a while the store answers, and leases run out."""
        self.world.goes_well(ms)

    @precondition(leads)
    @rule()
    def something_happens_while_idle(self) -> None:
        """A read finds out, as no write is under way."""
        self.world.goes_well(1_200)
        if self.leads() and self.leader_is_current():
            self.world.edit()
            self.world.leader.stats()
            self.world.look()

    @precondition(leads)
    @rule(ms=st.sampled_from([100, 5_000, 100_000]))
    def process_stands_still(self, ms: int) -> None:
        self.world.leader.passes(ms)
        self.world.look()

    # The store

    @precondition(lambda self: self.is_asked("Write"))
    @rule(fate=SOME_FATES)
    def write_is_answered(self, fate: str) -> None:
        self.world.tells(fate)

    @precondition(lambda self: self.leads() and {"ReadBack", "Check", "Save"} & self.asked())
    @rule(fails=st.sampled_from([False, False, True]))
    def read_is_answered(self, fails: bool) -> None:
        kinds = sorted({"ReadBack", "Check", "Save"} & self.asked())
        self.world.answers(kinds[0], fails=fails)

    def asked(self) -> set[str]:
        return set(self.world.leader.asks_for())

    @precondition(lambda self: self.world.late)
    @rule(number=numbers)
    def late_write_lands(self, number: int) -> None:
        self.world.lands(number)

    # Others

    @precondition(stored)
    @rule()
    def somebody_edits(self) -> None:
        self.world.edit()

    @precondition(lambda self: self.stored() and self.leads())
    @rule(times=st.integers(0, 4))
    def rival_takes_over(self, times: int) -> None:
        if times == 0:
            self.world.rival()
            self.world.rival_commits()

    @precondition(lambda self: self.stored() and self.leads())
    @rule(times=st.integers(0, 9))
    def older_implementation_writes(self, times: int) -> None:
        if times == 0:
            self.world.older_writes()

    @precondition(lambda self: self.stored() and self.leads() and self.world.leader.committer.leads)
    @rule(times=st.integers(0, 2))
    def object_vanishes(self, times: int) -> None:
        if times == 0 and self.leader_is_current():
            self.world.vanishes()

    def leader_is_current(self) -> bool:
        """Whether the leader's last durable version is what its base says, or newer."""
        current = self.world.current
        return current is not None and self.world.leader.committer.durable == current.data

    # Leaders

    @precondition(lambda self: self.leads() and (self.stored() or not self.world.acked))
    @rule(how=st.sampled_from(["crash", "stop", "abandon", "nothing", "nothing", "nothing"]))
    def leader_goes(self, how: str) -> None:
        match how:
            case "crash":
                self.world.crash()
            case "stop":
                self.world.leader.stop()
            case "abandon":
                self.world.leader.abandon()
        self.world.look()

    @precondition(lambda self: not self.leads())
    @rule()
    def next_leader(self) -> None:
        self.world.leader.finish()
        self.world.begin()

    @invariant()
    def sound(self) -> None:
        self.world.sound()

    def teardown(self) -> None:
        self.world.settle()
        self.world.sound()


TestCommitterInTheWorld = CommitterInTheWorld.TestCase
TestCommitterInTheWorld.settings = settings(max_examples=150, stateful_step_count=60)
