"""All laws of a run together: of versions, of answers, of the archive, and of the end."""

from __future__ import annotations

from collections import ChainMap, Counter
from typing import Any, Final

import msgspec

from osqueue.client.models import NewJob
from osqueue.client.payloads import encode_payload
from osqueue.config import STATE_KEY, QueueLimits
from osqueue.engine.requests import BEFORE
from osqueue.testing.simulation.laws.answers import Answers
from osqueue.testing.simulation.laws.deeds import Deed
from osqueue.testing.simulation.laws.law import BrokenLawError, expect
from osqueue.testing.simulation.laws.line import Line
from osqueue.testing.simulation.laws.objects import Objects
from osqueue.testing.simulation.laws.onlookers import Onlookers
from osqueue.testing.simulation.laws.past import ARCHIVE
from osqueue.testing.simulation.laws.requests import Requests
from osqueue.testing.simulation.laws.streams import expect_told
from osqueue.testing.simulation.laws.views import View
from osqueue.testing.simulation.machine.bucket import PERSON, Written
from osqueue.testing.simulation.machine.exchange import Exchange
from osqueue.testing.simulation.surroundings import Surroundings
from osqueue.wire import operations as ops
from osqueue.wire.messages import ClaimAnswer, Update

__all__ = ["Checks"]


REPORTS: Final = frozenset(
    {each.name for each in (ops.COMPLETE, ops.COMPLETE_BATCH, ops.FAIL, ops.RELEASE)}
)
"""What a worker says of jobs: one batch after another."""


class _Archived(msgspec.Struct):
    id: str
    status: str
    lease: str | None = None


_archived: Final = msgspec.json.Decoder(_Archived)


class Checks:
    """Looks on. What it finds is raised by the next `raise_found`: a law that a write breaks must
    not look to the writer as if the store had failed.
    """

    def __init__(self, around: Surroundings, limits: QueueLimits) -> None:
        self._around = around
        self.asked = Requests()
        self.line = Line(
            limits,
            self.asked,
            around.bucket,
            deeds=around.deeds,
            served=around.served,
            adopted=lambda: around.adopted,
        )
        self.objects = Objects(around.bucket, self.line, around.served)
        self.onlookers = Onlookers(self.line.how_surely_over)
        self._payloads: dict[str, bytes] = {}
        payloads = ChainMap(self._payloads, around.deeds.payloads)
        self._answers = Answers(self.line, self.asked, payloads)
        self._shown: dict[object, tuple[int, int]] = {}
        self._acknowledged: set[str] = set()
        self._hung_us: dict[str, int] = {}
        """Until when somebody last waited for an answer to a report from before all was well."""
        self._due: frozenset[str] | None = None
        """The jobs that had not ended when it was time."""
        self._found: BrokenLawError | None = None
        self.known: list[str] = []
        self.requests = 0
        around.bucket.on_write = self._written
        around.bucket.on_read = self._read
        around.bucket.on_delete = self._deleted
        around.witness = self

    # What is told

    def sent(self, exchange: Exchange) -> None:
        last = self.line.last
        exchange.floor = 0 if last is None else last.completed_total
        self.asked.sent(exchange)

    def given_up(self, exchange: Exchange) -> None:
        self._over(exchange)
        self.asked.given_up(exchange, self._around.loop.now_us)

    def answered(self, exchange: Exchange) -> None:
        self.requests += 1
        self._over(exchange)
        told = exchange.error or (exchange.answer and exchange.answer.position)
        self._around.trace.note(
            exchange.who, "%s %s: %s", exchange.operation.name, exchange.job_id or "", str(told)
        )
        try:
            self._answers.expect_true(exchange)
        except BrokenLawError as error:
            self._find(error)
        self.asked.answered(exchange)

    def _over(self, exchange: Exchange) -> None:
        well_us = self.line.well_us
        reports = exchange.operation.name in REPORTS
        if reports and well_us is not None and exchange.sent_us < well_us:
            self._hung_us[exchange.who] = self._around.loop.now_us

    def pushed(self, exchange: Exchange, message: Any) -> None:
        try:
            if isinstance(message, Update):
                self._told(exchange, message)
            elif isinstance(message, ClaimAnswer):
                self._sent_jobs(exchange, message)
        except BrokenLawError as error:
            self._find(error)

    def _told(self, exchange: Exchange, update: Update) -> None:
        self._around.trace.note(
            exchange.who, "told of %s: %s events", update.commit, len(update.events)
        )
        if not self.line.before_shaken(exchange.sent_us):
            exchange.told = expect_told(update, self.line, exchange.told)

    def _sent_jobs(self, exchange: Exchange, answer: ClaimAnswer) -> None:
        self._around.trace.note(exchange.who, "sent %s jobs", len(answer.jobs))
        if not self.line.before_shaken(exchange.sent_us):
            self._answers.expect_streamed(exchange, answer.jobs, self._around.loop.now_us)

    def submitting(self, job: NewJob) -> None:
        assert job.job_id is not None
        self.known.append(job.job_id)
        self.submitting_unknown(job)

    def submitting_unknown(self, job: NewJob) -> None:
        assert job.job_id is not None
        self._payloads[job.job_id] = bytes(encode_payload(job.payload))

    def submitted(self, job_ids: list[str]) -> None:
        self._acknowledged.update(job_ids)

    def ran(self, job_id: str, attempt: int) -> None:
        self._around.trace.note("handler", "runs %s, attempt %s", job_id, attempt)

    def left(self, who: str, worker_id: str, since_us: int) -> None:
        """A worker that was stopped when all was well has said what becomes of all jobs that it
        had heard of: nobody has to wait until their leases run out. But for one whose report still
        waits for an answer that was lost before: what it has to say comes after that.
        """
        line, spoken = self.line, self.asked.spoken
        if line.well_us is None or since_us < line.well_us:
            return
        if self._hung_us.get(who, 0) >= since_us:
            return
        for job in line.jobs.values():
            lease = job.lease
            if lease is None or job.worker_id != worker_id or not line.leases[lease].told:
                continue
            if lease not in spoken:
                self._find(BrokenLawError("%s has left, and job %s with it", worker_id, job.id))

    def shown(self, reader: object, completed: int) -> None:
        """A reader was told how many jobs have completed: for him that never goes back."""
        before, then_us = self._shown.get(reader, (0, 0))
        self._shown[reader] = completed, self._around.loop.now_us
        if completed < before and not self.line.before_shaken(then_us):
            self._find(BrokenLawError("%s completed were shown, and then %s", before, completed))

    def _written(self, written: Written) -> None:
        copy = written.key.startswith(f"{STATE_KEY}.{BEFORE}")
        if not copy and written.key != STATE_KEY:
            return
        try:
            (self.line.kept if copy else self.line.take)(written)
        except AssertionError as error:
            self._find(error)
        self.objects.written(written)
        if written.by == PERSON and not self.line.is_cut:
            self._count_in(written.at_us)
        commit = "what it knows" if self.line.last is None else self.line.last.commit
        self._around.trace.note(written.by, "writes %s: %s jobs", commit, len(self.line.jobs))

    def _deleted(self, key: str) -> None:
        self.objects.deleted(key)
        if key == STATE_KEY:
            self.line.gone()

    def _count_in(self, at_us: int) -> None:
        """A job that a person adds is as one that was submitted, and acknowledged."""
        for done in self._around.deeds.done_at(at_us):
            if done.deed is Deed.ADDED:
                self.known.append(done.job_id)
                self._acknowledged.add(done.job_id)

    def _read(self, life: str, key: str) -> None:
        if key == STATE_KEY:
            self.line.seen(life, self._around.loop.now_us)

    def _find(self, error: AssertionError) -> None:
        if self._found is None:
            if not isinstance(error, BrokenLawError):
                error = BrokenLawError("an invariant of the model: %s", error)
            self._found = error
            self._around.trace.note("checks", "%s", str(error))

    # When it is looked

    def raise_found(self) -> None:
        """Raise the first `BrokenLawError`, if there was one."""
        if self._found is not None:
            raise self._found
        if self._around.loop.faults:
            raise BrokenLawError("an exception that nobody took: %s", self._around.loop.faults[0])

    @property
    def drained(self) -> bool:
        """Whether all work is done, and all that ended is archived."""
        line = self.line
        busy = self._unfinished() or line.outgoing
        waited_for = busy or self._unheard()
        there = line.last is not None and not line.is_cut
        return there and not (waited_for or line.last is None or line.last.paused)

    def last_call(self) -> bool:
        """It is time: from now on only that counts which has begun, or comes after what has.
        Answers whether there is any. Raises `BrokenLawError` if anything else is left.
        """
        left = self._unfinished()
        idle = [job for job in left if job.status != "in_progress" and not job.waits_for]
        expect(not idle, "%s jobs are never begun: %s", len(idle), idle[:3])
        self._due = frozenset(job.id for job in left)
        return bool(left)

    def _unheard(self) -> list[tuple[str, str, str]]:
        return [] if self.line.fell else self.onlookers.unheard

    def _unfinished(self) -> list[View]:
        left = self.line.unfinished(self._around.wall_ms)
        return [job for job in left if self._due is None or job.id in self._due]

    def expect_end(self) -> None:
        """What must hold when the world has been well for long enough."""
        line = self.line
        expect(not line.is_cut, "the queue goes on after others have had the object")
        expect(line.last is not None and not line.last.paused, "the queue is at work")
        left = self._unfinished()
        expect(not left, "%s jobs are never done: %s", len(left), left[:3])
        expect(not line.outgoing, "%s ended jobs are never archived", line.outgoing)
        unheard = self._unheard()
        expect(not unheard, "%s do not hear of ends: %s", len(unheard), unheard[:3])
        archived = self._archived()
        for job_id in self._acknowledged - line.disputed:
            there = job_id in line.jobs or job_id in archived or line.removed(job_id)
            expect(there, "job %s was acknowledged, and is lost", job_id)
        for job_id, life in line.lives.items():
            if job_id in line.disputed:
                continue
            ended = (life.end is not None) + len(life.earlier)
            expect(
                archived[job_id] == ended, "job %s is archived %s times", job_id, archived[job_id]
            )

    def _archived(self) -> Counter[str]:
        bucket, ids = self._around.bucket, Counter[str]()
        for key in bucket.keys(ARCHIVE):
            stored = bucket.look(key)
            assert stored is not None
            for line in stored.data.splitlines():
                job = _archived.decode(line)
                ids[job.id] += 1
                life = self.line.lives[job.id]
                ends = [(end.status, end.lease) for end in (life.end, *life.earlier) if end]
                same = (job.status, job.lease) in ends or job.id in self.line.disputed
                expect(same, "job %s is archived as %s, and ended as %s", job.id, job, ends)
        return ids
