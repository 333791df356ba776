"""What people do to the object by hand, the record of it, and its laws; and a store that stands
still, by themselves.
"""

from __future__ import annotations

import json
from functools import partial
from typing import Any

import pytest

from osqueue.config import STATE_KEY
from osqueue.errors import OsqueueError, StoreUnknownError
from osqueue.testing.simulation.faults.disturbances import Kind
from osqueue.testing.simulation.faults.hands import (
    EDITOR_S,
    HANDS,
    TRIES_MAX,
    Hands,
    add,
    prefer,
    remove,
    revive,
)
from osqueue.testing.simulation.laws.deeds import Deed, Deeds, Done
from osqueue.testing.simulation.laws.handiwork import Handiwork
from osqueue.testing.simulation.laws.law import BrokenLawError
from osqueue.testing.simulation.laws.requests import Requests
from osqueue.testing.simulation.laws.views import JobLife, View
from osqueue.testing.simulation.machine.bucket import PATIENCE_S, PERSON, StoreWeather, Written
from osqueue.testing.simulation.machine.dice import Dice
from osqueue.testing.simulation.machine.exchange import Exchange
from osqueue.testing.simulation.machine.process import SimulatedProcess
from osqueue.testing.simulation.surroundings import Surroundings
from osqueue.wire.messages import SubmitRequest
from osqueue.wire.operations import SUBMIT

WALL_MS = 1_900_000_000_000


def job(job_id: str, status: str = "unclaimed", **said: Any) -> dict[str, Any]:
    return {"id": job_id, "status": status, "type": "mail", "attempts": 0, "ours": 1, **said}


def state_of(*jobs: dict[str, Any]) -> dict[str, Any]:
    return {"note": "by others", "commit": "7-1-me", "jobs": [*jobs]}


# What is done to a state


def test_edit_when_done_then_one_priority_differs() -> None:
    state = state_of(job("a", priority=9))
    change = prefer(state, Dice(1), WALL_MS)
    assert change == (Deed.EDITED, "a")
    assert state["jobs"][0].pop("priority") in range(-3, 4)
    assert state == state_of(job("a"))


def test_add_when_done_then_the_job_is_the_last_and_says_what_it_must() -> None:
    state = state_of(job("a"))
    change = add(state, Dice(1), WALL_MS)
    first, added = state["jobs"]
    assert first == job("a")
    assert change == (Deed.ADDED, added["id"])
    assert {"status": "unclaimed", "createdAt": WALL_MS, "attempts": 0}.items() <= added.items()
    assert {"id", "type", "payload"} <= added.keys()


def test_remove_when_a_job_is_waited_for_then_it_is_not_that_one() -> None:
    for seed in range(20):
        jobs = [job("a"), job("b", waitsFor=["a"]), job("c", "in_progress"), job("d", "dead")]
        state = state_of(*jobs)
        change = remove(state, Dice(seed), WALL_MS)
        assert change is not None
        assert change.job_id in {"b", "c", "d"}
        assert state == state_of(*(each for each in jobs if each["id"] != change.job_id))


def test_revive_when_there_is_a_dead_letter_then_it_has_all_its_attempts_again() -> None:
    running = job("a", "in_progress", attempts=1, lease="l")
    state = state_of(running, job("b", "dead", attempts=3, lastError={"m": 1}))
    assert revive(state, Dice(1), WALL_MS) == (Deed.REVIVED, "b")
    assert state == state_of(running, job("b"))


def test_revive_when_no_job_is_dead_then_one_that_runs_is_given_back() -> None:
    leased = {"workerId": "w", "heartbeat": 5, "lease": "l", "claimId": "c"}
    state = state_of(job("a", "in_progress", attempts=2, **leased))
    assert revive(state, Dice(1), WALL_MS) == (Deed.GIVEN_BACK, "a")
    assert state == state_of(job("a", attempts=2))


@pytest.mark.parametrize("doing", [prefer, remove, revive])
def test_change_when_there_is_nothing_to_change_then_nothing_is_done(doing: Any) -> None:
    state = state_of()
    assert doing(state, Dice(1), WALL_MS) is None
    assert state == state_of()


# Hands


class World(Surroundings):
    """With nobody in it but who changes the object by hand."""

    def __init__(self, state: dict[str, Any]) -> None:
        super().__init__(1)
        self.written: list[Written] = []
        self.bucket.on_write = self.written.append
        self.write(state)
        self.loop.outside(lambda: None, after_s=1_000)

    def write(self, state: dict[str, Any]) -> None:
        stored = self.bucket.look(STATE_KEY)
        data = json.dumps(state).encode()
        self.bucket.write(STATE_KEY, data, None if stored is None else stored.version, "broker")

    @property
    def by_hand(self) -> list[Written]:
        return [each for each in self.written if each.by == PERSON]


@pytest.mark.parametrize("kind", HANDS)
def test_hand_when_it_has_written_then_fields_stand_in_order_and_that_is_noted(kind: Kind) -> None:
    world = World(state_of(job("a", "dead", zeta=1, alpha=2), job("b")))
    Hands(world).begin(kind)
    world.loop.run(until_s=EDITOR_S + 0.1)
    (written,) = world.by_hand
    (done,) = world.deeds.done_at(written.at_us)
    state = json.loads(written.data)
    assert [*state] == ["note", "commit", "jobs"]
    for each in state["jobs"]:
        if each["id"] == "a":
            assert [*each][:7] == ["id", "status", "type", "attempts", "ours", "zeta", "alpha"]
    assert (done.job_id in {each["id"] for each in state["jobs"]}) == (done.deed != Deed.REMOVED)


def test_hand_when_it_has_read_then_others_may_write_before_it_does() -> None:
    world = World(state_of())
    Hands(world).begin(Kind.HAND_ADD)
    assert not world.by_hand
    world.write(state_of(job("z")))
    world.loop.run(until_s=2 * EDITOR_S + 0.1)
    (written,) = world.by_hand
    first, added = json.loads(written.data)["jobs"]
    assert first == job("z")
    assert world.deeds.did(Deed.ADDED, added["id"], written.at_us)
    assert json.loads(world.deeds.payloads[added["id"]]) == added["payload"]
    assert len(world.deeds) == 1, "what came too late was not done"


def test_hand_when_it_is_too_late_each_time_then_it_gives_up() -> None:
    world = World(state_of())
    Hands(world).begin(Kind.HAND_ADD)
    for number in range(1, 1_000):
        world.loop.run(until_s=number * 0.01)
        world.write(state_of())
    assert world.happened["hand too late"] == TRIES_MAX
    assert not world.by_hand
    assert not len(world.deeds)


def test_hand_when_all_rest_then_it_does_not_write_any_more() -> None:
    world = World(state_of())
    hands = Hands(world)
    hands.begin(Kind.HAND_ADD)
    hands.rest()
    world.loop.run(until_s=2)
    assert not world.by_hand


def test_hand_when_there_is_no_object_then_nothing_is_done() -> None:
    world = World(state_of())
    world.bucket.delete(STATE_KEY)
    Hands(world).begin(Kind.HAND_ADD)
    world.loop.run(until_s=2)
    assert not world.by_hand


# A store that stands still


def test_store_when_it_stands_still_then_calls_wait_and_go_on_in_order() -> None:
    world, done = World(state_of()), list[int]()
    world.store.weather = StoreWeather(stalled=1.0)
    for number in range(5):
        world.store.carry_out(partial(done.append, number))
    world.store.go_on()
    world.loop.run(until_s=1)
    assert done == []
    world.store.weather = StoreWeather()
    world.store.go_on()
    world.store.carry_out(lambda: done.append(5))
    world.loop.run(until_s=2)
    assert done == [0, 1, 2, 3, 4, 5]
    world.store.carry_out(lambda: done.append(6))
    assert done[-1] == 6, "nothing waits any more"


def test_store_when_it_goes_on_then_it_writes_what_its_caller_has_long_given_up() -> None:
    world, told = World(state_of()), list[OsqueueError]()

    async def write(process: SimulatedProcess) -> None:
        try:
            await world.store_of(process).create("late", b"1")
        except OsqueueError as error:
            told.append(error)

    world.store.weather = StoreWeather(stalled=1.0)
    SimulatedProcess(world.loop, Dice(1), "writer", write).start()
    world.loop.run(until_s=2 * PATIENCE_S)
    (error,) = told
    assert isinstance(error, StoreUnknownError)
    assert world.bucket.look("late") is None
    world.store.weather = StoreWeather()
    world.store.go_on()
    assert world.bucket.look("late") is not None


# The record, and the laws


def test_deeds_when_noted_then_each_is_told_by_what_it_was_and_when() -> None:
    deeds = Deeds()
    deeds.note(Deed.EDITED, "a", 5)
    deeds.note(Deed.EDITED, "a", 7)
    deeds.note(Deed.REMOVED, "b", 7)
    assert deeds.did(Deed.EDITED, "a", 5)
    assert not deeds.did(Deed.EDITED, "b", 7)
    assert not deeds.did(Deed.REMOVED, "b", 5)
    assert deeds.times(Deed.EDITED, "a") == 2
    assert deeds.done_at(7) == [Done(Deed.EDITED, "a", 7), Done(Deed.REMOVED, "b", 7)]


def views(*all_of_them: View) -> dict[str, View]:
    return {view.id: view for view in all_of_them}


A, B = View("a", "unclaimed"), View("b", "dead", attempts=3)
B_AGAIN = View("b", "unclaimed")


@pytest.mark.parametrize(
    ("before", "now", "deed"),
    [
        (views(A), views(A, B), (Deed.ADDED, "b")),
        (views(A, B), views(A), (Deed.REMOVED, "b")),
        (views(A, B), views(A, B_AGAIN), (Deed.REVIVED, "b")),
    ],
)
def test_version_of_a_person_when_it_differs_by_more_than_his_deed_then_it_is_told(
    before: dict[str, View], now: dict[str, View], deed: tuple[Deed, str]
) -> None:
    deeds = Deeds()
    laws = Handiwork(deeds, Requests())
    with pytest.raises(BrokenLawError, match=r"a person .* job b"):
        laws.expect_done(before, now, 5)
    deeds.note(*deed, 5)
    laws.expect_done(before, now, 5)
    with pytest.raises(BrokenLawError, match=r"a person .* job b"):
        laws.expect_done(before, now, 6)


def test_commit_when_it_undoes_what_a_person_did_then_it_is_told() -> None:
    deeds, requests = Deeds(), Requests()
    deeds.note(Deed.REVIVED, "b", 5)
    laws = Handiwork(deeds, requests)
    laws.expect_done(views(B), views(B_AGAIN), 5)
    with pytest.raises(BrokenLawError, match="undone"):
        laws.expect_kept(views(B_AGAIN), views(B))
    laws.expect_kept(views(B_AGAIN), views(B))  # that is for the next commit alone
    laws.expect_done(views(B), views(B_AGAIN), 5)
    laws.expect_kept(views(B_AGAIN), views(B_AGAIN))


def test_job_when_a_person_has_removed_it_then_it_comes_back_as_often_as_it_is_submitted() -> None:
    requests = Requests()
    laws, life = Handiwork(Deeds(), requests), JobLife()
    sent = Exchange("producer", SUBMIT, SubmitRequest(job_id="a", type="mail"), None, 0)
    requests.sent(sent)
    laws.came(life, "a", 5)
    life.views += [A, None]
    sent.copies = 2
    laws.came(life, "a", 6)
    with pytest.raises(BrokenLawError, match="comes back"):
        laws.came(life, "a", 7)


def test_job_when_a_person_has_added_it_then_it_is_no_commit_that_brought_it() -> None:
    deeds = Deeds()
    deeds.note(Deed.ADDED, "a", 5)
    laws, life = Handiwork(deeds, Requests()), JobLife()
    laws.came(life, "a", 5)
    life.views += [A, None]
    with pytest.raises(BrokenLawError, match="comes back"):
        laws.came(life, "a", 6)
