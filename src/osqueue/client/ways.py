"""How a client was told where its brokers are, checked: by addresses, by a storage, or both."""

from __future__ import annotations

from collections.abc import Iterable

from osqueue.client.addresses import parse_base_url
from osqueue.client.brokers import Brokers
from osqueue.client.discovery import Discovery, LeaderStore, open_leader_store
from osqueue.client.following import Following
from osqueue.client.runtime import Runtime
from osqueue.client.transports.protocol import Transport
from osqueue.config import ClientSettings
from osqueue.errors import TransportConfigError

__all__ = ["way_to_brokers"]


def way_to_brokers(
    broker_url: str | Iterable[str] | None,
    storage: str | LeaderStore | None,
    transport: Transport | None,
    *,
    settings: ClientSettings,
    runtime: Runtime,
) -> Transport:
    """The transport that a client was given, or one to the brokers.

    Raises `TransportConfigError` unless it is exactly one of both, and for what is no broker's
    URL; `ConfigError` and `UnsupportedStoreError` for what is no storage's.
    """
    if transport is not None:
        if broker_url is not None or storage is not None:
            raise TransportConfigError(
                "a transport is the whole way to a broker: give no broker_url or storage with it"
            )
        return transport
    if broker_url is None and storage is None:
        raise TransportConfigError(
            "a client needs to know its brokers: give broker_url (a URL or a list), or storage to "
            "find the leader in the queue's own object, or a transport"
        )
    brokers = Brokers(_base_urls(broker_url))
    discovery = None if storage is None else _discovery(storage, settings, runtime)
    return Following(brokers, settings, runtime, discovery=discovery)


def _base_urls(broker_url: str | Iterable[str] | None) -> list[str]:
    if broker_url is None:
        return []
    given = [broker_url] if isinstance(broker_url, str) else list(broker_url)
    if not given:
        raise TransportConfigError("the list of broker URLs is empty: give at least one")
    return [parse_base_url(url) for url in given]


def _discovery(storage: str | LeaderStore, settings: ClientSettings, runtime: Runtime) -> Discovery:
    owned = isinstance(storage, str)
    store = open_leader_store(storage) if isinstance(storage, str) else storage
    return Discovery(store, settings, runtime, owned=owned)
