"""``python -m tests.conformance``: run the rows, and write the table of what was seen."""

from __future__ import annotations

import sys
from collections.abc import Generator
from pathlib import Path

import pytest


class Seen:
    """Notes what failed."""

    def __init__(self) -> None:
        self.failed: set[tuple[str, str]] = set()

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        report = yield
        function = getattr(item, "function", None)
        rule = getattr(function, "_conformance_row", None)
        if rule is not None and report.failed:
            params = getattr(item, "callspec").params  # noqa: B009 - only parametrised items have it
            for fixture in {"peer", "loose", "standby", "stalled", "calling"} & set(params):
                self.failed.add((rule.rule, params[fixture]))
        return report


def main() -> int:
    """The exit status of the tests; the page is written whatever they say."""
    seen = Seen()
    status = pytest.main(
        [str(Path(__file__).with_name("test_conformance.py")), "-q"], plugins=[seen]
    )
    from tests.conformance.table import PAGE, table  # noqa: PLC0415 - pytest wants to import it

    PAGE.write_text(table(seen.failed))
    return int(status)


if __name__ == "__main__":
    sys.exit(main())
