"""``python -m tests.conformance``: run the rows' tests, and write the table of what was seen."""

from __future__ import annotations

import subprocess
import sys
from xml.etree import ElementTree as ET

from tests.conformance.peers import PEERS
from tests.conformance.table import HELD, PAGE, table

REPORT = PAGE.parents[1] / ".pytest_cache" / "conformance.xml"


def main() -> int:
    """The exit status of the tests; the page is written whatever they say."""
    tests = sorted({f"{held.module.replace('.', '/')}.py::{held.name}" for held in HELD})
    command = [sys.executable, "-m", "pytest", "-q", f"--junit-xml={REPORT}", *tests]
    status = subprocess.run(command, cwd=PAGE.parents[1], check=False).returncode
    PAGE.write_text(table(_failed()))
    return status


def _failed() -> set[tuple[str, str | None]]:
    """The tests that failed, each with the way that stands in its parameters."""
    cases = ET.parse(REPORT).iter("testcase")
    bad = [case.get("name", "") for case in cases if any(x.tag != "properties" for x in case)]
    return {(name.partition("[")[0], _way(name)) for name in bad}


def _way(name: str) -> str | None:
    params = name.partition("[")[2].rstrip("]")
    named = [peer.name for peer in PEERS if params == peer.name or f"{peer.name}-" in f"{params}-"]
    return max(named, key=len, default=None)


if __name__ == "__main__":
    sys.exit(main())
