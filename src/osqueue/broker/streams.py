"""What the broker pushes: events and counts to observers, jobs to workers, ends to who waits."""

from __future__ import annotations

from typing import Protocol

from osqueue.broker.end_waits import EndWaits
from osqueue.broker.engines import QueueEngine
from osqueue.broker.job_streams import JobStream, JobStreams
from osqueue.broker.listening import Listening
from osqueue.broker.subscription import Subscription
from osqueue.broker.subscriptions import Subscriptions
from osqueue.config import StreamSettings
from osqueue.engine.requests import End, JobsOver, Publish

__all__ = ["Audience", "JobStream", "Streams", "Subscription"]


class Audience(Protocol):
    """Hears what subscribers are told, beside them."""

    def published(self, publish: Publish) -> None:
        """A commit is durable."""
        ...

    def over(self, end: End) -> None:
        """The broker leads no more, for now."""
        ...


class Streams:
    """All that is pushed from one engine, whose `Listener` this is."""

    def __init__(self, engine: QueueEngine, settings: StreamSettings, *, address: str) -> None:
        self.listening = Listening(engine)
        self.audience: Audience | None = None
        """Hears along, once it has said that it listens."""
        self.subscriptions = Subscriptions(self.listening, settings, address=address)
        self.jobs = JobStreams(settings)
        self.ends = EndWaits(engine, settings)
        engine.listener = self

    def published(self, publish: Publish) -> None:
        """A commit is durable."""
        if len(self.subscriptions) > 0:
            self.subscriptions.published(publish)
        if self.audience is not None:
            self.audience.published(publish)

    def jobs_over(self, over: JobsOver) -> None:
        """Jobs whose end is awaited have ended, durable or not."""
        self.ends.jobs_over(over)

    def over(self, end: End) -> None:
        """The broker leads no more, for now."""
        self.subscriptions.over(end)
        self.jobs.over(end)
        self.ends.over(end)
        self.listening.over()
        if self.audience is not None:
            self.audience.over(end)
