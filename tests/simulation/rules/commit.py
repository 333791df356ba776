"""Group commit: when a request is applied, when it is answered, and what bounds it all."""

from __future__ import annotations

from msgspec import Raw
from tests.simulation.mutants import APPLY, COMMITTER
from tests.simulation.rules.asks import (
    claim,
    claimed,
    complete,
    get,
    keep,
    submit,
    submitted,
)
from tests.simulation.rules.rule import ORDINARY, Edit, rule
from tests.simulation.rules.stage import Stage

from osqueue.config import (
    ArchiveSettings,
    BrokerSettings,
    CommitSettings,
    QueueLimits,
)
from osqueue.errors import OverloadedError, StorageBackendError, TransportRequestError
from osqueue.testing.simulation.laws.law import expect
from osqueue.wire import operations as ops
from osqueue.wire.messages import PriorityRequest

__all__: list[str] = []

INTAKE = "osqueue.engine.intake:Intake"


def bounded(**bounds: int) -> BrokerSettings:
    return BrokerSettings(limits=ORDINARY.limits, commit=CommitSettings(**bounds))


async def expect_overloaded(stage: Stage, *job_ids: str) -> None:
    for job_id in job_ids:
        error = await stage.refusal(submit(stage, job_id))
        expect(isinstance(error, OverloadedError) and error.retryable, "overloaded: %s", error)
        expect(error.applied == "no", "it was not applied")


@rule(
    "a change is answered when the commit that contains it is durable",
    Edit(
        f"{COMMITTER}._settle",
        "if held.writes or not (held.answered or self._fresh(held, now)):",
        "if not (held.answered or self._fresh(held, now)):",
    ),
    found="was acknowledged and is not durable",
    settings=bounded(interval_ms=3_000),
)
async def answer_held(stage: Stage) -> None:
    await stage.lead()
    await submit(stage, "a")
    expect(stage.job("a"), "it is durable")


@rule(
    "a job that is submitted while a claim waits is claimed in the same commit",
    Edit(f"{COMMITTER}.arrive", "self._intake.serve_waiting(held.at, now.mono)", "pass"),
    Edit(f"{COMMITTER}.tick", "if len(self._intake.waiting) > 0:", "if not self._intake.dirty:"),
    found="in the commit that brings it",
)
async def same_commit(stage: Stage) -> None:
    await stage.lead()
    claiming = stage.begin(claim(stage, wait_ms=20_000))
    await stage.rest(2)
    await submit(stage, "a")
    (job,) = await stage.told(claiming)
    (first, *_) = [each for each in stage.versions() if each["jobs"]]
    leases = [each.get("lease") for each in first["jobs"]]
    expect(leases == [job.lease], "it is claimed in the commit that brings it")


@rule(
    "a read that insists waits for a proof of leadership that began after it",
    Edit(
        f"{COMMITTER}._fresh", "held.consistent and self._confirmed_arrivals < held.order", "False"
    ),
    found="the newest",
)
async def consistent(stage: Stage) -> None:
    await stage.lead()
    await submitted(stage, "a")
    stage.edit(lambda state: state["jobs"][0].update(priority=5))
    info = await get(stage, "a", consistent=True)
    expect(info.priority == 5, "it is the newest that was read")


async def lead_unseen(stage: Stage) -> None:
    """Another has taken the place, and a job's end, from a leader that does not know yet: nothing
    is due to be written, and the other was told that nobody is there.
    """
    await stage.lead()
    job = await claimed(stage, "a")
    written = len(stage.written)
    await stage.until(lambda: len(stage.written) > written, "a heartbeat is written")
    stage.refuse("broker-2", "broker-1")
    await stage.lead("broker-2")
    await complete(stage, job, at="broker-2")
    expect(stage.leads("broker-1"), "it does not know")


@rule(
    "a read is answered only by a leader that was confirmed a moment ago",
    Edit(
        f"{COMMITTER}._fresh",
        "if held.consistent and self._confirmed_arrivals < held.order:",
        "if True:\n        return True\n    if False:",
    ),
    found="was read as in_progress",
    brokers=2,
)
async def confirmed(stage: Stage) -> None:
    await lead_unseen(stage)
    await stage.rest(1.3)
    await stage.refusal(get(stage, "a"))


@rule(
    "what cannot be confirmed for as long as a leader may be silent is refused",
    Edit(f"{COMMITTER}._patrol", "elif not held.writes and waited >=", "elif False and waited >="),
    found="in time a caller is told",
)
async def unconfirmed(stage: Stage) -> None:
    await stage.lead()
    stage.cut("broker-1")
    await stage.rest(3)
    reading = stage.begin(get(stage, "a"))
    await stage.until(reading.done, "a caller is told", within_s=15)
    error = await stage.refusal(reading)
    expect(isinstance(error, StorageBackendError) and error.applied == "no", "told %r", error)


@rule(
    "a change that the store does not confirm in time is told unknown",
    Edit(f"{COMMITTER}._patrol", "if held.writes and waited >=", "if False and waited >="),
    found="in time a caller is told",
)
async def unanswered(stage: Stage) -> None:
    await stage.lead()
    stage.cut("broker-1")
    writing = stage.begin(submit(stage, "a"))
    await stage.until(writing.done, "a caller is told", within_s=45)
    error = await stage.refusal(writing)
    expect(error.applied == "unknown", "told %s", error)


@rule(
    "a client takes no answer that is older than what it has seen",
    Edit(
        "osqueue.client.caller:Seen._older",
        "if latest is None or position >= latest:",
        "if True:",
    ),
    found="goes back",
    brokers=2,
    given=(
        Edit(
            f"{COMMITTER}._fresh",
            "if held.consistent and self._confirmed_arrivals < held.order:",
            "if True:\n        return True\n    if False:",
        ),
    ),
)
async def positions(stage: Stage) -> None:
    """Even of a leader that does not know that it has lost its place, and answers all the same."""
    await lead_unseen(stage)
    client = stage.client_of("broker-2", "broker-1")
    stats = await client.get_stats()
    expect(stats.completed_total == 1, "it has completed")
    stage.kill("broker-2")
    expect(stage.leads("broker-1"), "it does not know")
    stats = await client.get_stats()
    expect(stats.completed_total == 1, "what it saw goes back")


@rule(
    "requests that wait for a commit are bounded in number",
    Edit(
        f"{INTAKE}.overload",
        "len(self.pending) + committing >= self._settings.pending_ops_max",
        "False",
    ),
    found="it was not refused",
    settings=bounded(pending_ops_max=3),
)
async def pending_bounded(stage: Stage) -> None:
    await stage.lead()
    caught = stage.catch("broker-1", naming='"a"')
    asked = [stage.begin(submit(stage, "a"))]
    write = await caught
    asked.append(stage.begin(submit(stage, "b")))
    await stage.rest(0.1)
    refused = stage.begin(expect_overloaded(stage, "c"))
    await stage.rest(0.1)
    write.go()
    await stage.told(refused)
    for each in asked:
        await stage.told(each)
    await submit(stage, "c")


@rule(
    "requests that wait for a commit are bounded in bytes",
    Edit(
        f"{INTAKE}.overload", "self._bytes + held.size > self._settings.pending_bytes_max", "False"
    ),
    found="it was not refused",
    settings=bounded(pending_bytes_max=6_000),
)
async def bytes_bounded(stage: Stage) -> None:
    await stage.lead()
    caught = stage.catch("broker-1", naming='"a"')
    asked = [stage.begin(submit(stage, "a"))]
    write = await caught
    text = Raw(b'"' + b"x" * 5_000 + b'"')
    asked.append(stage.begin(submit(stage, "b", payload=text)))
    await stage.rest(0.1)
    refused = stage.begin(stage.refusal(submit(stage, "c", payload=text)))
    await stage.rest(0.1)
    write.go()
    error = await stage.told(refused)
    expect(isinstance(error, OverloadedError), "told %s", error)
    for each in asked:
        await stage.told(each)


@rule(
    "claims that wait are bounded",
    Edit(f"{INTAKE}._wait", "len(self.waiting) >= self._settings.waiting_claims_max", "False"),
    found="it was not refused",
    settings=bounded(waiting_claims_max=2),
)
async def waiting_bounded(stage: Stage) -> None:
    await stage.lead()
    claiming = [stage.begin(claim(stage, f"w{n}", wait_ms=5_000)) for n in range(2)]
    await stage.rest(0.5)
    error = await stage.refusal(claim(stage, "w3", wait_ms=5_000))
    expect(isinstance(error, OverloadedError), "told %s", error)
    for each in claiming:
        await stage.told(each)


@rule(
    "when the state is full, submits are refused, and claims and completes go on",
    Edit(
        f"{APPLY}:_submit", "fresh and state.size + weight > state.limits.state_bytes_max", "False"
    ),
    found="it was not refused",
    settings=BrokerSettings(limits=QueueLimits(archived=True, state_bytes_max=4_000)),
)
async def state_bounded(stage: Stage) -> None:
    await stage.lead()
    text = Raw(b'"' + b"x" * 2_500 + b'"')
    await submit(stage, "a", payload=text)
    error = await stage.refusal(submit(stage, "b", payload=text))
    expect(isinstance(error, OverloadedError) and error.applied == "no", "told %r", error)
    (job,) = await claim(stage)
    await complete(stage, job)
    await submit(stage, "b", payload=text)


@rule(
    "when the archive cannot be written and ended jobs pile up, submits are refused",
    Edit(
        f"{APPLY}:_submit",
        "fresh and state.ends.finished_bytes > state.limits.finished_bytes_max",
        "False",
    ),
    found="it was not refused",
    settings=BrokerSettings(
        limits=QueueLimits(archived=True, finished_bytes_max=1_000),
        archive=ArchiveSettings(linger_ms=1_000),
    ),
)
async def finished_bounded(stage: Stage) -> None:
    await stage.lead()
    caught = stage.catch("broker-1", key="archive/")
    await submitted(stage, *[f"a{number}" for number in range(8)])
    for job in await claim(stage, max=8):
        await complete(stage, job)
    await expect_overloaded(stage, "b")
    (await caught).go()
    await stage.until(lambda: not stage.state.get("finished"), "all is archived")
    await submit(stage, "b")


@rule(
    "an idle queue is written for nothing but the leader's heartbeat",
    Edit(f"{COMMITTER}.wants_commit", "return self._intake.dirty or resigns or", "return True or"),
    found="writes",
)
async def idle(stage: Stage) -> None:
    await stage.lead()
    written = len(stage.written)
    await stage.rest(60)
    writes = len(stage.written) - written
    expect(15 <= writes <= 25, "%s writes", writes)


@rule(
    "heartbeats of workers cause no write of their own",
    Edit(
        f"{APPLY}:_heartbeat", "state.renew(job, now)", "state.renew(job, now); state.revision += 1"
    ),
    found="writes",
)
async def quiet_heartbeats(stage: Stage) -> None:
    await stage.lead()
    job = await claimed(stage, "a")
    written = len(stage.written)
    for _ in range(60):
        await keep(stage, job)
        await stage.rest(0.5)
    writes = len(stage.written) - written
    expect(writes <= 15, "%s writes", writes)
    await complete(stage, job)


@rule(
    "a request that fails inside is refused alone, and leaves no trace",
    Edit(f"{INTAKE}._drop_faulty", "self.rebuild(self.fixed, self.pending, held.at)", "pass"),
    found="left a trace",
    given=(
        Edit(
            f"{APPLY}:_set_priority",
            "job = state.jobs.get(op.id)",
            'state.pause()\n    raise RuntimeError("a fault")\n    job = state.jobs.get(op.id)',
        ),
    ),
)
async def faulty_alone(stage: Stage) -> None:
    await stage.lead()
    caught = stage.catch("broker-1", naming='"a"')
    asked = [stage.begin(submit(stage, "a"))]
    write = await caught
    asked.append(stage.begin(submit(stage, "b")))
    await stage.rest(0.01)
    request = PriorityRequest(priority=1)
    failing = stage.begin(stage.refusal(stage.ask(ops.SET_PRIORITY, request, job_id="a")))
    asked.append(stage.begin(submit(stage, "c")))
    await stage.rest(0.1)
    write.go()
    error = await stage.told(failing)
    expect(isinstance(error, TransportRequestError), "told %r", error)
    for each in asked:
        await stage.told(each)
    expect(not stage.state.get("paused"), "what failed left a trace")
    expect([job["id"] for job in stage.state["jobs"]] == ["a", "b", "c"], "the others are there")
