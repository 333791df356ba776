"""Fixtures for pytest, installed along with osqueue: a broker in memory for each test.

Nothing of osqueue is imported before a test asks for one, so that a plugin costs those nothing who
do not use it, and coverage sees all of what it measures.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from osqueue import OsqueueClient, SyncOsqueueClient
    from osqueue.testing import MemoryBroker

__all__ = ["osqueue_broker", "osqueue_client", "osqueue_sync_client"]


@pytest.fixture
def osqueue_broker() -> Iterator[MemoryBroker]:
    """A broker in memory: submitted jobs, time travel, run_until_empty, eager mode."""
    from osqueue.testing import MemoryBroker  # noqa: PLC0415 - loads the broker

    with MemoryBroker() as broker:
        yield broker


@pytest.fixture
def osqueue_client(osqueue_broker: MemoryBroker) -> OsqueueClient:
    """An OsqueueClient of the broker in memory."""
    return osqueue_broker.client


@pytest.fixture
def osqueue_sync_client(osqueue_broker: MemoryBroker) -> SyncOsqueueClient:
    """A SyncOsqueueClient of the broker in memory."""
    return osqueue_broker.sync_client
