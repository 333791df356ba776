"""``python -m tests.e2e.chaos --store file|ceph --fault kill,stop,... --rounds 20 --seed N``.

Prints a JSON line per fault and variant, then a table; progress goes to stderr. Exits with 1 when
a law was broken; then the history of that fault stands in a file whose path is printed.
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
import tempfile
from pathlib import Path
from random import SystemRandom  # noqa: TID251 - the seed

from tests.e2e.chaos.faults import FAULTS
from tests.e2e.chaos.proof import Proof, prove
from tests.e2e.chaos.report import figures, table
from tests.e2e.chaos.timing import FULL, SHORT


def main() -> int:
    asked = _arguments()
    logging.basicConfig(format="%(asctime)s %(message)s", stream=sys.stderr)
    logging.getLogger("osqueue").setLevel(logging.ERROR)  # outages are what this is about
    logging.getLogger("chaos").setLevel(logging.INFO)
    print(f"seed {asked.seed}", file=sys.stderr)
    proof = Proof(
        store=asked.store,
        faults=asked.fault.split(","),
        rounds=asked.rounds,
        brokers=asked.brokers,
        seed=asked.seed,
        timing=SHORT if asked.short else FULL,
    )
    lines, broken = [], 0
    folder = Path(tempfile.mkdtemp(prefix="osqueue-chaos-"))
    for result in prove(proof, folder):
        lines += figures(result)
        for line in figures(result):
            print(json.dumps(line), flush=True)
        broken += len(result.findings)
        for finding in result.findings:
            print(f"{finding.law}: {finding.text}", file=sys.stderr)
    print(table(lines), flush=True)
    print(f"logs and histories: {folder}", file=sys.stderr)
    return 1 if broken else 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.e2e.chaos", description=__doc__)
    parser.add_argument("--store", choices=("file", "ceph"), default="file")
    parser.add_argument("--fault", default=",".join(FAULTS), help="some of: %(default)s")
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--seed", type=int, default=SystemRandom().randrange(2**32))
    parser.add_argument("--brokers", type=int, default=2)
    parser.add_argument("--short", action="store_true", help="all durations about a third")
    asked = parser.parse_args()
    unknown = set(asked.fault.split(",")) - set(FAULTS)
    if unknown:
        parser.error(f"no such fault: {', '.join(sorted(unknown))}; there are {', '.join(FAULTS)}")
    return asked


if __name__ == "__main__":
    sys.exit(main())
