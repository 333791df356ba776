"""The pages say what is so: every Python block runs, and what is drawn from code is up to date."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from osqueue.engine.diagrams import DIAGRAMS
from osqueue.model.transitions import mermaid

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
INI = """[pytest]
filterwarnings = error
asyncio_mode = auto
asyncio_default_fixture_loop_scope = function
"""
BLOCKS = [
    pytest.param(block, id=f"{page.relative_to(ROOT)}-{number}")
    for page in PAGES
    for number, block in enumerate(BLOCK.findall(page.read_text()))
]


@pytest.mark.parametrize("block", BLOCKS)
def test_python_block_when_run_as_printed_then_succeeds(block: str, tmp_path: Path) -> None:
    command = ["-c", block]
    if re.search(r"^(async )?def test_", block, re.MULTILINE):
        (tmp_path / "test_block.py").write_text(block)
        (tmp_path / "pytest.ini").write_text(INI)
        command = ["-m", "pytest", "-q", str(tmp_path)]
    done = subprocess.run(
        [sys.executable, "-W", "error", *command],
        env=as_a_user_has_it(),
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def as_a_user_has_it() -> dict[str, str]:
    """Our pytest plugin and pytest-asyncio, and no others, however osqueue is installed here."""
    plugins = "osqueue.testing.pytest_plugin,pytest_asyncio.plugin"
    return {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTEST_PLUGINS": plugins}


def test_state_diagram_when_compared_with_the_table_then_equal() -> None:
    assert (ROOT / "docs/state-diagram.mmd").read_text().strip() == mermaid()


@pytest.mark.parametrize("name", DIAGRAMS)
def test_diagram_of_a_machine_when_compared_with_its_table_then_equal(name: str) -> None:
    assert (ROOT / f"docs/{name}.mmd").read_text().strip() == DIAGRAMS[name]()


def test_changelog_when_read_then_has_an_unreleased_section() -> None:
    assert "## Unreleased" in (ROOT / "CHANGELOG.md").read_text()
