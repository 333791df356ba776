"""From a handler and what is said of it to a registered job type: what must agree, and does it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import FrameType
from typing import Any, Final

import msgspec
from msgspec import UNSET

from osqueue.errors import ConfigError
from osqueue.jobs.handlers import HandlerSpec
from osqueue.jobs.job_type import JobType, TypeOptions
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
        annotation = self.signature.payload
        payload = annotation if self.payload is UNSAID else self.payload
        if payload is UNSAID:
            raise ConfigError(self._unsaid())
        if self.payload is not UNSAID:
            self._refuse_other(self.payload, "it was given")
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
        schema = known.schema
        if schema is None or (schema.reference and schema.reference.path == path_of(said)):
            return self._with_result(known)
        if not (schema.reference and not schema.reference.imported):
            self._refuse_other(schema.type, "the registry says", said)
        return self._with_result(known)

    def spec(self, of: RegisteredType) -> HandlerSpec:
        """What a worker is told."""
        own = {name: value for name, value in self.options.items() if name in _WORKERS_OWN}
        return msgspec.structs.replace(of.spec(self.function), **own)

    def _with_result(self, known: RegisteredType) -> RegisteredType:
        if known.result is not None or self.signature.result is UNSAID:
            return known
        result = Schema.of(self.signature.result, job_type=self.name, part="result")
        return msgspec.structs.replace(known, result=result)

    def _refuse_other(self, wanted: Any, who: str, said: Any = UNSAID) -> None:
        """Where both are classes, it can be told whether one is the other."""
        said = self.signature.payload if said is UNSAID else said
        if not (isinstance(wanted, type) and isinstance(said, type)) or said is UNSAID:
            return
        if not issubclass(wanted, said):
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
    """Whether two handlers are one that was defined again: a cell of a notebook has no file."""
    if isinstance(first, str):
        return first == path_of(second)
    if first is second or described(first) == described(second):
        return True
    code = getattr(first, "__code__", None)
    return (
        path_of(first) == path_of(second)
        and code is not None
        and not Path(code.co_filename).exists()
    )


def local_names(frame: FrameType) -> Mapping[str, Any]:
    """Names of the function in which something is defined, if it is in one."""
    return {} if frame.f_locals is frame.f_globals else dict(frame.f_locals)
