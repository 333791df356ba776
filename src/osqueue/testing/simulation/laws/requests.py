"""What has been asked for, as far as it may have an effect: nothing happens that nobody asked for.

A request counts from when it is sent. When its sender is told that it was not applied, it counts no
more; when nobody knows what became of it, it counts for ever.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from types import MappingProxyType
from typing import Any, Final

from msgspec import UNSET

from osqueue.testing.simulation.machine.exchange import Exchange
from osqueue.wire import operations as ops
from osqueue.wire.messages import CompleteBatchRequest, StreamRequest

__all__ = ["Requests"]

NOTICED_US: Final = 30_000_000
"""How long it takes a broker to notice, at most, that a claim's sender waits no more."""

_RESUMED_S: Final = 200
"""How long a resume of unknown fate may still take effect: as long as the latest of messages."""

_KINDS: Final = MappingProxyType(
    {
        ops.SUBMIT.name: "submit",
        ops.SUBMIT_BATCH.name: "submit",
        ops.SUBMIT_LARGE.name: "submit",
        ops.COMPLETE.name: "complete",
        ops.COMPLETE_BATCH.name: "complete",
    }
)


class Requests:
    """Counts requests by what they name."""

    def __init__(self) -> None:
        self.submits: Counter[str] = Counter()
        """By job."""
        self.cancels: Counter[str] = Counter()
        """By job."""
        self.retries: Counter[str] = Counter()
        """By job."""
        self.retries_of_type: Counter[str] = Counter()
        """As the next, of those that are to live again."""
        self.cancels_of_type: Counter[str] = Counter()
        """Of jobs that a filter means, by their type; those that are said to be of any: by none."""
        self.completes: Counter[str] = Counter()
        """By lease."""
        self.spoken: set[str] = set()
        """Leases of which anybody has said what became of them."""
        self.results: dict[str, list[bytes | None]] = {}
        """What a job is said to have brought, by the lease that completes it."""
        self.surrenders: Counter[str] = Counter()
        """What fails or releases, by lease."""
        self._sent_us: dict[tuple[str, str], list[int]] = {}
        self._submitting: dict[str, list[Exchange]] = {}
        """By job."""
        self.priorities: Counter[str] = Counter()
        """By job."""
        self.claims: dict[str | None, int] = {}
        """How many jobs a claim may bring, by its id."""
        self.credits: dict[str, int] = {}
        """How many a stream may bring in all, by its id."""
        self.kept_us: dict[str, int] = {}
        """When the last heartbeat was sent that kept a lease."""
        self.kept_by: dict[str, str] = {}
        """Which process sent it."""
        self.listed: dict[str, tuple[int, frozenset[str]]] = {}
        """When a worker has last said what it holds, and what that was, by worker."""
        self.claims_left_us = 0
        """When a claim was last given up by who had sent it: its jobs go back at once."""
        self._left_us: dict[str, int] = {}
        """The same, by worker."""
        self.paused_us: int | None = None
        """Since when the queue is paused for certain."""
        self._resumes_until_us = 0

    def cancelled(self, job_id: str, job_type: str) -> bool:
        """Whether anybody asked for this job's end, by its id or by its type."""
        by_type = self.cancels_of_type
        return self.cancels[job_id] > 0 or by_type[job_type] > 0 or by_type[""] > 0

    def retried(self, job_id: str, job_type: str) -> bool:
        """Whether anybody asked for this job to live again, by its id or by its type."""
        by_type = self.retries_of_type
        return self.retries[job_id] > 0 or by_type[job_type] > 0 or by_type[""] > 0

    def completed(self, job_id: str, lease: str | None, worker_id: str | None) -> bool:
        """Whether anybody said that it is done, by its lease, or as of old only by whose it is."""
        by_name = self.completes[f"job {job_id} of {worker_id}"] > 0
        return by_name or self.completes[lease or ""] > 0

    def alone(self, exchange: Exchange, named: str, at_us: int) -> bool:
        """Whether, of all such requests that name this, it alone had been sent by a time."""
        sent_us = self._sent_us.get((_KINDS[exchange.operation.name], named), [])
        return [each for each in sent_us if each <= at_us] == [exchange.sent_us]

    def messages(self, job_id: str) -> int:
        """How many messages may have submitted a job: a request can come twice."""
        return sum(
            max(1, each.copies)
            for each in self._submitting.get(job_id, [])
            if not each.without_effect
        )

    def sent(self, exchange: Exchange) -> None:
        """A request is under way."""
        self._count(exchange, 1)
        for _, job_id in self._submits(exchange):
            self._submitting.setdefault(job_id, []).append(exchange)
        for _, named in self._effects(exchange):
            kind = _KINDS.get(exchange.operation.name)
            if kind is not None:
                self._sent_us.setdefault((kind, named), []).append(exchange.sent_us)
        if exchange.operation.name == ops.CLAIM.name:
            claim: Any = exchange.request
            most = self.claims.get(claim.claim_id, 0)
            self.claims[claim.claim_id] = max(most, claim.max or 1)
        if exchange.operation.name in {ops.STREAM_JOBS.name, ops.ADD_CREDIT.name}:
            self._credit(_said(exchange))
        self.spoken.update(lease for _, lease in self._on_leases(exchange))
        for lease, result in _results(exchange):
            self.results.setdefault(lease, []).append(result)
        if exchange.operation.name == ops.RESUME.name:
            self.paused_us = None
            self._resumes_until_us = exchange.sent_us + _RESUMED_S * 1_000_000
        if exchange.operation.name == ops.HEARTBEAT_BATCH.name:
            request: Any = exchange.request
            if request.all:
                held = frozenset(ref.lease for ref in request.jobs)
                self.listed[request.worker_id] = exchange.sent_us, held

    def _credit(self, said: Any) -> None:
        """A stream may bring jobs, or more. What it claims for that has no name."""
        self.claims.setdefault(None, 0)
        total = said.credit if isinstance(said, StreamRequest) else said.total
        self.credits[said.stream_id] = max(total, self.credits.get(said.stream_id, 0))

    def answered(self, exchange: Exchange) -> None:
        """It was answered."""
        if exchange.without_effect:
            self._count(exchange, -1)
        if exchange.copies > 1 and exchange.operation.name == ops.CLAIM.name:
            self._leaves(exchange, exchange.ended_us or 0)
        if exchange.error is None:
            self._done(exchange)

    def given_up(self, exchange: Exchange, now_us: int) -> None:
        """Its sender waits no more."""
        if exchange.operation.name in {ops.CLAIM.name, ops.STREAM_JOBS.name}:
            self._leaves(exchange, now_us)

    def _leaves(self, claim: Exchange, at_us: int) -> None:
        self.claims_left_us = self._left_us[_said(claim).worker_id] = at_us

    def gave_back(self, exchange: Exchange, worker_id: str | None = None) -> bool:
        """Whether what a worker, or any, had claimed may have gone back in the very commit that
        gave it to him, unseen but by who looked in between: a claim was given up about then.
        """
        left_us = self._left_us.get(worker_id) if worker_id else self.claims_left_us
        return left_us is not None and left_us >= exchange.sent_us - NOTICED_US

    def _done(self, exchange: Exchange) -> None:
        name, sure = exchange.operation.name, exchange.copies == 1
        if name == ops.RESUME.name and sure:
            self._resumes_until_us = exchange.ended_us or 0
        elif name == ops.PAUSE.name and exchange.sent_us > self._resumes_until_us:
            self.paused_us = exchange.ended_us
        elif name == ops.HEARTBEAT.name:
            lease = _said(exchange).lease
            self.kept_us[lease] = max(self.kept_us.get(lease, 0), exchange.sent_us)
        elif name == ops.HEARTBEAT_BATCH.name:
            request: Any = exchange.request
            answer: Any = exchange.answer and exchange.answer.value
            for ref, result in zip(request.jobs, answer.results, strict=True):
                if result.error is None:
                    before_us = self.kept_us.get(ref.lease, 0)
                    self.kept_us[ref.lease] = max(before_us, exchange.sent_us)
                    self.kept_by[ref.lease] = exchange.who

    def named(self, exchange: Exchange) -> list[str]:
        """The jobs or leases on which a request may have an effect."""
        return [named for _, named in self._effects(exchange)]

    def _count(self, exchange: Exchange, by: int) -> None:
        for counter, named in self._effects(exchange):
            counter[named] += by

    def _effects(self, exchange: Exchange) -> Iterator[tuple[Counter[str], str]]:
        """What a request may do, and to whom."""
        yield from self._submits(exchange)
        yield from self._changes(exchange)
        yield from self._on_leases(exchange)

    def _submits(self, exchange: Exchange) -> Iterator[tuple[Counter[str], str]]:
        name, said = exchange.operation.name, _said(exchange)
        if name in {ops.SUBMIT.name, ops.RUN_SCHEDULE.name}:
            yield self.submits, said.job_id
        elif name == ops.SUBMIT_BATCH.name:
            yield from ((self.submits, job.job_id) for job in said.jobs)
        elif name == ops.SUBMIT_LARGE.name:
            yield self.submits, exchange.job_id or ""

    def _changes(self, exchange: Exchange) -> Iterator[tuple[Counter[str], str]]:
        name, said, job_id = exchange.operation.name, _said(exchange), exchange.job_id or ""
        if name == ops.CANCEL.name:
            yield self.cancels, job_id
        elif name == ops.SET_PRIORITY.name:
            yield self.priorities, job_id
        elif name == ops.RETRY.name:
            yield self.retries, job_id
        elif name == ops.ACT_ON_JOBS.name and said.action == "cancel":
            if said.job_ids is None:
                yield self.cancels_of_type, said.filter.type or ""
            else:
                yield from ((self.cancels, named) for named in said.job_ids)
        elif name == ops.ACT_ON_JOBS.name and said.action == "retry":
            if said.job_ids is None:
                yield self.retries_of_type, said.filter.type or ""
            else:
                yield from ((self.retries, named) for named in said.job_ids)

    def _on_leases(self, exchange: Exchange) -> Iterator[tuple[Counter[str], str]]:
        name, said = exchange.operation.name, _said(exchange)
        if name == ops.COMPLETE.name:
            yield self.completes, said.lease or f"job {exchange.job_id} of {said.worker_id}"
        elif name == ops.COMPLETE_BATCH.name:
            yield from ((self.completes, ref.lease) for ref in said.jobs)
        elif name in {ops.FAIL.name, ops.RELEASE.name}:
            yield self.surrenders, said.lease


def _said(exchange: Exchange) -> Any:
    return exchange.request


def _results(exchange: Exchange) -> Iterator[tuple[str, bytes | None]]:
    """What a request says that jobs have brought, by their leases."""
    name, said = exchange.operation.name, exchange.request
    refs: list[Any] = []
    if name == ops.COMPLETE.name:
        refs = [said]
    elif isinstance(said, CompleteBatchRequest):
        refs = [*said.jobs]
    for ref in refs:
        yield ref.lease, None if ref.result is UNSET else bytes(ref.result)
