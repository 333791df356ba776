"""The laws of answers: what a process was told is what stands in the object.

An answer is looked at when its caller gets it. Everything it says has a moment between the request
and the answer at which it was so, durably: that is what makes the histories of jobs linearizable,
with the line of versions as their order.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from msgspec import UNSET

from osqueue.errors import JobNotFoundError, LeaseLostError
from osqueue.model.job import END_STATUSES, JobStatus
from osqueue.testing.simulation.laws.law import expect
from osqueue.testing.simulation.laws.line import FRESH_US, Line
from osqueue.testing.simulation.laws.many import Many
from osqueue.testing.simulation.laws.repeats import Repeated
from osqueue.testing.simulation.laws.requests import Requests
from osqueue.testing.simulation.laws.views import LeaseLife
from osqueue.testing.simulation.laws.waits import expect_brought, expect_waited
from osqueue.testing.simulation.machine.exchange import Exchange
from osqueue.wire import operations as ops
from osqueue.wire.messages import ClaimedJob

__all__ = ["Answers"]

_SUBMITS: Final = frozenset({ops.SUBMIT.name, ops.SUBMIT_BATCH.name, ops.SUBMIT_LARGE.name})
_OVER: Final = frozenset({*END_STATUSES, JobStatus.DEAD})
_COMPLETES: Final = frozenset({ops.COMPLETE.name, ops.COMPLETE_BATCH.name})


class Answers:
    """Compares answers with the line of versions."""

    def __init__(self, line: Line, asked: Requests, payloads: Mapping[str, bytes]) -> None:
        self._line = line
        self._asked = asked
        self._payloads = payloads
        self._repeated = Repeated(line.before_shaken)
        many = Many(line, asked, fresh_us=FRESH_US)
        self._looks: dict[str, Callable[[Exchange], None]] = {
            ops.SUBMIT.name: self._submitted,
            ops.SUBMIT_BATCH.name: self._submitted_many,
            ops.CLAIM.name: self._claimed,
            ops.COMPLETE.name: self._completed,
            ops.COMPLETE_BATCH.name: self._completed_many,
            ops.FAIL.name: self._given_up,
            ops.RELEASE.name: self._given_up,
            ops.CANCEL.name: self._cancelled,
            ops.HEARTBEAT_BATCH.name: self._kept,
            ops.GET_JOB.name: self._read,
            ops.GET_STATS.name: self._counted,
            ops.HEARTBEAT.name: self._kept_one,
            ops.GET_PAYLOAD.name: self._shown,
            ops.LIST_JOBS.name: many.listed,
            ops.COUNT_JOBS.name: many.counted,
            ops.ACT_ON_JOBS.name: many.acted,
        }

    def expect_true(self, exchange: Exchange) -> None:
        """Raise `BrokenLawError` for an answer that says what is not so."""
        if self._line.before_shaken(exchange.sent_us):
            return
        self._repeated.answered(exchange)
        if exchange.error is not None:
            self._expect_refusal(exchange)
            return
        look = self._looks.get(exchange.operation.name)
        if look is not None:
            look(exchange)

    def _submitted(self, exchange: Exchange) -> None:
        self._expect_known(_value(exchange).job_id, exchange)
        self._expect_same(_request(exchange))

    def _submitted_many(self, exchange: Exchange) -> None:
        for job_id in _value(exchange).job_ids:
            self._expect_known(job_id, exchange)
        for each in _request(exchange).jobs:
            self._expect_same(each)

    def _expect_same(self, submitted: Any) -> None:
        """One id is one job: whoever submits another one under it is refused."""
        said = self._said(submitted.job_id)
        same = said is None or bytes(submitted.payload) == said
        expect(same, "job %s was acknowledged as another one", submitted.job_id)

    def _shown(self, exchange: Exchange) -> None:
        said, shown = self._said(exchange.job_id or ""), _value(exchange)
        same = said is None or bytes(shown) == said
        expect(same, "job %s is shown with another payload: %s", exchange.job_id, shown)

    def _said(self, job_id: str) -> bytes | None:
        """What was submitted, if anybody did but a schedule, and others have not lost it."""
        return None if job_id in self._line.disputed else self._payloads.get(job_id)

    def _expect_known(self, job_id: str, exchange: Exchange) -> None:
        """It has ended, or stood there: a person may have taken it out since."""
        life = self._line.lives.get(job_id)
        expect(life is not None, "job %s was acknowledged and is not durable", job_id)
        assert life is not None
        assert exchange.ended_us is not None, "it was answered"
        stood = life.during(exchange.sent_us - FRESH_US, exchange.ended_us)
        there = life.end is not None or any(view is not None for view in stood)
        there = there or job_id in self._line.disputed
        expect(there, "job %s was acknowledged, and had been taken out", job_id)

    def _claimed(self, exchange: Exchange) -> None:
        assert exchange.answer is not None
        at = exchange.answer.position
        for job in _value(exchange).jobs:
            brief = at is not None and self._line.changed_by(job.job_id, at.epoch, at.number)
            self._expect_granted(job, exchange, brief=brief)

    def expect_streamed(self, exchange: Exchange, jobs: Sequence[ClaimedJob], now_us: int) -> None:
        """A stream has brought jobs. Raises `BrokenLawError`."""
        exchange.brought += len(jobs)
        most = self._asked.credits[_request(exchange).stream_id]
        expect(exchange.brought <= most, "%s jobs have come, and %s may", exchange.brought, most)
        for job in jobs:
            brief = self._line.changed_while(job.job_id, exchange.sent_us, now_us)
            self._expect_granted(job, exchange, brief=brief)

    def _expect_granted(self, job: ClaimedJob, exchange: Exchange, *, brief: bool) -> None:
        """``brief``: its lease may have been given and lost within one commit."""
        lease = self._line.leases.get(job.lease)
        if lease is None:
            expect(brief, "lease %s was given and is not durable", job.lease)
            return
        lease.told = True
        granted = (lease.job_id, lease.attempt)
        expect(granted == (job.job_id, job.attempt), "%s was granted for %s", job, lease)
        said = self._said(job.job_id)
        same = said is None or (job.payload is not UNSET and bytes(job.payload) == said)
        expect(same, "job %s was given another payload: %s", job.job_id, job.payload)
        stands = _stood_since(lease, exchange)
        expect(stands, "lease %s was given after it had gone", job.lease)

    def _completed(self, exchange: Exchange) -> None:
        said = _request(exchange)
        if said.lease is None:
            self._expect_completed_by(exchange.job_id, said.worker_id)
        else:
            self._expect_completed(exchange.job_id, said.lease)

    def _completed_many(self, exchange: Exchange) -> None:
        for ref, result in zip(_request(exchange).jobs, _value(exchange).results, strict=True):
            if result.error is None:
                self._expect_completed(ref.job_id, ref.lease)
            elif result.error.tag == "LeaseLostError":
                self._expect_lost(ref.lease, exchange)

    def _expect_completed(self, job_id: str | None, lease: str) -> None:
        life = self._line.lives.get(job_id or "")
        end = None if life is None else life.end
        completed = end is not None and (end.status, end.lease) == ("completed", lease)
        expect(completed, "lease %s of job %s was told completed, and it is %s", lease, job_id, end)

    def _expect_completed_by(self, job_id: str | None, worker_id: str) -> None:
        """Who states no lease ends what he holds, and nothing else."""
        life = self._line.lives.get(job_id or "")
        held = self._line.leases.get(life.end.lease or "") if life and life.end else None
        his = held is not None and held.worker_id == worker_id
        expect(his, "worker %s was told that job %s is completed: it held none", worker_id, job_id)

    def _given_up(self, exchange: Exchange) -> None:
        self._expect_lost(_request(exchange).lease, exchange)

    def _expect_lost(self, lease: str | None, exchange: Exchange) -> None:
        """The lease does not stand in the object any more."""
        known = self._line.leases.get(lease or "")
        lost = known is None or known.gone_us is not None
        expect(lost, "%s of lease %s was answered, and it stands", exchange.operation.name, lease)

    def _cancelled(self, exchange: Exchange) -> None:
        life = self._line.lives.get(exchange.job_id or "")
        ended = life is not None and life.end is not None and life.end.status != "completed"
        expect(ended, "job %s was told cancelled, and lives", exchange.job_id)

    def _kept_one(self, exchange: Exchange) -> None:
        lease = _request(exchange).lease
        self._expect_held(lease, exchange)

    def _expect_held(self, lease: str, exchange: Exchange) -> None:
        """The lease stood in the object at some moment since it was asked for."""
        known = self._line.leases.get(lease)
        held = known is not None and _stood_since(known, exchange)
        expect(held, "lease %s was told kept, and had gone", lease)

    def _kept(self, exchange: Exchange) -> None:
        for ref, result in zip(_request(exchange).jobs, _value(exchange).results, strict=True):
            if result.error is None:
                self._expect_held(ref.lease, exchange)
            elif result.error.tag == "LeaseLostError":
                self._expect_lost(ref.lease, exchange)

    def _read(self, exchange: Exchange) -> None:
        self._expect_stood(exchange)
        expect_waited(exchange, self._line)
        expect_brought(_value(exchange), self._line, self._asked)

    def _expect_stood(self, exchange: Exchange) -> None:
        """A job that was read stood so; if the newest was asked for, within the time of asking."""
        info, life = _value(exchange), self._line.lives.get(exchange.job_id or "")
        expect(life is not None, "job %s was read, and never was there", exchange.job_id)
        assert life is not None
        consistent = _request(exchange) is not None and _request(exchange).consistent
        from_us = exchange.sent_us - (0 if consistent else FRESH_US)
        assert exchange.ended_us is not None
        if life.end is not None and info.status == life.end.status:
            return
        if info.id in self._line.disputed and info.status in _OVER:
            return  # so it stands in the archive, from which nobody can take it back
        assert exchange.answer is not None
        span = from_us, exchange.ended_us
        if self._line.changed_while(info.id, exchange.sent_us, exchange.ended_us):
            near = life.may_have_been(info.attempts, *span)
            expect(near, "job %s was read after %s attempts", info.id, info.attempts)
            return
        out = info.status == "in_progress" and life.was_free(info.attempts - 1, *span)
        if out and self._asked.gave_back(exchange, info.worker_id):
            return
        stood = [view for view in life.during(from_us, exchange.ended_us) if view is not None]
        found = any((view.status, view.attempts) == (info.status, info.attempts) for view in stood)
        expect(found, "job %s was read as %s, and stood as %s", exchange.job_id, info.status, stood)

    def _counted(self, exchange: Exchange) -> None:
        """Counts show nothing that is not durable; and if the newest were asked for, all that was
        durable when they were.
        """
        counted, last = _value(exchange).completed_total, self._line.last
        durable = 0 if last is None else last.completed_total
        expect(counted <= durable, "%s were counted, and %s have completed", counted, durable)
        request = _request(exchange)
        if request is not None and request.consistent:
            expect(counted >= exchange.floor, "%s counted, of %s", counted, exchange.floor)

    def _expect_refusal(self, exchange: Exchange) -> None:
        if exchange.without_effect:
            self._expect_untouched(exchange)
        if isinstance(exchange.error, LeaseLostError):
            self._expect_lost(getattr(_request(exchange), "lease", None), exchange)
        elif isinstance(exchange.error, JobNotFoundError) and exchange.error.position is not None:
            self._expect_gone(exchange)

    def _expect_untouched(self, exchange: Exchange) -> None:
        """What was told not to be applied has not happened, unless others asked for it, too."""
        name = exchange.operation.name
        for named in self._asked.named(exchange):
            if name in _SUBMITS:
                life = self._line.lives.get(named)
                at_us = life.came_us if life is not None else None
            elif name in _COMPLETES:
                at_us = self._line.completed_us.get(named)
            else:
                return
            done = at_us is not None and at_us >= exchange.sent_us
            alone = done and self._asked.alone(exchange, named, at_us or 0)
            expect(not alone, "%s of %s was told not applied, and was", name, named)

    def _expect_gone(self, exchange: Exchange) -> None:
        """A job that is not found was not there a moment before or while it was asked for, or has
        ended.
        """
        life = self._line.lives.get(exchange.job_id or "")
        if life is None or life.end is not None:
            return
        assert exchange.ended_us is not None
        missing = None in life.during(exchange.sent_us - FRESH_US, exchange.ended_us)
        expect(missing, "job %s was not found, and is there", exchange.job_id)


def _stood_since(lease: LeaseLife, exchange: Exchange) -> bool:
    """Whether a lease stood since it was asked for. Who leads answers what needs no write by what
    he knew a moment ago; only of what people do by hand he hears no sooner.
    """
    old_us = FRESH_US if lease.by_hand else 0
    return lease.gone_us is None or lease.gone_us >= exchange.sent_us - old_us


def _value(exchange: Exchange) -> Any:
    assert exchange.answer is not None, "it is no error"
    return exchange.answer.value


def _request(exchange: Exchange) -> Any:
    return exchange.request
