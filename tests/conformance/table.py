"""The table of the documentation: every rule of the wire, and where it has been seen to hold."""

from __future__ import annotations

from collections.abc import Collection
from itertools import groupby
from pathlib import Path

from tests.conformance import test_conformance
from tests.conformance.peers import PEERS
from tests.conformance.rows import Row, rows_of

__all__ = ["PAGE", "table"]

PAGE = Path(__file__).parents[2] / "docs" / "conformance.md"

HEAD = """# Conformance

What the wire promises, asked by clients that share no code with the broker: plain HTTP, WebSocket
frames, Connect with JSON and with Protocol Buffers, gRPC-Web, and gRPC by Google's library. ✓: the
tests of this rule hold there; -: nothing to ask, because there is no such operation or the message
types leave no way to say it. Made by `python -m tests.conformance`; CI runs the tests and compares.
"""


def table(failed: Collection[tuple[str, str]] = ()) -> str:
    """The page. ``failed``: rules, with the way on which a test of theirs failed."""
    lines = [HEAD]
    for about, group in groupby(rows_of(test_conformance), key=lambda each: each[0].about):
        names = " | ".join(peer.name for peer in PEERS)
        lines += [f"## {about.capitalize()}\n", f"| rule | {names} |"]
        lines.append("|---|" + ":-:|" * len(PEERS))
        lines += [_line(rule, ways, failed) for rule, ways in group]
        lines.append("")
    return "\n".join(lines)


def _line(rule: Row, ways: list[str], failed: Collection[tuple[str, str]]) -> str:
    cells = [
        "-" if peer.name not in ways else "✗" if (rule.rule, peer.name) in failed else "✓"
        for peer in PEERS
    ]
    refusal = f" (`{rule.refusal}`)" if rule.refusal else ""
    return f"| {rule.rule}{refusal} | " + " | ".join(cells) + " |"
