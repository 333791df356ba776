"""The test servers themselves: none outlives its test, and one that is missing is an error."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from tests.integration.servers.install import MissingServerError, require
from tests.integration.servers.process import HOST, answers_http, free_port, running


def serving(port: int) -> list[str]:
    return [sys.executable, "-m", "http.server", "--bind", HOST, str(port)]


def test_running_when_its_test_fails_then_the_server_is_stopped(tmp_path: Path) -> None:
    port = free_port()
    server = running(serving(port), port=port, place=tmp_path)
    process = server.__enter__()
    assert answers_http(port)
    server.__exit__(AssertionError, AssertionError("the test failed"), None)
    assert not process.running
    assert not answers_http(port)


def test_running_when_the_program_ends_at_once_then_the_error_shows_its_log(tmp_path: Path) -> None:
    command = [sys.executable, "-c", "print('no such option')"]
    with (
        pytest.raises(TimeoutError, match=r"ended at once[^\n]*\n.*no such option"),
        running(command, port=free_port(), place=tmp_path),
    ):
        raise AssertionError("it does not get here")


def test_kill_then_the_process_can_be_started_again(tmp_path: Path) -> None:
    port = free_port()
    with running(serving(port), port=port, place=tmp_path) as process:
        process.kill()
        assert not answers_http(port)
        process.start()
        process.wait_until(lambda: answers_http(port), timeout_s=30)


def test_require_when_a_command_is_missing_then_says_what_installs_it() -> None:
    require("sh")
    with pytest.raises(MissingServerError, match="no-such-daemon not found: `make servers`"):
        require("sh", "no-such-daemon")
