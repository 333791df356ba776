"""What may become of a job: the rules of the state machine, as its users see them."""

from __future__ import annotations

from msgspec import Raw
from tests.simulation.mutants import APPLY
from tests.simulation.rules.asks import (
    claim,
    claimed,
    complete,
    dead,
    fail,
    get,
    release,
    submit,
    submitted,
)
from tests.simulation.rules.rule import Edit, rule
from tests.simulation.rules.stage import Stage

from osqueue.errors import JobIdConflictError
from osqueue.testing.simulation.laws.law import expect
from osqueue.wire import operations as ops
from osqueue.wire.messages import SubmitBatchRequest, SubmitRequest

__all__: list[str] = []

ENDS = "osqueue.model.ends:EndMemory"
STATE = "osqueue.model.state:QueueState"


def ids(stage: Stage) -> list[str]:
    return [job["id"] for job in stage.state["jobs"]]


async def archived(stage: Stage) -> None:
    """All that has ended is in the archive, and no details are in the state."""
    await stage.until(lambda: not stage.state.get("finished"), "all is archived", within_s=30)


@rule(
    "a job that is submitted again is one job",
    Edit(f"{APPLY}:_is_same", "return same_job(job, new)", "return False"),
    found="JobIdConflictError",
)
async def submitted_again(stage: Stage) -> None:
    await stage.lead()
    await submitted(stage, "a", "a")
    expect(ids(stage) == ["a"], "it is there once")


@rule(
    "an id with another content is refused, never dropped",
    Edit(f"{APPLY}:_is_same", "return same_job(job, new)", "return True"),
    found="it was not refused",
)
async def another_content(stage: Stage) -> None:
    await stage.lead()
    await submit(stage, "a")
    error = await stage.refusal(submit(stage, "a", payload=Raw(b"2")))
    expect(isinstance(error, JobIdConflictError), "told %r", error)


@rule(
    "the id of an ended job with another content is refused, too",
    Edit(
        f"{APPLY}:_is_same",
        "return state.ends.content_of(new.id) in {None, content}",
        "return True",
    ),
    found="it was not refused",
)
async def another_content_ended(stage: Stage) -> None:
    await stage.lead()
    await complete(stage, await claimed(stage, "a"))
    error = await stage.refusal(submit(stage, "a", payload=Raw(b"2")))
    expect(isinstance(error, JobIdConflictError), "told %r", error)


@rule(
    "a batch is submitted whole, or not at all",
    Edit(f"{APPLY}:_submit", "return IdConflict(new.id)", "fresh.pop(new.id, None)"),
    found="it was not refused",
)
async def all_or_none(stage: Stage) -> None:
    await stage.lead()
    await submit(stage, "a")
    jobs = [
        SubmitRequest(job_id=job_id, type="mail", payload=Raw(b"2")) for job_id in ("b", "a", "c")
    ]
    await stage.refusal(stage.ask(ops.SUBMIT_BATCH, SubmitBatchRequest(jobs)))
    expect(ids(stage) == ["a"], "nothing of it is there")


@rule(
    "a job that has ended is remembered: submitting it again adds nothing",
    Edit(
        f"{APPLY}:_submit",
        "state.knows_any(fresh.keys())",
        "not state.jobs.keys().isdisjoint(fresh.keys())",
    ),
    found="job a has ended and is queued",
)
async def remembered(stage: Stage) -> None:
    await stage.lead()
    await complete(stage, await claimed(stage, "a"))
    await submit(stage, "a")
    expect(ids(stage) == [], "nothing was added")


@rule(
    "when its details have gone to the archive, its end is remembered for a minute",
    Edit(f"{ENDS}.trim", "- self._limits.dedupe_window_ms", ""),
    found="job a has ended, and comes back",
)
async def remembered_for_a_while(stage: Stage) -> None:
    await stage.lead()
    await complete(stage, await claimed(stage, "a"))
    await archived(stage)
    await stage.rest(10)
    await submit(stage, "a")
    expect(ids(stage) == [], "nothing was added")


@rule(
    "what is remembered of ends is forgotten in time",
    Edit(f"{ENDS}.trim", "end.since < oldest_kept", "False"),
    found="is forgotten",
)
async def forgotten(stage: Stage) -> None:
    await stage.lead()
    await complete(stage, await claimed(stage, "a"))
    await archived(stage)
    expect(stage.state["recent"], "it is remembered")
    await stage.rest(100)
    expect(not stage.state.get("recent"), "it is forgotten")


@rule(
    "a complete that is repeated gets the first answer again",
    Edit(f"{APPLY}:_repeated", "        return _DONE", "        return _lost(state, ref)"),
    found="was done, and is refused",
)
async def completed_again(stage: Stage) -> None:
    await stage.lead()
    job = await claimed(stage, "a")
    await complete(stage, job)
    await complete(stage, job)


@rule(
    "a fail that is repeated gets the first answer again",
    Edit(f"{APPLY}:_fail", "state.remember_lease(job.id, lease, how=FAILED, now=now)", "pass"),
    found="was done, and is refused",
)
async def failed_again(stage: Stage) -> None:
    await stage.lead()
    job = await claimed(stage, "a")
    await fail(stage, job)
    await fail(stage, job)


@rule(
    "a release that is repeated gets the first answer again",
    Edit(f"{APPLY}:_release", "state.remember_lease(job.id, lease, how=RELEASED, now=now)", "pass"),
    found="was done, and is refused",
)
async def released_again(stage: Stage) -> None:
    await stage.lead()
    job = await claimed(stage, "a")
    await release(stage, job)
    await release(stage, job)


@rule(
    "a cancel that is repeated gets the first answer again",
    Edit(
        f"{APPLY}:_cancel",
        "repeated = how in {JobStatus.CANCELLED, JobStatus.DISCARDED}",
        "repeated = False",
    ),
    found="JobNotFoundError",
)
async def cancelled_again(stage: Stage) -> None:
    await stage.lead()
    await submit(stage, "a")
    await stage.ask(ops.CANCEL, job_id="a")
    await stage.ask(ops.CANCEL, job_id="a")


@rule(
    "a lease that was lost is not told that it has completed its job",
    Edit(f"{APPLY}:_repeated", "return _lost(state, ref)", "return _DONE"),
    found="was told completed",
)
async def lost_told(stage: Stage) -> None:
    await stage.lead()
    job = await claimed(stage, "a")
    await release(stage, job)
    await stage.refusal(complete(stage, job))


@rule(
    "a cancelled job is gone",
    Edit(f"{APPLY}:_cancel", "state.cancel(job, now)", "pass"),
    found="was told cancelled, and lives",
)
async def cancelled(stage: Stage) -> None:
    await stage.lead()
    await submit(stage, "a")
    await stage.ask(ops.CANCEL, job_id="a")


@rule(
    "of one priority, jobs go out in the order in which they came",
    Edit("osqueue.model.index:ReadyIndex.pop", "heappop(queue.heap)", "queue.heap.pop()"),
    found="in order",
)
async def in_order(stage: Stage) -> None:
    await stage.lead()
    await submitted(stage, "a", "b", "c")
    went = [job.job_id for _ in range(3) for job in await claim(stage)]
    expect(went == ["a", "b", "c"], "in order: %s", went)


@rule(
    "jobs of a lower priority go out first",
    Edit("osqueue.model.index:_key", "job.priority == 0", "True"),
    found="the lowest first",
)
async def lowest_first(stage: Stage) -> None:
    await stage.lead()
    await submit(stage, "a")
    await submit(stage, "b", priority=-1)
    (job,) = await claim(stage)
    expect(job.job_id == "b", "the lowest first")


@rule(
    "a job whose time has not come is not handed out",
    Edit(f"{STATE}.promote_due", "self.delayed.pop_due(wall_ms)", "self.delayed.pop_due(2**60)"),
    found="nothing is due",
)
async def delayed(stage: Stage) -> None:
    await stage.lead()
    clock = stage.process("broker-1").clock
    due_ms = clock.wall_ms() + 10_000
    await submit(stage, "a", run_at=due_ms)
    expect(await claim(stage) == [], "nothing is due")
    await claim(stage, wait_ms=20_000)
    expect(due_ms <= clock.wall_ms() < due_ms + 1_000, "it is handed out when it is due")


@rule(
    "a paused queue hands nothing out",
    Edit(f"{APPLY}:_claim", "state.paused", "False"),
    found="was handed out while the queue was paused",
)
async def paused(stage: Stage) -> None:
    await stage.lead()
    await submit(stage, "a")
    await stage.ask(ops.PAUSE)
    expect(await claim(stage) == [], "nothing is handed out")
    await stage.ask(ops.RESUME)
    expect(len(await claim(stage)) == 1, "then it is")


@rule(
    "a job that has ended leaves the queue in the same commit, and stands among the finished",
    Edit(f"{STATE}._end", "self.ends.add_job(job)", "pass"),
    found="left the queue without an end",
)
async def ends_at_once(stage: Stage) -> None:
    await stage.lead()
    await complete(stage, await claimed(stage, "a"))
    (end,) = stage.state["finished"]
    expect(end["status"] == "completed", "it is completed")


@rule(
    "what has finished keeps no payload",
    Edit(f"{STATE}._end", 'job.payload, job.encoded = UNSET, b""', "pass"),
    Edit(
        "osqueue.model.codec:encode_finished",
        "payload_of(job) if job.status is JobStatus.DEAD else UNSET",
        "payload_of(job)",
    ),
    found="has a payload",
)
async def no_payload(stage: Stage) -> None:
    await stage.lead()
    await complete(stage, await claimed(stage, "a"))
    (end,) = stage.state["finished"]
    expect("payload" not in end, "what has finished has a payload: %s", end)


@rule(
    "a dead letter is kept, and lives again when it is told to",
    Edit(f"{STATE}.revive", "self._place(job)", "pass"),
    found="it goes out again",
)
async def lives_again(stage: Stage) -> None:
    await stage.lead()
    await dead(stage, "a")
    info = await get(stage, "a")
    expect(info.status == "dead" and info.last_error is not None, "it is dead: %s", info)
    await stage.ask(ops.RETRY, job_id="a")
    expect([job.job_id for job in await claim(stage)] == ["a"], "it goes out again")
