"""A server that stops while somebody connects: nobody is left behind, nothing is left open."""

from __future__ import annotations

import asyncio
import gc
import socket
from pathlib import Path
from typing import Any

import pytest
from tests.integration.tls.files import Tls

from osqueue.clock import SystemClock
from osqueue.config import ServerSettings
from osqueue.server.door.tls import ServerTls
from osqueue.server.http_server import HttpServer, bind

TURNS = range(12)
"""Turns of the loop from the call of stop to the connection: all that a stop takes, and more."""

OF_ASYNCIO = "ignore:Exception ignored in:pytest.PytestUnraisableExceptionWarning"
"""A server of asyncio's own leaves it to the collector to close whom it has just accepted."""


async def nothing(_scope: Any, _receive: Any, _send: Any) -> None:
    """An application that nobody calls."""


def ended(sock: socket.socket) -> bool:
    """Whether the other end has hung up."""
    try:
        return sock.recv(1) == b""
    except ConnectionResetError:
        return True


@pytest.mark.parametrize(
    "scheme", [pytest.param("http", marks=pytest.mark.filterwarnings(OF_ASYNCIO)), "https"]
)
async def test_stop_when_somebody_connects_meanwhile_then_his_connection_is_ended(
    scheme: str, tmp_path: Path
) -> None:
    tls = ServerTls(Tls(tmp_path).settings(), SystemClock()) if scheme == "https" else None
    settings = ServerSettings(host="127.0.0.1", port=0)
    for turns in TURNS:
        sock = bind(settings)
        address = sock.getsockname()
        server = HttpServer(nothing, settings, sock, tls=tls)
        await server.start()
        stop = asyncio.create_task(server.stop())
        for _ in range(turns):
            await asyncio.sleep(0)
        try:
            client = socket.create_connection(address, timeout=20)
        except ConnectionRefusedError:
            await stop
            continue
        with client:
            await stop
            gc.collect()  # what nobody closed would be noticed now
            assert ended(client)
