"""Every error that osqueue raises, as one tree.

::

    OsqueueError
    ├── fix the request
    │   ├── BrokerProtocolError      malformed or invalid request
    │   ├── PayloadValidationError   the payload is not what a queue can hold
    │   ├── JobIdConflictError       this job id names another job
    │   ├── JobNotFoundError         no such job
    │   ├── JobStateError            the job does not wait: it is held, dead or over
    │   ├── ScheduleNotFoundError    no such schedule
    │   ├── ParentJobError           the job cannot wait for another that it names
    │   └── AuthError                not allowed
    ├── stop working on the job
    │   └── LeaseLostError           the lease is no longer this worker's
    ├── find the leader
    │   ├── BrokerLeadershipError    this broker does not lead (carries the leader's address)
    │   └── DiscoveryError           no leader found in time
    ├── send the same request again
    │   ├── OverloadedError          a bound was reached; nothing was applied
    │   ├── CommitUnknownError       may or may not have been applied; the same ids make it safe
    │   ├── EngineStateError         the broker is starting or stopping
    │   └── TransportConnectionError no connection, or it broke
    ├── re-read, then decide
    │   └── CASConflictError         the precondition of a conditional write failed
    ├── the store
    │   ├── StorageBackendError      any other failure of the store
    │   │   ├── StoreBusyError         asked to slow down; not applied
    │   │   ├── StoreUnknownError      may or may not have been applied
    │   │   ├── StoreUnavailableError  not reached, or failed before applying
    │   │   ├── StoreNotFoundError     no such object
    │   │   └── StoreDeniedError       not permitted
    │   ├── CorruptStateError        the state object cannot be read; nothing was touched
    │   └── UnsupportedStoreError    the store cannot carry a queue
    ├── look at the job
    │   ├── JobFailedError           it will bring no result: it is dead, or was given up
    │   └── ResultTimeoutError       it has not ended in time (also a TimeoutError)
    └── fix the program
        ├── ConfigError              settings that make no sense
        ├── TransportConfigError     no such transport, or wrong options for it
        ├── TransportRequestError    the broker answered with an error of no known kind
        └── WorkerExecutionError     a handler failed

A class says what its caller has to do. ``_tag`` is its name on the wire and never changes;
``retryable`` tells whether sending the same request again, with the same ids, can succeed.

Beside the tree stand `Retry` and `Discard`, which handlers raise to say what is to become of a job.
"""

from __future__ import annotations

from copy import copy
from typing import Any, ClassVar, Literal, TypeGuard, TypeVar

__all__ = [
    "Applied",
    "AuthError",
    "BrokerLeadershipError",
    "BrokerProtocolError",
    "CASConflictError",
    "CommitUnknownError",
    "ConfigError",
    "CorruptStateError",
    "Discard",
    "DiscoveryError",
    "EngineStateError",
    "JobFailedError",
    "JobIdConflictError",
    "JobNotFoundError",
    "JobStateError",
    "LeaseLostError",
    "OsqueueError",
    "OverloadedError",
    "ParentJobError",
    "PayloadValidationError",
    "ResultTimeoutError",
    "Retry",
    "ScheduleNotFoundError",
    "StorageBackendError",
    "StoreBusyError",
    "StoreDeniedError",
    "StoreNotFoundError",
    "StoreUnavailableError",
    "StoreUnknownError",
    "TransportConfigError",
    "TransportConnectionError",
    "TransportRequestError",
    "UnsupportedStoreError",
    "WorkerExecutionError",
    "error_class",
    "is_osqueue_error",
]

Applied = Literal["no", "unknown"]
"""What is known of a refused request: never put into a commit, or in a commit of unknown fate."""


class OsqueueError(Exception):
    """The root of the tree. Catch it to catch everything that osqueue raises.

    ``message`` is one sentence for a person. ``status`` and ``method`` tell where a remote error
    came from (HTTP status, operation); both are ``None`` for an error of this process.
    """

    _tag: ClassVar[str] = "OsqueueError"
    retryable: ClassVar[bool] = False
    applied: Applied | None = None
    leader: str | None = None
    position: tuple[int, int] | None = None
    """Epoch and number of the commit that a broker's refusal rests on, if it rests on one."""

    def __init__(
        self, message: str, *, status: int | None = None, method: str | None = None
    ) -> None:
        super().__init__(message)
        self.message = message
        self.status = status
        self.method = method

    @property
    def remote(self) -> bool:
        """Whether a broker answered with this error, rather than this process raising it."""
        return self.status is not None


class BrokerProtocolError(OsqueueError):
    """The request is malformed or invalid. The message names the field."""

    _tag: ClassVar[Literal["BrokerProtocolError"]] = "BrokerProtocolError"


class PayloadValidationError(OsqueueError):
    """The payload, or a result, cannot be kept: not JSON, too deep, too large, or refused by its
    schema.

    ``errors`` are what is wrong, each as the field's path and a message, where a schema refused it.
    """

    _tag: ClassVar[Literal["PayloadValidationError"]] = "PayloadValidationError"

    def __init__(
        self,
        message: str,
        *,
        errors: tuple[tuple[str, str], ...] = (),
        status: int | None = None,
        method: str | None = None,
    ) -> None:
        super().__init__(message, status=status, method=method)
        self.errors = errors


class JobIdConflictError(OsqueueError):
    """The job id is taken by a job of another type or payload."""

    _tag: ClassVar[Literal["JobIdConflictError"]] = "JobIdConflictError"


class JobNotFoundError(OsqueueError):
    """No job of this id, or it has ended."""

    _tag: ClassVar[Literal["JobNotFoundError"]] = "JobNotFoundError"


class JobStateError(OsqueueError):
    """The job does not wait to be claimed, as this asks for. The message says what it is."""

    _tag: ClassVar[Literal["JobStateError"]] = "JobStateError"


class ScheduleNotFoundError(OsqueueError):
    """No schedule of this name."""

    _tag: ClassVar[Literal["ScheduleNotFoundError"]] = "ScheduleNotFoundError"


class ParentJobError(OsqueueError):
    """The job cannot wait for another that it names: that is not known, or over and not completed,
    or as many wait for it as may.
    """

    _tag: ClassVar[Literal["ParentJobError"]] = "ParentJobError"


class AuthError(OsqueueError):
    """The caller is not allowed to do this."""

    _tag: ClassVar[Literal["AuthError"]] = "AuthError"


class LeaseLostError(OsqueueError):
    """The lease is stale or another worker's: stop working on the job."""

    _tag: ClassVar[Literal["LeaseLostError"]] = "LeaseLostError"


class BrokerLeadershipError(OsqueueError):
    """The broker asked does not lead. ``leader`` is the leader's ``host:port``, if known."""

    _tag: ClassVar[Literal["BrokerLeadershipError"]] = "BrokerLeadershipError"
    retryable: ClassVar[bool] = True
    applied: Applied | None = "no"

    def __init__(
        self,
        message: str,
        *,
        leader: str | None = None,
        status: int | None = None,
        method: str | None = None,
    ) -> None:
        super().__init__(message, status=status, method=method)
        self.leader = leader


class DiscoveryError(OsqueueError):
    """No leader was found in time."""

    _tag: ClassVar[Literal["DiscoveryError"]] = "DiscoveryError"
    retryable: ClassVar[bool] = True


class OverloadedError(OsqueueError):
    """A bound of the broker was reached. Nothing was applied; try again later."""

    _tag: ClassVar[Literal["OverloadedError"]] = "OverloadedError"
    retryable: ClassVar[bool] = True
    applied: Applied | None = "no"
    retry_after_s: int | None = None
    """After how many seconds to come again, where the broker knows."""


class CommitUnknownError(OsqueueError):
    """The change may or may not be durable. Send it again with the same ids."""

    _tag: ClassVar[Literal["CommitUnknownError"]] = "CommitUnknownError"
    retryable: ClassVar[bool] = True
    applied: Applied | None = "unknown"


class EngineStateError(OsqueueError):
    """The broker is starting or stopping, or failed inside; nothing of this request was applied."""

    _tag: ClassVar[Literal["EngineStateError"]] = "EngineStateError"
    retryable: ClassVar[bool] = True
    applied: Applied | None = "no"


class TransportConnectionError(OsqueueError):
    """The broker was not reached, or the connection broke before its answer."""

    _tag: ClassVar[Literal["TransportConnectionError"]] = "TransportConnectionError"
    retryable: ClassVar[bool] = True


class CASConflictError(OsqueueError):
    """The precondition of a conditional write failed: the object is another version, or exists."""

    _tag: ClassVar[Literal["CASConflictError"]] = "CASConflictError"


class StorageBackendError(OsqueueError):
    """The store failed. Its subclasses say what is known of the write."""

    _tag: ClassVar[Literal["StorageBackendError"]] = "StorageBackendError"
    retryable: ClassVar[bool] = True


class StoreBusyError(StorageBackendError):
    """The store asked to slow down; nothing was applied."""


class StoreUnknownError(StorageBackendError):
    """The write may or may not have been applied, and may still be applied later."""


class StoreUnavailableError(StorageBackendError):
    """The store was not reached or failed before it applied anything."""


class StoreNotFoundError(StorageBackendError):
    """No such object."""


class StoreDeniedError(StorageBackendError):
    """The store does not permit it: credentials, permissions, a read-only place, a bad key."""

    retryable: ClassVar[bool] = False


class CorruptStateError(OsqueueError):
    """The state object is empty, truncated, malformed or of a newer format; nothing was touched."""

    _tag: ClassVar[Literal["CorruptStateError"]] = "CorruptStateError"


class UnsupportedStoreError(OsqueueError):
    """The store cannot carry a queue, or no such kind of store is known."""

    _tag: ClassVar[Literal["UnsupportedStoreError"]] = "UnsupportedStoreError"


class ConfigError(OsqueueError):
    """Settings that are invalid, alone or together."""

    _tag: ClassVar[Literal["ConfigError"]] = "ConfigError"


class TransportConfigError(OsqueueError):
    """No such transport, or wrong options for it."""

    _tag: ClassVar[Literal["TransportConfigError"]] = "TransportConfigError"


class TransportRequestError(OsqueueError):
    """The broker answered with an error of no kind known here. ``remote_tag`` is its tag."""

    _tag: ClassVar[Literal["TransportRequestError"]] = "TransportRequestError"

    def __init__(
        self,
        message: str,
        *,
        remote_tag: str | None = None,
        status: int | None = None,
        method: str | None = None,
    ) -> None:
        super().__init__(message, status=status, method=method)
        self.remote_tag = remote_tag


class WorkerExecutionError(OsqueueError):
    """A handler failed."""

    _tag: ClassVar[Literal["WorkerExecutionError"]] = "WorkerExecutionError"


class JobFailedError(OsqueueError):
    """The job will bring no result. ``job_status`` tells how it stands: ``dead``, ``cancelled``,
    ``expired`` or ``discarded``.

    ``error_type``, ``error_message`` and ``traceback`` are of its last failure, where that is
    known.
    """

    _tag: ClassVar[Literal["JobFailedError"]] = "JobFailedError"

    def __init__(
        self,
        message: str,
        *,
        job_id: str = "",
        job_status: str = "",
        error_type: str | None = None,
        error_message: str | None = None,
        traceback: str | None = None,
        status: int | None = None,
        method: str | None = None,
    ) -> None:
        super().__init__(message, status=status, method=method)
        self.job_id = job_id
        self.job_status = job_status
        self.error_type = error_type
        self.error_message = error_message
        self.traceback = traceback


class ResultTimeoutError(OsqueueError, TimeoutError):
    """The job has not ended in time; it goes on."""

    _tag: ClassVar[Literal["ResultTimeoutError"]] = "ResultTimeoutError"


class Retry(Exception):  # noqa: N818 - what a handler says, rather than an error
    """Raise it in a handler to have the job run again, while it has attempts left.

    ``after``: in so many seconds; by default as the job's retry policy says.
    """

    def __init__(self, after: float | None = None, reason: str = "") -> None:
        super().__init__(after, reason)
        self.after = after
        self.reason = reason

    def __str__(self) -> str:
        return self.reason or "to be tried again"


class Discard(Exception):  # noqa: N818 - the same
    """Raise it in a handler to fail the job for good: it becomes a dead letter at once."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


_BY_TAG: dict[str, type[OsqueueError]] = {
    cls._tag: cls for cls in OsqueueError.__subclasses__() if "_tag" in vars(cls)
}


def error_class(tag: str) -> type[OsqueueError] | None:
    """The class of a wire tag, or ``None`` for a tag that is not ours."""
    return _BY_TAG.get(tag)


def is_osqueue_error(error: object) -> TypeGuard[OsqueueError]:
    """Whether ``error`` is one of ours; narrows its type."""
    return isinstance(error, OsqueueError)


ErrorT = TypeVar("ErrorT", bound=OsqueueError)


def for_one(error: ErrorT) -> ErrorT:
    """The same error for one of several who raise it: each notes on its own what became of it."""
    own = copy(error)
    own.__cause__ = error.__cause__
    return own


def error_tag(error: OsqueueError) -> str:
    """The tag of an error on the wire."""
    return type(error)._tag  # noqa: SLF001 - `_tag` is the contract's name of a public constant


def error_extras(error: OsqueueError) -> dict[str, Any]:
    """What an error says beyond tag and message: ``applied`` and ``leader``, when known."""
    extras: dict[str, Any] = {}
    if error.applied is not None:
        extras["applied"] = error.applied
    if error.leader is not None:
        extras["leader"] = error.leader
    return extras
