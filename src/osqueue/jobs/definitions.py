"""From a handler and what is said of it to a registered job type: what must agree, and does it."""

from __future__ import annotations

from collections.abc import Mapping
from inspect import isfunction
from pathlib import Path
from types import FrameType
from typing import Any, Final

import msgspec
from msgspec import UNSET

from osqueue.errors import ConfigError
from osqueue.jobs.handlers import HandlerSpec
from osqueue.jobs.job_type import JobType, TypeOptions
from osqueue.jobs.kinds import inherits
from osqueue.jobs.references import path_of
from osqueue.jobs.registry import RegisteredType, Registry
from osqueue.jobs.schema import Schema
from osqueue.jobs.signatures import UNSAID, Signature, described

__all__ = ["Definition", "is_again", "local_names"]

_WORKERS_OWN: Final = frozenset({"executor", "concurrency"})
"""The options that a worker may say for itself; the others travel with each job."""


class Definition(msgspec.Struct, frozen=True, kw_only=True):
    """A handler and what was said of it: ``payload`` is its class, where that was handed in."""

    name: str
    function: Any
    signature: Signature
    payload: Any
    options: TypeOptions

    def own_type(self) -> JobType:
        """The job type that this makes. Raises `ConfigError` when nothing says what it takes."""
        if self.payload is UNSAID and self.signature.payload is UNSAID:
            raise ConfigError(self._unsaid())
        payload = self.signature.payload if self.payload is UNSAID else self.payload
        self._refuse_other(payload, self.signature.payload, "it was given")
        result = UNSET if self.signature.result is UNSAID else self.signature.result
        return JobType(payload, result=result, **self.options)

    def shared_type(self, registry: Registry) -> RegisteredType:
        """The type of a shared registry that this handles. Raises `ConfigError` unless they fit."""
        known = registry[self.name]
        travelling = self.options.keys() - _WORKERS_OWN
        if travelling:
            raise ConfigError(
                f"{', '.join(sorted(travelling))} of {self.name!r} must be said in the registry, "
                "where producers see it: it travels with each job"
            )
        said = self.signature.payload if self.payload is UNSAID else self.payload
        if known.schema is not None and not _is_unread(known.schema):
            self._refuse_other(known.schema.type, said, "the registry says")
        return self._with_result(known)

    def spec(self, of: RegisteredType) -> HandlerSpec:
        """What a worker is told. Raises `ConfigError` for an async function in a thread."""
        own = {name: value for name, value in self.options.items() if name in _WORKERS_OWN}
        spec = msgspec.structs.replace(of.spec(self.function), **own)
        if spec.executor == "thread" and self.signature.on_loop:
            raise ConfigError(
                f"the handler of {self.name!r}, {described(self.function)}, is async, and runs on "
                "the loop: leave executor='thread' out, or make it a plain function"
            )
        return spec

    def _with_result(self, known: RegisteredType) -> RegisteredType:
        if known.result is not None or self.signature.result is UNSAID:
            return known
        result = Schema.of(self.signature.result, job_type=self.name, part="result")
        return msgspec.structs.replace(known, result=result)

    def _refuse_other(self, wanted: Any, said: Any, who: str) -> None:
        """Where both are classes, it can be told whether one is the other."""
        if said is UNSAID or not (isinstance(wanted, type) and isinstance(said, type)):
            return
        if not inherits(wanted, said):
            raise ConfigError(
                f"the handler of {self.name!r}, {described(self.function)}, takes "
                f"{path_of(said)}, but {who} {path_of(wanted)}"
            )

    def _unsaid(self) -> str:
        handler = f"the handler of {self.name!r}, {described(self.function)},"
        if self.signature.unresolved:
            return (
                f"{handler} has an annotation that means nothing when the program runs: "
                f"{self.signature.unresolved}; import the type outside of `if TYPE_CHECKING`, or "
                f"hand it in: @jobs.job({self.name!r}, TheType)"
            )
        return f"{handler} must say what its payload is: annotate it, if need be with Any"


def is_again(first: Any, second: Any) -> bool:
    """Whether two handlers are one that was defined again, by a module that was loaded again, or by
    a cell of a notebook, which has no file. What a function makes, it may make twice.
    """
    if isinstance(first, str):
        return first == path_of(second)
    if first == second:
        return True
    if not (isfunction(first) and isfunction(second)) or "<" in first.__qualname__:
        return False
    in_a_file = Path(first.__code__.co_filename).exists()
    same = described(first) == described(second)
    return same or (path_of(first) == path_of(second) and not in_a_file)


def _is_unread(schema: Schema) -> bool:
    """Whether its type would have to be imported."""
    return schema.reference is not None and not schema.reference.imported


def local_names(frame: FrameType) -> Mapping[str, Any]:
    """Names of the function in which something is defined, if it is in one."""
    return {} if frame.f_locals is frame.f_globals else dict(frame.f_locals)
