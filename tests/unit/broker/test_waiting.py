from __future__ import annotations

import pytest

from osqueue.broker.waiting import WaitingClaims
from osqueue.engine.requests import Held
from osqueue.model.caps import Caps
from osqueue.model.index import ReadyIndex
from osqueue.model.job import Job
from osqueue.model.ops import Claim, GetStats


class Line:
    """Waiting claims by name, and ready jobs by type."""

    def __init__(self) -> None:
        self.waiting = WaitingClaims()
        self.jobs: list[Job] = []
        self.ready = ReadyIndex(self.jobs.__getitem__)
        self.names: dict[Held, str] = {}

    def joins(self, name: str, *types: str, caps: dict[str, int] | None = None) -> Held:
        capped = tuple((caps or {}).items())
        held = Held(op=Claim("w", name, types or None, caps=capped), waits=True)
        self.names[held] = name
        self.waiting.add(held)
        return held

    def comes(self, *types: str) -> None:
        for type_ in types:
            job = Job(f"j{len(self.jobs)}", type_, 0, None, seq=len(self.jobs))
            self.jobs.append(job)
            self.ready.push(job)

    def served(self) -> list[str]:
        """Serve all that can be served, each with one job; who it was, and what each got."""
        served = []
        while (held := self.waiting.next(self.ready)) is not None:
            assert isinstance(held.op, Claim)
            caps = Caps(held.op.types, held.op.caps)
            job = self.ready.pop(caps.types, caps.spent)
            assert job is not None, "taken from the line for nothing"
            served.append(f"{self.names[held]}:{job.type}")
        return served


def test_next_when_nobody_waits_then_nobody_is_taken_and_nothing_stays_woken() -> None:
    line = Line()
    line.comes("a", "b")
    assert line.served() == []
    assert line.ready.woken == set()


def test_next_when_no_job_has_come_then_nobody_is_taken() -> None:
    line = Line()
    line.joins("one")
    assert line.served() == []
    assert len(line.waiting) == 1


def test_next_when_a_job_came_and_went_then_nobody_is_taken() -> None:
    line = Line()
    line.joins("one")
    line.comes("a")
    line.ready.pop(None)
    assert line.served() == []
    assert line.ready.woken == set()


def test_next_when_jobs_come_then_those_who_wait_longest_are_served_first() -> None:
    line = Line()
    for name in ("one", "two", "three"):
        line.joins(name)
    line.comes("a", "a")
    assert line.served() == ["one:a", "two:a"]
    assert len(line.waiting) == 1


def test_next_when_types_differ_then_each_gets_its_own() -> None:
    line = Line()
    line.joins("a only", "a")
    line.joins("b only", "b")
    line.joins("any")
    line.comes("b", "c")
    assert line.served() == ["b only:b", "any:c"]


def test_next_when_one_of_any_type_waits_longer_then_it_is_before_those_of_the_type() -> None:
    line = Line()
    line.joins("any")
    line.joins("a only", "a")
    line.comes("a")
    assert line.served() == ["any:a"]


def test_next_when_one_of_the_type_waits_longer_then_it_is_before_those_of_any() -> None:
    line = Line()
    line.joins("a only", "a")
    line.joins("any")
    line.comes("a")
    assert line.served() == ["a only:a"]


@pytest.mark.parametrize("jobs", [("b", "a"), ("a", "b")])
def test_next_when_two_types_wake_then_the_longest_wait_decides_and_not_the_type(
    jobs: tuple[str, str],
) -> None:
    line = Line()
    line.joins("longest", "b", "z")
    line.joins("either", "a", "b")
    line.comes(*jobs)
    assert line.served() == ["longest:b", "either:a"]


def test_next_when_many_types_wake_then_everybody_is_served_in_the_order_of_waiting() -> None:
    line = Line()
    types = [f"t{number}" for number in range(40)]
    for type_ in types:
        line.joins(type_, type_)
    line.comes(*reversed(types))
    assert line.served() == [f"{type_}:{type_}" for type_ in types]
    assert len(line.waiting) == 0


def test_next_when_one_of_many_types_was_served_then_it_stands_in_no_line_any_more() -> None:
    line = Line()
    line.joins("one", "a", "b", "a")
    line.comes("a")
    assert line.served() == ["one:a"]
    line.comes("b")
    assert line.served() == []


def test_next_when_it_was_taken_then_it_can_join_again_at_the_end() -> None:
    line = Line()
    first = line.joins("one")
    line.joins("two")
    line.comes("a")
    assert line.served() == ["one:a"]
    line.waiting.add(first)
    line.comes("a", "a")
    assert line.served() == ["two:a", "one:a"]


def test_remove_when_it_waits_then_it_is_out_of_every_line() -> None:
    line = Line()
    held = line.joins("one", "a", "b")
    assert line.waiting.remove(held)
    assert not line.waiting.remove(held)
    assert len(line.waiting) == 0
    line.comes("a", "b")
    assert line.served() == []


def test_remove_when_others_wait_for_the_same_then_they_stay() -> None:
    line = Line()
    held = line.joins("one", "a")
    line.joins("two", "a")
    line.waiting.remove(held)
    line.comes("a")
    assert line.served() == ["two:a"]


def test_remove_when_it_never_waited_then_nothing_happens() -> None:
    assert not WaitingClaims().remove(Held(op=GetStats()))


def test_drain_when_many_wait_then_all_are_handed_over_in_order_and_gone() -> None:
    line = Line()
    held = [line.joins("one", "a"), line.joins("two"), line.joins("three", "a", "b")]
    assert line.waiting.drain() == held
    assert line.waiting.drain() == []
    line.comes("a", "b")
    assert line.served() == []
    assert len(line.waiting) == 0


def test_claim_when_it_names_no_type_at_all_then_it_waits_and_is_never_served() -> None:
    waiting, held = WaitingClaims(), Held(op=Claim("w", "s", ()), waits=True)
    waiting.add(held)
    line = Line()
    line.comes("a")
    assert waiting.next(line.ready) is None
    assert waiting.remove(held)


def test_memory_when_claims_come_and_go_then_nothing_of_them_stays() -> None:
    line = Line()
    for number in range(1_000):
        line.waiting.remove(line.joins("x", f"type{number}"))
    assert line.waiting._lines == {}
    assert line.waiting._tickets == {}


def test_next_when_a_claim_leaves_a_type_out_then_jobs_of_it_pass_it_by() -> None:
    line = Line()
    line.joins("not a", caps={"a": 0})
    line.joins("not a nor b", caps={"a": 0, "b": 0})
    line.joins("a or b, but no b", "a", "b", caps={"b": 0})
    line.joins("any")
    line.comes("a", "a", "b", "c")
    assert line.served() == ["not a:b", "not a nor b:c", "a or b, but no b:a", "any:a"]


def test_next_when_all_leave_a_type_out_then_nobody_is_taken_and_nothing_goes_on_for_ever() -> None:
    line = Line()
    line.joins("not a", caps={"a": 0})
    line.joins("only a, and none of it", "a", caps={"a": 0})
    line.comes("a")
    assert line.served() == []
    assert line.ready.woken == set()
    assert len(line.waiting) == 2
    line.comes("b")
    assert line.served() == ["not a:b"]


def test_remove_when_a_claim_leaves_types_out_then_it_waits_no_more() -> None:
    line = Line()
    held = line.joins("not a", caps={"a": 0})
    other = line.joins("nothing", "a", caps={"a": 0})
    assert line.waiting.remove(held)
    assert line.waiting.remove(other)
    assert not line.waiting.remove(held)
    line.comes("b")
    assert line.served() == []


def test_drain_when_a_claim_leaves_types_out_then_it_comes_too() -> None:
    line = Line()
    held = line.joins("not a", caps={"a": 0})
    assert line.waiting.drain() == [held]
    line.comes("b")
    assert line.served() == []


def test_next_when_a_claim_is_capped_but_not_at_nothing_then_it_is_served_as_any() -> None:
    line = Line()
    line.joins("one of a", "a", caps={"a": 1})
    line.comes("a")
    assert line.served() == ["one of a:a"]


class Counting(ReadyIndex):
    """Counts how often it is asked how many jobs of a type there are."""

    asked = 0

    def count(self, type_: str) -> int:
        self.asked += 1
        return super().count(type_)


def test_next_when_very_many_types_wake_then_each_is_not_looked_at_for_each_claim() -> None:
    """As when a queue is resumed: the loop would stand still for seconds."""
    line = Line()
    line.ready = ready = Counting(line.jobs.__getitem__)
    line.joins("waits on", "none")
    for number in range(500):
        line.joins(f"c{number}", f"t{number}", f"u{number}")
    line.comes(*[f"t{number}" for number in reversed(range(500))])
    assert line.served() == [f"c{number}:t{number}" for number in range(500)]
    assert ready.asked <= 5 * 500
    assert len(line.waiting) == 1
