"""What a page does by itself, its requests made by node to a real broker: a worker in the page, a
producer, a list and a job that are kept up to date.
"""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest
from tests.browser.brokers import BrokerProcess
from tests.integration.servers.install import require

HERE = Path(__file__).parent
FILES = sorted(HERE.glob("*.test.js"))
RUN_S = 120


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name.removesuffix(".test.js"))
async def test_page_when_run_by_node_against_a_broker_then_passes(
    file: Path, broker: BrokerProcess
) -> None:
    require("node")
    process = await asyncio.create_subprocess_exec(
        "node",
        "--test",
        file,
        env=os.environ | {"OSQUEUE_URL": broker.url},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await asyncio.wait_for(process.communicate(), RUN_S)
    assert process.returncode == 0, said.decode()
    assert b"# pass 0" not in said, "it has run no test"


pytestmark = [pytest.mark.external, pytest.mark.asyncio(loop_scope="session")]
