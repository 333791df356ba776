"""From ``MODULE:NAME`` to the object, and from the object to a worker.

What is named is a dictionary of handlers, or a function that takes a client and returns a
`Worker`. It is not a `Worker` itself: that has its broker already, and then ``--broker-url`` would
mean nothing.
"""

from __future__ import annotations

import difflib
import importlib
import inspect
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeAlias

from osqueue.cli.failures import USAGE, CliError
from osqueue.client import OsqueueClient
from osqueue.errors import OsqueueError
from osqueue.worker import Worker

__all__ = ["load_target", "make_worker"]

Handlers: TypeAlias = Mapping[str, Callable[..., Any]]
Factory: TypeAlias = Callable[[OsqueueClient], Any]
Target: TypeAlias = Handlers | Factory


def load_target(spec: str) -> Target:
    """Import what ``spec`` names, with the current directory first on the path."""
    module_name, found, name = spec.partition(":")
    if not (found and module_name and name):
        raise _usage(f"{spec!r} is not MODULE:NAME, such as {_suggestion(spec)}")
    if "/" in module_name or module_name.endswith(".py"):
        raise _usage(f"{module_name!r} is a file; did you mean {_suggestion(spec)}?")
    target: Target = _checked(_look_up(_import(module_name), name, spec), spec)
    return target


def make_worker(
    target: Target, client: OsqueueClient, *, spec: str, concurrency: int | None
) -> Worker:
    """The worker that ``target`` says, with ``client``."""
    if isinstance(target, Mapping):
        try:
            return Worker(client, target, concurrency or 1)
        except OsqueueError as error:
            raise _usage(f"{spec}: {error.message}") from error
    if concurrency is not None:
        raise _usage(f"--concurrency is for a dictionary of handlers; {spec} says its own")
    return _built(target, client, spec)


def _built(factory: Factory, client: OsqueueClient, spec: str) -> Worker:
    try:
        worker = factory(client)
    except Exception as error:
        reason = f"{type(error).__name__}: {error}"
        raise CliError(f"{spec}, called with a client, failed: {reason}") from error
    if not isinstance(worker, Worker):
        raise _usage(f"{spec} returned {type(worker).__name__} instead of a Worker: {_KINDS}")
    return worker


_KINDS = (
    "name a dictionary of handlers, or a function that takes a client and returns osqueue.Worker"
)


def _import(name: str) -> Any:
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{name}.".startswith(f"{error.name}."):
            raise CliError(f"importing {name} failed: {error}") from error
        raise _usage(f"there is no module {error.name!r} (looked in {here}, too)") from error
    except (Exception, SystemExit) as error:
        raise CliError(f"importing {name} failed: {type(error).__name__}: {error}") from error


def _look_up(module: Any, name: str, spec: str) -> Any:
    target = module
    for part in name.split("."):
        if not hasattr(target, part):
            close = difflib.get_close_matches(
                part, [each for each in dir(target) if each[0] != "_"]
            )
            hint = f"; did you mean {close[0]!r}?" if close else ""
            raise _usage(f"{spec}: {module.__name__} has no {name!r}{hint}")
        target = getattr(target, part)
    return target


def _checked(target: Any, spec: str) -> Any:
    """What was named, if a worker can be made of it."""
    if isinstance(target, Worker):
        raise _usage(
            f"{spec} is a Worker, which has a client of its own: make it a function, "
            "def worker(client): return Worker(client, ...)"
        )
    if inspect.isfunction(target) and _is_handler(target):
        raise _usage(f"{spec} looks like a handler: {_KINDS}")
    if not isinstance(target, Mapping) and not callable(target):
        raise _usage(f"{spec} is {type(target).__name__}: {_KINDS}")
    return target


def _is_handler(function: Callable[..., Any]) -> bool:
    """Whether it surely is no factory: calling a handler with a client could do anything."""
    if inspect.iscoroutinefunction(function):
        return True
    first = next(iter(inspect.signature(function).parameters.values()), None)
    if first is None or first.annotation in {inspect.Parameter.empty, Any}:
        return False
    return OsqueueClient.__name__ not in str(first.annotation)


def _suggestion(spec: str) -> str:
    module, _, name = spec.partition(":")
    dotted = module.removeprefix("./").removesuffix(".py").strip("/").replace("/", ".")
    return f"{dotted or 'myapp.jobs'}:{name or 'worker'}"


def _usage(message: str) -> CliError:
    return CliError(message, code=USAGE)
