"""What a command line says when it cannot go on: one line, and an exit code."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Any

import typer

from osqueue.errors import OsqueueError

__all__ = ["CliError", "describe_usage", "require_broker", "usage"]

FAILURE = 1
USAGE = 2

_BROKER_PACKAGES = ("httptools", "starlette", "uvicorn", "uvloop")
"""What the extra ``broker`` brings, beside the command line's own packages."""


class CliError(Exception):
    """The command ends with this message and exit code."""

    def __init__(self, message: str, *, code: int = FAILURE) -> None:
        super().__init__(message)
        self.message = message
        self.code = code


@contextmanager
def usage(origin: str) -> Iterator[None]:
    """What is wrong inside is the fault of what was given as ``origin``, a flag or a variable."""
    try:
        yield
    except OsqueueError as error:
        raise CliError(f"{origin}: {error.message}", code=USAGE) from error


def require_broker(what: str) -> None:
    """Raise `CliError` unless the packages of a broker are installed."""
    missing = [name for name in _BROKER_PACKAGES if find_spec(name) is None]
    if missing:
        packages = ", ".join(missing)
        raise CliError(f"{what} needs {packages}: pip install 'osqueue[broker]'", code=USAGE)


def describe_usage(error: typer.TyperException) -> str:
    """What is wrong with the arguments, by the flag or the variable that says it."""
    context, parameter = getattr(error, "ctx", None), getattr(error, "param", None)
    hint = f" (see {context.command_path} --help)" if context is not None else ""
    if context is None or parameter is None or not error.message:
        return _reason(error.format_message()) + hint
    return f"{_origin(context, parameter)}: {_reason(error.message)}{hint}"


def _origin(context: typer.Context, parameter: Any) -> str:  # typer's classes are private
    source = context.get_parameter_source(parameter.name or "")
    variable = parameter.envvar
    if source is not None and source.name == "ENVIRONMENT" and isinstance(variable, str):
        return f"{variable}={os.environ.get(variable, '')}"
    named = parameter.param_type_name == "option"
    return str(parameter.opts[0] if named else parameter.metavar or parameter.name)


def _reason(message: str) -> str:
    """Without what only programmers need to know."""
    text = message.removeprefix("Value error, ").partition(", unable to ")[0].rstrip(".")
    return text[:1].lower() + text[1:]
