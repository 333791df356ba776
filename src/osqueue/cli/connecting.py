"""The client of a command."""

from __future__ import annotations

from osqueue.cli.failures import usage
from osqueue.cli.options import Broker
from osqueue.client import OsqueueClient
from osqueue.config import ClientSettings

__all__ = ["connect"]


def connect(broker: Broker, settings: ClientSettings | None = None) -> OsqueueClient:
    """A client of these brokers; raises `CliError` naming what was given when that is wrong."""
    with usage(broker.origin):
        return OsqueueClient(broker.urls or None, storage=broker.storage, settings=settings)
