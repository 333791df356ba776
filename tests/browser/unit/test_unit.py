"""The dashboard's data layer, by node's own test runner: the files as a browser gets them."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from tests.integration.servers.install import require

HERE = Path(__file__).parent
FILES = sorted(HERE.glob("*.test.js"))


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name.removesuffix(".test.js"))
@pytest.mark.usefixtures("node")
def test_data_layer_when_run_by_node_then_passes(file: Path) -> None:
    command = ["node", "--test", "--test-reporter=tap", str(file)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "# pass 0" not in done.stdout, "it has run no test"


@pytest.fixture
def node() -> None:
    require("node")


pytestmark = pytest.mark.external
