"""What is kept outside of the state: the archive and payload objects; and schedules."""

from __future__ import annotations

from collections import Counter

import msgspec
from msgspec import Raw
from tests.simulation.mutants import APPLY, COMMITTER
from tests.simulation.rules.asks import claim, claimed, complete, dead, get, submit
from tests.simulation.rules.rule import Edit, rule
from tests.simulation.rules.stage import Stage

from osqueue.client.models import NewJob
from osqueue.config import ArchiveSettings, BrokerSettings, PayloadSettings, QueueLimits
from osqueue.storage.protocol import Version
from osqueue.testing.simulation.laws.law import expect
from osqueue.wire import operations as ops

__all__: list[str] = []

ARCHIVER = "osqueue.engine.archiver:Archiver"
OBJECTS = "osqueue.engine.payloads:PayloadObjects"
SWEEPER = "osqueue.engine.sweeper"

QUICK = BrokerSettings(
    limits=QueueLimits(archived=True, payload_inline_max=100, dead_max=2),
    payloads=PayloadSettings(sweep_first_ms=500, sweep_every_ms=500),
    archive=ArchiveSettings(linger_ms=1_000),
)
LARGE = Raw(b'"' + b"x" * 1_000 + b'"')


def archived(stage: Stage) -> Counter[str]:
    """How often each job stands in the archive."""
    stored = [stage.bucket.look(key) for key in stage.bucket.keys("archive/")]
    lines = [line for each in stored if each is not None for line in each.data.splitlines()]
    return Counter(msgspec.json.decode(line)["id"] for line in lines)


def payloads(stage: Stage) -> list[str]:
    return stage.bucket.keys("payloads/")


async def all_archived(stage: Stage) -> None:
    await stage.until(
        lambda: "a" in archived(stage) and not stage.state.get("finished"),
        "all is archived",
        within_s=30,
    )


async def another_leads(stage: Stage) -> None:
    stage.kill("broker-1")
    await stage.lead("broker-2")


@rule(
    "a batch whose object exists is in the archive: whoever goes on takes that for done",
    Edit(f"{ARCHIVER}._create", "Written | Found", "Written"),
    found="in time all is archived",
    brokers=2,
    settings=QUICK,
)
async def exists_is_done(stage: Stage) -> None:
    await stage.lead()
    caught = stage.catch("broker-1", key="archive/")
    await complete(stage, await claimed(stage, "a"))
    (await caught).apply()
    await another_leads(stage)
    await all_archived(stage)
    expect(archived(stage) == {"a": 1}, "it stands there once: %s", archived(stage))


@rule(
    "a batch is fixed by a commit before its object is made, whoever makes it",
    Edit(
        f"{APPLY}:_seal",
        "if outbox is None:\n        outbox",
        "if True:\n        ends.outbox = None\n        outbox",
    ),
    found="it stands there once",
    brokers=2,
    settings=QUICK,
)
async def sealed(stage: Stage) -> None:
    await stage.lead()
    caught = stage.catch("broker-1", key="archive/")
    await complete(stage, await claimed(stage, "a"))
    write = await caught
    expect(stage.state["outbox"]["ids"] == ["a"], "it is sealed: %s", stage.state)
    await complete(stage, await claimed(stage, "b"))
    write.apply()
    await another_leads(stage)
    await stage.until(lambda: not stage.state.get("finished"), "all is archived", within_s=30)
    expect(archived(stage) == {"a": 1, "b": 1}, "it stands there once: %s", archived(stage))


@rule(
    "ended jobs are dropped only when they stand in the archive",
    Edit(
        f"{ARCHIVER}.archive_one",
        "if sealed.jobs > 0:",
        "await self._leader.ask(Drop(sealed.key))\n    if sealed.jobs > 0:",
    ),
    found="all is archived",
    brokers=2,
    settings=QUICK,
)
async def dropped_last(stage: Stage) -> None:
    await stage.lead()
    caught = stage.catch("broker-1", key="archive/")
    await complete(stage, await claimed(stage, "a"))
    await caught  # and there it stays
    await another_leads(stage)
    await all_archived(stage)


@rule(
    "what has been archived is read by its id",
    Edit(
        "osqueue.broker.service:QueueService._archived", "await self._archive.find(job_id)", "None"
    ),
    found="JobNotFoundError",
    settings=QUICK,
)
async def read_from_archive(stage: Stage) -> None:
    await stage.lead()
    await complete(stage, await claimed(stage, "a"), result=Raw(b"42"))
    await all_archived(stage)
    await stage.rest(70)
    info = await get(stage, "a")
    expect((info.status, bytes(info.result or b"")) == ("completed", b"42"), "with its result")


@rule(
    "of too many dead letters the oldest leaves for the archive, and can be told to live again",
    Edit(
        "osqueue.model.state:QueueState._dead_surplus",
        "max(0, len(self.dead) - self.limits.dead_max)",
        "0",
    ),
    found="all is archived",
    settings=QUICK,
)
async def dead_leave(stage: Stage) -> None:
    await stage.lead()
    for job_id in ("a", "b", "c"):
        await dead(stage, job_id)
    await all_archived(stage)
    expect([job["id"] for job in stage.state["jobs"]] == ["b", "c"], "the oldest has left")
    await stage.rest(70)  # and nothing but the archive remembers it


@rule(
    "a dead letter in the archive lives again when it is told to",
    Edit(f"{APPLY}:_retry", "return _restore(state, op, now)", "return _not_found(state, op.id)"),
    found="JobNotFoundError",
    settings=QUICK,
)
async def dead_live_again(stage: Stage) -> None:
    """It comes back from the archive: the one that ended there did not end for good."""
    await stage.lead()
    for job_id in ("a", "b", "c"):
        await dead(stage, job_id)
    await all_archived(stage)
    await stage.ask(ops.RETRY, job_id="a")
    (job,) = await claim(stage)
    expect((job.job_id, job.attempt) == ("a", 1), "it goes out again: %s", job)


@rule(
    "a payload object's key is used for one write, ever",
    Edit(f"{OBJECTS}.write", "{self._entropy.token()}", "{type_}"),
    found="another key",
    settings=QUICK,
)
async def key_once(stage: Stage) -> None:
    await stage.lead()
    caught = stage.catch("broker-1", key="payloads/")
    asked = stage.begin(submit(stage, "a", payload=LARGE))
    write = await caught
    again = stage.catch("broker-1", key="payloads/")
    write.fail()
    second = await again
    expect(write.key != second.key, "it is tried under another key")
    second.go()
    await stage.told(asked)


@rule(
    "a payload object is there before the commit that names it",
    Edit(
        f"{OBJECTS}._create",
        "await self._store.create(key, text)",
        "asyncio.ensure_future(self._store.create(key, text))",
    ),
    found="the payload of job a is gone",
    settings=QUICK,
)
async def object_first(stage: Stage) -> None:
    await stage.lead()
    caught = stage.catch("broker-1", key="payloads/")
    asked = stage.begin(submit(stage, "a", payload=LARGE))
    write = await caught
    await stage.rest(1)
    expect(stage.job("a") is None, "nothing names it")
    write.go()
    await stage.told(asked)


@rule(
    "a payload object goes when the commit that ended its job is durable, not before",
    Edit(
        f"{COMMITTER}._cut",
        "freed = self._intake.state.take_freed()",
        "freed = self._intake.state.take_freed(); self._actions.append(Discard(freed))",
    ),
    found="it is there",
    settings=QUICK,
)
async def object_last(stage: Stage) -> None:
    await stage.lead()
    job = await claimed(stage, "a", payload=LARGE)
    caught = stage.catch("broker-1", naming='"completed"')
    asked = stage.begin(complete(stage, job))
    write = await caught
    await stage.rest(2)
    expect(payloads(stage), "it is there")
    write.go()
    await stage.told(asked)


@rule(
    "a payload object that nothing names any more is deleted",
    Edit(f"{COMMITTER}._tell_landed", "if commit.freed:", "if False:"),
    found="it is deleted",
    settings=QUICK,
)
async def object_deleted(stage: Stage) -> None:
    await stage.lead()
    await complete(stage, await claimed(stage, "a", payload=LARGE))
    await stage.until(lambda: not payloads(stage), "it is deleted", within_s=3)


@rule(
    "a payload object that could not be deleted at once is deleted later",
    Edit(f"{OBJECTS}._delete", "self.leave([key])", "pass"),
    found="it is deleted",
    settings=QUICK,
)
async def deleted_later(stage: Stage) -> None:
    await stage.lead()
    job = await claimed(stage, "a", payload=LARGE)
    caught = stage.catch("broker-1", naming='"completed"')
    asked = stage.begin(complete(stage, job))
    write = await caught
    stage.store.weather.down = 1.0
    write.go()
    await stage.told(asked)
    await stage.rest(5)
    stage.store.weather.down = 0.0
    await stage.until(lambda: not payloads(stage), "it is deleted", within_s=20)


@rule(
    "nothing of the leader's own epoch is swept: it may be about to be named",
    Edit(f"{SWEEPER}:_is_below", "int(written) < epoch", "int(written) <= epoch"),
    found="the payload of job a is gone",
    settings=QUICK,
)
async def own_epoch(stage: Stage) -> None:
    await stage.lead()
    first = stage.catch("broker-1", key="payloads/")
    asked = stage.begin(submit(stage, "a", payload=LARGE))
    (await first).apply()  # and the answer takes its time
    await stage.rest(3)
    named = stage.catch("broker-1", naming='"a"')
    write = await first
    write.answer(Version("there"))
    (await named).go()
    await stage.told(asked)


@rule(
    "what a queued job names is not swept, whoever wrote it",
    Edit(f"{SWEEPER}:Sweeper._unnamed", "if key not in named", "if key"),
    found="the payload of job a is gone",
    brokers=2,
    settings=QUICK,
)
async def named_stays(stage: Stage) -> None:
    await stage.lead()
    await submit(stage, "a", payload=LARGE)
    await another_leads(stage)
    await stage.rest(5)
    (job,) = await claim(stage, at="broker-2")
    expect(bytes(job.payload) == bytes(LARGE), "it is as it was")


@rule(
    "what lower epochs left behind is swept",
    Edit(f"{SWEEPER}:Sweeper.sweep", "if _is_below(key, epoch):", "if False:"),
    found="it is swept",
    brokers=2,
    settings=QUICK,
)
async def swept(stage: Stage) -> None:
    await stage.lead()
    caught = stage.catch("broker-1", key="payloads/")
    asked = stage.begin(submit(stage, "a", payload=LARGE))
    (await caught).apply()
    await another_leads(stage)
    await stage.refusal(asked)
    await stage.until(lambda: not payloads(stage), "it is swept", within_s=10)


@rule(
    "while a copy is kept of an overwritten state, nothing is swept: it may name it",
    Edit(f"{SWEEPER}:Sweeper._is_withheld", "return copy is not None", "return False"),
    found="it is there",
    brokers=2,
    settings=QUICK,
)
async def withheld(stage: Stage) -> None:
    await stage.lead()
    caught = stage.catch("broker-1", key="payloads/")
    stage.begin(stage.refusal(submit(stage, "a", payload=LARGE)))
    (await caught).apply()
    stage.keep_copy()
    await another_leads(stage)
    await stage.rest(10)
    expect(payloads(stage), "it is there")


@rule(
    "a time of a schedule and its job are one commit",
    Edit(
        "osqueue.model.recurring:_fire",
        "refusal = _submit(state, schedule, op.job_id, now)",
        "refusal = None",
    ),
    found="went without its job",
)
async def schedule(stage: Stage) -> None:
    await stage.lead()
    client = stage.client_of("broker-1")
    await client.put_schedule("often", NewJob("mail", 1), every_ms=2_000)
    await stage.until(lambda: len(stage.state["jobs"]) >= 3, "three times have come")
