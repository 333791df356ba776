"""Has spin look at every state of the model, and tells a counterexample as who did what.

The verifier is a C program that spin writes for one configuration, so spin and a C compiler must be
installed; ``make servers`` does that. ``python -m tests.formal.checker --large`` checks more than
the tests do, and ``--mutant NAME`` prints how a mutant goes wrong.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec
from tests.integration.servers.install import require

__all__ = ["LARGE", "MAIN", "MUTANTS", "PROGRESS", "Model", "Verdict", "check", "without"]

MODEL = Path(__file__).with_name("commit.pml")
DEPTH_MAX = 1_000_000
"""Longest run that is looked at; the verifier says so when one is longer."""

EVERY_STATE = ("-O2", "-w", "-DSAFETY", "-DNOFAIR")
SHORTEST = ("-O1", "-w", "-DSAFETY", "-DBFS")
LIVENESS = ("-O2", "-w", "-DNOFAIR")


class Model(msgspec.Struct, frozen=True):
    """What is checked: definitions of the model, and by which kind of search."""

    name: str
    defines: tuple[str, ...]
    search: tuple[str, ...] = EVERY_STATE
    memory_mib: int = 2_048

    @property
    def options(self) -> list[str]:
        return [f"-D{define}" for define in self.defines]

    def mutated(self, mutant: str) -> Model:
        """The model without a rule, searched by breadth for the shortest way to go wrong."""
        defines = (*self.defines, f"M_{mutant}", "SHORTEST")
        return Model(mutant, defines, SHORTEST, self.memory_mib)


MAIN = (
    Model("two operations, two epochs", ("OPS=2", "EPOCHS=2", "LATES=1")),
    Model("one without an id, three epochs", ("OPS=1", "IDS=0", "EPOCHS=3", "LATES=1")),
    Model("one with an id, three epochs", ("OPS=1", "IDS=1", "EPOCHS=3", "LATES=1")),
)
LARGE_MIB = 4_096
"""What a larger configuration may take: more than any of them does."""
LARGE = (
    Model("two operations, three epochs", ("OPS=2", "EPOCHS=3", "LATES=2"), memory_mib=LARGE_MIB),
    Model("three operations", ("OPS=3", "EPOCHS=2", "NUMBERS=5"), memory_mib=LARGE_MIB),
    Model("heartbeats", ("OPS=1", "EPOCHS=2", "HEARTBEATS"), memory_mib=LARGE_MIB),
    Model("candidates take requests", ("OPS=1", "EPOCHS=3", "EAGER"), memory_mib=LARGE_MIB),
    Model("progress, two of both", ("PROGRESS", "OPS=2", "EPOCHS=2", "LATES=1"), LIVENESS),
)
PROGRESS = (
    Model("progress, one operation", ("PROGRESS", "OPS=1", "EPOCHS=2", "LATES=1"), LIVENESS),
    Model("progress, two operations", ("PROGRESS", "OPS=2", "EPOCHS=1", "LATES=1"), LIVENESS),
)
FOR_MUTANTS = Model("", ("OPS=2", "EPOCHS=3"))
STUCK = Model("NO_RETRY", ("PROGRESS", "OPS=1", "EPOCHS=1", "LATES=1", "M_NO_RETRY"), LIVENESS)
"""The rule without which no law is broken, but nothing goes on."""

LOST = "what was acknowledged is not durable"
LIED = "what was called not applied took effect"
TWICE = "an operation took effect twice"
TWO_WRITERS = "an epoch has two writers"
EPOCH_AGAIN = "an epoch was taken twice, or went back"

MUTANTS = {
    "NEW_BYTES": LIED,
    "TRUST_REREAD": LIED,
    "CONFLICT_PROVES": LIED,
    "NO_LINEAGE": LIED,
    "EARLY_RELEASE": LIED,
    "LAST_ANSWER": LIED,
    "EARLY_ANSWER": LOST,
    "APPLY_AGAIN": TWICE,
    "IGNORE_EPOCH": TWO_WRITERS,
    "SAME_EPOCH": EPOCH_AGAIN,
    "BLIND_TAKEOVER": EPOCH_AGAIN,
}
"""Each rule that can be left out, and the law that the shortest counterexample breaks."""


def without(mutant: str) -> Model:
    """The model with one rule left out."""
    return STUCK if mutant == STUCK.name else FOR_MUTANTS.mutated(mutant)


class Verdict(msgspec.Struct, frozen=True):
    """What the verifier has found."""

    holds: bool
    whole: bool
    """Whether every state was looked at."""
    states: int
    depth: int
    memory_mib: float
    seconds: float
    unreached: tuple[str, ...]
    """Steps that are never taken, as places in the model."""
    trail: tuple[str, ...]
    """How a law is broken: who did what, one after the other."""

    @property
    def broken(self) -> str | None:
        """The law that is broken."""
        laws = [line.removeprefix("BROKEN: ") for line in self.trail if "BROKEN: " in line]
        return laws[0] if laws else None

    @property
    def shown(self) -> bool:
        """Whether the model is seen to keep its laws: a search cut short shows nothing."""
        return self.holds and self.whole

    @property
    def told(self) -> str:
        """The outcome, in words."""
        if not self.holds:
            return self.broken or "nothing goes on"
        return "holds" if self.whole else "IS NOT SHOWN"

    def __str__(self) -> str:
        figures = f"{self.states:,} states, depth {self.depth:,}"
        return f"{figures}, {self.memory_mib:.0f} MiB, {self.seconds:.1f} s"


def check(model: Model) -> Verdict:
    """Look at every state, or at as many as it takes to find one that breaks a law."""
    require("spin", "gcc")
    with TemporaryDirectory() as folder:
        place = Path(folder)
        _run(["spin", *model.options, "-a", str(MODEL)], place)
        memory = f"-DMEMLIM={model.memory_mib}"
        _run(["gcc", *model.search, memory, "-o", "pan", "pan.c"], place)
        liveness = ["-a"] if model.search is LIVENESS else []
        told = _run(["./pan", *liveness, f"-m{DEPTH_MAX}"], place)
        return _verdict(told, _trail(model, place))


def _trail(model: Model, place: Path) -> tuple[str, ...]:
    if not (place / "commit.pml.trail").exists():
        return ()
    guided = ["spin", *model.options, "-k", "commit.pml.trail", "-T", "-B", str(MODEL)]
    lines = (line.strip() for line in _run(guided, place).splitlines())
    said = ("broker ", "store: ", "client: ", "from now on", "BROKEN: ", "<<<<<START OF CYCLE")
    return tuple(line for line in lines if line.startswith(said))


def _verdict(told: str, trail: tuple[str, ...]) -> Verdict:
    def figure(pattern: str) -> float:
        found = re.search(pattern, told)
        assert found is not None, told
        return float(found[1])

    errors = int(figure(r"errors: (\d+)"))
    return Verdict(
        holds=errors == 0,
        whole="Search not completed" not in told and "too small" not in told,
        states=int(figure(r"([\d.e+]+) states, stored")),
        depth=int(figure(r"depth reached (\d+)")),
        memory_mib=figure(r"([\d.]+)\s+total actual memory usage"),
        seconds=figure(r"elapsed time ([\d.e+-]+) seconds"),
        unreached=tuple(re.findall(r"(commit\.pml:\d+), state \d+, \"(?!-end-)", told)),
        trail=trail,
    )


def _run(command: Sequence[str], place: Path) -> str:
    done = subprocess.run(command, cwd=place, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{command[0]} failed: {done.stdout[-2000:]}{done.stderr[-2000:]}"
    return done.stdout


def main() -> int:
    """Check what is asked for, and print the figures; 1 where the model holds and should not, or
    the other way round.
    """
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--large", action="store_true", help="the larger configurations, too")
    parser.add_argument(
        "--mutant",
        choices=[*MUTANTS, STUCK.name],
        help="leave out this rule, and print how that goes wrong",
    )
    asked = parser.parse_args()
    if asked.mutant:
        models: Sequence[Model] = [without(asked.mutant)]
    else:
        models = [*MAIN, *PROGRESS, *(LARGE if asked.large else ())]
    as_expected = True
    for model in models:
        verdict = check(model)
        print(*verdict.trail, f"{model.name}: {verdict.told}: {verdict}", sep="\n", flush=True)
        as_expected &= not verdict.holds if asked.mutant else verdict.shown
    return 0 if as_expected else 1


if __name__ == "__main__":
    sys.exit(main())
