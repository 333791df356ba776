"""Clients of every transport."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from osqueue.app import BrokerServer
from osqueue.client import OsqueueClient

__all__ = ["KINDS", "client_of", "spec"]

KINDS: Final = ("connect", "direct", "grpc", "rest", "ws")


def spec(kind: str, *brokers: BrokerServer) -> Mapping[str, Any]:
    """The transport of a kind to these brokers."""
    return {"kind": kind, "brokers": brokers} if kind == "direct" else {"kind": kind}


def client_of(kind: str, *brokers: BrokerServer, **options: Any) -> OsqueueClient:
    """A client that knows these brokers, which have been started."""
    urls = [broker.url for broker in brokers]
    return OsqueueClient(urls, transport=spec(kind, *brokers), **options)
