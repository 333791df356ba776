"""Documents: deltas that come to the same as the whole, whoever reads how often."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule
from msgspec import Raw

from osqueue.config import HISTORY_STEP_MS, OVERVIEW_GONE_MAX, OVERVIEW_TYPES_MAX
from osqueue.model.ops import Cancel, Claim, Complete, Fail, LeaseRef, NewJob, Retry, Submit
from osqueue.model.outcomes import Claimed
from osqueue.server.dashboard import documents as module
from osqueue.server.dashboard.documents import Documents

from .world import Reader, World, broker

ERROR = Raw(b'{"type":"E","message":"m"}')
TYPES = ["", "email:send", "other", "__proto__", "ü"]


class Watched(RuleBasedStateMachine):
    """Random traffic, and three readers who come now and then."""

    def __init__(self) -> None:
        super().__init__()
        self.world = World()
        self.readers = [Reader() for _ in range(3)]
        self.ids = 0
        self.leases: list[tuple[str, str, str]] = []

    @rule(types=st.lists(st.sampled_from(TYPES), min_size=1, max_size=6), delay=st.booleans())
    def submit(self, types: list[str], *, delay: bool) -> None:
        run_at = self.world.clock.wall + 3_000 if delay else None
        jobs = []
        for type_ in types:
            self.ids += 1
            jobs.append(NewJob(f"j{self.ids}", type_, Raw(b"1"), 2, run_at=run_at))
        self.world.do(Submit(tuple(jobs)))

    @rule(worker=st.sampled_from(["w1", "w2", "w3"]), most=st.integers(1, 30))
    def claim(self, worker: str, most: int) -> None:
        self.world.seeds += 1
        claimed = self.world.do(Claim(worker, f"s{self.world.seeds}", None, most))
        assert isinstance(claimed, Claimed)
        self.leases += [(worker, grant.id, grant.lease) for grant in claimed.grants]

    @precondition(lambda self: self.leases)
    @rule(data=st.data(), how=st.sampled_from(["complete", "fail", "bury"]))
    def end(self, data: st.DataObject, how: str) -> None:
        worker, job_id, lease = self.leases.pop(data.draw(st.integers(0, len(self.leases) - 1)))
        ref = LeaseRef(job_id, lease)
        if how == "complete":
            self.world.do(Complete(worker, (ref,)))
        else:
            self.world.do(Fail(worker, ref, ERROR, retry=how == "fail"))

    @rule(number=st.integers(1, 60), revive=st.booleans())
    def touch(self, number: int, *, revive: bool) -> None:
        self.world.do(Retry(f"j{number}") if revive else Cancel(f"j{number}"))

    @rule(ms=st.sampled_from([1, 900, HISTORY_STEP_MS, 17_000, 5_000_000]))
    def time_passes(self, ms: int) -> None:
        self.world.clock.passes(ms)

    @rule(ms=st.sampled_from([-9_000, 9_000]))
    def clock_is_set(self, ms: int) -> None:
        self.world.clock.wall += ms

    @rule(which=st.integers(0, 2))
    def read(self, which: int) -> None:
        world, reader = self.world, self.readers[which]
        world.commit()
        world.renew()
        world.tell(reader)
        fresh = world.whole().known
        assert reader.known == fresh
        jobs = world.state.totals()
        assert fresh["counts"]["total"] == jobs.unclaimed + jobs.in_progress
        for name, total in (("ready", world.state.ready.live), ("inProgress", jobs.in_progress)):
            assert sum(each[name] for each in fresh["types"].values()) == total
        assert sum(each["held"] for each in fresh["workers"].values()) == jobs.in_progress


TestWatched = Watched.TestCase
TestWatched.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)


def submit(world: World, *types: str) -> None:
    world.seeds += 1
    world.do(Submit(tuple([NewJob(f"{world.seeds}-{n}", type_) for n, type_ in enumerate(types)])))
    world.commit()


def read(world: World, seq: str | None) -> bool:
    """Whether somebody goes on from there."""
    return world.documents.read(seq) is not None


def test_delta_when_nothing_is_new_then_it_says_only_where_and_when() -> None:
    world = World()
    submit(world, "t")
    world.renew()
    reader = world.whole()
    assert not world.renew()
    assert list(world.tell(reader)) == ["seq", "now"]


def test_delta_when_one_type_changes_then_the_others_are_not_told() -> None:
    world = World()
    submit(world, "a", "b")
    world.renew()
    reader = world.whole()
    submit(world, "a")
    world.renew()
    told = world.tell(reader)
    assert told["types"] == {"a": {"ready": 2, "inProgress": 0, "dead": 0}}
    assert "workers" not in told
    assert "broker" not in told


def test_activity_when_much_has_happened_then_the_newest_is_told_and_how_much_more() -> None:
    world = World()
    world.renew()
    reader = world.whole()
    submit(world, *["t"] * 50)
    world.renew()
    told = world.tell(reader)
    assert (len(told["activity"]), told["skipped"]) == (20, 30)
    assert told["activity"][-1]["jobId"] == "1-49"
    assert reader.known["activity"] == world.whole().known["activity"]


@pytest.mark.parametrize(
    "spoil",
    [
        lambda _: None,
        lambda _: "",
        lambda seq: "other" + seq,
        lambda seq: seq.rpartition("-")[0],
        lambda seq: seq + "-1",
        lambda seq: seq.replace("run-1-", "run-9-"),
        lambda seq: seq.replace("run-1-", "run-0-"),
        lambda seq: seq.replace("run-1-", "run--1-"),
        lambda seq: seq.replace("run-1-", "run-\N{SUPERSCRIPT TWO}-"),
        lambda seq: seq[:-1] + "9",
        lambda seq: "-".join([*seq.split("-")[:2], "99999999999999999999", "1"]),
        lambda seq: "-".join([*seq.split("-")[:2], "0", "1"]),
    ],
)
def test_since_when_it_means_nothing_here_then_the_whole(
    spoil: Callable[[str], str | None],
) -> None:
    world = World()
    submit(world, "t")
    world.renew()
    seq = world.whole().seq
    assert seq is not None
    assert read(world, seq)
    assert not read(world, spoil(seq))


def test_since_when_another_broker_led_then_the_whole() -> None:
    world = World()
    world.renew()
    seq = world.whole().seq
    world.documents = Documents("another", world.history)
    world.renew()
    assert not read(world, seq)


def test_since_when_it_is_older_than_the_history_then_the_whole() -> None:
    world = World()
    world.renew()
    seq = world.whole().seq
    world.clock.passes(3_500_000)
    world.renew()
    assert read(world, seq)
    world.clock.passes(200_000)
    world.renew()
    assert not read(world, seq)


def test_since_when_too_many_types_have_gone_then_the_whole() -> None:
    world = World()
    world.renew()
    reader = world.whole()
    for number in range(OVERVIEW_GONE_MAX + 2):
        submit(world, f"t{number}")
        world.renew()
        world.do(Cancel(f"{world.seeds}-0"))
    assert not read(world, reader.seq)
    world.tell(reader)
    assert (reader.resets, reader.known["types"]) == (2, world.whole().known["types"])


def test_types_when_there_are_thousands_then_most_are_told_as_one() -> None:
    world = World()
    submit(world, *[f"hostile-{number}" for number in range(5_000)], *["other"] * 3)
    world.renew()
    types = world.whole().known["types"]
    assert len(types) == OVERVIEW_TYPES_MAX + 1
    assert sum(each["ready"] for each in types.values()) == 5_003
    assert types["other"]["ready"] == 5_003 - OVERVIEW_TYPES_MAX


def test_documents_when_a_thousand_read_the_same_then_it_is_encoded_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    encoded: list[object] = []

    def encode(value: object) -> bytes:
        encoded.append(value)
        return json.dumps({"n": len(encoded)}).encode()

    monkeypatch.setattr(module, "_encode", encode)
    world = World()
    world.documents.renew(broker(), None)
    mark = world.documents.mark
    world.documents.renew(broker(state_bytes=2), None)
    now = world.clock.wall
    assert len({id(world.documents.since(mark, now)) for _ in range(1_000)}) == 1
    assert len(encoded) == 1


def test_documents_when_readers_are_everywhere_then_few_of_theirs_are_kept() -> None:
    world = World()
    for number in range(400):
        world.documents.renew(broker(state_bytes=number), None)
    marks = [world.documents.mark._replace(version=version) for version in range(1, 401)]
    for mark in marks:
        world.documents.since(mark, world.clock.wall)
    assert len(world.documents._made) <= module.MADE_MAX
