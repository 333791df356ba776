"""What `osqueue.Jobs.job` answers, as type checkers see it: which functions can be handlers."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, Generic, Protocol, overload

from osqueue.jobs.typed_job import AnnotatedJob, ClassJob, FieldsP, PayloadT, ResultT

if TYPE_CHECKING:
    from osqueue.worker.job_context import JobContext

__all__ = ["FromAnnotation", "FromClass"]


class FromAnnotation(Protocol):
    """Makes a handler a job, whose payload is what the handler's annotation says."""

    @overload
    def __call__(
        self, handler: Callable[[PayloadT], Coroutine[Any, Any, ResultT]], /
    ) -> AnnotatedJob[PayloadT, ResultT, [PayloadT], Coroutine[Any, Any, ResultT]]: ...
    @overload
    def __call__(
        self, handler: Callable[[PayloadT, JobContext], Coroutine[Any, Any, ResultT]], /
    ) -> AnnotatedJob[PayloadT, ResultT, [PayloadT, JobContext], Coroutine[Any, Any, ResultT]]: ...
    @overload
    def __call__(
        self, handler: Callable[[PayloadT], ResultT], /
    ) -> AnnotatedJob[PayloadT, ResultT, [PayloadT], ResultT]: ...
    @overload
    def __call__(
        self, handler: Callable[[PayloadT, JobContext], ResultT], /
    ) -> AnnotatedJob[PayloadT, ResultT, [PayloadT, JobContext], ResultT]: ...
    def __call__(self, handler: Callable[..., Any], /) -> Any:
        """The handler, as a job."""


class FromClass(Protocol, Generic[PayloadT, FieldsP]):
    """The same, of a handler that takes what the class that was handed in makes."""

    @overload
    def __call__(
        self, handler: Callable[[PayloadT], Coroutine[Any, Any, ResultT]], /
    ) -> ClassJob[PayloadT, ResultT, [PayloadT], Coroutine[Any, Any, ResultT], FieldsP]: ...
    @overload
    def __call__(
        self, handler: Callable[[PayloadT, JobContext], Coroutine[Any, Any, ResultT]], /
    ) -> ClassJob[
        PayloadT, ResultT, [PayloadT, JobContext], Coroutine[Any, Any, ResultT], FieldsP
    ]: ...
    @overload
    def __call__(
        self, handler: Callable[[PayloadT], ResultT], /
    ) -> ClassJob[PayloadT, ResultT, [PayloadT], ResultT, FieldsP]: ...
    @overload
    def __call__(
        self, handler: Callable[[PayloadT, JobContext], ResultT], /
    ) -> ClassJob[PayloadT, ResultT, [PayloadT, JobContext], ResultT, FieldsP]: ...
    def __call__(self, handler: Callable[..., Any], /) -> Any:
        """The handler, as a job."""
