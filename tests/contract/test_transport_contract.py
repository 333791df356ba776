"""The contracts of transports, on each of them against a real broker."""

from __future__ import annotations

import pytest

from osqueue.app import BrokerServer
from osqueue.client.credentials import Credentials
from osqueue.client.transports import QueueTransportAdapter
from osqueue.client.transports.kinds import KINDS, dialler_of
from osqueue.config import ClientSettings
from osqueue.testing import (
    JobContract,
    LookContract,
    QueueContract,
    ScheduleContract,
    StreamContract,
    TransportContract,
    WorkflowContract,
)


class OfKind:
    """Makes transports of one kind."""

    @pytest.fixture(autouse=True)
    def chosen(self, kind: str) -> None:
        self.kind = kind

    def make_transport(
        self, broker: BrokerServer, settings: ClientSettings
    ) -> QueueTransportAdapter:
        options = {"brokers": broker} if self.kind == "direct" else {}
        spec = {"kind": self.kind, **options}
        return dialler_of(spec, settings, Credentials()).dial(broker.url)


@pytest.mark.parametrize("kind", KINDS)
class TestTransports(OfKind, TransportContract):
    """Calls."""


@pytest.mark.parametrize("kind", KINDS)
class TestJobs(OfKind, JobContract):
    """Jobs that are retried, bring results and are waited for."""


@pytest.mark.parametrize("kind", KINDS)
class TestLooks(OfKind, LookContract):
    """Listings, and actions on many jobs."""


@pytest.mark.parametrize("kind", KINDS)
class TestQueue(OfKind, QueueContract):
    """A queue that is paused, and jobs whose order is changed."""


@pytest.mark.parametrize("kind", KINDS)
class TestSchedules(OfKind, ScheduleContract):
    """Jobs that are submitted again and again."""


@pytest.mark.parametrize("kind", KINDS)
class TestWorkflows(OfKind, WorkflowContract):
    """Jobs that wait for other jobs."""


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "rest"])
class TestStreams(OfKind, StreamContract):
    """Streams."""
