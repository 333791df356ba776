"""``python -m tests.e2e.kills --kills 200 --seed N``: prints what was found as a JSON line.

Exits with 1 when a job was never done, or not completed exactly once.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import tempfile
from pathlib import Path
from random import SystemRandom  # noqa: TID251 - the seed

import msgspec
from tests.e2e.kills.proof import prove


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.e2e.kills", description=__doc__)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=SystemRandom().randrange(2**32))
    asked = parser.parse_args()
    print(f"seed {asked.seed}", file=sys.stderr)
    with tempfile.TemporaryDirectory(prefix="osqueue-kills-") as folder:
        proof = asyncio.run(prove(asked.kills, asked.seed, Path(folder)))
    print(json.dumps(msgspec.to_builtins(proof)))
    return 0 if proof.holds else 1


if __name__ == "__main__":
    sys.exit(main())
