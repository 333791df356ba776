"""A client that we did not write, in JavaScript, by each protocol of the RPC methods.

Each test runs `connect_node/client.mjs`, which prints what it saw.
"""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, TypeAlias

import pytest
from tests.integration.servers.install import CONNECT_NODE, MissingServerError, require
from tests.proto import describe

from osqueue.app import BrokerServer

pytestmark = pytest.mark.external

PROGRAM = Path(__file__).parent / "connect_node" / "client.mjs"
COMPRESSED = ("connect-gzip", "grpc-web-gzip")
PROTOCOLS = ("connect-json", "connect-proto", "grpc-web", "grpc")

Seen: TypeAlias = list[Any]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the program, its packages, and the description of the messages."""
    require("node")
    if not (CONNECT_NODE / "node_modules").exists():
        raise MissingServerError("connect-node not found: `make servers` installs it")
    place = tmp_path_factory.mktemp("node")
    shutil.copy(PROGRAM, place)
    (place / "node_modules").symlink_to(CONNECT_NODE / "node_modules")
    describe(place / "descriptors")
    return place


@pytest.fixture
async def both() -> AsyncIterator[BrokerServer]:
    """A broker with both ports."""
    async with BrokerServer("memory://", host="127.0.0.1", port=0, grpc_port=None) as broker:
        yield broker


async def run(place: Path, task: str, protocol: str, broker: BrokerServer) -> Seen:
    """What the program saw."""
    url = f"http://127.0.0.1:{broker.grpc_port}" if protocol == "grpc" else broker.url
    program = await asyncio.create_subprocess_exec(
        *("node", "client.mjs", task, protocol, url, "descriptors"),
        cwd=place,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await program.communicate()
    assert program.returncode == 0, err.decode()
    return [json.loads(line) for line in out.splitlines()]


@pytest.mark.parametrize("protocol", [*PROTOCOLS, *COMPRESSED])
async def test_worker_when_there_are_200_jobs_then_each_is_done_once(
    place: Path, both: BrokerServer, protocol: str
) -> None:
    seen = await run(place, "work", protocol, both)
    assert seen == [{"each": True, "completedTotal": 200, "left": 0}]


@pytest.mark.parametrize("protocol", [*PROTOCOLS, *COMPRESSED])
async def test_payload_when_it_is_large_then_it_comes_back_the_same(
    place: Path, both: BrokerServer, protocol: str
) -> None:
    seen = await run(place, "large", protocol, both)
    assert [(each["same"], each["its"]) for each in seen] == [(True, True), (True, True)]


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_refusal_when_it_arrives_then_code_and_tag_say_why(
    place: Path, both: BrokerServer, protocol: str
) -> None:
    (seen,) = await run(place, "refusals", protocol, both)
    said = {name: (each["code"], each.get("reason")) for name, each in seen.items()}
    assert said == {
        "unknown": ("NotFound", "JobNotFoundError"),
        "invalid": ("InvalidArgument", "BrokerProtocolError"),
        "nobody": ("InvalidArgument", "BrokerProtocolError"),
        "tooLarge": ("ResourceExhausted", "BrokerProtocolError"),
        "deadline": ("DeadlineExceeded", None),
    }
    assert seen["unknown"]["message"] == "there is no job nope"


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_claim_when_given_up_while_it_waits_then_it_takes_no_job(
    place: Path, both: BrokerServer, protocol: str
) -> None:
    assert await run(place, "abort", protocol, both) == [{"code": "Canceled", "its": True}]


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_streams_when_jobs_come_then_they_and_their_events_are_sent(
    place: Path, both: BrokerServer, protocol: str
) -> None:
    (seen,) = await run(place, "streams", protocol, both)
    assert seen == {"payloads": [1, 2, 3], "kinds": ["claimed", "completed", "submitted"]}


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_bytes_when_pushed_then_they_come_back_the_same(
    place: Path, both: BrokerServer, protocol: str
) -> None:
    assert await run(place, "bytes", protocol, both) == [{"same": True, "empty": True}]
