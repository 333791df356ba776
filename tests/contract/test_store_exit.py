"""A process that ends with calls under way ends by itself, without a crash."""

from __future__ import annotations

import socket
import subprocess
import sys
from pathlib import Path

import pytest
from tests.integration.servers.s3 import S3Server

PROCESS = Path(__file__).with_name("exit_process.py")
ROUNDS = 5
KEYS = "access_key_id=test&secret_access_key=test"


def run_to_its_end(url: str, how: str) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, PROCESS, url, how], capture_output=True, text=True, timeout=30, check=False
    )
    return done.returncode, done.stderr


@pytest.mark.parametrize(("how", "status"), [("open", 0), ("closed", 0), ("failing", 3)])
def test_exit_with_calls_under_way_then_its_own_status_and_nothing_said(
    how: str, status: int, moto: S3Server
) -> None:
    bucket = moto.new_bucket()
    for number in range(ROUNDS):
        url = f"s3://{bucket}/{number}?endpoint={moto.endpoint}&{KEYS}"
        assert run_to_its_end(url, how) == (status, "")


@pytest.mark.parametrize(
    "url", [f"s3://b?{KEYS}&timeout=0.3&endpoint=", "gs://b?timeout=0.3&endpoint="]
)
def test_exit_when_the_store_never_answers_then_after_its_time_out(url: str) -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=64) as silent:
        endpoint = f"http://127.0.0.1:{silent.getsockname()[1]}"
        assert run_to_its_end(url + endpoint, "open") == (0, "")
