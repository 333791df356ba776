"""The tables of the two machines as Mermaid state diagrams, for the documentation.

``python -m osqueue.engine.diagrams docs`` writes them there.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from enum import StrEnum
from pathlib import Path
from typing import Final

from osqueue.engine.committer import PHASES, Phase
from osqueue.engine.election import TURNS, Role

__all__ = ["DIAGRAMS"]


def roles() -> str:
    """What a broker is to its queue, and what changes it."""
    edges = ((source, target, turn) for (source, turn), target in TURNS.items())
    return _diagram(Role, edges, first=Role.STANDBY, last=Role.STOPPED)


def phases() -> str:
    """Where a leader's writing stands, and what moves it on."""
    edges = ((source, target, why) for (source, target), why in PHASES.items())
    return _diagram(Phase, edges, first=Phase.READY, last=Phase.ENDED)


DIAGRAMS: Final[dict[str, Callable[[], str]]] = {"roles": roles, "phases": phases}
"""By the name of the file."""


def _diagram(
    states: Iterable[StrEnum],
    edges: Iterable[tuple[StrEnum, StrEnum, str]],
    *,
    first: StrEnum,
    last: StrEnum,
) -> str:
    lines = ["stateDiagram-v2"]
    lines += [f'    state "{state}" as {_id(state)}' for state in states if " " in state]
    lines.append(f"    [*] --> {_id(first)}")
    lines += [f"    {_id(source)} --> {_id(target)}: {label}" for source, target, label in edges]
    lines.append(f"    {_id(last)} --> [*]")
    return "\n".join(lines)


def _id(state: StrEnum) -> str:
    return state.replace(" ", "_")


if __name__ == "__main__":
    for name, draw in DIAGRAMS.items():
        Path(sys.argv[1], f"{name}.mmd").write_text(f"{draw()}\n")
