"""What an import brings along: a light client stays light, and pydantic comes when it is used."""

from __future__ import annotations

import subprocess
import sys

import pytest

import osqueue
import osqueue.jobs

BROUGHT = "import sys; {program}; print(*{{name.partition('.')[0] for name in sys.modules}})"


def brought(program: str) -> set[str]:
    """The packages that a program has imported when it ends."""
    done = subprocess.run(
        [sys.executable, "-c", BROUGHT.format(program=program)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return set(done.stdout.split())


def test_public_names_when_asked_for_then_all_are_there_and_sorted() -> None:
    assert osqueue.__all__ == sorted(osqueue.__all__)
    assert all(getattr(osqueue, name) is not None for name in osqueue.__all__)
    assert osqueue.jobs.__all__ == sorted(osqueue.jobs.__all__)


def test_osqueue_when_imported_then_nothing_else_is() -> None:
    heavy = {"msgspec", "pydantic", "aiohttp", "asyncio", "inspect"}
    assert not brought("import osqueue") & heavy


@pytest.mark.parametrize("name", ["Jobs", "Registry", "JobType", "Backoff", "Retry", "Discard"])
def test_jobs_when_imported_then_no_client_and_no_pydantic_is(name: str) -> None:
    heavy = {"pydantic", "pydantic_core", "aiohttp", "asyncio"}
    assert not brought(f"from osqueue import {name}") & heavy


@pytest.mark.parametrize("name", ["OsqueueClient", "SyncOsqueueClient", "Worker", "JobHandle"])
def test_client_when_imported_then_no_pydantic_is(name: str) -> None:
    assert not brought(f"from osqueue import {name}") & {"pydantic", "pydantic_core"}


STRUCT = """
import msgspec
from osqueue import Jobs
class Resize(msgspec.Struct):
    width: int
jobs = Jobs()
@jobs.job("resize", {payload})
def resize(payload): ...
resize.new(width=7)
jobs.handlers()
"""


def test_jobs_when_payloads_are_structs_then_pydantic_is_never_imported() -> None:
    assert "pydantic" not in brought(f"exec({STRUCT.format(payload='Resize')!r})")


def test_jobs_when_a_payload_is_of_another_type_then_pydantic_is_imported() -> None:
    assert "pydantic" in brought(f"exec({STRUCT.format(payload='dict[str, int]')!r})")
