"""Logs of a process, on its stderr."""

from __future__ import annotations

import json
import logging
import re

import pytest

from osqueue.cli.logs import (
    JsonFormatter,
    LogFormat,
    LogLevel,
    start_access_log,
    start_logging,
)


def record(message: str, *args: object, error: BaseException | None = None) -> logging.LogRecord:
    info = None if error is None else (type(error), error, error.__traceback__)
    return logging.LogRecord("osqueue.x", logging.WARNING, "f.py", 1, message, args, info)


def test_json_when_formatted_then_time_level_logger_and_message() -> None:
    made = record("%d jobs", 3)
    made.created = 1_700_000_000.25
    assert json.loads(JsonFormatter().format(made)) == {
        "time": "2023-11-14T22:13:20.250+00:00",
        "level": "warning",
        "logger": "osqueue.x",
        "message": "3 jobs",
    }


def test_json_when_a_message_carries_more_then_that_too() -> None:
    made = record("x")
    made.job = "j1"
    made.place = {1}.__class__
    line = json.loads(JsonFormatter().format(made))
    assert line["job"] == "j1"
    assert line["place"] == "<class 'set'>"


def test_json_when_there_is_an_error_then_its_traceback_on_the_same_line() -> None:
    line = JsonFormatter().format(record("failed", error=ValueError("bad\nthing")))
    assert "\n" not in line
    assert "ValueError: bad\nthing" in json.loads(line)["error"]


def test_text_when_logged_then_a_line_with_the_time(capsys: pytest.CaptureFixture[str]) -> None:
    start_logging(LogFormat.TEXT, LogLevel.INFO)
    logging.getLogger("osqueue.x").info("hello")
    line = capsys.readouterr().err
    assert re.fullmatch(r"\d\d:\d\d:\d\d\.\d{3} INFO    hello\n", line), line


@pytest.mark.parametrize(
    ("level", "shown"),
    [(LogLevel.DEBUG, 4), (LogLevel.INFO, 3), (LogLevel.WARNING, 2), (LogLevel.ERROR, 1)],
)
def test_level_when_set_then_nothing_below_it(
    level: LogLevel, shown: int, capsys: pytest.CaptureFixture[str]
) -> None:
    start_logging(LogFormat.TEXT, level)
    logger = logging.getLogger("my.handlers")
    for say in (logger.debug, logger.info, logger.warning, logger.error):
        say("x")
    assert len(capsys.readouterr().err.splitlines()) == shown


def test_libraries_when_they_chat_then_only_their_warnings(
    capsys: pytest.CaptureFixture[str],
) -> None:
    start_logging(LogFormat.TEXT, LogLevel.DEBUG)
    logging.getLogger("asyncio").info("chatter")
    logging.getLogger("uvicorn.error").warning("trouble")
    assert "trouble" in (shown := capsys.readouterr().err)
    assert "chatter" not in shown


def test_access_log_when_started_then_its_lines_stand_alone_whatever_the_level(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    logger = logging.getLogger("osqueue.access")
    monkeypatch.setattr(logger, "handlers", [])
    monkeypatch.setattr(logger, "propagate", True)
    start_logging(LogFormat.TEXT, LogLevel.ERROR)
    start_access_log()
    logger.info('{"operation":"submitJob"}')
    assert capsys.readouterr().err == '{"operation":"submitJob"}\n'
