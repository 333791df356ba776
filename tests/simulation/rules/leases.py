"""Leases: who holds a job, for how long, and what attempts count."""

from __future__ import annotations

from tests.simulation.mutants import APPLY, COMMITTER
from tests.simulation.rules.asks import (
    claim,
    claimed,
    complete,
    dead,
    fail,
    keep,
    release,
    submit,
    submitted,
)
from tests.simulation.rules.rule import Edit, rule
from tests.simulation.rules.stage import Stage

from osqueue.errors import LeaseLostError
from osqueue.testing.simulation.laws.law import expect
from osqueue.wire import operations as ops

__all__: list[str] = []

STATE = "osqueue.model.state:QueueState"
SERVING = "osqueue.engine.serving:ServingClock.read"


def attempts(stage: Stage, job_id: str) -> int:
    job = stage.job(job_id)
    expect(job is not None, "job %s is there", job_id)
    assert job is not None
    count: int = job.get("attempts", 0)
    return count


def status(stage: Stage, job_id: str) -> str:
    job = stage.job(job_id)
    return "ended" if job is None else str(job["status"])


@rule(
    "a claim that is repeated answers the leases that it still holds",
    Edit(f"{APPLY}:_claim", "if held:", "if False:"),
    found="claim c1 got 2 jobs",
)
async def claim_repeated(stage: Stage) -> None:
    await stage.lead()
    await submitted(stage, "a", "b")
    (first,) = await claim(stage, claim_id="c1")
    (again,) = await claim(stage, claim_id="c1")
    expect(first.lease == again.lease, "the same lease")


@rule(
    "a stale lease ends nothing",
    Edit(
        f"{APPLY}:_complete",
        "not _holds(job, worker_id, ref.lease)",
        "job.status is not JobStatus.IN_PROGRESS",
    ),
    found="nobody asked for that",
)
async def stale(stage: Stage) -> None:
    await stage.lead()
    old = await claimed(stage, "a", "w1")
    await release(stage, old)
    (new,) = await claim(stage, "w2")
    error = await stage.refusal(complete(stage, old))
    expect(isinstance(error, LeaseLostError), "told %r", error)
    await complete(stage, new, "w2")


@rule(
    "a lease is never given a second time",
    Edit(f"{APPLY}:_claim", 'f"{op.lease_seed}-{len(grants)}"', 'f"{job.id}-{job.attempts}"'),
    found="is given once",
)
async def never_reused(stage: Stage) -> None:
    await stage.lead()
    await release(stage, await claimed(stage, "a"))
    await claim(stage)


@rule(
    "who states no lease, as older clients do, must be the worker that holds the job",
    Edit(f"{APPLY}:_holds", "job.worker_id == worker_id if lease is None", "True if lease is None"),
    found="nobody asked for that",
)
async def by_worker(stage: Stage) -> None:
    await stage.lead()
    job = await claimed(stage, "a", "w1")
    error = await stage.refusal(complete(stage, job, "w2", lease=None))
    expect(isinstance(error, LeaseLostError), "told %r", error)
    await complete(stage, job, "w1", lease=None)


@rule(
    "a claim counts an attempt",
    Edit(f"{STATE}.claim", "job.attempts += 1", "pass"),
    found="1 after a claim",
)
async def attempt_counted(stage: Stage) -> None:
    await stage.lead()
    await claimed(stage, "a")
    expect(attempts(stage, "a") == 1, "1 after a claim")


@rule(
    "a release takes its attempt back",
    Edit(f"{STATE}.release", "job.attempts = max(0, job.attempts - 1)", "pass"),
    found="0 after a release",
)
async def attempt_given_back(stage: Stage) -> None:
    await stage.lead()
    await release(stage, await claimed(stage, "a"))
    expect(attempts(stage, "a") == 0, "0 after a release")


@rule(
    "the retry of a dead letter begins its attempts anew",
    Edit(f"{STATE}.revive", "job.attempts = 0", "pass"),
    found="0 after a retry",
)
async def attempts_reset(stage: Stage) -> None:
    await stage.lead()
    await dead(stage, "a")
    await stage.ask(ops.RETRY, job_id="a")
    expect(attempts(stage, "a") == 0, "0 after a retry")


@rule(
    "who is out of attempts is a dead letter",
    Edit(f"{APPLY}:_fail", "op.retry and job.attempts < job.attempts_allowed", "op.retry"),
    found="it is dead",
)
async def out_of_attempts(stage: Stage) -> None:
    await stage.lead()
    job = await claimed(stage, "a", max_attempts=1)
    await fail(stage, job)
    expect(status(stage, "a") == "dead", "it is dead")


@rule(
    "what fails for good is a dead letter at once",
    Edit(f"{APPLY}:_fail", "op.retry and job.attempts", "job.attempts"),
    found="it is dead",
)
async def for_good(stage: Stage) -> None:
    await stage.lead()
    await dead(stage, "a", max_attempts=5)
    expect(status(stage, "a") == "dead", "it is dead")


@rule(
    "an attempt whose lease runs out counts, and the last one makes a dead letter",
    Edit(f"{APPLY}:_expire", "if job.attempts < job.attempts_allowed:", "if True:"),
    found="it is dead",
)
async def expired_dead(stage: Stage) -> None:
    await stage.lead()
    await claimed(stage, "a", max_attempts=1)
    await stage.rest(40)
    expect(status(stage, "a") == "dead", "it is dead")


@rule(
    "a heartbeat keeps a lease for the whole time-out again",
    Edit(f"{APPLY}:_heartbeat", "state.renew(job, now)", "pass"),
    found="was taken away",
)
async def renewed(stage: Stage) -> None:
    await stage.lead()
    job = await claimed(stage, "a")
    for _ in range(8):
        await stage.rest(10)
        expect(await keep(stage, job) == [None], "it is kept")


@rule(
    "a lease whose holder is silent runs out by itself",
    Edit(
        f"{COMMITTER}._expire",
        "moment.serving >= seen_at + self._settings.expiry_grace_ms",
        "False",
    ),
    found="in time another gets the job",
)
async def silent(stage: Stage) -> None:
    await stage.lead()
    await claimed(stage, "a", "w1")
    claiming = stage.begin(claim(stage, "w2", wait_ms=60_000))
    await stage.until(claiming.done, "another gets the job", within_s=35)
    (job,) = await stage.told(claiming)
    expect(job.job_id == "a", "it is the same job")


@rule(
    "time in which the store did not answer takes nothing from a lease",
    Edit(SERVING, "if unresolved_since is not None:", "if False:"),
    found="was taken away",
)
async def outage(stage: Stage) -> None:
    await stage.lead()
    job = await claimed(stage, "a")
    stage.cut("broker-1")
    await stage.rest(60)
    stage.mend("broker-1")
    await stage.rest(10)
    expect(await keep(stage, job) == [None], "it is kept")


@rule(
    "time in which the broker stood still takes nothing from a lease",
    Edit(SERVING, "due is not None and mono_ms - due > self._pause_ms_max", "False"),
    found="was taken away",
)
async def stood_still(stage: Stage) -> None:
    await stage.lead()
    job = await claimed(stage, "a")
    await stage.rest(20)
    expect(await keep(stage, job) == [None], "it is kept")
    await stage.rest(1)
    stage.process("broker-1").pause()
    await stage.rest(28)
    stage.process("broker-1").resume()
    await stage.rest(5)
    expect(await keep(stage, job) == [None], "it was taken away")


@rule(
    "requests that have been received are applied before a lease runs out",
    Edit(
        f"{COMMITTER}._expire",
        "self._expiry_seen_at = moment.serving",
        "self._intake.own(Expire(), moment)",
    ),
    found="it is kept",
)
async def received_first(stage: Stage) -> None:
    """The broker was busy for a moment when the heartbeat came, and the lease was just due."""
    await stage.lead()
    job = await claimed(stage, "a")
    broker = stage.process("broker-1")
    await stage.rest(30 / broker.life.rate * stage.rate - 0.2)
    broker.pause()
    await stage.rest(0.3)
    keeping = stage.begin(keep(stage, job))
    await stage.rest(0.1)
    broker.resume()
    expect(await stage.told(keeping) == [None], "it is kept")


@rule(
    "after a takeover a lease has a whole time-out of its own",
    Edit(
        "osqueue.model.snapshot:_read_jobs",
        "now.serving + state.limits.lease_timeout_ms",
        "now.serving + 1",
    ),
    found="was taken away",
    brokers=2,
)
async def fresh_after_takeover(stage: Stage) -> None:
    await stage.lead()
    job = await claimed(stage, "a")
    stage.process("broker-2").start()
    await stage.rest(20)
    stage.kill("broker-1")
    await stage.until(lambda: stage.leads("broker-2"), "another leads")
    await stage.rest(25)
    expect(await keep(stage, job, at="broker-2") == [None], "it is kept")


@rule(
    "what a worker's list does not name, though it was granted a while ago, goes back",
    Edit(f"{APPLY}:_heartbeat", "if op.complete_list:", "if False:"),
    found="it went back",
)
async def orphan(stage: Stage) -> None:
    await stage.lead()
    await claimed(stage, "a")
    await stage.rest(12)
    await keep(stage, whole=True)
    expect(status(stage, "a") == "unclaimed", "it went back")
    expect(attempts(stage, "a") == 0, "with its attempt")


@rule(
    "what was granted a moment ago does not go back for not being named",
    Edit(f"{APPLY}:_release_orphans", " - state.limits.orphan_after_ms", ""),
    found="was taken away",
)
async def on_its_way(stage: Stage) -> None:
    await stage.lead()
    await claimed(stage, "a")
    await stage.rest(1)
    await keep(stage, whole=True)
    expect(status(stage, "a") == "in_progress", "it was taken away")


@rule(
    "the jobs of a claim whose caller has gone are given back",
    Edit(f"{COMMITTER}.withdraw", "if refs:", "if False:"),
    found="in time it was given back",
)
async def caller_gone(stage: Stage) -> None:
    await stage.lead()
    await submit(stage, "a")
    caught = stage.catch("broker-1", naming="in_progress")
    claiming = stage.begin(claim(stage))
    write = await caught
    claiming.cancel()
    await stage.rest(0.5)
    write.go()
    await stage.until(lambda: status(stage, "a") == "unclaimed", "it was given back", within_s=2)


@rule(
    "clocks that are put forward or back change nothing",
    Edit(
        f"{COMMITTER}._advance",
        "return Moment(now.wall, serving)",
        "return Moment(now.wall, now.wall)",
    ),
    found="was taken away",
)
async def clock_steps(stage: Stage) -> None:
    await stage.lead()
    job = await claimed(stage, "a")
    for by_ms in (3_600_000, -7_200_000, 3_600_000):
        stage.process("broker-1").step_clock(by_ms)
        await stage.rest(5)
        expect(await keep(stage, job) == [None], "it is kept")
    expect(status(stage, "a") == "in_progress", "it was taken away")
