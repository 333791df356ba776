"""Each law is broken by a small history, and found; a sound history breaks none."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.e2e.chaos.checker import check
from tests.e2e.chaos.ending import Ended, Ending
from tests.e2e.chaos.findings import some
from tests.e2e.chaos.history import Call, Death, Execution, History, Lead, Round, Sample
from tests.e2e.chaos.report import figures, table, without_service_s
from tests.e2e.chaos.run import Course, Result, unserved
from tests.e2e.chaos.timing import SHORT

Story = tuple[History, Ending]


def call(op: str, start: float, end: float | None, **fields: Any) -> Call:
    return Call(**{"client": "c", "op": op, "start": start, "end": end, "ok": True, **fields})


def read(op: str, start: float, end: float, **fields: Any) -> Call:
    return call(op, start, end, **{"client": "reader-0", **fields})


def execution(job_id: str, lease: str, start: float, **fields: Any) -> Execution:
    return Execution(job_id=job_id, lease=lease, worker="w", attempt=1, start=start, **fields)


def sample(at: float, epoch: int, number: int, broker_id: str) -> Sample:
    return Sample(at, epoch, f"{epoch}-{number}-x", "h:1", broker_id)


def sound() -> Story:
    """Two jobs, one of them over a failover from epoch 7 to 8."""
    history = History(
        calls=[
            call("submit", 1, 2, ids=["a"], position=(7, 1), client="producer-0"),
            call("submit", 2, 9, ids=["b"], position=(8, 1), client="producer-1"),
            call("claim", 2, 3, ids=["a"], leases=["la"], client="w"),
            read("get_stats", 3, 4, consistent=True, position=(7, 2), submitted_total=1,
                 completed_total=0),
            call("complete", 5, 10, ids=["a"], leases=["la"], client="w"),
            call("heartbeat", 6, 11, ids=["a"], leases=["la"], client="w",
                 refused={"a": "LeaseLostError"}),
            call("claim", 10, 11, ids=["b"], leases=["lb"], client="w"),
            read("get_job", 11, 12, consistent=True, ids=["a"], status="completed",
                 position=(8, 3)),
            call("complete", 12, 13, ids=["b"], leases=["lb"], client="w"),
            read("list_jobs", 14, 15, consistent=True, position=(8, 4), submitted_total=2,
                 completed_total=2),
            call("get_stats", 14, 15, ok=False, tag="DiscoveryError", retryable=True),
        ],
        executions=[execution("a", "la", 3, end=5.0), execution("b", "lb", 11, end=12.0)],
        samples=[sample(1, 7, 1, "i"), sample(4, 7, 2, "i"), sample(9, 8, 1, "j")],
        leads=[Lead("b0", 7), Lead("b1", 8)],
        deaths=[Death(6, "b0", -9, wanted=True), Death(20, "b1", 0, wanted=True)],
    )  # fmt: skip
    ended = [
        Ended("a", "completed", "archive/1", "la", 1),
        Ended("b", "completed", "archive/1", "lb", 1),
    ]
    return history, Ending(ended, [], 2)


Twist = Callable[[History, Ending], object]


def added(**fields: Any) -> Twist:
    def twist(history: History, _: Ending) -> None:
        history.calls.append(call(**fields))

    return twist


TWISTS: dict[str, tuple[str, Twist]] = {
    "an acknowledged job is gone": ("lost", lambda _, ending: ending.ended.pop()),
    "a job stands in the archive twice": (
        "ended twice",
        lambda _, ending: ending.ended.append(ending.ended[0]),
    ),
    "the total counts one more": (
        "ended twice",
        lambda _, ending: setattr(ending, "completed_total", 3),
    ),
    "a job ended as dead": (
        "completed",
        lambda _, ending: ending.ended.append(Ended("c", "dead", "finished")),
    ),
    "a job was left": ("drained", lambda _, ending: ending.open.append("c")),
    "a job came from nowhere": (
        "unknown",
        lambda _, ending: ending.ended.append(Ended("z", "completed", "finished")),
    ),
    "a job that nobody submitted ran": (
        "unknown",
        lambda history, _: history.executions.append(execution("z", "lz", 5, end=6.0)),
    ),
    "a payload arrived spoilt": (
        "unknown",
        lambda history, _: setattr(history.executions[0], "sound", False),
    ),
    "two leases completed a job": (
        "two leases",
        added(op="complete", start=7, end=8, ids=["a"], leases=["lx"]),
    ),
    "another lease stands in the archive": (
        "two leases",
        lambda _, ending: ending.ended.__setitem__(
            0, Ended("a", "completed", "archive/1", "lx", 1)
        ),
    ),
    "a job ran twice": (
        "executed twice",
        lambda history, _: history.executions.append(execution("a", "lx", 6, end=7.0)),
    ),
    "a call was never answered": ("unanswered", added(op="submit", start=14, end=None)),
    "a call took too long": (
        "unanswered",
        added(op="claim", start=14, end=30, limit_s=5.0),
    ),
    "nobody read": (
        "idle",
        lambda history, _: setattr(
            history, "calls", [each for each in history.calls if each.op != "list_jobs"]
        ),
    ),
    "nobody read consistently": (
        "idle",
        lambda history, _: setattr(
            history, "calls", [each for each in history.calls if not each.consistent]
        ),
    ),
    "a transport brought nothing": (
        "idle",
        added(op="submit", start=14, end=15, ids=["a"], way="grpc"),
    ),
    "a call was refused for good": (
        "refused for good",
        added(op="submit", start=14, end=15, ok=False, tag="BrokerProtocolError"),
    ),
    "a heartbeat found its lease gone": (
        "lease lost",
        added(op="heartbeat", start=3.5, end=4, ids=["a"], leases=["la"],
              refused={"a": "LeaseLostError"}),
    ),
    "a completion was refused": (
        "lease lost",
        added(op="complete", start=14, end=15, ids=["b"], leases=["lb"],
              refused={"b": "JobNotFoundError"}),
    ),
    "a handler was told to end": (
        "lease lost",
        lambda history, _: setattr(history.executions[0], "cancelled", True),
    ),
    "an epoch was taken twice": (
        "two leaders",
        lambda history, _: history.leads.append(Lead("b2", 8)),
    ),
    "two processes wrote one epoch": (
        "two leaders",
        lambda history, _: history.samples.append(sample(10, 8, 2, "k")),
    ),
    "an older state came back": (
        "state goes back",
        lambda history, _: history.samples.append(sample(10, 7, 3, "i")),
    ),
    "a broker ended by itself": (
        "broker died",
        lambda history, _: history.deaths.append(Death(7, "b1", 1, wanted=False)),
    ),
    "a clean stop failed": (
        "broker died",
        lambda history, _: history.deaths.append(Death(7, "b1", 1, wanted=True)),
    ),
    "a read went back behind a read": (
        "back in time",
        added(op="get_stats", client="reader-0", start=13, end=14, position=(7, 9)),
    ),
    "a read went back behind its own submit": (
        "back in time",
        added(op="get_job", client="producer-1", ids=["b"], start=10, end=11, position=(7, 9)),
    ),
    "a job was not there in an older state": (
        "back in time",
        added(op="get_job", client="reader-0", ids=["b"], start=13, end=14, position=(7, 9),
              ok=False, tag="JobNotFoundError"),
    ),
    "a total shrank": (
        "back in time",
        added(op="get_stats", client="reader-0", start=16, end=17, position=(8, 5),
              completed_total=1),
    ),
    "a consistent read missed a submit": (
        "consistent",
        added(op="get_stats", start=10, end=11, consistent=True, submitted_total=1),
    ),
    "a consistent read showed a submit of the future": (
        "consistent",
        added(op="get_stats", start=0.1, end=0.2, consistent=True, submitted_total=1),
    ),
    "a consistent read missed a completion": (
        "consistent",
        added(op="get_stats", start=14, end=15, consistent=True, completed_total=1),
    ),
    "a consistent read showed a completion of the future": (
        "consistent",
        added(op="get_stats", start=3, end=4, consistent=True, completed_total=1),
    ),
    "a consistent read showed a job after its end": (
        "consistent",
        added(op="get_job", start=14, end=15, consistent=True, ids=["b"], status="in_progress"),
    ),
    "a consistent read showed an end before it came": (
        "consistent",
        added(op="get_job", start=3, end=4, consistent=True, ids=["b"], status="completed"),
    ),
    "a consistent read did not find a job": (
        "not found",
        added(op="get_job", start=3, end=4, consistent=True, ids=["a"], ok=False,
              tag="JobNotFoundError"),
    ),
    "a submitter did not find its job": (
        "not found",
        added(op="get_job", client="producer-0", start=3, end=4, ids=["a"], ok=False,
              tag="JobNotFoundError"),
    ),
}  # fmt: skip


def test_check_when_all_is_well_then_nothing_is_found() -> None:
    assert check(*sound()) == []


@pytest.mark.parametrize(("law", "twist"), TWISTS.values(), ids=TWISTS.keys())
def test_check_when_a_law_is_broken_then_it_is_found(law: str, twist: Twist) -> None:
    history, ending = sound()
    twist(history, ending)
    assert law in {finding.law for finding in check(history, ending)}


def test_some_when_there_are_many_then_the_first_few_and_their_number() -> None:
    found = list(some("law", map(str, range(12))))
    assert [each.text for each in found] == ["0", "1", "2", "3", "4", "and 7 more of these"]


def test_without_service_when_submits_pause_then_the_longest_gap_at_the_fault() -> None:
    ends = [1.0, 2.0, 2.5, 7.0, 7.1, 7.2, 20.0]
    calls = [call("submit", end - 0.1, end, ids=[str(end)], client="producer-0") for end in ends]
    calls.append(call("submit", 4, 5, ids=["x"], client="loyal-0-8"))
    rounds = [
        Round(fault="kill", variant="", start=2.2, end=7.05),
        Round(fault="kill", variant="", start=7.15, end=7.18),
    ]
    gaps = without_service_s(History(calls=calls, rounds=rounds))
    assert gaps == pytest.approx([4.5, 0.1])


def test_unserved_when_some_are_answered_again_then_the_transports_of_the_others() -> None:
    calls = [
        call("submit", 1, 9, client="producer-0", way="ws"),
        call("submit", 5, 6, client="producer-1", way="rest"),
        call("submit", 5, 6, client="producer-2", way="grpc", ok=False, tag="DiscoveryError"),
        call("get_stats", 5, 6, client="producer-2", way="grpc"),
        call("submit", 6, 7, client="loyal-0-0", way="connect"),
    ]
    assert unserved(History(calls=calls), 4) == {"connect", "grpc", "ws"}
    assert unserved(History(calls=calls), 0) == {"connect", "grpc"}


def test_figures_when_rounds_differ_then_a_line_for_each_kind() -> None:
    history, ending = sound()
    history.rounds += [
        Round(fault="stop", variant="late write", start=3, end=9, kills=1),
        Round(fault="stop", variant="", start=10, end=11, kills=1, locked=True),
    ]
    course = Course(fault="stop", rounds=2, brokers=2, seed=1, timing=SHORT)
    result = Result(
        course=course, store="file:///q", history=history, ending=ending, late_writes=1, findings=[]
    )
    whole, *parts = figures(result)
    assert (whole["rounds"], whole["kills"], whole["locked"], whole["lost"]) == (2, 2, 1, 0)
    assert (whole["gap_max_s"], whole["store"], whole["late_writes"]) == (7, "file", 1)
    assert [(part["variant"], part["rounds"]) for part in parts] == [
        ("holding the lock", 1),
        ("late write", 1),
    ]


def test_figures_when_there_are_several_transports_then_a_line_for_each() -> None:
    sent = {"connect": [1.0, 4.0, 9.0], "ws": [2.0, 8.0, 9.5]}
    calls = [
        call("submit", end - 0.1, end, ids=[str(end)], client=f"producer-{way}", way=way)
        for way, ends in sent.items()
        for end in ends
    ]
    history = History(calls=calls, rounds=[Round(fault="kill", variant="", start=3, end=8.5)])
    course = Course(fault="kill", rounds=1, brokers=2, seed=1, timing=SHORT)
    ending = Ending([], [], 0)
    result = Result(
        course=course, store="file:///q", history=history, ending=ending, late_writes=0, findings=[]
    )
    whole, *parts = figures(result)
    assert (whole["way"], whole["operations"], whole["gap_max_s"]) == ("", 6, 4)
    assert [(part["way"], part["operations"], part["gap_max_s"]) for part in parts] == [
        ("connect", 3, 5),
        ("ws", 3, 6),
    ]
    shown = table([whole, *parts]).splitlines()
    assert [line.split()[2] for line in shown[2:]] == ["connect", "ws"]


def test_history_when_written_then_a_line_for_each_entry(tmp_path: Path) -> None:
    history, _ = sound()
    history.write(tmp_path / "history.jsonl")
    lines = (tmp_path / "history.jsonl").read_text().splitlines()
    assert len(lines) == 11 + 2 + 3 + 2 + 2
    assert lines[0].startswith('{"kind":"calls","client":"producer-0","op":"submit"')
