"""How the command line begins and ends, whatever the command."""

from __future__ import annotations

import builtins
import json
from typing import Any

import pytest

from osqueue import __version__
from osqueue.cli import app, asking, looking, main
from osqueue.errors import JobNotFoundError


@pytest.mark.parametrize("package", ["typer", "rich"])
def test_main_when_a_package_is_missing_then_names_the_extra(
    package: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    real_import = builtins.__import__

    def import_without(name: str, *args: Any, **kwargs: Any) -> Any:
        if name == "osqueue.cli.app":
            raise ModuleNotFoundError(f"No module named {package!r}", name=package)
        return real_import(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", import_without)
    assert main([]) == 2
    assert capsys.readouterr().err == (
        f"error: the command line needs {package}: pip install 'osqueue[cli]'\n"
    )


def test_main_when_a_module_of_ours_is_missing_then_does_not_hide_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    real_import = builtins.__import__

    def fail(name: str, *args: Any, **kwargs: Any) -> Any:
        if name.startswith("osqueue"):
            message = "No module named 'osqueue.cli.appp'"
            raise ModuleNotFoundError(message, name="osqueue.cli.appp")
        return real_import(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", fail)
    with pytest.raises(ModuleNotFoundError):
        main([])


def test_version_when_asked_then_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"osqueue {__version__}\n"


def test_help_when_nothing_is_asked_then_lists_the_commands(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main([]) == 0
    shown = capsys.readouterr().out
    for command in ("broker", "worker", "producer", "submit", "stats", "jobs", "demo"):
        assert command in shown


@pytest.mark.parametrize(
    "command",
    [
        *("broker", "worker", "producer", "submit", "stats", "jobs", "demo", "jobs show"),
        *("jobs retry", "pause", "resume", "priority"),
    ],
)
def test_help_when_asked_of_a_command_then_fits_80_columns(
    command: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    assert main([*command.split(), "--help"]) == 0
    shown = capsys.readouterr().out
    assert command in shown
    assert max(map(len, shown.splitlines())) <= 80


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["brok"], "no such command 'brok'. Did you mean 'broker'? (see osqueue --help)"),
        (["stats", "--jsn"], "no such option: --jsn (Possible options: --json)"),
        (["worker"], "missing argument 'MODULE:NAME'"),
        (["broker", "--port", "x"], "--port: input should be a valid integer"),
        (["jobs", "--status", "x"], "--status: 'x' is not one of 'unclaimed', 'ready'"),
        (["priority", "a", "x"], "N: input should be a valid integer"),
        (["priority", "a", "1", "--jsn"], "got unexpected extra argument(s) (--jsn)"),
        (["jobs", "--limit", "-1"], "--limit: must be at least 0, not -1"),
        (["submit", "t", "{}", "--delay", "nan"], "--delay: must be 0 to 315360000, not nan"),
        (["submit", "t", "{"], "the payload is not JSON: "),
        (["producer", "t", "--rate", "0"], "--rate: must be above 0, not 0"),
        (["producer", "t", "--rate", "inf"], "--rate: must be above 0, not inf"),
        (["worker", "a:b", "-p", "0"], "--processes: must be at least 1, not 0"),
        (
            ["worker", "a:b", "-p", "2", "--reload"],
            "--reload is for one process: leave --proc",
        ),
        (["worker", "a:b", "--prefetch", "-1"], "--prefetch: must be at least 0, not -1"),
        (["worker", "a:b", "--memory-max", "512X"], "--memory-max: '512X' is no size: write 512M"),
        (["worker", "a:b", "--memory-max", "1M"], "--memory-max: must be at least 67108864"),
        (["worker", "a:b", "--type-concurrency", "a"], "--type-concurrency: 'a' is not TYPE=N"),
        (["worker", "a:b", "--type-concurrency", "a=0"], "--type-concurrency: 'a=0' is not TYPE=N"),
        (["worker", "a:b", "--heartbeat-file", "/no/x"], "--heartbeat-file: /no/x: No such file"),
        (["worker", "no.module:b", "--heartbeat-file", ""], "there is no module 'no'"),
        (["stats", "--broker-url", "x"], "--broker-url: the broker URL 'x' has no scheme"),
        (["demo", "--workers", "0"], "--workers: must be 1 to 64, not 0"),
        (["demo", "--brokers", "6"], "--brokers: must be 1 to 5, not 6"),
        (["demo", "--port", "65535"], "--port: must be 0 to 65534, not 65535"),
    ],
)
def test_run_when_used_wrongly_then_one_line_and_2(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert app.run(arguments) == 2
    output = capsys.readouterr()
    assert output.out == ""
    assert output.err.startswith(f"error: {message}")
    assert output.err.count("\n") == 1


def fail_with(error: Exception) -> Any:
    def fail(*_: Any, **__: Any) -> None:
        raise error

    return fail


def test_run_when_a_command_fails_then_one_line_and_1(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(looking, "stats", fail_with(JobNotFoundError("no job\nof that id")))
    assert app.run(["stats"]) == 1
    assert capsys.readouterr().err == "error: no job of that id\n"


def test_run_when_a_command_fails_unexpectedly_then_says_so_without_a_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(looking, "stats", fail_with(ZeroDivisionError("oh")))
    assert app.run(["stats"]) == 1
    shown = capsys.readouterr().err
    assert shown == "error: unexpected: ZeroDivisionError: oh (--debug shows where)\n"


@pytest.mark.parametrize("arguments", [["stats", "--debug"], ["jobs", "--debug", "show", "x"]])
def test_run_when_debugging_then_the_traceback_too(
    arguments: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("stats", "show"):
        monkeypatch.setattr(looking, name, fail_with(ZeroDivisionError("oh")))
    assert app.run(arguments) == 1
    shown = capsys.readouterr().err
    assert "Traceback (most recent call last)" in shown
    assert shown.endswith("\nerror: unexpected: ZeroDivisionError: oh\n")


def test_run_when_interrupted_then_130(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(asking, "submit", interrupt)
    assert app.run(["submit", "t", "{}"]) == 130


def test_run_when_logs_are_json_then_the_failure_is_a_line_of_json(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert app.run(["broker", "--log-format", "json", "--storage", "ftp://x"]) == 2
    line = json.loads(capsys.readouterr().err)
    assert line["level"] == "error"
    assert line["message"].startswith("--storage: no kind of store is called ftp://")
