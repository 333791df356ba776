"""A queue without a broker: several processes that write it, each by compare-and-swap."""

from __future__ import annotations

from functools import partial

from tests.simulation.rules.asks import claim, claimed, get, keep, submit, submitted
from tests.simulation.rules.rule import Edit, rule
from tests.simulation.rules.stage import Stage

from osqueue.errors import BrokerLeadershipError
from osqueue.testing.simulation.laws.law import expect

__all__: list[str] = []

TENURE = "osqueue.engine.tenure:Sharing"


async def share(stage: Stage, *names: str) -> None:
    for name in names or ("sharer-1", "sharer-2"):
        stage.process(name).start()
        await stage.until(partial(stage.shares, name), f"{name} has joined")


@rule(
    "what two processes write at once is both done",
    Edit(f"{TENURE}.goes_on", "origin is not None and", "origin is None and"),
    found="BrokerLeadershipError",
    sharers=2,
)
async def both_done(stage: Stage) -> None:
    await share(stage)
    await submit(stage, "z", at="sharer-1")
    caught = stage.catch("sharer-1", naming='"a"')
    asked = stage.begin(submit(stage, "a", at="sharer-1"))
    write = await caught
    await submit(stage, "b", at="sharer-2")
    write.go()
    await stage.told(asked)
    ids = sorted(job["id"] for job in stage.state["jobs"])
    expect(ids == ["a", "b", "z"], "all are there: %s", ids)


@rule(
    "a process knows by its own entry in the line of commits what landed of its own",
    Edit(
        f"{TENURE}.fate",
        "return fate_among_writers(origin, commit, base=read_origin(base.data))",
        "return Fate.NOT_APPLIED",
    ),
    found="is given once",
    sharers=2,
)
async def own_entry(stage: Stage) -> None:
    """Its claim landed unseen, and another wrote on it."""
    await share(stage)
    await submitted(stage, "a", "b", at="sharer-1")
    caught = stage.catch("sharer-1", naming="in_progress")
    claiming = stage.begin(claim(stage, at="sharer-1", claim_id=None))
    write = await caught
    write.apply()
    await submit(stage, "c", at="sharer-2")
    write.fail()
    (job,) = await stage.told(claiming)
    running = [each["id"] for each in stage.state["jobs"] if each["status"] == "in_progress"]
    expect(running == [job.job_id], "it got the same job twice, or another: %s", running)


@rule(
    "beside a broker nobody writes: who shared the queue stops, and names the leader",
    Edit(f"{TENURE}.goes_on", "and origin.broker is None", ""),
    found="was written beside the broker",
    sharers=1,
)
async def beside_leader(stage: Stage) -> None:
    await share(stage, "sharer-1")
    await submit(stage, "a", at="sharer-1")
    await stage.lead()
    error = await stage.refusal(submit(stage, "b", at="sharer-1"))
    assert isinstance(error, BrokerLeadershipError), error
    expect((error.leader, error.applied) == ("broker-1:8080", "no"), "told %s", error)
    await submit(stage, "b")


@rule(
    "who would share a queue that is led is told who leads it",
    Edit(
        "osqueue.engine.leadership:Leadership.meet",
        "if self._election.leader is not None:",
        "if False:",
    ),
    found="in time it is told",
    sharers=1,
)
async def met_at_start(stage: Stage) -> None:
    await stage.lead()
    stage.process("sharer-1").start()
    await stage.until(lambda: not stage.process("sharer-1").alive, "it is told", within_s=5)


@rule(
    "heartbeats are written, but no more often than every third of the time-out",
    Edit("osqueue.model.state:QueueState.renew", "if 0 <= age_ms < least_ms:", "if False:"),
    found="writes",
    sharers=1,
)
async def thirds(stage: Stage) -> None:
    await share(stage, "sharer-1")
    job = await claimed(stage, "a", at="sharer-1")
    written = len(stage.written)
    for _ in range(31):
        await keep(stage, job, at="sharer-1")
        await stage.rest(1)
    writes = len(stage.written) - written
    expect(2 <= writes <= 4, "%s writes", writes)


@rule(
    "another's lease runs out only after one has seen it stand still for the whole time-out",
    Edit(
        "osqueue.model.snapshot:_read_jobs",
        "now.serving + state.limits.lease_timeout_ms",
        "now.serving + 1",
    ),
    found="who had watched it",
    sharers=2,
)
async def seen_standing(stage: Stage) -> None:
    await share(stage)
    await claimed(stage, "a", at="sharer-1")
    await stage.rest(25)
    stage.process("sharer-1").kill()
    waiting = stage.begin(claim(stage, "w2", at="sharer-2", wait_ms=60_000))
    await stage.rest(25)
    expect(not waiting.done(), "it holds it still")
    (job,) = await stage.told(waiting)
    expect(job.job_id == "a", "then it does not")


@rule(
    "where a broker led in between, a lease has a whole time-out again",
    Edit(
        "osqueue.engine.committer:Committer._go_on",
        "if before is not None and origin.epoch != before.epoch:",
        "if False:",
    ),
    found="who had watched it",
    sharers=2,
)
async def led_in_between(stage: Stage) -> None:
    """One of them, idle, notices nothing of a broker that may have kept heartbeats in memory."""
    await share(stage)
    await claimed(stage, "a", at="sharer-1")
    await get(stage, "a", at="sharer-2", consistent=True)
    await stage.rest(20)
    await stage.lead()
    await stage.rest(3)
    stage.stop("broker-1")
    await stage.until(lambda: stage.state["broker"] is None, "it gives the place back")
    stage.begin(claim(stage, "w2", at="sharer-2", wait_ms=20_000))
    await stage.rest(15)
    expect(stage.job("a"), "it holds it still")
