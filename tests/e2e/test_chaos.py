"""The proof of failover in its short form: three rounds of each fault, all durations a third."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.e2e.chaos.faults import FAULTS
from tests.e2e.chaos.proof import Proof, prove_fault
from tests.e2e.chaos.report import figures
from tests.e2e.chaos.timing import SHORT
from tests.integration.servers.ceph import Ceph

from osqueue.clock import SystemEntropy

ROUNDS = 3
BROKERS = 2


def prove(fault: str, folder: Path, ceph: Ceph | None) -> None:
    seed = int(SystemEntropy().jitter() * 2**32)
    proof = Proof(
        store="file" if ceph is None else "ceph",
        faults=[fault],
        rounds=ROUNDS,
        brokers=BROKERS,
        seed=seed,
        timing=SHORT,
    )
    result = prove_fault(proof.course(fault), folder, ceph)
    for line in figures(result):
        print(json.dumps(line))  # noqa: T201 - shown when it fails
    found = "\n".join(f"{finding.law}: {finding.text}" for finding in result.findings)
    assert not found, f"--seed {seed}, logs and history in {folder}:\n{found}"
    assert len(result.history.rounds) == ROUNDS


@pytest.mark.parametrize("fault", FAULTS)
def test_queue_on_a_disk_when_hurt_then_it_goes_on_and_keeps_its_promises(
    fault: str, tmp_path: Path
) -> None:
    prove(fault, tmp_path, None)


@pytest.mark.parametrize(
    "fault", [pytest.param(fault, marks=pytest.mark.external) for fault in FAULTS]
)
def test_queue_on_ceph_when_hurt_then_it_goes_on_and_keeps_its_promises(
    fault: str, tmp_path: Path, ceph: Ceph
) -> None:
    prove(fault, tmp_path, ceph)
