"""What tells that a worker is well."""

from __future__ import annotations

import asyncio
import logging
import os
from pathlib import Path
from typing import Any, cast

import pytest

from osqueue.cli.failures import CliError
from osqueue.cli.workers.heartbeat_file import HeartbeatFile
from osqueue.cli.workers.pulse import Pulse
from osqueue.client import OsqueueClient
from osqueue.errors import OsqueueError, TransportConfigError, TransportConnectionError


class Broker:
    """One that answers when it is told to."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()
        self.error: OsqueueError | None = None

    async def get_status(self) -> None:
        self.asked.set()
        if self.error is not None:
            raise self.error


async def asked(broker: Broker, pulse: Pulse) -> None:
    """Have the broker asked once."""
    asking = asyncio.create_task(cast("Any", pulse.ask()))
    await broker.asked.wait()
    await asyncio.sleep(0)
    asking.cancel()
    await asyncio.wait({asking})
    broker.asked.clear()


async def test_pulse_when_the_broker_answers_then_told_and_otherwise_not() -> None:
    broker, told = Broker(), []
    pulse = Pulse(cast("OsqueueClient", broker), answered=lambda: told.append(True))
    await asked(broker, pulse)
    assert (pulse.broker_answers, told) == (True, [True])
    broker.error = TransportConnectionError("not there")
    await asked(broker, pulse)
    assert (pulse.broker_answers, told) == (False, [True])
    broker.error = TransportConfigError("there is no broker to do this")
    await asked(broker, pulse)
    assert (pulse.broker_answers, told) == (True, [True, True])


async def test_pulse_when_the_broker_is_silent_then_it_beats_all_the_same() -> None:
    pulse, told = (
        Pulse(cast("OsqueueClient", Broker()), answered=lambda: None),
        asyncio.Queue[bool](),
    )
    telling = asyncio.create_task(cast("Any", pulse.tell(told.put_nowait)))
    assert await told.get() is False
    telling.cancel()
    await asyncio.wait({telling})


def test_heartbeat_file_when_it_beats_then_it_is_young_again(tmp_path: Path) -> None:
    path = tmp_path / "beat"
    file = HeartbeatFile(str(path))
    os.utime(path, (0, 0))
    file.beat()
    assert path.stat().st_mtime > 0


def test_heartbeat_file_when_it_was_removed_then_made_again(tmp_path: Path) -> None:
    path = tmp_path / "beat"
    file = HeartbeatFile(str(path))
    path.unlink()
    file.beat()
    assert path.exists()


def test_heartbeat_file_when_there_can_be_none_then_said_at_once(tmp_path: Path) -> None:
    with pytest.raises(CliError, match=r"--heartbeat-file: .*/no/beat: No such file"):
        HeartbeatFile(str(tmp_path / "no" / "beat"))


def test_heartbeat_file_when_it_cannot_be_touched_any_more_then_said_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    file = HeartbeatFile(str(folder / "beat"))
    (folder / "beat").unlink()
    folder.rmdir()
    with caplog.at_level(logging.WARNING):
        file.beat()
        file.beat()
        assert len(caplog.messages) == 1
        folder.mkdir()
        file.beat()
    assert (folder / "beat").exists()
