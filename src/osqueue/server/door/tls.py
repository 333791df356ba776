"""TLS on both ports, with certificates that can be renewed while the broker runs.

Laws: TLS 1.2 or newer; with a client CA, who shows no certificate of it gets no further than the
handshake; files that do not fit together stop the broker at its start, and change nothing later;
certificate and key are taken over together, and only for handshakes that begin afterwards.
"""

from __future__ import annotations

import logging
import ssl
from typing import TYPE_CHECKING, Final, NamedTuple

from osqueue.clock import Clock
from osqueue.config import TLS_FILE_BYTES_MAX, ServerTlsSettings
from osqueue.errors import ConfigError
from osqueue.server.door.certificates import Validity, validity_of
from osqueue.server.door.files import FileWatch, Look, Looks, look_at

if TYPE_CHECKING:
    import grpc

__all__ = ["ServerTls"]

logger = logging.getLogger("osqueue.server")

HOUR_MS: Final = 3_600_000
DAY_MS: Final = 24 * HOUR_MS
SOON_MS: Final = 14 * DAY_MS
"""A certificate that has less time left, or a third of its own, should have been renewed."""


class _Loaded(NamedTuple):
    """The files as they were read together, and what was made of them."""

    cert: Look
    key: Look
    client_ca: Look | None
    server: ssl.SSLContext
    client: ssl.SSLContext
    until_ms: int
    soon_ms: int
    """How much of its time is left when people are told."""


class ServerTls:
    """What both ports need. Raises `ConfigError`, which names the file that is at fault."""

    def __init__(self, settings: ServerTlsSettings, clock: Clock) -> None:
        self._settings = settings
        self._clock = clock
        given = {name: getattr(settings, name) for name in ("cert", "key", "client_ca", "ca")}
        self._names = [name for name, path in given.items() if path is not None]
        looks = look_at([given[name] for name in self._names], bytes_max=TLS_FILE_BYTES_MAX)
        self._loaded = self._load(looks)
        self.handshake_s_max = settings.handshake_s_max
        self._failure: str | None = None
        self.context = _server_context(*self._loaded[:3])
        """For the HTTP port."""
        self.context.sni_callback = self._use_newest
        if self.problem is not None:
            logger.warning("%s: %s", settings.cert, self.problem)
        self.watch = FileWatch(
            looks, self._take, every_ms=settings.reload_ms, bytes_max=TLS_FILE_BYTES_MAX
        )
        """Takes renewed files over, once it is started."""

    @property
    def problem(self) -> str | None:
        """Why the certificate is not as new as its file, or that it will soon be too old."""
        if self._failure is not None:
            return self._failure
        left_ms = self._loaded.until_ms - self._clock.wall_ms()
        if left_ms > self._loaded.soon_ms:
            return None
        return f"the certificate expires in {max(0, left_ms) // HOUR_MS} hours"

    @property
    def client_context(self) -> ssl.SSLContext:
        """With what this broker asks the others of its queue; it shows them its certificate."""
        return self._loaded.client

    def server_credentials(self) -> grpc.ServerCredentials:
        """For the gRPC port: what `add_secure_port` takes."""
        import grpc  # noqa: PLC0415 - only for those who serve gRPC

        known = self._loaded

        def renewed() -> grpc.ServerCertificateConfiguration | None:
            """Asked by gRPC's threads at each handshake."""
            nonlocal known
            if known is self._loaded:
                return None
            known = self._loaded
            return _for_grpc(known)

        must = self._settings.client_ca is not None
        return grpc.dynamic_ssl_server_credentials(
            _for_grpc(known), renewed, require_client_authentication=must
        )

    def _use_newest(self, connection: ssl.SSLObject, _name: object, _context: object) -> None:
        connection.context = self._loaded.server

    def _take(self, looks: Looks) -> None:
        try:
            self._loaded = self._load(looks)
        except ConfigError as error:
            logger.error("%s; the certificate read before stays in use", error.message)  # noqa: TRY400 - all is said
            self._failure = "the new certificate cannot be used; the one read before still is"
            return
        self._failure = None
        logger.info("the certificate was read anew from %s", self._settings.cert)

    def _load(self, looks: Looks) -> _Loaded:
        for look in looks:
            if look.failure is not None:
                raise ConfigError(f"{look.path} {look.failure}")
        files = dict(zip(self._names, looks, strict=True))
        cert, key, client_ca = files["cert"], files["key"], files.get("client_ca")
        validity = self._validity(cert)
        server = _server_context(cert, key, client_ca)
        client = _client_context(cert, key, files.get("ca"))
        if look_at([look.path for look in looks], bytes_max=TLS_FILE_BYTES_MAX) != looks:
            raise ConfigError(f"{cert.path} changed while it was read; try again")
        soon_ms = min(SOON_MS, (validity.until_ms - validity.from_ms) // 3)
        return _Loaded(cert, key, client_ca, server, client, validity.until_ms, soon_ms)

    def _validity(self, cert: Look) -> Validity:
        try:
            validity = validity_of(cert.data)
        except ValueError as error:
            raise ConfigError(f"{cert.path} {error}") from error
        now_ms = self._clock.wall_ms()
        if now_ms >= validity.until_ms:
            days = (now_ms - validity.until_ms) // DAY_MS
            raise ConfigError(f"the certificate in {cert.path} expired {days} days ago")
        if now_ms < validity.from_ms - DAY_MS:
            raise ConfigError(f"the certificate in {cert.path} is not valid yet")
        return validity


def _server_context(cert: Look, key: Look, client_ca: Look | None) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_RENEGOTIATION
    context.set_alpn_protocols(["http/1.1"])
    _load_pair(context, cert, key)
    if client_ca is not None:
        context.verify_mode = ssl.CERT_REQUIRED
        _load_authorities(context, client_ca)
    return context


def _client_context(cert: Look, key: Look, ca: Look | None) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    _load_pair(context, cert, key)
    if ca is None:
        context.load_default_certs()
    else:
        _load_authorities(context, ca)
    return context


def _load_authorities(context: ssl.SSLContext, ca: Look) -> None:
    try:
        context.load_verify_locations(cadata=ca.data.decode("ascii", "ignore"))
    except (ssl.SSLError, ValueError) as error:
        raise ConfigError(f"{ca.path} holds no certificates in PEM") from error


def _load_pair(context: ssl.SSLContext, cert: Look, key: Look) -> None:
    def refuse() -> str:
        raise ConfigError(f"{key.path} is protected by a password; decrypt it first")

    try:
        context.load_cert_chain(cert.path, key.path, password=refuse)
    except (OSError, ssl.SSLError) as error:
        message = f"{cert.path} and {key.path} cannot be used: {_reason(error)}"
        raise ConfigError(message) from error


def _for_grpc(loaded: _Loaded) -> grpc.ServerCertificateConfiguration:
    import grpc  # noqa: PLC0415 - see above

    roots = None if loaded.client_ca is None else loaded.client_ca.data
    pair = (loaded.key.data, loaded.cert.data)
    return grpc.ssl_server_certificate_configuration([pair], roots)


def _reason(error: Exception) -> str:
    if isinstance(error, ssl.SSLError) and error.reason == "KEY_VALUES_MISMATCH":
        return "the key is not the one of the certificate"
    if isinstance(error, ssl.SSLError):
        return (error.reason or str(error)).replace("_", " ").lower()
    return str(error)
