"""How a client was told where its brokers are, checked: by addresses, by a storage, or both."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from osqueue.client.addresses import is_secure, parse_base_url
from osqueue.client.brokers import Brokers
from osqueue.client.credentials import Credentials
from osqueue.client.discovery import Discovery, LeaderStore, open_leader_store
from osqueue.client.following import Following
from osqueue.client.health import probing
from osqueue.client.runtime import Runtime
from osqueue.client.transports.kinds import DEFAULT_KIND, Dialler, TransportSpec, dialler_of
from osqueue.client.transports.protocol import QueueTransportAdapter
from osqueue.config import ClientSettings
from osqueue.errors import TransportConfigError

__all__ = ["way_to_brokers"]


def way_to_brokers(
    broker_url: str | Iterable[str] | None,
    storage: str | LeaderStore | None,
    transport: TransportSpec | None,
    *,
    settings: ClientSettings,
    runtime: Runtime,
    credentials: Credentials,
) -> QueueTransportAdapter:
    """The transport that a client was given, or one of its kind to the brokers.

    Raises `TransportConfigError` when nothing says where the brokers are, or a transport does and
    something else as well, for no kind of transport, and for what is no broker's URL; `ConfigError`
    and `UnsupportedStoreError` for what is no storage's.
    """
    if transport is not None and not isinstance(transport, str | Mapping):
        if (broker_url, storage, credentials) != (None, None, Credentials()):
            raise TransportConfigError(
                "a transport is the whole way to a broker: give no broker_url, storage, token or "
                "tls with it"
            )
        return transport
    credentials.validate()
    kind = DEFAULT_KIND if transport is None else transport
    dialler = dialler_of(kind, settings, credentials)
    if broker_url is None and storage is None:
        if not dialler.urls:
            raise TransportConfigError(
                "a client needs to know its brokers: give broker_url (a URL or a list), or storage "
                "to find the leader in the queue's own object, or a transport"
            )
        broker_url = dialler.urls
    urls = _base_urls(broker_url, dialler)
    _refuse_plain(urls, credentials)
    discovery = None if storage is None else _discovery(storage, settings, runtime)
    return Following(
        Brokers(urls, secure=credentials.tls is not None),
        dialler.dial,
        runtime,
        probe=probing(dialler, settings, credentials),
        discovery=discovery,
    )


def _base_urls(broker_url: str | Iterable[str] | None, dialler: Dialler) -> list[str]:
    if broker_url is None:
        return []
    given = [broker_url] if isinstance(broker_url, str) else list(broker_url)
    if not given:
        raise TransportConfigError("the list of broker URLs is empty: give at least one")
    return [parse_base_url(url, schemes=dialler.schemes) for url in given]


def _refuse_plain(urls: Iterable[str], credentials: Credentials) -> None:
    if credentials.tls is None:
        return
    for url in urls:
        if not is_secure(url):
            raise TransportConfigError(
                f"tls is given, but {url} is dialled in plain text: make it https://"
            )


def _discovery(storage: str | LeaderStore, settings: ClientSettings, runtime: Runtime) -> Discovery:
    owned = isinstance(storage, str)
    store = open_leader_store(storage) if isinstance(storage, str) else storage
    return Discovery(store, settings, runtime, owned=owned)
