"""Faults by seed: repeatable in any process, in the shares that were asked for."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter

import pytest

from osqueue.clock import SeededEntropy
from osqueue.errors import OsqueueError
from osqueue.storage import MemoryBackend
from osqueue.testing import (
    Fault,
    FaultyStore,
    HttpFault,
    HttpRequest,
    HttpStep,
    RandomFaults,
    RandomHttpFaults,
    Script,
    Step,
    StoreContract,
)
from osqueue.testing.store_expectations import append_lines

KEY = "queue.json"
RATES = {Fault.LOST_REPLY: 0.1, Fault.LATE_WRITE: 0.1, Fault.BUSY: 0.1, Fault.TRUNCATED: 0.1}
CALLS = 2_000


class TestFaultyStoreWithoutFaults(StoreContract):
    @pytest.fixture(autouse=True)
    def place(self) -> None:
        self.truth = MemoryBackend()

    async def make_store(self) -> FaultyStore:
        return FaultyStore(self.truth, RandomFaults(7, {}))


def drawn(seed: int, rates: dict[Fault, float] = RATES) -> list[Step]:
    faults = RandomFaults(seed, rates)
    return [faults.step("put", KEY) for _ in range(CALLS)]


def test_seed_when_used_again_then_the_same_faults_whatever_the_order_of_rates() -> None:
    assert drawn(7) == drawn(7)
    assert drawn(7) == drawn(7, dict(reversed(RATES.items())))
    assert drawn(7) != drawn(8)


def test_seed_in_processes_of_other_hash_seeds_then_the_same_faults() -> None:
    program = (
        "from tests.unit.testing.test_random_faults import drawn;"
        "print([(s.fault.value, s.after) for s in drawn(7)])"
    )
    outputs = {
        subprocess.run(
            [sys.executable, "-c", program],
            env={
                **os.environ,
                "PYTHONHASHSEED": str(number),
                "PYTHONPATH": os.pathsep.join(sys.path),
            },
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for number in (1, 2)
    }
    assert outputs == {f"{[(s.fault.value, s.after) for s in drawn(7)]}\n"}


def test_rates_then_each_fault_comes_about_as_often() -> None:
    shares = Counter(step.fault for step in drawn(7))
    assert set(shares) == {Fault.NONE, Fault.LOST_REPLY, Fault.LATE_WRITE, Fault.BUSY}
    for fault in (Fault.LOST_REPLY, Fault.LATE_WRITE, Fault.BUSY):
        assert CALLS * 0.08 < shares[fault] < CALLS * 0.12


def test_fault_that_says_nothing_about_a_call_then_it_passes() -> None:
    faults = RandomFaults(7, {Fault.LATE_WRITE: 1.0})
    assert faults.step("get", KEY) == Step("get")
    assert faults.step("put", KEY).fault is Fault.LATE_WRITE


def test_calls_and_keys_that_are_not_meant_then_pass_and_draw_nothing() -> None:
    plain = RandomFaults(7, {Fault.BUSY: 0.5})
    choosy = RandomFaults(7, {Fault.BUSY: 0.5}, on=["put"], under="queue")
    for _ in range(20):
        assert choosy.step("get", KEY) == Step("get")
        assert choosy.step("put", "archive/x") == Step("put")
        assert choosy.step("put", KEY) == plain.step("put", KEY)


@pytest.mark.parametrize(
    "rates", [{Fault.BUSY: 1.1}, {Fault.BUSY: -0.1}, {Fault.BUSY: 0.6, Fault.DENIED: 0.6}]
)
def test_rates_that_are_no_chances_then_refused(rates: dict[Fault, float]) -> None:
    with pytest.raises(ValueError, match="together at most 1"):
        RandomFaults(7, rates)


def test_slow_answers_by_seed_without_a_delay_then_refused() -> None:
    with pytest.raises(ValueError, match="needs a delay_s"):
        RandomHttpFaults(7, {HttpFault.SLOW: 0.1})
    faults = RandomHttpFaults(7, {HttpFault.SLOW: 1.0}, like=HttpStep(delay_s=1.0))
    assert faults.step(HttpRequest("GET", "/", {})).delay_s == 1.0


def test_script_when_it_leaves_a_call_out_then_the_seed_decides() -> None:
    script = Script([Step("get")], otherwise=RandomFaults(7, {Fault.BUSY: 1.0}))
    assert script.step("put", KEY).fault is Fault.BUSY
    assert script.step("get", KEY).fault is Fault.NONE
    assert script.step("get", KEY).fault is Fault.BUSY


async def test_writer_on_a_store_that_fails_by_seed_then_each_line_stands_once() -> None:
    truth = MemoryBackend()
    rates = {Fault.LOST_REPLY: 0.2, Fault.LATE_WRITE: 0.2, Fault.LOST_REQUEST: 0.1}
    store = FaultyStore(truth, RandomFaults(7, rates, on=["put"]))
    await truth.create(KEY, b"")
    lines = [line for writer in range(10) for line in await append_lines(store, KEY, writer=writer)]
    await store.land()
    assert (await store.get(KEY)).data.split() == lines  # type: ignore[union-attr]  # it is there
    assert {entry.fault for entry in store.log} == {Fault.NONE, *rates}
    store.faults = Script([Step("get", Fault.DENIED)])
    with pytest.raises(OsqueueError):
        await store.get(KEY)


def test_seeded_entropy_then_ids_are_uuids_in_order_and_repeat_with_the_seed() -> None:
    one, same, other = SeededEntropy(7), SeededEntropy(7), SeededEntropy(8)
    ids = [one.job_id() for _ in range(300)]
    assert ids == sorted(set(ids))
    assert ids == same.job_ids(300)
    assert ids[0] != other.job_id()
    assert [len(part) for part in ids[0].split("-")] == [8, 4, 4, 4, 12]
    assert one.token() == same.token()
    assert 0 <= one.jitter() < 1
