"""What the broker pushes: events and counts to observers, jobs to workers."""

from __future__ import annotations

from osqueue.broker.engines import QueueEngine
from osqueue.broker.job_streams import JobStream, JobStreams
from osqueue.broker.subscription import Subscription
from osqueue.broker.subscriptions import Subscriptions
from osqueue.config import StreamSettings
from osqueue.engine.requests import End, Publish

__all__ = ["JobStream", "Streams", "Subscription"]


class Streams:
    """All that is pushed from one engine, whose `Listener` this is."""

    def __init__(self, engine: QueueEngine, settings: StreamSettings, *, address: str) -> None:
        self.subscriptions = Subscriptions(engine, settings, address=address)
        self.jobs = JobStreams(settings)
        engine.listener = self

    def published(self, publish: Publish) -> None:
        """A commit is durable."""
        self.subscriptions.published(publish)

    def over(self, end: End) -> None:
        """The broker leads no more, for now."""
        self.subscriptions.over(end)
        self.jobs.over(end)
