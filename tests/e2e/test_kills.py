"""Workers that are killed lose no job. In full: ``make kills``."""

from __future__ import annotations

from pathlib import Path
from random import SystemRandom  # noqa: TID251 - the seed, which is printed

from tests.e2e.kills.proof import prove


async def test_jobs_when_workers_are_killed_at_random_then_each_is_done_and_completed_once(
    tmp_path: Path,
) -> None:
    seed = SystemRandom().randrange(2**32)

    proof = await prove(20, seed, tmp_path)

    print(f"seed {seed}: {proof}")
    assert proof.holds, proof
    assert proof.broke_off > 0
