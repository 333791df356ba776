"""The line of versions of a queue's state object, and the laws that each of them keeps.

Looks at every version in the moment in which it is written, whoever wrote it, and keeps what it
tells (`History`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import msgspec

from osqueue.config import QueueLimits
from osqueue.model.invariants import check
from osqueue.model.job import Moment
from osqueue.model.lineage import CommitId
from osqueue.model.snapshot import decode_state
from osqueue.testing.simulation.laws.deeds import Deeds
from osqueue.testing.simulation.laws.descent import Descent
from osqueue.testing.simulation.laws.families import ended_with_a_parent, expect_families
from osqueue.testing.simulation.laws.handing import expect_in_order, expect_none_out
from osqueue.testing.simulation.laws.handiwork import Handiwork
from osqueue.testing.simulation.laws.history import History, Jobs
from osqueue.testing.simulation.laws.law import expect
from osqueue.testing.simulation.laws.past import Copies, Past, Standing
from osqueue.testing.simulation.laws.requests import Requests
from osqueue.testing.simulation.laws.schedules import expect_moved_on, is_of_a_time
from osqueue.testing.simulation.laws.served import Served
from osqueue.testing.simulation.laws.silence import Silence
from osqueue.testing.simulation.laws.streams import Commit
from osqueue.testing.simulation.laws.views import End, JobLife, LeaseLife, StateView, View
from osqueue.testing.simulation.machine.bucket import OLDER, PERSON, RESTORER, Bucket, Written

__all__ = ["FRESH_US", "Line"]

WHOLE_EVERY: Final = 16
"""Every so many versions are opened by the real code, and all invariants of the model checked."""

HASTE_US: Final = 10_000_000
"""For so long after a claim was given up its jobs may go back, and look as if never handed out."""

FRESH_US: Final = 1_100_000
"""How old what is answered may be: a leader is confirmed once a second, by its own clock."""


_state_decoder: Final = msgspec.json.Decoder(StateView)
_view_decoder: Final = msgspec.json.Decoder(View)


class Line(History):
    """All versions so far, as one line of descent."""

    def __init__(
        self,
        limits: QueueLimits,
        requests: Requests,
        bucket: Bucket,
        *,
        deeds: Deeds,
        served: Served,
        adopted: Callable[[], bool],
    ) -> None:
        super().__init__()
        self._limits = limits
        self._requests = requests
        self._bucket = bucket
        self._silence = Silence(limits, requests, served)
        self._handiwork = Handiwork(deeds, requests)
        self._known: dict[bytes, View] = {}
        self._descent = Descent()
        self._past = Past()
        self.copies = Copies(bucket, self._past, adopted)
        self._by_hand = False
        """Whether a person wrote the last version: then a commit may have come to nothing."""
        self.versions = 0
        self.last: StateView | None = None
        self._highest_epoch = 0
        self.created: set[int] = set()
        """Epochs that began with an object that was gone."""
        self._moved_now: list[str] = []
        self.shaken_us: int | None = None
        """When something was lost by what others did to the object, the last time."""
        self.well_us: int | None = None
        """Since when nothing goes wrong any more, nor has to be got over."""

    @property
    def outgoing(self) -> int:
        """Ended jobs that have not been archived yet."""
        return 0 if self.last is None else len(self.last.finished)

    def take(self, written: Written) -> None:
        """The next version. Raises `BrokenLawError`."""
        if written.by == OLDER or (written.by == PERSON and self._past.is_cut):
            self._past.overwritten(written.data, written.at_us)
            return
        state = _state_decoder.decode(written.data)
        if written.by == RESTORER:
            self._go_back(self._past.put_back(state, self._read_jobs(state)), written.at_us)
            self._by_hand = True
            return
        if self._past.is_cut:
            self._go_on(state, written.at_us)
        self.versions += 1
        self._expect_next(state, by_hand=written.by == PERSON)
        taken_over = self.last is None or (
            self.last.epoch != state.epoch and {self.last.broker, state.broker} != {None}
        )
        if taken_over:
            self._silence.begins(written.by, written.at_us)
        self._follow(state, written)
        if taken_over or self._by_hand or self.versions % WHOLE_EVERY == 0:
            check(decode_state(written.data, limits=self._limits, now=Moment(0, 0)))

    def _expect_next(self, state: StateView, *, by_hand: bool) -> None:
        if not by_hand:
            self._descent.expect_next(state, self.last, by_hand=self._by_hand)
            return
        expect(self.last is not None, "a person makes no queue")
        assert self.last is not None
        self._handiwork.expect_nothing_else(self.last, state)

    def _follow(self, state: StateView, written: Written) -> None:
        """Hold a version against the one before, and have it be the last."""
        self._moved_now = []
        jobs = self._read_jobs(state)
        name = CommitId.parse(state.commit)
        assert name is not None
        self._silence.written(written, shared=name.shares)
        self._compare(state, jobs, written)
        if self.last is not None:
            expect_moved_on(self.last.schedules, state.schedules, self.lives)
        self._by_hand = written.by == PERSON
        if not self._by_hand:
            self.commits[name.epoch, name.number] = Commit(
                written.at_us, tuple(self._moved_now), state.completed_total
            )
        self.last, self.jobs = state, jobs
        self._highest_epoch = max(self._highest_epoch, state.epoch)
        self._past.keep(state, jobs, written.at_us)

    def seen(self, life: str, at_us: int) -> None:
        """The object was read in a life of a process."""
        self._silence.seen(life, at_us)

    @property
    def is_cut(self) -> bool:
        """Whether the object is not ours, or gone."""
        return self._past.is_cut

    @property
    def fell(self) -> bool:
        """Whether there was a higher epoch: who has heard from that one believes nobody now, until
        it is told to forget it.
        """
        return self.last is not None and self.last.epoch < self._highest_epoch

    def gone(self) -> None:
        """Somebody has deleted the object."""
        self._past.gone()

    def before_shaken(self, at_us: int) -> bool:
        """Whether something was lost since then, or a moment before: an answer may be as old."""
        return self.shaken_us is not None and at_us <= self.shaken_us + FRESH_US

    def kept(self, written: Written) -> None:
        """Somebody has kept a copy beside the object. Raises `BrokenLawError`."""
        state = _state_decoder.decode(written.data)
        jobs = {view.id: view for view in map(_view_decoder.decode, state.jobs)}
        self.copies.kept(written.key, state, jobs, written.at_us)

    def _go_on(self, state: StateView, at_us: int) -> None:
        """Somebody of ours goes on where others have had the object."""
        to = self._past.gone_on_from(state, self._read_jobs(state))
        if to.state is not None:
            self.created.add(state.epoch)
            self._by_hand = False  # what a person had changed last may not have been seen
        elif to.at_us > 0:
            self.copies.expect_adoptable(state, at_us)
        else:
            self.copies.expect_new(state)
        self._go_back(to, at_us)

    def _go_back(self, to: Standing, at_us: int) -> None:
        """The line goes on from another version than its last: what came since then is lost."""
        self._past.mended()
        self._handiwork.forget()
        if to.state is not None and to.jobs is self.jobs:
            return
        self.shaken_us, self._requests.paused_us = at_us, None
        if to.state is None:
            self._descent.begin_anew()
            self.disputed.update(each for each in self.lives if each not in to.jobs)
        else:
            self._descent.go_back(to.state.epoch)
            self._unarchive(to.state)
        self.last = to.state
        self.set_back(to.jobs, to.at_us, at_us)

    def _unarchive(self, state: StateView) -> None:
        """What had ended goes to the archive again, if nobody knows any more that it was there."""
        kept = set() if self.last is None else {view.id for view in self.last.finished}
        self.disputed.update(view.id for view in state.finished if view.id not in kept)

    def _read_jobs(self, state: StateView) -> Jobs:
        known: dict[bytes, View] = {}
        for raw in state.jobs:
            text = bytes(raw)
            known[text] = self._known.get(text) or _view_decoder.decode(text)
        self._known = known
        jobs = {view.id: view for view in known.values()}
        expect(len(jobs) == len(state.jobs), "each job stands once in the object")
        return jobs

    # What may become of a job

    def _compare(self, state: StateView, jobs: Jobs, written: Written) -> None:
        ended = self._read_ends(state, jobs, written.at_us)
        if written.by == PERSON:
            expect(not ended, "a person ends no job: %s", ended)
            self._handiwork.expect_done(self.jobs, jobs, written.at_us)
        else:
            self._handiwork.expect_kept(self.jobs, jobs)
        came = [view for view in jobs.values() if self.jobs.get(view.id) is not view]
        for view in came:
            self._changed(self.jobs.get(view.id), view, written)
        for view in self.jobs.values():
            if view.id not in jobs:
                left = view.id in ended or written.by == PERSON  # as was his deed
                expect(left, "job %s left the queue without an end", view.id)
                self._moved(view.id, None, view, written)
        for view in came:
            self._expect_asked_for(view)
        for view in jobs.values():
            key = view.payload_key
            there = key is None or self._bucket.look(key) or view.id in self.disputed
            expect(there, "the payload of job %s is gone: %s", view.id, key)
        expect_families(self.jobs, jobs, self.how_ended)
        if self.last is not None:
            completed = sum(end.status == "completed" for end in ended.values())
            grown = state.completed_total - self.last.completed_total
            expect(grown == completed, "%s jobs completed, and %s were counted", completed, grown)
        if written.by != PERSON:
            self._expect_handing(state, jobs, written.at_us)

    def _expect_asked_for(self, view: View) -> None:
        """A claim brings no more than it asks for. Of those without a name nothing can be told, nor
        of what an older implementation has handed out.
        """
        claims, held = self._requests.claims, self._held[view.claim_id]
        unnamed = view.claim_id is None and (None in claims or view.id in self.disputed)
        few = view.lease is None or unnamed or held <= claims.get(view.claim_id or "", 0)
        expect(few, "claim %s got %s jobs", view.claim_id, held)

    def _read_ends(self, state: StateView, jobs: Jobs, at_us: int) -> dict[str, End]:
        """The jobs that ended with this version."""
        ended: dict[str, End] = {}
        for view in state.finished:
            life = self.lives.setdefault(view.id, JobLife())
            expect(view.id not in jobs, "job %s has ended and is queued", view.id)
            if life.end is None or self._undone(view, life.end):
                life.end = ended[view.id] = End(view.status, view.lease, at_us)
                if view.id not in self.jobs:
                    self._moved_now.append(view.id)
                    if view.id not in self.disputed:
                        self._handiwork.came(life, view.id, at_us)
                self._expect_end(view, self.jobs.get(view.id))
                if view.status == "completed" and view.lease is not None:
                    self.completed_us[view.lease] = at_us
            same = (life.end.status, life.end.lease) == (view.status, view.lease)
            expect(same, "job %s ended once: %s, %s", view.id, life.end, view)
        return ended

    def _undone(self, view: View, end: End) -> bool:
        """Whether an end was lost, and the job has ended again."""
        lost = self.shaken_us is not None and end.at_us <= self.shaken_us
        return lost and view.id in self.disputed and end.lease != view.lease

    def _expect_end(self, end: View, before: View | None) -> None:
        if end.status in {"cancelled", "discarded"}:
            asked = self._requests.cancelled(end.id, end.type) or self._orphaned(end, before)
            expect(asked, "job %s is %s, and nobody asked for that", end.id, end.status)
        if end.status == "completed":
            asked = self._requests.completed(
                end.id, end.lease, None if before is None else before.worker_id
            )
            expect(asked, "job %s is completed, and nobody asked for that", end.id)
            expect(
                before is not None and before.status == "in_progress" and before.lease == end.lease,
                "job %s was completed by lease %s, and %s stood before",
                end.id,
                end.lease,
                before,
            )

    def _orphaned(self, end: View, before: View | None) -> bool:
        """Whether a job ended because one that it waits for did so in the same version."""
        life = self.lives[end.id]
        at_us = None if life.end is None else life.end.at_us

        def how_ended_now(job_id: str) -> str | None:
            parent = self.lives.get(job_id)
            now = parent is not None and parent.end is not None and parent.end.at_us == at_us
            return self.how_ended(job_id) if now else None

        parents = end.after if before is None else before.waits_for
        return end.status == "cancelled" and ended_with_a_parent(parents, how_ended_now)

    def _changed(self, before: View | None, now: View, written: Written) -> None:
        life = self.lives.setdefault(now.id, JobLife())
        life.number = life.number or len(self.lives)
        asked = bool(life.views) or self._requests.submits[now.id] > 0
        asked = asked or is_of_a_time(now.id) or self._handiwork.added(now.id, written.at_us)
        expect(asked, "job %s is queued, and nobody asked for that", now.id)
        if now.id in self.disputed:
            life.end = None
        if before is None and life.end is None and now.id not in self.disputed:
            self._handiwork.came(life, now.id, written.at_us)
        if written.by != PERSON:
            self._expect_revived(life, before, now)
        expect(life.end is None, "job %s has ended, and comes back: %s", now.id, now)
        allowed = now.attempts <= now.attempts_allowed + self._handiwork.given_back(now.id)
        expect(allowed, "job %s has %s attempts of %s", now.id, now.attempts, now.attempts_allowed)
        runs = now.status == "in_progress" and (now.lease or now.id not in self.disputed)
        expect((now.lease is not None) == bool(runs), "a job has a lease while it runs: %s", now)
        if self._by_hand and written.by != PERSON and before is not None:
            kept = now.priority == before.priority or self._requests.priorities[now.id] > 0
            expect(kept, "what a person changed of job %s was undone", now.id)
        self._moved(now.id, now, before, written)

    def _expect_revived(self, life: JobLife, before: View | None, now: View) -> None:
        """A dead letter lives again when somebody has asked for that, in the archive as well."""
        if life.end is not None and life.end.status == "dead":
            life.earlier.append(life.end)
            life.end = None
        elif before is None or before.status != "dead" or now.status == "dead":
            return
        expect(
            self._requests.retried(now.id, now.type),
            "job %s was dead and lives, and nobody asked for that",
            now.id,
        )

    def _moved(self, job_id: str, now: View | None, before: View | None, written: Written) -> None:
        life, at_us = self.lives[job_id], written.at_us
        life.since_us.append(at_us)
        life.views.append(now)
        lease = None if now is None else now.lease
        lost = None if before is None else before.lease
        status = None if now is None else now.status
        if lease != lost or status != (None if before is None else before.status):
            self._moved_now.append(job_id)
        if lost is not None and lost != lease:
            assert before is not None
            self.leases[lost].gone_us = at_us
            self._held[before.claim_id] -= 1
            self.leases[lost].by_hand = written.by == PERSON
            if life.end is None and written.by != PERSON:
                self._silence.expect_reason(lost, self.leases[lost], before, written)
        if lease is not None and lease != lost:
            assert now is not None
            expect(lease not in self.leases, "lease %s is given once", lease)
            self.leases[lease] = LeaseLife(
                job_id, now.attempts, at_us, worker_id=now.worker_id, beat_us=at_us
            )
            self._held[now.claim_id] += 1
        elif lease is not None and before is not None and now is not None:
            self.leases[lease].beat_us = (
                at_us if now.heartbeat != before.heartbeat else self.leases[lease].beat_us
            )

    def _expect_handing(self, state: StateView, jobs: Jobs, at_us: int) -> None:
        asked = self._requests
        if asked.paused_us is not None and asked.paused_us <= at_us:
            expect(state.paused, "the queue was paused, and is not any more")
            expect_none_out(self.jobs, jobs)
        if at_us - asked.claims_left_us > HASTE_US:
            expect_in_order(self.jobs, jobs)
