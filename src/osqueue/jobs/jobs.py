"""The jobs of a program and their handlers, each defined where it is written.

::

    jobs = Jobs()

    @jobs.job("email:send", max_attempts=5, timeout=30, retry=Backoff(base=5))
    async def send_email(email: SendEmail) -> None: ...

    await send_email.submit(to="ada@example.org")  # after jobs.use(client)

A worker is given all of it: ``osqueue worker myapp.jobs:jobs``, or ``Worker(client, jobs)``.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar, Unpack, overload

import msgspec

from osqueue.errors import ConfigError
from osqueue.jobs.decorators import FromAnnotation, FromClass
from osqueue.jobs.definitions import Definition, is_again, local_names
from osqueue.jobs.handlers import HandlerSpec, JobCallbacks
from osqueue.jobs.job_type import TypeOptions, check_options
from osqueue.jobs.lending import LENT
from osqueue.jobs.names import check_job_type
from osqueue.jobs.references import path_of
from osqueue.jobs.registry import RegisteredType, Registry, RegistryLike
from osqueue.jobs.signatures import UNSAID, described, inspect_handler
from osqueue.jobs.typed_job import (
    AnnotatedJob,
    ClassJob,
    FieldsP,
    PayloadT,
    Submitter,
    TypedJob,
)

__all__ = ["Jobs"]

if TYPE_CHECKING:
    from osqueue.client.models import Job
    from osqueue.worker.middleware import Middleware

MiddlewareT = TypeVar("MiddlewareT", bound="Middleware")
ToldT = TypeVar("ToldT", bound="Callable[[Job], Any]")
ToldOfErrorT = TypeVar("ToldOfErrorT", bound="Callable[[Job, BaseException], Any]")
FunctionT = TypeVar("FunctionT", bound=Callable[..., Any])


class Jobs:
    """Job types with their handlers, and what is wrapped around those.

    With a ``registry`` it handles types of that, and no others: producers share it, and what
    travels with a job is said there.
    """

    def __init__(self, registry: RegistryLike | None = None) -> None:
        self._registry = Registry() if registry is None else Registry.of(registry)
        self._shares = registry is not None
        self._jobs: dict[str, TypedJob[Any, Any, ..., Any]] = {}
        self._middlewares: list[Middleware] = []
        self._callbacks = JobCallbacks()
        self._client: Submitter | None = None

    def __repr__(self) -> str:
        return f"<Jobs {', '.join(self._registry) or 'none'}>"

    @property
    def registry(self) -> Registry:
        """The job types, as a client takes them."""
        return self._registry

    @property
    def middlewares(self) -> tuple[Middleware, ...]:
        """Those that were given to `middleware`; the first is the outermost."""
        return tuple(self._middlewares)

    @property
    def callbacks(self) -> JobCallbacks:
        """Those that were given to `on_job_claimed` and its like."""
        return self._callbacks

    @overload
    def job(self, name: str, /, **options: Unpack[TypeOptions]) -> FromAnnotation: ...
    @overload
    def job(
        self,
        name: str,
        payload: Callable[FieldsP, PayloadT],
        /,
        **options: Unpack[TypeOptions],
    ) -> FromClass[PayloadT, FieldsP]: ...
    def job(self, name: str, payload: Any = UNSAID, /, **options: Unpack[TypeOptions]) -> Any:
        """Make a function the handler of a job type: see `TypeOptions`.

        It takes the payload, or the payload and a `JobContext`. The annotation of the first says
        what the payload is; ``Any`` is any JSON. With the payload's class handed in as well, type
        checkers know what ``.submit(to=…)`` takes. Raises `ConfigError` for a second handler of a
        type, and for what cannot be a handler.
        """
        check_job_type(name)
        check_options(options)
        names = local_names(sys._getframe(1))  # noqa: SLF001 - annotations may be strings

        def decorate(function: Any) -> TypedJob[Any, Any, ..., Any]:
            definition = Definition(
                name=name,
                function=function,
                signature=inspect_handler(name, function, names),
                payload=payload,
                options=options,
            )
            of = self._define(definition)
            made: type[TypedJob[Any, Any, ..., Any]] = (
                AnnotatedJob if payload is UNSAID else ClassJob
            )
            self._jobs[name] = made(function, of, definition.spec(of), self._submitter)
            return self._jobs[name]

        return decorate

    def use(self, client: Submitter) -> None:
        """From now on ``.submit(…)`` of these jobs goes to this client. Handlers need none: unless
        there is one, they submit by their worker's.

        An `osqueue.OsqueueClient`; plain code submits by its own:
        ``client.submit(send_email.new(…))``.
        """
        if not inspect.iscoroutinefunction(getattr(client, "submit", None)):
            raise ConfigError(
                f"jobs are submitted by an async client such as OsqueueClient, not {client!r}; by "
                "any other submit what .new(…) makes: client.submit(send_email.new(…))"
            )
        self._client = client

    @contextmanager
    def using(self, client: Submitter) -> Iterator[None]:
        """Inside, ``.submit(…)`` of these jobs goes to this client; for tests."""
        before = self._client
        self.use(client)
        try:
            yield
        finally:
            self._client = before

    def middleware(self, function: MiddlewareT) -> MiddlewareT:
        """Have every handler run inside of this async function of (ctx, call_next); the first that
        is given is the outermost. ``await call_next()`` runs the handler, and answers its result.
        """
        call = getattr(type(function), "__call__", None)  # noqa: B004 - asks how, not whether
        if not any(map(inspect.iscoroutinefunction, (function, call))):
            raise ConfigError(
                f"a middleware is `async def middleware(ctx, call_next)`, not {described(function)}"
            )
        self._middlewares.append(function)
        return function

    def on_job_claimed(self, function: ToldT) -> ToldT:
        """Have a plain or async function told of each job that begins: ``function(job)``."""
        return self._call_back("claimed", function)

    def on_job_completed(self, function: ToldT) -> ToldT:
        """The same of each that is done, when that is durable: ``function(job)``."""
        return self._call_back("completed", function)

    def on_job_failed(self, function: ToldOfErrorT) -> ToldOfErrorT:
        """The same of each attempt that failed: ``function(job, error)``."""
        return self._call_back("failed", function)

    def handlers(self) -> dict[str, HandlerSpec]:
        """What a worker runs, by job type. Raises `ConfigError` for a payload that there can be no
        schema of, and for such a result, if it is to be kept.
        """
        specs = self._registry.handlers() | {name: job.spec for name, job in self._jobs.items()}
        return {name: self._prepared(name, spec) for name, spec in specs.items()}

    def _prepared(self, name: str, spec: HandlerSpec) -> HandlerSpec:
        """What is named is made when it is imported: with the first job of the type."""
        if spec.schema is not None and spec.schema.reference is None:
            spec.schema.prepare()
        if spec.result is None or spec.result.reference is not None:
            return spec
        try:
            spec.result.prepare()
        except ConfigError:
            if self._registry[name].settings.keep_result:
                raise
            return msgspec.structs.replace(spec, result=None)
        return spec

    def _submitter(self) -> Submitter:
        client = self._client or LENT.get()
        if client is None:
            raise ConfigError(
                "these jobs have no client to submit by: call jobs.use(client) first, or submit "
                "what .new(…) makes: client.submit(send_email.new(…))"
            )
        return client

    def _call_back(self, when: str, function: FunctionT) -> FunctionT:
        if not callable(function):
            raise ConfigError(f"what is called when a job is {when} must be a function")
        functions = (*getattr(self._callbacks, when), function)
        self._callbacks = msgspec.structs.replace(self._callbacks, **{when: functions})
        return function

    def _define(self, definition: Definition) -> RegisteredType:
        self._refuse_second(definition)
        if self._shares:
            return definition.shared_type(self._registry)
        settings = definition.own_type()
        if definition.name in self._registry:
            self._registry.remove(definition.name)
        return self._registry.add(definition.name, settings)

    def _refuse_second(self, definition: Definition) -> None:
        first = self._handler_of(definition.name)
        if first is None or is_again(first, definition.function):
            return
        raise ConfigError(
            f"{definition.name!r} has two handlers, {_called(first)} and "
            f"{_called(definition.function)}{_twice(first, definition.function)}"
        )

    def _handler_of(self, name: str) -> Any:
        if name in self._jobs:
            return self._jobs[name].spec.function
        known = self._registry.get(name)
        return None if known is None else known.settings.handler


def _twice(first: Any, second: Any) -> str:
    """What may have happened to two functions of one name."""
    if isinstance(first, str) or path_of(first).split(":")[1] != path_of(second).split(":")[1]:
        return ""
    return (
        "; a module that is loaded twice, once as a program and once by its name, defines all its "
        "handlers twice"
    )


def _called(handler: Any) -> str:
    return handler if isinstance(handler, str) else described(handler)
