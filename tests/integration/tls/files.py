"""Certificates made for a test, and brokers that show them."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Any

import trustme

from osqueue.app import BrokerServer
from osqueue.config import BrokerSettings, ServerTlsSettings
from osqueue.storage import MemoryBackend


class Tls:
    """An authority, and a broker's certificate of it."""

    def __init__(self, folder: Path) -> None:
        self.ca = trustme.CA()
        self.ca_path = folder / "ca.pem"
        self.cert, self.key = folder / "cert.pem", folder / "key.pem"
        self.ca.cert_pem.write_to_path(str(self.ca_path))
        self.issue()

    def issue(self, ca: trustme.CA | None = None, name: str = "127.0.0.1") -> None:
        """A fresh certificate and key, each in the place of the old one."""
        made = (ca or self.ca).issue_cert(name, "localhost")
        for path, data in (
            (self.key, made.private_key_pem.bytes()),
            (self.cert, b"".join(each.bytes() for each in made.cert_chain_pems)),
        ):
            new = path.with_suffix(".new")
            new.write_bytes(data)
            new.replace(path)

    def client(self, *, cert_of: trustme.CA | None = None) -> ssl.SSLContext:
        """What trusts the authority; with a certificate of its own, if ``cert_of`` one is given."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self.ca.configure_trust(context)
        if cert_of is not None:
            cert_of.issue_cert("worker-1").configure_cert(context)
        return context

    def settings(self, **tls: Any) -> ServerTlsSettings:
        return ServerTlsSettings(cert=str(self.cert), key=str(self.key), reload_ms=5, **tls)

    def broker(
        self, store: str | MemoryBackend = "memory://", *, tls: Any = None, **settings: Any
    ) -> BrokerServer:
        return BrokerServer(
            store,
            host="127.0.0.1",
            port=0,
            grpc_port=None,
            settings=BrokerSettings(tls=self.settings(**(tls or {})), **settings),
        )
