"""A write whose fate is unknown, and what stands in the object after a conflict."""

from __future__ import annotations

import asyncio
import json

from tests.simulation.mutants import AGAIN, COMMITTER
from tests.simulation.rules.asks import (
    claim,
    claimed,
    complete,
    get,
    keep,
    submit,
    submit_caught,
    submitted,
)
from tests.simulation.rules.rule import ORDINARY, Edit, rule
from tests.simulation.rules.stage import Caught, Stage

from osqueue.config import STATE_KEY, BrokerSettings, LeadershipSettings
from osqueue.errors import CASConflictError, StoreDeniedError, StoreUnknownError
from osqueue.testing.simulation.laws.law import expect

__all__: list[str] = []

JUDGE = "osqueue.engine.committer:judge"
AWAY_S = 40
"""Longer than a standby bears with a silent leader."""


def conflict() -> CASConflictError:
    """What tells of another version, or of nothing but a proxy that has tried twice."""
    return CASConflictError("HTTP 412")


async def other_leads(stage: Stage) -> None:
    """The leader stands still until another has its place, and goes on then."""
    stage.process("broker-2").start()
    await stage.rest(5)
    stage.process("broker-1").pause()
    await stage.until(lambda: stage.leads("broker-2"), "another leads", within_s=AWAY_S)
    stage.process("broker-1").resume()


@rule(
    "a write of unknown fate is put again, the same bytes with the same precondition",
    Edit(f"{COMMITTER}._try_again", "self._write(self._commit, now)", AGAIN),
    found="the same bytes",
)
async def same_bytes(stage: Stage) -> None:
    await stage.lead()
    first, write = await submit_caught(stage, "a")
    again = stage.catch("broker-1", naming='"a"')
    later = stage.begin(submit(stage, "b"))
    await stage.rest(0.1)
    write.fail()
    second = await again
    expect((write.data, write.if_version) == (second.data, second.if_version), "the same bytes")
    write.apply()  # it was only late
    second.go()
    await stage.told(first)
    await stage.told(later)
    expect(stage.job("a") and stage.job("b"), "both are there")


@rule(
    "a write that the store refuses is put again, the same bytes, and ends no leadership",
    Edit(
        f"{COMMITTER}.written",
        "case Unapplied(why):\n            self._back_off(commit, why, now)",
        "case Unapplied(why):\n            self._end(EndReason.UNWRITABLE, why)",
    ),
    found="CommitUnknownError",
)
async def store_refuses(stage: Stage) -> None:
    """Its keys were changed, say, after a first try of which nothing is known."""
    await stage.lead()
    asked, write = await submit_caught(stage, "a")
    write.apply()
    caught = stage.catch("broker-1", naming='"a"')
    write.fail()
    second = await caught
    expect(second.data == write.data, "the same bytes")
    second.answer(StoreDeniedError("HTTP 403"))
    await stage.told(asked)
    expect(stage.leads("broker-1"), "it leads still")


@rule(
    "a conflict over our own base proves nothing: the write may land yet",
    Edit(f"{COMMITTER}.read_back", "self._doubt(commit, now)", AGAIN),
    Edit(
        f"{COMMITTER}._follow",
        'assert commit is not None, "a check looks for other versions only"\n'
        "            self._doubt(commit, now)",
        AGAIN,
    ),
    found="the same bytes",
)
async def still_our_base(stage: Stage) -> None:
    """A proxy tries twice, say: the second try meets the first, which nobody has seen yet."""
    await stage.lead()
    asked, write = await submit_caught(stage, "a")
    again = stage.catch("broker-1", naming='"a"')
    write.answer(conflict())
    second = await again
    expect((write.data, write.if_version) == (second.data, second.if_version), "the same bytes")
    write.apply()
    second.go()
    await stage.told(asked)
    expect(stage.epoch == json.loads(write.data)["epoch"], "it leads as before")


@rule(
    "a conflict with our own bytes is a write that landed",
    Edit(JUDGE, "Finding(Verdict.LANDED)", "Finding(Verdict.FENCED)"),
    found="CommitUnknownError",
)
async def our_own_bytes(stage: Stage) -> None:
    await stage.lead()
    asked, write = await submit_caught(stage, "a")
    write.apply()
    write.answer(conflict())
    await stage.told(asked)
    await submit(stage, "b")


def prefer(job: dict[str, object]) -> None:
    job["priority"] = -7


@rule(
    "what landed and was then edited by hand has landed",
    Edit(JUDGE, "commit_id is not None and origin.commit == commit_id", "False"),
    found="CommitUnknownError",
)
async def landed_then_edited(stage: Stage) -> None:
    await stage.lead()
    asked, write = await submit_caught(stage, "a")
    write.apply()
    stage.edit(lambda state: prefer(state["jobs"][0]))
    write.answer(conflict())
    await stage.told(asked)


@rule(
    "after an edit of what landed, the edit stands, and only later requests are applied to it",
    Edit(f"{COMMITTER}._follow", "self._adopt_edit(edited, [], now)", "pass"),
    found="undone",
)
async def edit_stands(stage: Stage) -> None:
    await stage.lead()
    asked, write = await submit_caught(stage, "a")
    later = stage.begin(submit(stage, "b"))
    await stage.rest(0.1)
    write.apply()
    stage.edit(lambda state: prefer(state["jobs"][0]))
    write.answer(conflict())
    await stage.told(asked)
    await stage.told(later)
    info = await get(stage, "a", consistent=True)
    expect(info.priority == -7, "what a person edited is undone")
    expect(len(stage.state["jobs"]) == 2, "each job is there once")


@rule(
    "what was edited by hand before our commit is gone on from",
    Edit(JUDGE, "Finding(Verdict.EDITED, origin)", "Finding(Verdict.FENCED, origin)"),
    found="CommitUnknownError",
)
async def edited_before(stage: Stage) -> None:
    await stage.lead()
    await submitted(stage, "z")
    asked, write = await submit_caught(stage, "a")
    stage.edit(lambda state: prefer(state["jobs"][0]))
    write.go()
    await stage.told(asked)


@rule(
    "after an edit before our commit, all that was in it is applied again, in order",
    Edit(
        f"{COMMITTER}._follow",
        "self._adopt_edit(edited, [] if commit is None else commit.held, now)",
        "self._adopt_edit(edited, [], now)",
    ),
    found="a caller is told",
)
async def applied_again(stage: Stage) -> None:
    await stage.lead()
    await submitted(stage, "z")
    caught = stage.catch("broker-1", naming='"a"')
    asked = [stage.begin(submit(stage, "a"))]
    write = await caught
    asked.append(stage.begin(submit(stage, "b")))
    await stage.rest(0.1)
    stage.edit(lambda state: prefer(state["jobs"][0]))
    write.go()
    for each in asked:
        await stage.told(each)
    ids = [job["id"] for job in stage.state["jobs"]]
    expect(ids == ["z", "a", "b"], "in order: %s", ids)
    expect(stage.state["jobs"][0]["priority"] == -7, "the edit stands")


async def lost_place(stage: Stage, *, lands: bool) -> tuple[Caught, list[asyncio.Task[object]]]:
    """A leader's write is on its way, and another request waits, while it loses its place."""
    await stage.lead()
    await submitted(stage, "z")
    caught = stage.catch("broker-1", naming='"a"')
    asked = [stage.begin(submit(stage, "a"))]
    write = await caught
    asked.append(stage.begin(submit(stage, "b")))
    await stage.rest(0.01)
    if lands:
        write.apply()
    await other_leads(stage)
    return write, asked


@rule(
    "who lost the place answers what the line of commits says has landed",
    Edit(f"{COMMITTER}._tell_fate", "if fate is Fate.LANDED:", "if False:"),
    found="CommitUnknownError",
    brokers=2,
)
async def fate_landed(stage: Stage) -> None:
    _, (first, _) = await lost_place(stage, lands=True)
    await stage.told(first)


@rule(
    "who lost the place tells of what did not land that it was not applied",
    Edit(f"{COMMITTER}._tell_fate", "elif fate is Fate.NOT_APPLIED:", "elif False:"),
    found="told unknown",
    brokers=2,
)
async def fate_not_applied(stage: Stage) -> None:
    _, (first, _) = await lost_place(stage, lands=False)
    error = await stage.refusal(first)
    expect(error.applied == "no", "told %s", error.applied)
    expect(stage.job("a") is None, "it was not applied")


@rule(
    "what never went into a commit is told not to be applied, safe to send elsewhere",
    Edit(f"{COMMITTER}._end", "error = self._ended_error()", "error = unknown_error(message)"),
    found="told unknown",
    brokers=2,
)
async def never_committed(stage: Stage) -> None:
    _, (_, second) = await lost_place(stage, lands=True)
    error = await stage.refusal(second)
    expect(error.applied == "no", "told %s", error.applied)
    await submit(stage, "b", at="broker-2")
    await stage.rest(5)


def without_line(state: dict[str, object]) -> None:
    state["lineage"] = {}


@rule(
    "what the line of commits does not tell of is unknown",
    Edit("osqueue.engine.tenure:fate_by_lineage", "return Fate.UNKNOWN", "return Fate.NOT_APPLIED"),
    found="told not applied, and was",
    brokers=2,
)
async def fate_unknown(stage: Stage) -> None:
    await stage.lead()
    stage.process("broker-2").start()
    await stage.rest(5)
    asked, write = await submit_caught(stage, "a")
    write.apply()
    stage.process("broker-1").pause()
    await stage.until(lambda: stage.leads("broker-2"), "another leads", within_s=AWAY_S)
    stage.edit(without_line)
    stage.process("broker-1").resume()
    error = await stage.refusal(asked)
    expect(error.applied == "unknown", "told %s", error.applied)


@rule(
    "what a commit of unknown fate held is told unknown",
    Edit(
        f"{COMMITTER}._end",
        "intake.refuse_all(writes, unknown_error(message))",
        "intake.refuse_all(writes, self._ended_error())",
    ),
    found="told not applied, and was",
)
async def told_unknown(stage: Stage) -> None:
    """The broker is stopped while its write is under way, and its patience ends."""
    await stage.lead()
    asked, write = await submit_caught(stage, "a")
    write.apply()
    stage.cut("broker-1")
    stage.stop("broker-1")
    error = await stage.refusal(asked)
    expect(error.applied == "unknown", "told %s", error.applied)


def as_older(state: dict[str, object]) -> None:
    """What an implementation writes that knows of no epochs."""
    for name in ("format", "epoch", "commit", "lineage", "brokerId", "heartbeatEvery"):
        state.pop(name, None)
    state["broker"] = "old:1"


@rule(
    "when an older implementation overwrites the object, the last durable state is kept beside it",
    Edit(
        JUDGE,
        "Verdict.OVERWRITTEN if origin.epoch is None else Verdict.FENCED",
        "Verdict.FENCED",
    ),
    found="comes once",
)
async def overwritten(stage: Stage) -> None:
    await stage.lead()
    await submitted(stage, "a")
    last = stage.written[-1].data
    stage.overwrite(as_older)
    await stage.refusal(submit(stage, "b"))
    copy = stage.bucket.look(f"{STATE_KEY}.before-{json.loads(last)['commit']}")
    expect(copy is not None and copy.data == last, "there is a copy of the last durable state")
    await stage.until(lambda: stage.role("broker-1") == "halted", "it stands still")
    writes = len(stage.written)
    await stage.rest(60)
    expect(len(stage.written) == writes, "it writes no more")


@rule(
    "a broker that is told to adopt it goes on from what an older implementation wrote",
    Edit(
        "osqueue.engine.leadership:Leadership._refuse_overwritten",
        "if self._election.adopts:",
        "if False:",
    ),
    found="goes on",
    settings=BrokerSettings(limits=ORDINARY.limits, leadership=LeadershipSettings(adopt=True)),
)
async def adopted(stage: Stage) -> None:
    await stage.lead()
    await submitted(stage, "a")
    epoch = stage.epoch
    stage.overwrite(as_older)
    await stage.refusal(submit(stage, "b"))
    stage.adopted = True
    stage.kill("broker-1")
    stage.process("broker-1").start()
    await stage.until(lambda: stage.state.get("epoch", 0) > epoch, "it goes on")
    expect(stage.job("a"), "the job is there")


@rule(
    "a leader that finds the object gone creates it again under a new epoch",
    Edit(
        f"{COMMITTER}._gone",
        "self._create_again(now)",
        'self._end(EndReason.CORRUPT, "it is gone")',
    ),
    found="it is there again",
)
async def gone(stage: Stage) -> None:
    await stage.lead()
    await submitted(stage, "a")
    epoch = stage.epoch
    stage.bucket.delete(STATE_KEY)
    await stage.until(lambda: stage.bucket.look(STATE_KEY), "it is there again")
    expect(stage.epoch > epoch, "under a new epoch")
    expect(stage.job("a"), "with all that was durable")


@rule(
    "what is of unknown fate is never applied again by us",
    Edit(f"{COMMITTER}._create_again", "commit is not None and commit.tainted", "False"),
    found="it was not refused",
)
async def never_again(stage: Stage) -> None:
    """Its write may have been applied before the object went."""
    await stage.lead()
    asked, write = await submit_caught(stage, "a")
    stage.bucket.delete(STATE_KEY)
    write.answer(StoreUnknownError("HTTP 500"))
    error = await stage.refusal(asked)
    expect(error.applied == "unknown", "told %s", error.applied)
    await stage.until(lambda: stage.bucket.look(STATE_KEY), "it is there again")
    await stage.rest(5)
    expect(stage.job("a") is None, "it was applied again")


@rule(
    "a request that repeats one of unknown fate is of unknown fate, too",
    Edit(
        "osqueue.engine.intake:Intake.refuse",
        'if error.applied == "no" and _repeats(held):',
        "if False:",
    ),
    found="told no",
    brokers=2,
)
async def repeated(stage: Stage) -> None:
    """The second try of a claim found the jobs of the first, whose commit landed unseen."""
    await stage.lead()
    await submitted(stage, "a")
    caught = stage.catch("broker-1", naming='"c1"')
    first = stage.begin(claim(stage, claim_id="c1"))
    write = await caught
    write.apply()
    again = stage.begin(claim(stage, claim_id="c1"))
    other = stage.begin(submit(stage, "b"))
    await stage.rest(0.01)
    stage.cut("broker-1")
    stage.stop("broker-1")
    for each, fate in ((first, "unknown"), (again, "unknown"), (other, "no")):
        error = await stage.refusal(each)
        expect(error.applied == fate, "told %s", error.applied)


@rule(
    "a lease that was granted in what landed can be used, whoever leads by then",
    Edit(
        "osqueue.model.state:Header.succeed",
        "if self.epoch is not None and self.commit is not None:",
        "if False:",
    ),
    found="notes that it stands on",
    brokers=2,
)
async def lease_goes_on(stage: Stage) -> None:
    await stage.lead()
    job = await claimed(stage, "a")
    await other_leads(stage)
    expect(await keep(stage, job, at="broker-2") == [None], "the lease is kept")
    await complete(stage, job, at="broker-2")
