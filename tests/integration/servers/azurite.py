"""Azure Blob Storage by azurite, from npm. It is atomic, but loses writes when it is killed."""

from __future__ import annotations

import base64
import hashlib
import hmac
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from email.utils import formatdate
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlencode
from urllib.request import Request, urlopen

from tests.integration.servers.install import AZURITE, MissingServerError, require
from tests.integration.servers.process import HOST, free_port, running

from osqueue.clock import SystemEntropy

__all__ = ["Azurite", "azurite"]

ACCOUNT = "devstoreaccount1"
KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
"""The account that every azurite has, and its published key."""

API_VERSION = "2023-11-03"

PROGRAM = AZURITE / "node_modules" / "azurite" / "dist" / "src" / "blob" / "main.js"


class Azurite(NamedTuple):
    port: int

    @property
    def endpoint(self) -> str:
        return f"http://{HOST}:{self.port}/{ACCOUNT}"

    def new_store(self) -> str:
        """The URL of a store on a new container."""
        name = f"test-{SystemEntropy().token()}"
        url = f"{self.endpoint}/{name}?restype=container"
        request = Request(url, headers=_signed_headers(name), method="PUT")
        with urlopen(request, timeout=10):
            pass
        options = {"endpoint": self.endpoint, "account": ACCOUNT, "account_key": KEY}
        return f"az://{name}?{urlencode(options, safe=':/')}"


@contextmanager
def azurite(place: Path) -> Iterator[Azurite]:
    """Runs inside, with its files in ``place``. Raises `MissingServerError`."""
    require("node")
    if not PROGRAM.exists():
        raise MissingServerError("azurite not found: `make servers` installs it")
    server = Azurite(free_port())
    where = ["--blobHost", HOST, "--blobPort", str(server.port), "--location", str(place)]
    quiet = ["--silent", "--disableTelemetry", "--skipApiVersionCheck"]
    command = [shutil.which("node") or "node", str(PROGRAM), *where, *quiet]
    with running(command, port=server.port, place=place):
        yield server


def _signed_headers(container: str) -> dict[str, str]:
    """Of the request that makes a container: Azure's "shared key" signature."""
    headers = {"x-ms-date": formatdate(usegmt=True), "x-ms-version": API_VERSION}
    named = "\n".join(f"{name}:{value}" for name, value in headers.items())
    path = f"/{ACCOUNT}/{ACCOUNT}/{container}\nrestype:container"
    signed = "PUT" + "\n" * 12 + f"{named}\n{path}"
    digest = hmac.new(base64.b64decode(KEY), signed.encode(), hashlib.sha256).digest()
    token = base64.b64encode(digest).decode()
    return {**headers, "Authorization": f"SharedKey {ACCOUNT}:{token}"}
