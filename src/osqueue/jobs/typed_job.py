"""A handler and the jobs that are made for it: what `osqueue.Jobs.job` makes of a function.

It is still the function. Its jobs are typed: mypy and pyright know what `submit` takes, and what
comes back.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from copy import copy
from typing import (
    TYPE_CHECKING,
    Any,
    Final,
    Generic,
    ParamSpec,
    Protocol,
    Self,
    TypeVar,
    Unpack,
    get_origin,
    overload,
)

from msgspec import Raw

from osqueue.errors import ConfigError, PayloadValidationError
from osqueue.jobs.handlers import HandlerSpec
from osqueue.jobs.registry import RegisteredType
from osqueue.jobs.schema import Schema
from osqueue.jobs.submission import CheckedJob, JobOptions, NewJob

if TYPE_CHECKING:
    from osqueue.client.handles import JobHandle

__all__ = ["AnnotatedJob", "ClassJob", "Submitter", "TypedJob"]

PayloadT = TypeVar("PayloadT")
ResultT = TypeVar("ResultT")
ReturnT = TypeVar("ReturnT")
CallP = ParamSpec("CallP")
FieldsP = ParamSpec("FieldsP")

_NOTHING: Final = (None, type(None))


class Submitter(Protocol):
    """Submits jobs, as `OsqueueClient` does."""

    async def submit(self, payload: CheckedJob[ResultT], /) -> JobHandle[ResultT]: ...


class TypedJob(Generic[PayloadT, ResultT, CallP, ReturnT]):
    """A job type with its handler. Called, it is the handler, and no job is made."""

    __wrapped__: Callable[..., Any]
    __name__: str

    def __init__(
        self,
        function: Callable[CallP, ReturnT],
        of: RegisteredType,
        spec: HandlerSpec,
        submitter: Callable[[], Submitter],
    ) -> None:
        functools.update_wrapper(self, function, updated=())
        self._function = function
        self._of = of
        self._spec = spec
        self._submitter = submitter
        self._options = JobOptions()

    def __call__(self, *args: CallP.args, **kwargs: CallP.kwargs) -> ReturnT:
        return self._function(*args, **kwargs)

    def __repr__(self) -> str:
        return f"<job {self.name!r}>"

    @property
    def name(self) -> str:
        """The name of the job type."""
        return self._of.name

    @property
    def spec(self) -> HandlerSpec:
        """What a worker is told of the handler."""
        return self._spec

    def options(self, **options: Unpack[JobOptions]) -> Self:
        """The same, whose jobs are submitted so: ``job.options(delay_ms=1000).submit(…)``."""
        unknown = options.keys() - JobOptions.__annotations__.keys()
        if unknown:
            known = ", ".join(JobOptions.__annotations__)
            raise ConfigError(f"there is no option {', '.join(sorted(unknown))}; those are {known}")
        other = copy(self)
        other._options = {**self._options, **options}  # noqa: SLF001 - its own class
        return other

    def _new(self, given: tuple[Any, ...], fields: Mapping[str, Any]) -> CheckedJob[ResultT]:
        payload = self._payload(given, fields)
        return self._of.with_defaults(NewJob(self.name, payload, **self._options))

    def _payload(self, given: tuple[Any, ...], fields: Mapping[str, Any]) -> Any:
        """The payload, checked: one object, or the fields of one."""
        if given and (fields or len(given) > 1):
            raise PayloadValidationError(
                f"{self.name!r} takes one payload, or its fields by name, not both"
            )
        schema = self._of.schema
        if schema is None:
            return given[0] if given else dict(fields) or None
        if given or (not fields and schema.type in _NOTHING):
            return schema.encode(*(given or (None,)))
        try:
            return schema.encode_fields(fields)
        except PayloadValidationError as error:
            raise _with_advice(error) from None


class AnnotatedJob(TypedJob[PayloadT, ResultT, CallP, ReturnT]):
    """One whose payload is what the handler's annotation says."""

    @overload
    def new(self, payload: PayloadT, /) -> CheckedJob[ResultT]: ...
    @overload
    def new(self, /, **fields: Any) -> CheckedJob[ResultT]: ...
    def new(self, /, *payload: Any, **fields: Any) -> CheckedJob[ResultT]:
        """A job to submit later, or with others. Raises `PayloadValidationError`."""
        return self._new(payload, fields)

    @overload
    async def submit(self, payload: PayloadT, /) -> JobHandle[ResultT]: ...
    @overload
    async def submit(self, /, **fields: Any) -> JobHandle[ResultT]: ...
    async def submit(self, /, *payload: Any, **fields: Any) -> JobHandle[ResultT]:
        """Submit a job by the client of `Jobs.use`. Raises `PayloadValidationError` first."""
        job = self._new(payload, fields)
        return await self._submitter().submit(job)


class ClassJob(
    TypedJob[PayloadT, ResultT, CallP, ReturnT],
    Generic[PayloadT, ResultT, CallP, ReturnT, FieldsP],
):
    """One whose payload's class was handed in: its fields are what the constructor takes."""

    @overload
    def new(self, payload: PayloadT, /) -> CheckedJob[ResultT]: ...
    @overload
    def new(self, /, *args: FieldsP.args, **fields: FieldsP.kwargs) -> CheckedJob[ResultT]: ...
    def new(self, /, *args: Any, **fields: Any) -> CheckedJob[ResultT]:
        """A job to submit later, or with others. Raises `PayloadValidationError`."""
        return self._new(*_by_name(self._of.schema, args, fields))

    @overload
    async def submit(self, payload: PayloadT, /) -> JobHandle[ResultT]: ...
    @overload
    async def submit(
        self, /, *args: FieldsP.args, **fields: FieldsP.kwargs
    ) -> JobHandle[ResultT]: ...
    async def submit(self, /, *args: Any, **fields: Any) -> JobHandle[ResultT]:
        """Submit a job by the client of `Jobs.use`. Raises `PayloadValidationError` first."""
        job = self._new(*_by_name(self._of.schema, args, fields))
        return await self._submitter().submit(job)


def _by_name(
    schema: Schema | None, args: tuple[Any, ...], fields: Mapping[str, Any]
) -> tuple[tuple[Any, ...], Mapping[str, Any]]:
    """Positional arguments of a constructor by their names; an object that is the payload stays."""
    of = None if schema is None else get_origin(schema.type) or schema.type
    if not isinstance(of, type) or not args:
        return args, fields
    if len(args) == 1 and not fields and isinstance(args[0], of | Mapping | Raw):
        return args, fields
    try:
        return (), inspect.signature(of).bind_partial(*args, **fields).arguments
    except (TypeError, ValueError):  # it has no such constructor: the schema says what is wrong
        return args, fields


def _with_advice(error: PayloadValidationError) -> PayloadValidationError:
    """The same, for whoever took an option for a field."""
    options = [path for path, _text in error.errors if path in JobOptions.__annotations__]
    if not options:
        return error
    said = ", ".join(f"{name}=…" for name in options)
    return PayloadValidationError(
        f"{error.message}; options of a job are said apart: .options({said}).submit(…)",
        errors=error.errors,
    )
