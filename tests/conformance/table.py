"""The table of the documentation: every rule of the wire, and where it has been seen to hold."""

from __future__ import annotations

from collections.abc import Collection
from itertools import groupby
from pathlib import Path
from typing import Final

from tests.conformance import test_conformance
from tests.conformance.elsewhere import ELSEWHERE
from tests.conformance.peers import PEERS
from tests.conformance.rows import Held, rows_of

__all__ = ["HELD", "PAGE", "table"]

PAGE: Final = Path(__file__).parents[2] / "docs" / "conformance.md"

HELD: Final = (*rows_of(test_conformance), *ELSEWHERE)
"""Every rule, in the order of the table."""

HEAD: Final = """# Conformance

What the wire promises, asked by clients that share no code with the broker: plain HTTP, WebSocket
frames, Connect with JSON and with Protocol Buffers, gRPC-Web, and gRPC by Google's library. ✓: the
tests of this rule hold there; -: nothing to ask, because there is no such operation or the message
types leave no way to say it. Made by `python -m tests.conformance`; CI runs the tests and compares.
"""


def table(failed: Collection[tuple[str, str | None]] = ()) -> str:
    """The page. ``failed``: names of tests, each with the way it was asked on, if only on one."""
    lines = [HEAD]
    for about, group in groupby(HELD, key=lambda held: held.row.about):
        lines += [f"## {about[:1].upper()}{about[1:]}\n"]
        lines += ["| rule | " + " | ".join(peer.name for peer in PEERS) + " |"]
        lines += ["|---|" + ":-:|" * len(PEERS)]
        lines += [_line(held, failed) for held in group]
        lines.append("")
    return "\n".join(lines)


def _line(held: Held, failed: Collection[tuple[str, str | None]]) -> str:
    refusal = f" (`{held.row.refusal}`)" if held.row.refusal else ""
    cells = [_cell(held, peer.name, failed) for peer in PEERS]
    return f"| {held.row.rule}{refusal} | " + " | ".join(cells) + " |"


def _cell(held: Held, way: str, failed: Collection[tuple[str, str | None]]) -> str:
    if way not in held.ways:
        return "-"
    return "✗" if {(held.name, way), (held.name, None)} & set(failed) else "✓"
