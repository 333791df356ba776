"""What a handler takes and returns, by its signature and annotations.

Functions, bound methods, partials, callable objects, and what `functools.wraps` wraps. Annotations
may be strings, as under ``from __future__ import annotations``.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any, Final, get_type_hints

import msgspec

from osqueue.errors import ConfigError

__all__ = ["UNSAID", "Signature", "described", "inspect_handler"]

UNSAID: Final = inspect.Parameter.empty
"""In place of a type that nothing is said of."""

_POSITIONAL: Final = frozenset(
    {inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD}
)
_FORMS: Final = "(payload) or (payload, ctx)"


class Signature(msgspec.Struct, frozen=True, kw_only=True):
    """One handler's. ``payload`` and ``result`` are types, or `UNSAID`."""

    on_loop: bool
    """Whether it is an async function."""
    takes_context: bool
    payload: Any = UNSAID
    result: Any = UNSAID
    unresolved: str | None = None
    """Why the payload's annotation means nothing when the program runs, if it does not."""


def inspect_handler(
    job_type: str, function: Any, names: Mapping[str, Any] | None = None
) -> Signature:
    """Look at the handler of a job type; ``names`` are those known where it is defined.

    Raises `ConfigError` for what cannot be called with a job, or would not end with one result.
    """
    _refuse_odd(job_type, function)
    try:
        parameters = [*inspect.signature(function).parameters.values()]
    except ValueError:  # built in, and does not say what it takes
        return Signature(on_loop=False, takes_context=False)
    takes_context = _takes_context(job_type, function, parameters)
    annotations = _Annotations(function, names or {})
    payload, unresolved = annotations.get(parameters[0].name)
    result, _unresolved = annotations.get("return")
    return Signature(
        on_loop=_is_async(function),
        takes_context=takes_context,
        payload=payload,
        result=result,
        unresolved=unresolved,
    )


def described(function: Any) -> str:
    """A handler as a person finds it: its name, and where it stands."""
    inner = inspect.unwrap(_innermost(function))
    name = getattr(inner, "__qualname__", None) or type(inner).__qualname__
    module = getattr(inner, "__module__", None)
    code = getattr(inner, "__code__", None)
    place = f" ({code.co_filename}:{code.co_firstlineno})" if code else ""
    return f"{module}.{name}{place}"


def _refuse_odd(job_type: str, function: Any) -> None:
    call = _called(function)
    if isinstance(function, type) or not callable(function):
        raise ConfigError(f"the handler of {job_type!r} is no function: {function!r}")
    if inspect.isasyncgenfunction(call) or inspect.isgeneratorfunction(call):
        raise ConfigError(
            f"the handler of {job_type!r}, {described(function)}, is a generator: it has a yield, "
            "and a job has one result; return it"
        )


def _is_async(function: Any) -> bool:
    return inspect.iscoroutinefunction(_called(function))


def _called(function: Any) -> Any:
    """What runs when it is called: of a callable object, its ``__call__``."""
    inner = inspect.unwrap(_innermost(function))
    if inspect.isroutine(inner) or isinstance(inner, type):
        return inner
    return getattr(type(inner), "__call__", inner)  # noqa: B004 - asks how, not whether


def _innermost(function: Any) -> Any:
    while isinstance(function, functools.partial):
        function = function.func
    return function


def _takes_context(job_type: str, function: Any, parameters: list[inspect.Parameter]) -> bool:
    required = [each for each in parameters if each.default is each.empty]
    positional = [each for each in required if each.kind in _POSITIONAL]
    keywords = [each.name for each in required if each.kind is each.KEYWORD_ONLY]
    takes_any = any(each.kind in _POSITIONAL | {each.VAR_POSITIONAL} for each in parameters)
    if keywords or len(positional) > 2 or not takes_any:
        raise ConfigError(
            f"the handler of {job_type!r}, {described(function)}, must take {_FORMS}, not "
            f"{inspect.signature(function)}{_advice(function, parameters)}"
        )
    return len(positional) == 2


def _advice(function: Any, parameters: list[inspect.Parameter]) -> str:
    if not parameters:
        return "; of a job without a payload it is None: (payload: None)"
    if parameters[0].name == "self" and not inspect.ismethod(function):
        return "; hand in the method of an object: jobs.job(…)(mailer.send)"
    return ""


class _Annotations:
    """Each is looked at by itself: that of the context may be known to type checkers only."""

    def __init__(self, function: Any, names: Mapping[str, Any]) -> None:
        bearer = _called(function)
        self._said: Mapping[str, Any] = getattr(bearer, "__annotations__", {})
        self._globals: dict[str, Any] = getattr(bearer, "__globals__", {})
        self._names = dict(names)

    def get(self, name: str) -> tuple[Any, str | None]:
        """The type, or why there is none."""
        if name not in self._said:
            return UNSAID, None
        only = SimpleNamespace(__annotations__={name: self._said[name]})
        try:
            hints = get_type_hints(only, self._globals, self._names, include_extras=True)
        except (NameError, AttributeError, TypeError, SyntaxError) as error:
            return UNSAID, str(error)
        return hints[name], None
