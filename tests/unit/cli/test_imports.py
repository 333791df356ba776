"""What the commands load: little, so that they start fast."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = ("aiohttp", "msgspec", "starlette", "uvicorn", "osqueue.engine", "osqueue.client")


def loaded_by(arguments: str) -> set[str]:
    code = (
        "import sys, contextlib, io\n"
        "from osqueue.cli import main\n"
        "with contextlib.redirect_stdout(io.StringIO()):\n"
        f"    main({arguments})\n"
        "print(*sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=30
    )
    return set(done.stdout.split())


@pytest.mark.parametrize("arguments", ["['--help']", "['broker', '--help']", "['--version']"])
def test_help_when_shown_then_neither_client_nor_broker_is_loaded(arguments: str) -> None:
    assert loaded_by(arguments).isdisjoint(HEAVY)


def test_submit_when_run_then_no_broker_is_loaded() -> None:
    loaded = loaded_by("['submit', 't', '{}', '--broker-url', 'http://127.0.0.1:1']")
    assert "osqueue.client" in loaded
    assert loaded.isdisjoint({"starlette", "uvicorn", "osqueue.engine", "rich.table"})


def test_process_of_handlers_when_started_then_neither_client_nor_pydantic_is_loaded() -> None:
    code = "import osqueue.worker.child.serving, sys; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=30
    )
    heavy = {"aiohttp", "pydantic", "osqueue.client.client", "osqueue.worker.worker", "typer"}
    assert heavy.isdisjoint(done.stdout.split())
