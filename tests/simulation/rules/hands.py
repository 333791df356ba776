"""What people do to jobs in the state object by hand, whatever commit is under way."""

from __future__ import annotations

from typing import Any

from tests.simulation.mutants import APPLY, COMMITTER
from tests.simulation.rules.asks import (
    claim,
    claimed,
    complete,
    dead,
    get,
    keep,
    submit,
    submit_caught,
    submitted,
)
from tests.simulation.rules.rule import Edit, rule
from tests.simulation.rules.stage import Stage

from osqueue.errors import CASConflictError, JobNotFoundError, LeaseLostError
from osqueue.testing.simulation.laws.law import expect

__all__: list[str] = []

ADOPTED = "self._intake.rebuild(edited.data, replay, self._advance(now))"
WRITTEN_OVER = Edit(
    f"{COMMITTER}._adopt_edit",
    ADOPTED,
    "self._intake.rebuild(self._last.data, replay, self._advance(now))",
)
"""A leader goes on from what it knew."""

HEARTBEAT_S = 5
"""Longer than a leader goes without writing: by then it has met what a person changed."""

_Fields = dict[str, Any]


def add(state: _Fields, job_id: str, **said: Any) -> None:
    """With as little said of it as there must be."""
    job = {"id": job_id, "status": "unclaimed", "type": "mail", "payload": 1}
    state["jobs"].append({**job, "createdAt": 1_900_000_000_000, "attempts": 0, **said})


def remove(state: _Fields, job_id: str) -> None:
    state["jobs"] = [job for job in state["jobs"] if job["id"] != job_id]


def give_back(state: _Fields, job_id: str) -> None:
    """Take it from whoever runs it."""
    (job,) = (each for each in state["jobs"] if each["id"] == job_id)
    for name in ("workerId", "heartbeat", "lease", "claimId"):
        del job[name]
    job["status"] = "unclaimed"


def revive(state: _Fields, job_id: str) -> None:
    """As if it had never been handed out."""
    (job,) = (each for each in state["jobs"] if each["id"] == job_id)
    del job["lastError"]
    job.update(status="unclaimed", attempts=0)


@rule(
    "a job that a person adds is handed out as any other",
    WRITTEN_OVER,
    found="job b left the queue without an end",
)
async def added(stage: Stage) -> None:
    await stage.lead()
    await submitted(stage, "a")
    stage.edit(lambda state: add(state, "b"))
    await submitted(stage, "c")
    jobs = [job for _ in range(3) for job in await claim(stage)]
    expect([job.job_id for job in jobs] == ["a", "b", "c"], "each in its turn: %s", jobs)
    await complete(stage, jobs[1])
    info = await get(stage, "b", consistent=True)
    expect(info.status == "completed", "it is done: %s", info)


@rule(
    "a job that a person adds goes to a claim that waits",
    Edit(
        f"{COMMITTER}._adopt_edit",
        "self._intake.serve_waiting(self._advance(now), now.mono)",
        "pass",
    ),
    Edit(f"{COMMITTER}.tick", "if len(self._intake.waiting) > 0:", "if False:"),
    found="it is handed out",
)
async def added_for_a_claim(stage: Stage) -> None:
    await stage.lead()
    waits = stage.begin(claim(stage, wait_ms=20_000))
    await stage.rest(1)
    stage.edit(lambda state: add(state, "a"))
    jobs = await stage.told(waits)
    expect([job.job_id for job in jobs] == ["a"], "it is handed out")


@rule(
    "a job that a person removes stays away, though the commit under way completes it",
    Edit(
        f"{COMMITTER}._adopt_edit",
        ADOPTED,
        "self._intake.rebuild(self._commit.data if self._commit else edited.data, "
        "self._intake.pending, self._advance(now))",
    ),
    found="was taken out by a person, and comes back",
)
async def removed_then_completed(stage: Stage) -> None:
    await stage.lead()
    await submitted(stage, "z")
    (first,) = await claim(stage)
    job = await claimed(stage, "a")
    caught = stage.catch("broker-1", naming='"completed"')
    asked = stage.begin(complete(stage, job))
    write = await caught
    stage.edit(lambda state: remove(state, "a"))
    write.go()
    error = await stage.refusal(asked)
    expect(isinstance(error, JobNotFoundError), "told %r", error)
    expect(not stage.job("a") and not stage.state["completedTotal"], "it is not done, but gone")
    await complete(stage, first)


@rule(
    "a job that a person removes stays away, though the commit that brought it is known to have "
    "landed only by then",
    Edit(
        f"{COMMITTER}._follow",
        "self._adopt_edit(edited, [], now)",
        "self._adopt_edit(edited, commit.held, now)",
    ),
    found="was taken out by a person, and comes back",
)
async def landed_then_removed(stage: Stage) -> None:
    await stage.lead()
    asked, write = await submit_caught(stage, "a")
    write.apply()
    stage.edit(lambda state: remove(state, "a"))
    write.answer(CASConflictError("HTTP 412"))
    await stage.told(asked)
    await submit(stage, "b")
    expect([job["id"] for job in stage.state["jobs"]] == ["b"], "it is gone")


@rule(
    "the id of a job that a person removed is free: submitted again, it is a new job",
    WRITTEN_OVER,
    found="was acknowledged, and had been taken out",
)
async def removed_then_submitted(stage: Stage) -> None:
    await stage.lead()
    await submitted(stage, "a")
    stage.edit(lambda state: remove(state, "a"))
    await stage.rest(HEARTBEAT_S)
    await submit(stage, "a")
    expect([job.job_id for job in await claim(stage)] == ["a"], "it is handed out")


@rule(
    "a dead letter that a person revives is handed out, with all its attempts",
    WRITTEN_OVER,
    found="what a person changed of job a was undone",
)
async def revived(stage: Stage) -> None:
    await stage.lead()
    await dead(stage, "a")
    stage.edit(lambda state: revive(state, "a"))
    (job,) = await claim(stage, wait_ms=20_000)
    expect((job.job_id, job.attempt) == ("a", 1), "told %s", job)


@rule(
    "who held a job that a person gives back has lost it, and completes nothing",
    Edit(
        f"{APPLY}:_complete",
        "not _holds(job, worker_id, ref.lease)",
        "job.status is not JobStatus.IN_PROGRESS",
    ),
    found="is completed, and nobody asked for that",
)
async def given_back(stage: Stage) -> None:
    await stage.lead()
    job = await claimed(stage, "a", "w1")
    stage.edit(lambda state: give_back(state, "a"))
    (again,) = await claim(stage, "w2", wait_ms=20_000)
    expect(again.lease != job.lease, "it is another lease")
    expect(await keep(stage, job, worker="w1") == ["LeaseLostError"], "he has lost it")
    error = await stage.refusal(complete(stage, job, "w1"))
    expect(isinstance(error, LeaseLostError), "told %r", error)
    await complete(stage, again, "w2")
