"""From ``MODULE:NAME`` to the object, and from the object to a worker.

What is named is an `osqueue.Jobs`, a registry whose types say their handlers, a dictionary of
handlers, or a function that takes a client and returns a `Worker`. It is not a `Worker` itself:
that has its broker already, and then ``--broker-url`` would mean nothing.
"""

from __future__ import annotations

import difflib
import importlib
import inspect
import pkgutil
import sys
from collections.abc import Callable, Mapping
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any, Final, TypeAlias

from osqueue.cli.failures import USAGE, CliError
from osqueue.cli.workers.plan import WorkerPlan
from osqueue.client import OsqueueClient
from osqueue.config import ProcessSettings
from osqueue.errors import ConfigError, OsqueueError
from osqueue.jobs import Jobs, Registry, TypedJob
from osqueue.worker import Worker, WorkerOptions

__all__ = ["Target", "load_target", "make_worker"]


Handlers: TypeAlias = Mapping[str, Callable[..., Any]]
Factory: TypeAlias = Callable[[OsqueueClient], Any]
Target: TypeAlias = Jobs | Registry | Handlers | Factory

_KINDS: Final = (
    "name an osqueue.Jobs, a Registry, a dictionary of handlers, or a function that takes a client "
    "and returns osqueue.Worker"
)
_NAMES_MAX: Final = 10


def load_target(spec: str) -> Target:
    """Import what ``spec`` names, with the current directory first on the path."""
    module_name, found, name = spec.partition(":")
    if not (found and module_name and name):
        raise _usage(f"{spec!r} is not MODULE:NAME, such as {_suggestion(spec)}")
    if "/" in module_name or module_name.endswith(".py"):
        raise _usage(f"{module_name!r} is a file; did you mean {_suggestion(spec)}?")
    target: Target = _checked(_look_up(_import(module_name), name, spec), spec)
    return target


def make_worker(target: Target, client: OsqueueClient, plan: WorkerPlan) -> Worker:
    """The worker that ``target`` says, with ``client``."""
    spec = plan.target
    if not isinstance(target, Jobs | Registry | Mapping):
        _refuse_settings(plan)
        return _built(target, client, spec)
    try:
        if isinstance(target, Jobs | Registry) and not target.handlers():
            raise _usage(f"{spec} has no handlers: {_nothing_in(target)}")
        handlers = target.handlers() if isinstance(target, Registry) else target
        return Worker(client, handlers, plan.concurrency or 1, **_options(plan))
    except OsqueueError as error:
        raise _usage(f"{spec}: {error.message}") from error


def _options(plan: WorkerPlan) -> WorkerOptions:
    options = WorkerOptions()
    if plan.prefetch is not None:
        options["prefetch"] = plan.prefetch
    if plan.type_concurrency:
        options["type_concurrency"] = plan.type_concurrency
    if plan.memory_bytes_max is not None:
        options["process_settings"] = ProcessSettings(memory_bytes_max=plan.memory_bytes_max)
    return options


def _refuse_settings(plan: WorkerPlan) -> None:
    said = {
        "--concurrency": plan.concurrency,
        "--prefetch": plan.prefetch,
        "--type-concurrency": plan.type_concurrency or None,
    }
    for option, value in said.items():
        if value is not None:
            raise _usage(f"{option} is for handlers; {plan.target} says its own")


def _nothing_in(target: Jobs | Registry) -> str:
    if isinstance(target, Registry):
        return "its types say none (handler='module:name')"
    return "its module defines none, and imports no module that does"


def _built(factory: Factory, client: OsqueueClient, spec: str) -> Worker:
    try:
        worker = factory(client)
    except Exception as error:
        reason = f"{type(error).__name__}: {error}"
        raise CliError(f"{spec}, called with a client, failed: {reason}") from error
    if not isinstance(worker, Worker):
        raise _usage(f"{spec} returned {type(worker).__name__} instead of a Worker: {_KINDS}")
    return worker


def _import(name: str) -> Any:
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{name}.".startswith(f"{error.name}."):
            raise CliError(f"importing {name} failed: {error}") from error
        hint = _did_you_mean(error.name.rpartition(".")[2], _modules_beside(error.name, here))
        raise _usage(f"there is no module {error.name!r} (looked in {here}, too){hint}") from error
    except ConfigError as error:
        raise _usage(f"importing {name} failed: {error.message}") from error
    except (Exception, SystemExit) as error:
        raise CliError(f"importing {name} failed: {type(error).__name__}: {error}") from error


def _modules_beside(name: str, here: str) -> list[str]:
    """What is there to be imported in place of ``name``."""
    package = name.rpartition(".")[0]
    places = [here]
    if package:
        spec = find_spec(package)
        places = [] if spec is None else [*(spec.submodule_search_locations or [])]
    return [each.name for each in pkgutil.iter_modules(places)]


def _look_up(module: Any, name: str, spec: str) -> Any:
    target = module
    for part in name.split("."):
        if not hasattr(target, part):
            raise _usage(f"{spec}: {module.__name__} has no {name!r}{_others(target, part)}")
        target = getattr(target, part)
    return target


def _others(target: Any, name: str) -> str:
    """What else could be meant: something of a similar name, or all that would do."""
    public = [each for each in dir(target) if each[0] != "_"]
    close = _did_you_mean(name, public)
    fit = [
        each for each in public if isinstance(getattr(target, each, None), Jobs | Registry | dict)
    ]
    if close or not fit:
        return close
    return f"; there {'is' if len(fit) == 1 else 'are'} {', '.join(fit[:_NAMES_MAX])}"


def _did_you_mean(name: str, others: list[str]) -> str:
    close = difflib.get_close_matches(name, others, n=1)
    return f"; did you mean {close[0]!r}?" if close else ""


def _checked(target: Any, spec: str) -> Any:
    """What was named, if a worker can be made of it."""
    if isinstance(target, Worker):
        raise _usage(
            f"{spec} is a Worker, which has a client of its own: make it a function, "
            "def worker(client): return Worker(client, ...)"
        )
    if isinstance(target, ModuleType | type):
        raise _usage(f"{spec} is a {type(target).__name__}: {_KINDS}")
    if isinstance(target, TypedJob) or (inspect.isfunction(target) and _is_handler(target)):
        raise _usage(f"{spec} looks like a handler: {_KINDS}")
    if not isinstance(target, Jobs | Registry | Mapping) and not callable(target):
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
    return f"{dotted or 'myapp.jobs'}:{name or 'jobs'}"


def _usage(message: str) -> CliError:
    return CliError(message, code=USAGE)
