"""What a process that speaks gRPC starts, while calls are under way: it must come to something."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping

import pytest
from tests.integration import forking_process

SUPPORT = "GRPC_ENABLE_FORK_SUPPORT"

FIRST_IMPORT = """
import os, sys
from importlib import import_module

class Look:
    def find_spec(self, name, path=None, target=None):
        if name == "grpc":
            print(os.environ.get("GRPC_ENABLE_FORK_SUPPORT"))

sys.meta_path.insert(0, Look())
import_module(sys.argv[1])
"""


def python(*arguments: str, env: Mapping[str, str] | None = None) -> str:
    plain = {name: value for name, value in os.environ.items() if name != SUPPORT}
    done = subprocess.run(
        [sys.executable, *arguments],
        env=plain | dict(env or {}),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_subprocess_when_started_amid_calls_then_it_lives() -> None:
    ends = python("-m", "tests.integration.forking_process")

    assert ends == str({0: forking_process.SUBPROCESSES})


@pytest.mark.parametrize("module", ["osqueue.app", "osqueue.client.transports.grpc"])
def test_grpc_when_imported_by_osqueue_then_it_leaves_forks_alone(module: str) -> None:
    assert python("-c", FIRST_IMPORT, module) == "0"


def test_grpc_when_the_environment_says_otherwise_then_that_holds() -> None:
    assert python("-c", FIRST_IMPORT, "osqueue.app", env={SUPPORT: "1"}) == "1"
