"""The laws of answers about many jobs: a page, a count, and what was done to some of them."""

from __future__ import annotations

from typing import Any, Final

from msgspec import structs

from osqueue.testing.simulation.laws.law import expect
from osqueue.testing.simulation.laws.line import Line
from osqueue.testing.simulation.laws.requests import Requests
from osqueue.testing.simulation.laws.views import JobLife, View
from osqueue.testing.simulation.machine.exchange import Exchange

__all__ = ["Many"]

_FAILED_SHOWN: Final = 50


class Many:
    """Compares such answers with the line of versions. ``fresh_us``: how old they may be."""

    def __init__(self, line: Line, asked: Requests, *, fresh_us: int) -> None:
        self._line = line
        self._asked = asked
        self._fresh_us = fresh_us

    def listed(self, exchange: Exchange) -> None:
        """Every job on a page stood so; each that was meant all the while is on it; in order."""
        query, page = _query(exchange), _value(exchange)
        ids = [info.id for info in page.jobs]
        expect(len(set(ids)) == len(ids), "a page shows a job twice: %s", ids)
        expect(len(ids) <= query.limit, "a page of %s shows %s jobs", query.limit, len(ids))
        for info in page.jobs:
            self._expect_shown(info, exchange)
        places = [self._line.lives[each].number for each in ids if self._came_once(each)]
        newest = query.order == "newest"
        ordered = sorted(places, reverse=newest) == places
        expect(ordered, "a page shows the %s first: %s", query.order or "oldest", ids)
        if page.next_cursor is None:
            left_out = self._surely(exchange).difference(ids)
            expect(not left_out, "a page leaves out %s", sorted(left_out))

    def counted(self, exchange: Exchange) -> None:
        """No fewer than were meant all the while, and no more than were at any moment of it."""
        count = _value(exchange).count
        least, most = len(self._surely(exchange)), len(self._possibly(exchange))
        expect(least <= count <= most, "%s jobs were counted, of %s to %s", count, least, most)

    def acted(self, exchange: Exchange) -> None:
        """What was done to some adds up; and what is told cancelled has ended."""
        request, answer = _query(exchange), _value(exchange)
        told = answer.done + answer.skipped + len(answer.failed)
        if request.job_ids is None:
            expect(answer.done <= request.max, "%s done, of %s", answer.done, request.max)
            return
        all_told = told == len(request.job_ids) or len(answer.failed) == _FAILED_SHOWN
        expect(all_told, "%s jobs were named, and %s told of", len(request.job_ids), told)
        if request.action == "cancel" and not answer.skipped:
            failed = {each.job_id for each in answer.failed}
            for job_id in request.job_ids:
                how = self._line.how_ended(job_id)
                done = job_id in failed or how in {"cancelled", "discarded"}
                expect(done, "job %s was told cancelled: %s", job_id, how)

    def _expect_shown(self, info: Any, exchange: Exchange) -> None:
        life = self._line.lives.get(info.id)
        expect(life is not None, "job %s was listed, and never was there", info.id)
        assert life is not None
        if self._unsure(info.id, exchange):
            return
        span = exchange.sent_us - self._fresh_us, exchange.ended_us or 0
        out = info.status == "in_progress" and life.was_free(info.attempts - 1, *span)
        if out and self._asked.gave_back(exchange, info.worker_id):
            return
        stood = [view for view in self._during(life, exchange) if view is not None]
        found = any(
            (view.status, view.attempts) == (info.status, info.attempts)
            and _may_be_meant(view, _query(exchange))
            for view in stood
        )
        expect(found, "job %s was listed as %s, and stood as %s", info.id, info.status, stood)

    def _came_once(self, job_id: str) -> bool:
        """Whether it has one place in the order of coming, and it is known."""
        life = self._line.lives[job_id]
        return life.number > 0 and not life.returned and job_id not in self._line.disputed

    def _unsure(self, job_id: str, exchange: Exchange) -> bool:
        """Whether it may have been looked at between two changes of one commit."""
        assert exchange.ended_us is not None, "it was answered"
        return self._line.changed_while(job_id, exchange.sent_us, exchange.ended_us)

    def _during(self, life: JobLife, exchange: Exchange) -> list[View | None]:
        old_us = 0 if _query(exchange).consistent else self._fresh_us
        assert exchange.ended_us is not None, "it was answered"
        return life.during(exchange.sent_us - old_us, exchange.ended_us)

    def _surely(self, exchange: Exchange) -> set[str]:
        query = _query(exchange)
        return {
            job_id
            for job_id, life in self._line.lives.items()
            if all(_is_meant(view, query) for view in self._during(life, exchange))
            and not self._unsure(job_id, exchange)
            and not self._may_have_been_out(life, exchange)
        }

    def _possibly(self, exchange: Exchange) -> set[str]:
        query = _query(exchange)
        return {
            job_id
            for job_id, life in self._line.lives.items()
            if any(_may_be_meant(view, query) for view in self._during(life, exchange))
            or self._unsure(job_id, exchange)
            or self._may_have_been_out(life, exchange)
        }

    def _may_have_been_out(self, life: JobLife, exchange: Exchange) -> bool:
        """Whether it may have been claimed and given back within one commit."""
        if _query(exchange).status is None or not self._asked.gave_back(exchange):
            return False
        return any(view and view.status == "unclaimed" for view in self._during(life, exchange))


def _may_be_meant(view: View | None, query: Any) -> bool:
    """The same, or only a clock can tell: that a delay is over is written down later."""
    delayed = view is not None and view.run_at is not None
    if delayed and query.status in {"ready", "delayed"}:
        return _is_meant(view, structs.replace(query, status="unclaimed"))
    return _is_meant(view, query)


def _is_meant(view: View | None, query: Any) -> bool:
    """Whether the job is one of those that are listed or counted, for certain."""
    if view is None or (query.type is not None and view.type != query.type):
        return False
    if query.status in {"ready", "delayed"}:
        fresh = view.status == "unclaimed" and view.run_at is None and not view.waits_for
        return query.status == "ready" and fresh
    if query.status == "waiting":
        return view.status == "unclaimed" and bool(view.waits_for)
    return query.status is None or view.status == query.status


def _value(exchange: Exchange) -> Any:
    assert exchange.answer is not None, "it is no error"
    return exchange.answer.value


def _query(exchange: Exchange) -> Any:
    return exchange.request
