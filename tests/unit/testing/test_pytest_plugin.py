"""The fixtures, in test runs of their own: as they are for somebody who installs osqueue."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
PLUGIN = "osqueue.testing.pytest_plugin"

TESTS = """
import asyncio
from osqueue import Jobs

jobs = Jobs()
seen = []

@jobs.job("n:double", keep_result=True)
async def double(n: int) -> int:
    seen.append(n)
    return 2 * n

def test_plain(osqueue_broker, osqueue_sync_client):
    handle = osqueue_sync_client.submit(double.new(21))
    osqueue_broker.run_until_empty_sync(jobs)
    assert handle.result() == 42

def test_each_test_has_a_queue_of_its_own(osqueue_sync_client):
    assert osqueue_sync_client.get_stats().completed_total == 0

def test_in_a_loop_of_its_own(osqueue_broker, osqueue_client):
    async def main():
        with jobs.using(osqueue_client):
            await double.submit(1)
            await osqueue_broker.run_until_empty(jobs)
    asyncio.run(main())
    assert seen[-1] == 1

def test_that_fails(osqueue_broker):
    osqueue_broker.assert_submitted("n:double")
"""


def run_pytest(where: Path, *arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *arguments]
    return subprocess.run(
        command,
        cwd=where,
        env={**os.environ, **env},
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )


def run_with_plugin(where: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """With this plugin alone, however osqueue is installed here."""
    alone = {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTEST_PLUGINS": PLUGIN}
    return run_pytest(where, *arguments, **alone)


def test_plugin_when_installed_then_pytest_finds_it_by_itself(tmp_path: Path) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    ((name, module),) = project["entry-points"]["pytest11"].items()
    installed = tmp_path / "installed" / "osqueue_of_a_user-1.dist-info"
    installed.mkdir(parents=True)
    (installed / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: osqueue_of_a_user\nVersion: 1\n"
    )
    (installed / "entry_points.txt").write_text(f"[pytest11]\n{name} = {module}\n")
    (tmp_path / "test_mine.py").write_text(TESTS)

    path = os.pathsep.join([str(installed.parent), *sys.path])
    done = run_pytest(tmp_path, "-k", "not fails", PYTHONPATH=path)

    assert module == PLUGIN
    assert "3 passed" in done.stdout, done.stdout + done.stderr


def test_fixtures_when_pytest_asyncio_is_absent_then_serve_plain_tests(tmp_path: Path) -> None:
    (tmp_path / "test_mine.py").write_text(TESTS)

    done = run_with_plugin(tmp_path, "-W", "error")

    assert "1 failed, 3 passed" in done.stdout, done.stdout + done.stderr
    assert "AssertionError: no 'n:double' was submitted, nor was any other job" in done.stdout
    assert "def assert_submitted" not in done.stdout  # the failure is shown where the test is


@pytest.mark.parametrize("module", [PLUGIN, "osqueue.testing"])
def test_import_then_loads_nothing_but_pytest_and_names(module: str) -> None:
    program = (
        f"import sys, pytest; before = set(sys.modules); import {module};"
        "print(*sorted(set(sys.modules) - before))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert set(done.stdout.split()) <= {"osqueue", "osqueue.lazy", "osqueue.testing", PLUGIN}


def test_fixtures_when_only_the_client_is_installed_then_serve_all_the_same(
    tmp_path: Path,
) -> None:
    """None of the broker's packages is needed for a broker in memory."""
    extras = ["connectrpc", "grpc", "httptools", "prometheus_client", "starlette", "uvicorn"]
    extras += ["uvloop", "websockets", "brotli", "typer", "rich", "obstore", "opentelemetry"]
    absent = f"import sys\nsys.modules.update(dict.fromkeys({extras}))\n"
    (tmp_path / "conftest.py").write_text(absent)
    (tmp_path / "test_mine.py").write_text(TESTS)

    done = run_with_plugin(tmp_path, "-k", "not fails")

    assert "3 passed" in done.stdout, done.stdout + done.stderr
