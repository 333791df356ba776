"""The job types of a program: which payload belongs to which name.

Producers and workers share one. Payload types and handlers may be named, ``package.module:name``,
and are imported when they are first needed, so that a producer needs nothing of the handlers.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from typing import Any, Protocol, TypeAlias, Unpack

import msgspec
from msgspec import UnsetType

from osqueue.errors import ConfigError
from osqueue.jobs.handlers import HandlerSpec
from osqueue.jobs.job_type import JobType
from osqueue.jobs.json_schemas import json_schemas
from osqueue.jobs.names import check_job_type
from osqueue.jobs.payload_types import PayloadTypes
from osqueue.jobs.references import Reference
from osqueue.jobs.schema import Schema
from osqueue.jobs.signatures import UNSAID, inspect_handler
from osqueue.jobs.submission import CheckedJob, JobOptions, NewJob

__all__ = ["HasRegistry", "RegisteredType", "Registry", "RegistryLike"]


class RegisteredType(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """A job type and its name. ``schema`` is ``None`` where any JSON will do."""

    name: str
    settings: JobType
    schema: Schema | None
    result: Schema | None

    def new(self, payload: Any = None, **options: Unpack[JobOptions]) -> CheckedJob[Any]:
        """A job of this type. Raises `PayloadValidationError`."""
        return self.checked(NewJob(self.name, payload, **options))

    def checked(self, job: NewJob) -> CheckedJob[Any]:
        """The same job with its payload checked, and with what the type says of it, unless the job
        says otherwise. Raises `PayloadValidationError`.
        """
        payload = job.payload if self.schema is None else self.schema.encode(job.payload)
        return self.with_defaults(msgspec.structs.replace(job, payload=payload))

    def with_defaults(self, job: NewJob) -> CheckedJob[Any]:
        """The same for a job whose payload has been checked."""
        said = {name: getattr(job, name) for name in NewJob.__struct_fields__}
        defaults: dict[str, Any] = {
            "max_attempts": self.settings.max_attempts,
            "timeout_ms": self.settings.timeout_ms,
            "retry": self.settings.retry,
            "keep_result": self.settings.keep_result,
        }
        for name, default in defaults.items():
            if said[name] is None:
                said[name] = default
        return CheckedJob(**said, result_schema=self.result)

    def handler(self) -> HandlerSpec | None:
        """What a worker runs for it, if the registry says that."""
        function = self.settings.handler
        if function is None:
            return None
        if not isinstance(function, str):
            inspect_handler(self.name, function)
        return self.spec(function)

    def spec(self, function: Any) -> HandlerSpec:
        """The same with a handler that is known otherwise."""
        return HandlerSpec(
            function=function,
            schema=self.schema,
            result=self.result,
            timeout_s=self.settings.timeout,
            executor=self.settings.executor,
            concurrency=self.settings.concurrency,
        )


class HasRegistry(Protocol):
    """Such as `osqueue.Jobs`."""

    @property
    def registry(self) -> Registry: ...


RegistryLike: TypeAlias = "Registry | HasRegistry | Mapping[str, Any]"


class Registry:
    """Job types by name: each a payload type, the name of one, or a `JobType`.

        Registry({"email:send": SendEmail, "report:generate": "myapp.reports:GenerateReport"})

    A payload type is a pydantic model, a dataclass, a TypedDict, a NamedTuple, a `msgspec.Struct`,
    or any other type that pydantic's `TypeAdapter` takes; ``Any`` is any JSON. With ``closed``,
    jobs of other types are refused, so that a misspelt name is found. Raises `ConfigError` for what
    cannot be a job type.
    """

    def __init__(self, types: Mapping[str, Any] | None = None, *, closed: bool = False) -> None:
        self._closed = closed
        self._types: dict[str, RegisteredType] = {}
        self._classes = PayloadTypes()
        for name, each in (types or {}).items():
            self.add(name, each)

    @classmethod
    def of(cls, source: RegistryLike) -> Registry:
        """The registry that something is or has, or a new one of a mapping."""
        if isinstance(source, Registry):
            return source
        if isinstance(source, Mapping):
            return cls(source)
        if isinstance(found := getattr(source, "registry", None), Registry):
            return found
        raise ConfigError(
            f"a registry is a Registry, a Jobs or a mapping of job types, not {source!r}"
        )

    def __repr__(self) -> str:
        return f"<Registry of {', '.join(self._types) or 'nothing'}>"

    def __iter__(self) -> Iterator[str]:
        return iter(self._types)

    def __len__(self) -> int:
        return len(self._types)

    def __contains__(self, name: object) -> bool:
        return name in self._types

    def __getitem__(self, name: str) -> RegisteredType:
        """A type by its name. Raises `ConfigError`, which names those that there are."""
        found = self._types.get(name)
        if found is None:
            raise ConfigError(f"there is no job type {name!r} in the registry{self._hint(name)}")
        return found

    def get(self, name: str) -> RegisteredType | None:
        """A type by its name, if it is known."""
        return self._types.get(name)

    def add(self, name: str, payload: Any) -> RegisteredType:
        """Add a type. Raises `ConfigError` for a name that is taken."""
        check_job_type(name)
        if name in self._types:
            raise ConfigError(f"the job type {name!r} is in the registry twice")
        settings = payload if isinstance(payload, JobType) else JobType(payload)
        if isinstance(settings.handler, str):
            Reference(settings.handler, f"the handler of {name!r}")
        added = RegisteredType(
            name=name,
            settings=settings,
            schema=_schema(settings.payload, name, "payload"),
            result=_schema(settings.result, name, "result"),
        )
        self._types[name] = added
        if added.schema is not None:
            self._classes.add(name, added.schema)
        return added

    def remove(self, name: str) -> None:
        """Take a type out, as before it is defined anew."""
        self._classes.remove(name)
        del self._types[name]

    def type_of(self, payload: Any) -> RegisteredType:
        """The type whose payload's class an object is of. Raises `ConfigError` unless there is
        exactly one.
        """
        return self._types[self._classes.name_of(payload)]

    def new(self, payload: Any, **options: Unpack[JobOptions]) -> CheckedJob[Any]:
        """A job of a payload's own type. Raises `PayloadValidationError`, and `ConfigError` when
        no type, or more than one, has such payloads.
        """
        return self.type_of(payload).new(payload, **options)

    def checked(self, job: NewJob) -> NewJob:
        """A job with its payload checked, if its type is known; any other as it is, unless the
        registry is closed. Raises `PayloadValidationError`, and `ConfigError` for such a type.
        """
        if isinstance(job, CheckedJob):
            return job
        if job.type in self._types or self._closed:
            return self[job.type].checked(job)
        return job

    def json_schemas(self) -> dict[str, dict[str, Any] | None]:
        """What payloads must be, as JSON Schema by job type; ``None`` where any JSON will do, where
        the type has not been imported yet, and where JSON Schema cannot say it.
        """
        return json_schemas({name: each.schema for name, each in self._types.items()})

    def handlers(self) -> dict[str, HandlerSpec]:
        """What a worker runs, of the types that say it."""
        specs = {name: each.handler() for name, each in self._types.items()}
        return {name: spec for name, spec in specs.items() if spec is not None}

    def _hint(self, name: str) -> str:
        if not self._types:
            return ", which is empty"
        close = difflib.get_close_matches(str(name), self._types, n=1)
        if close:
            return f"; did you mean {close[0]!r}?"
        return f"; it has {', '.join(map(repr, [*self._types][:20]))}"


def _schema(wanted: Any, name: str, part: str) -> Schema | None:
    """``None`` for what says nothing: any JSON will do."""
    if wanted is Any or wanted is UNSAID or isinstance(wanted, UnsetType):
        return None
    return Schema.of(wanted, job_type=name, part=part)
