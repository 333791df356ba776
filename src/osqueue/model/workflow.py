"""The jobs around one job: those that it runs after, those that run after it, and on from there.

Breadth first, over what is in the queue and what is remembered of jobs that have ended, and bounded
at any size: no more is looked at than can be shown. Of a job whose details are gone it is not known
what it came after; one that is not known at all stands there by its id alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from typing import NamedTuple

from osqueue.config import WORKFLOW_EDGES_MAX, WORKFLOW_JOBS_MAX
from osqueue.model.codec import decode_finished
from osqueue.model.job import Job
from osqueue.model.ops import GetWorkflow
from osqueue.model.outcomes import NotFound, Workflow, WorkflowJob
from osqueue.model.state import QueueState

__all__ = ["UNKNOWN", "workflow"]

UNKNOWN = "unknown"
"""The status of a job that is neither in the queue nor remembered."""


def workflow(state: QueueState, op: GetWorkflow) -> Workflow | NotFound:
    """The connected jobs, the one that is asked for first."""
    known = _Known(state, None if op.archived is None else decode_finished(op.archived))
    if known.job(op.id) is None and op.id not in state.ends:
        return NotFound(op.id)
    ids, all_of_them = _connected(known, op.id)
    edges = [(parent, child) for child in ids for parent in known.after(child) if parent in ids]
    return Workflow(
        tuple(map(known.shown, ids)),
        tuple(edges[:WORKFLOW_EDGES_MAX]),
        more=not all_of_them or len(edges) > WORKFLOW_EDGES_MAX,
    )


class _Known(NamedTuple):
    """What there is to be known of jobs. ``archived``: one that was found elsewhere."""

    state: QueueState
    archived: Job | None

    def job(self, job_id: str) -> Job | None:
        found = self.state.jobs.get(job_id) or self.state.ends.finished_job(job_id)
        if found is None and self.archived is not None and self.archived.id == job_id:
            return self.archived
        return found

    def after(self, job_id: str) -> tuple[str, ...]:
        job = self.job(job_id)
        return () if job is None else job.after

    def neighbours(self, job_id: str) -> Iterator[str]:
        live, ended = self.state.family.of(job_id), self.state.ends.family.of(job_id)
        return chain(self.after(job_id), (job.id for job in live), (job.id for job in ended))

    def shown(self, job_id: str) -> WorkflowJob:
        job = self.job(job_id)
        if job is None:
            return WorkflowJob(job_id, self.state.ends.how_job_ended(job_id) or UNKNOWN)
        return WorkflowJob(job_id, job.status.value, job.type, job.run_at, waits=job.waits)


def _connected(known: _Known, first: str) -> tuple[dict[str, None], bool]:
    """The jobs that can be shown, nearest first, and whether those are all."""
    found = {first: None}
    queue = [first]
    for job_id in queue:
        for other in known.neighbours(job_id):
            if other in found:
                continue
            if len(found) == WORKFLOW_JOBS_MAX:
                return found, False
            found[other] = None
            queue.append(other)
    return found, True
