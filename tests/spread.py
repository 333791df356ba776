"""How tests are spread over processes: who uses the same server runs in one of them.

With pytest-xdist each process is a session of its own. So what is started once a session is started
once in all, and tests on Ceph do not take each other's time.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

import pytest

__all__ = ["STARTED_ONCE", "group_of"]

STARTED_ONCE: Final = (
    "ceph",
    "browser",
    "furnished",
    "azurite",
    "fake_gcs",
    "localbucket",
    "moto",
    "installed",
)
"""The fixtures of a session, the dearest first: a test that uses two is with the first one's."""

GROUPS: Final = {"furnished": "browser"}
"""Fixtures that bring another one along."""


def group_of(item: pytest.Item) -> str | None:
    """Which tests this one runs in a process with; ``None``: with any.

    A server may be named by a parameter, whose test asks for the fixture by that name.
    """
    wanted = {*getattr(item, "fixturenames", ()), *_parameters(item)}
    found = next((name for name in STARTED_ONCE if name in wanted), None)
    return None if found is None else GROUPS.get(found, found)


def _parameters(item: pytest.Item) -> Iterator[str]:
    callspec = getattr(item, "callspec", None)
    values = () if callspec is None else callspec.params.values()
    return (value for value in values if isinstance(value, str))


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: Sequence[pytest.Item]) -> None:
    """Before xdist looks at the groups; without it, there are none."""
    if not config.pluginmanager.hasplugin("xdist"):
        return
    for item in items:
        if (group := group_of(item)) is not None:
            item.add_marker(pytest.mark.xdist_group(group))


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """A test is called what it is called without xdist, which adds its group: ``…[ceph]@ceph``."""
    name, at, group = report.nodeid.rpartition("@")
    if at and group in STARTED_ONCE:
        report.nodeid = name
