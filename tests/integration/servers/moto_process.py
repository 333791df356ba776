"""Serves moto's S3 on the port given as argument, one request at a time."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterable
from io import BytesIO
from typing import Any

from moto.moto_server.werkzeug_app import (
    DomainDispatcherApplication,
    MotoRequestHandler,
    create_backend_app,
)
from werkzeug.serving import run_simple

HOST = "127.0.0.1"


class OneAtATime:
    """A WSGI application around another. A slow sender or reader holds nobody else up."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner
        self._turn = threading.Lock()

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        length = int(environ.get("CONTENT_LENGTH") or 0)
        environ["wsgi.input"] = BytesIO(environ["wsgi.input"].read(length))
        with self._turn:
            return list(self._inner(environ, start_response))


if __name__ == "__main__":
    served = OneAtATime(DomainDispatcherApplication(create_backend_app))
    port = int(sys.argv[1])
    run_simple(HOST, port, served, threaded=True, request_handler=MotoRequestHandler)
