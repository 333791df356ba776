"""Pools of processes."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from tests.unit.worker.processes.driver import (
    IMPATIENT,
)

from osqueue.worker.processes import (
    ProcessPool,
)


@pytest.fixture
async def pool() -> AsyncIterator[ProcessPool]:
    async with ProcessPool(2) as pool:
        yield pool


@pytest.fixture
async def one() -> AsyncIterator[ProcessPool]:
    """A pool of one process."""
    async with ProcessPool(1) as pool:
        yield pool


@pytest.fixture
async def impatient() -> AsyncIterator[ProcessPool]:
    async with ProcessPool(1, IMPATIENT) as pool:
        yield pool
