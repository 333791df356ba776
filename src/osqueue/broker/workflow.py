"""Jobs that wait for others: what may be asked for, and what is shown of them."""

from __future__ import annotations

from osqueue.broker.engines import Lookup, QueueEngine
from osqueue.broker.refusals import refusal
from osqueue.broker.reply import Reply
from osqueue.engine.requests import Held
from osqueue.errors import BrokerProtocolError
from osqueue.model.ops import GetWorkflow
from osqueue.model.outcomes import Workflow
from osqueue.wire import messages
from osqueue.wire.messages import WorkflowEdge, WorkflowJob
from osqueue.wire.operations import PutQuery

__all__ = ["parents_in", "sound_after", "workflow"]


async def workflow(
    engine: QueueEngine, archive: Lookup | None, job_id: str, *, consistent: bool
) -> Reply[messages.Workflow]:
    """The jobs around one, which may also be known to the archive alone."""
    held = await engine.ask(GetWorkflow(job_id), consistent=consistent)
    if archive is not None and not _known(held):
        line = await archive.find(job_id)
        if line is not None:
            held = await engine.ask(GetWorkflow(job_id, line), consistent=consistent)
    if not isinstance(held.outcome, Workflow):
        error = refusal(held.outcome)
        error.position = held.position
        raise error
    return Reply(_shown(held.outcome), held.position)


def sound_after(after: list[str], job_id: str | None, field: str = "after") -> tuple[str, ...]:
    """What a job is to run after. Raises `BrokerProtocolError` for itself, or a job named twice."""
    if not after:
        return ()
    if job_id in after:
        raise BrokerProtocolError(f"`{field}`: job {job_id} cannot run after itself")
    if len(set(after)) < len(after):
        double = next(each for each in after if after.count(each) > 1)
        raise BrokerProtocolError(f"`{field}` holds the job id {double!r} twice")
    return tuple(after)


def parents_in(query: PutQuery, job_id: str) -> tuple[str, ...]:
    """The same, said in a query string."""
    return sound_after(query.parents, job_id)


def _known(held: Held) -> bool:
    """Whether more than its end is known of the job that was asked for."""
    return isinstance(held.outcome, Workflow) and held.outcome.jobs[0].type is not None


def _shown(found: Workflow) -> messages.Workflow:
    return messages.Workflow(
        jobs=[
            WorkflowJob(
                id=job.id, type=job.type, status=job.status, run_at=job.run_at, waits=job.waits
            )
            for job in found.jobs
        ],
        edges=[WorkflowEdge(parent, child) for parent, child in found.edges],
        more=found.more,
    )
