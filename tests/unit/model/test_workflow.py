"""The jobs around one, as they are shown."""

from __future__ import annotations

from osqueue.config import WORKFLOW_EDGES_MAX, WORKFLOW_JOBS_MAX
from osqueue.model.ops import Drop, GetWorkflow, NewJob, Seal, Submit
from osqueue.model.outcomes import NotFound, Sealed, Workflow, WorkflowJob

from .driver import START, Driver


def around(queue: Driver, job_id: str, archived: bytes | None = None) -> Workflow:
    found = queue.do(GetWorkflow(job_id, archived))
    assert isinstance(found, Workflow)
    return found


def ids(found: Workflow) -> list[str]:
    return [job.id for job in found.jobs]


def submit(queue: Driver, *jobs: NewJob) -> None:
    queue.do(Submit(jobs))


def diamond(queue: Driver) -> None:
    submit(
        queue,
        NewJob("a", "t"),
        NewJob("b", after=("a",)),
        NewJob("c", after=("a",), run_at=START.wall + 9_000),
        NewJob("d", after=("b", "c")),
        NewJob("alone"),
    )


def test_workflow_when_it_is_looked_at_from_anywhere_then_the_same_jobs_and_edges() -> None:
    queue = Driver()
    diamond(queue)
    edges = {("a", "b"), ("a", "c"), ("b", "d"), ("c", "d")}
    for job_id in "abcd":
        found = around(queue, job_id)
        assert ids(found)[0] == job_id
        assert sorted(ids(found)) == ["a", "b", "c", "d"]
        assert set(found.edges) == edges
        assert not found.more


def test_workflow_when_jobs_have_ended_then_they_stand_in_it_as_they_did() -> None:
    queue = Driver()
    diamond(queue)
    queue.claim()
    queue.complete("a")
    queue.claim()
    queue.complete("b")
    found = around(queue, "d")
    assert {job.id: job for job in found.jobs} == {
        "d": WorkflowJob("d", "unclaimed", "", waits=True),
        "b": WorkflowJob("b", "completed", ""),
        "c": WorkflowJob("c", "unclaimed", "", START.wall + 9_000),
        "a": WorkflowJob("a", "completed", "t"),
    }
    assert ("a", "b") in found.edges


def test_workflow_when_details_are_gone_then_what_is_left_and_the_rest_unknown() -> None:
    queue = Driver(finished_max=1, dedupe_max=1)
    submit(queue, NewJob("a"), NewJob("b", after=("a",)), NewJob("c", after=("b",)))
    for job_id in "abc":
        queue.claim()
        queue.complete(job_id)
    found = around(queue, "c")
    assert [(job.id, job.status, job.type) for job in found.jobs] == [
        ("c", "completed", ""),
        ("b", "completed", None),
    ]
    assert around(queue, "b").jobs[0] == WorkflowJob("b", "completed")
    assert queue.do(GetWorkflow("a")) == NotFound("a")
    queue.passes(queue.limits.dedupe_window_ms + 1)
    queue.forget()
    assert around(queue, "c").jobs[1] == WorkflowJob("b", "unknown")
    assert around(queue, "c").edges == (("b", "c"),)


def test_workflow_when_the_job_is_only_in_the_archive_then_its_entry_tells_what_it_came_after() -> (
    None
):
    queue = Driver(archived=True, dedupe_max=1)
    submit(queue, NewJob("a"), NewJob("b", "t", after=("a",)), NewJob("z"))
    submit(queue, NewJob("c", after=("b",)), NewJob("d", after=("a",)))
    for job_id in ("a", "b", "z"):
        queue.claim()
        queue.complete(job_id)
    sealed = queue.do(Seal("t", 9, 2**20))
    assert isinstance(sealed, Sealed)
    queue.do(Drop(sealed.key))
    queue.submit("y")
    queue.passes(queue.limits.dedupe_window_ms + 1)
    queue.forget()
    assert queue.do(GetWorkflow("b")) == NotFound("b")
    line = sealed.data.splitlines()[1]
    found = around(queue, "b", line)
    assert {job.id: (job.status, job.type) for job in found.jobs} == {
        "b": ("completed", "t"),
        "a": ("unknown", None),
        "c": ("unclaimed", ""),
        "d": ("unclaimed", ""),
    }
    assert set(found.edges) == {("a", "b"), ("b", "c"), ("a", "d")}


def test_workflow_when_it_is_larger_than_can_be_shown_then_the_nearest_of_it() -> None:
    queue = Driver()
    length = WORKFLOW_JOBS_MAX + 50
    names = [f"j{number}" for number in range(length)]
    after: list[tuple[str, ...]] = [(), *[(name,) for name in names[:-1]]]
    submit(queue, *map(lambda name, parents: NewJob(name, after=parents), names, after))
    found = around(queue, "j125")
    assert len(found.jobs) == WORKFLOW_JOBS_MAX
    assert found.more
    assert {"j26", "j224"} <= set(ids(found))
    assert not {"j0", names[-1]} & set(ids(found))
    assert all(parent in ids(found) and child in ids(found) for parent, child in found.edges)
    exact = around(Driver(queue.encoded), "j0")
    assert len(exact.jobs) == WORKFLOW_JOBS_MAX


def test_workflow_when_exactly_all_of_it_can_be_shown_then_there_is_no_more() -> None:
    queue = Driver()
    children = [NewJob(f"c{number}", after=("a",)) for number in range(WORKFLOW_JOBS_MAX - 1)]
    submit(queue, NewJob("a"), *children)
    assert (len(around(queue, "a").jobs), around(queue, "c5").more) == (WORKFLOW_JOBS_MAX, False)
    submit(queue, NewJob("one-more", after=("a",)))
    assert around(queue, "a").more


def test_workflow_when_it_has_more_edges_than_can_be_shown_then_some_of_them() -> None:
    queue = Driver()
    parents = tuple([f"p{number}" for number in range(100)])
    submit(queue, *map(NewJob, parents))
    submit(queue, *[NewJob(f"c{number}", after=parents) for number in range(30)])
    found = around(queue, "c0")
    assert (len(found.jobs), len(found.edges), found.more) == (130, WORKFLOW_EDGES_MAX, True)


def test_workflow_when_a_delay_is_over_then_shown_as_ready() -> None:
    queue = Driver()
    diamond(queue)
    queue.claim()
    queue.complete("a")
    queue.passes(9_000)
    shown = {job.id: job for job in around(queue, "a").jobs}
    assert shown["c"].run_at is None
