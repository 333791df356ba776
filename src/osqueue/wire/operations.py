"""The operations of a queue, once: name, REST route, request and answer.

The server's routes, its OpenAPI document and the client's transports are all made from this
table.
"""

from __future__ import annotations

from typing import Annotated, Any, Final, TypeVar

import msgspec
from msgspec import UNSET, Meta, Raw, UnsetType

from osqueue.config import (
    LIST_PAGE_MAX,
    NAME_CHARS_MAX,
    SCHEDULES_PAGE_MAX,
    STATUS_WAIT_MS_MAX,
    WAIT_MS_MAX,
    RetryFactor,
    RetryJitter,
    RetryMs,
)
from osqueue.wire.messages import (
    ActionAnswer,
    ActionRequest,
    AfterText,
    AnnounceRequest,
    Attempts,
    BatchAnswer,
    BrokerStatus,
    ClaimAnswer,
    ClaimRequest,
    CompleteBatchRequest,
    CompleteRequest,
    CreditRequest,
    DeadGroups,
    EndedCursor,
    EndedPage,
    EndStatus,
    FailRequest,
    HeartbeatBatchRequest,
    JobInfo,
    JobsCount,
    JobsPage,
    JobTypes,
    LeaseRequest,
    LiveStatus,
    Name,
    Priority,
    PriorityRequest,
    ReleaseRequest,
    RetryPolicy,
    SearchText,
    Settings,
    Stats,
    StreamRequest,
    SubmitAnswer,
    SubmitBatchAnswer,
    SubmitBatchRequest,
    SubmitRequest,
    SubscribeRequest,
    TimeMs,
    TimeoutMs,
    TraceParent,
    Update,
    Workflow,
)
from osqueue.wire.overview import Overview, OverviewQuery
from osqueue.wire.roles import Needed, Role
from osqueue.wire.schedules import (
    PutScheduleRequest,
    RunScheduleRequest,
    RunSpec,
    ScheduleInfo,
    ScheduleName,
    ScheduleRef,
    SchedulesPage,
    ScheduleSpec,
)

__all__ = [
    "WAITING",
    "WITH_PAYLOADS",
    "CountQuery",
    "EndedQuery",
    "JobQuery",
    "ListQuery",
    "Operation",
    "PutQuery",
    "ReadQuery",
    "SchedulesQuery",
    "StatusQuery",
]

ValueT = TypeVar("ValueT")


class ReadQuery(msgspec.Struct, kw_only=True, omit_defaults=True, rename="camel"):
    """What every read of the queue takes."""

    consistent: bool = False
    """Whether the answer waits for a proof of leadership that began after the request."""


class JobQuery(ReadQuery, kw_only=True, omit_defaults=True, rename="camel"):
    """What `GET /v1/jobs/{jobId}` takes in its query string."""

    wait_ms: Annotated[int, Meta(ge=0, le=WAIT_MS_MAX)] = 0
    """For how long to wait until the job has ended, or is dead."""


class ListQuery(ReadQuery, kw_only=True, omit_defaults=True, rename="camel"):
    """What `GET /v1/jobs` takes in its query string. ``cursor`` comes from the page before."""

    limit: Annotated[int, Meta(ge=1, le=LIST_PAGE_MAX)] = LIST_PAGE_MAX
    cursor: Annotated[str, Meta(max_length=NAME_CHARS_MAX)] | None = None
    status: LiveStatus | None = None
    type: Name | None = None
    text: SearchText | None = None
    order: Annotated[str, Meta(pattern=r"^(oldest|newest)\Z")] | None = None
    """What comes first; by default the oldest."""
    payloads: bool = True
    """Whether jobs are shown with their payloads: a page of those can have many MiB."""


class CountQuery(ReadQuery, kw_only=True, omit_defaults=True, rename="camel"):
    """What `GET /v1/count` takes in its query string: see `JobFilter`."""

    status: LiveStatus | None = None
    type: Name | None = None
    text: SearchText | None = None


class EndedQuery(ReadQuery, kw_only=True, omit_defaults=True, rename="camel"):
    """What `GET /v1/ended` takes in its query string; ``cursor`` is of the page before."""

    limit: Annotated[int, Meta(ge=1, le=LIST_PAGE_MAX)] = LIST_PAGE_MAX
    cursor: EndedCursor | None = None
    status: EndStatus | None = None
    type: Name | None = None
    text: SearchText | None = None
    payloads: bool = True
    """Whether jobs are shown with their payloads and results."""


class SchedulesQuery(ReadQuery, kw_only=True, omit_defaults=True, rename="camel"):
    """What `GET /v1/schedules` takes in its query string; ``cursor`` is of the page before."""

    limit: Annotated[int, Meta(ge=1, le=SCHEDULES_PAGE_MAX)] = SCHEDULES_PAGE_MAX
    cursor: ScheduleName | None = None


class PutQuery(msgspec.Struct, kw_only=True, omit_defaults=True, rename="camel"):
    """What `PUT /v1/jobs/{jobId}` takes in its query string; the body is the payload.

    Nothing in it can be null: that is a word like any other in a query string.
    """

    type: Name = ""
    max_attempts: Attempts | UnsetType = UNSET
    priority: Priority = 0
    run_at: TimeMs | UnsetType = UNSET
    traceparent: TraceParent | UnsetType = UNSET
    timeout_ms: TimeoutMs | UnsetType = UNSET
    keep_result: bool = False
    retry_base_ms: RetryMs | UnsetType = UNSET
    retry_factor: RetryFactor | UnsetType = UNSET
    retry_max_ms: RetryMs | UnsetType = UNSET
    retry_jitter: RetryJitter | UnsetType = UNSET
    after: AfterText = ""

    @staticmethod
    def of(request: SubmitRequest) -> PutQuery:
        """What says the same as a request, but for its id and payload."""
        policy = request.retry
        return PutQuery(
            type=request.type or "",
            max_attempts=_unset(request.max_attempts),
            priority=request.priority,
            run_at=_unset(request.run_at),
            traceparent=_unset(request.traceparent),
            after=",".join(request.after),
            timeout_ms=_unset(request.timeout_ms),
            keep_result=request.keep_result,
            retry_base_ms=UNSET if policy is None else policy.base_ms,
            retry_factor=UNSET if policy is None else policy.factor,
            retry_max_ms=UNSET if policy is None else policy.max_ms,
            retry_jitter=UNSET if policy is None else policy.jitter,
        )

    @property
    def parents(self) -> list[str]:
        """What ``after`` names."""
        return self.after.split(",") if self.after else []

    @property
    def retry(self) -> RetryPolicy | None:
        """The policy that is said field by field; ``None`` when nothing is said of it."""
        given = {
            "base_ms": self.retry_base_ms,
            "factor": self.retry_factor,
            "max_ms": self.retry_max_ms,
            "jitter": self.retry_jitter,
        }
        said: dict[str, Any] = {name: each for name, each in given.items() if each is not UNSET}
        return RetryPolicy(**said) if said else None


def _unset(value: ValueT | None) -> ValueT | UnsetType:
    return UNSET if value is None else value


class StatusQuery(msgspec.Struct, kw_only=True, omit_defaults=True, rename="camel"):
    """What `GET /v1/status` takes in its query string: only brokers that stand by say anything."""

    standby: Name | None = None
    """The id of a broker that stands by; it is remembered for a while."""
    address: Name = ""
    """That broker's address."""
    wait_ms: Annotated[int, Meta(ge=0, le=STATUS_WAIT_MS_MAX)] = 0
    """For how long the leader may keep the question: it answers at once when it stops leading."""


class Operation(msgspec.Struct, frozen=True):
    """One operation. ``answer`` is ``None`` where a success is 204 without a body.

    A verb of GET sends the request as its query, and so does PUT of a job, but for
    ``payload``, which is the body, and ``jobId``, which the path names. An answer that is `Raw` is
    JSON text as it is.
    """

    name: str
    verb: str
    path: str
    request: Any
    answer: Any
    summary: str
    role: Needed
    """Who may; ``None``: everybody, also from another host."""
    body: Any = None
    """What the body is where the path names a schedule: the request without that."""

    @property
    def on_one_job(self) -> bool:
        """Whether the path names a job."""
        return "{jobId}" in self.path

    @property
    def on_one_schedule(self) -> bool:
        """Whether the path names a schedule: in the request it is one field of several."""
        return "{name}" in self.path

    @property
    def takes_body(self) -> bool:
        """Whether the request is the body, as JSON."""
        if self.on_one_schedule:
            return self.body is not None
        return self.request is not None and self.verb != "GET" and self is not SUBMIT_LARGE


SUBMIT: Final = Operation(
    "submitJob", "POST", "/v1/jobs", SubmitRequest, SubmitAnswer, "Submit one job.", Role.PRODUCE
)
SUBMIT_LARGE: Final = Operation(
    "putJob",
    "PUT",
    "/v1/jobs/{jobId}",
    SubmitRequest,
    SubmitAnswer,
    "Submit one job whose payload, the body, may be large.",
    Role.PRODUCE,
)
SUBMIT_BATCH: Final = Operation(
    "submitJobs",
    "POST",
    "/v1/jobs/batch",
    SubmitBatchRequest,
    SubmitBatchAnswer,
    "Submit up to 1,000 jobs, all or none.",
    Role.PRODUCE,
)
CLAIM: Final = Operation(
    "claimJobs",
    "POST",
    "/v1/jobs/claim",
    ClaimRequest,
    ClaimAnswer,
    "Claim jobs, waiting for one if asked to.",
    Role.WORK,
)
HEARTBEAT: Final = Operation(
    "heartbeat",
    "POST",
    "/v1/jobs/{jobId}/heartbeat",
    LeaseRequest,
    None,
    "Renew the lease of one job.",
    Role.WORK,
)
HEARTBEAT_BATCH: Final = Operation(
    "heartbeatJobs",
    "POST",
    "/v1/jobs/heartbeat",
    HeartbeatBatchRequest,
    BatchAnswer,
    "Renew the leases of many jobs.",
    Role.WORK,
)
COMPLETE: Final = Operation(
    "completeJob",
    "POST",
    "/v1/jobs/{jobId}/complete",
    CompleteRequest,
    None,
    "Complete one job.",
    Role.WORK,
)
COMPLETE_BATCH: Final = Operation(
    "completeJobs",
    "POST",
    "/v1/jobs/complete",
    CompleteBatchRequest,
    BatchAnswer,
    "Complete many jobs.",
    Role.WORK,
)
FAIL: Final = Operation(
    "failJob",
    "POST",
    "/v1/jobs/{jobId}/fail",
    FailRequest,
    None,
    "Report a failed attempt.",
    Role.WORK,
)
RELEASE: Final = Operation(
    "releaseJob",
    "POST",
    "/v1/jobs/{jobId}/release",
    ReleaseRequest,
    None,
    "Give a job back unfinished; the attempt does not count.",
    Role.WORK,
)
RETRY: Final = Operation(
    "retryJob",
    "POST",
    "/v1/jobs/{jobId}/retry",
    None,
    None,
    "Queue a dead letter again.",
    Role.ADMIN,
)
CANCEL: Final = Operation(
    "cancelJob",
    "DELETE",
    "/v1/jobs/{jobId}",
    None,
    None,
    "Cancel a job, or discard a dead letter.",
    Role.PRODUCE,
)
SET_PRIORITY: Final = Operation(
    "setPriority",
    "POST",
    "/v1/jobs/{jobId}/priority",
    PriorityRequest,
    None,
    "Let a job that waits come sooner or later.",
    Role.ADMIN,
)
PAUSE: Final = Operation(
    "pauseQueue", "POST", "/v1/pause", None, None, "Hand out no more jobs.", Role.ADMIN
)
RESUME: Final = Operation(
    "resumeQueue", "POST", "/v1/resume", None, None, "Hand out jobs again.", Role.ADMIN
)
GET_JOB: Final = Operation(
    "getJob",
    "GET",
    "/v1/jobs/{jobId}",
    JobQuery,
    JobInfo,
    "One job, waiting for its end if asked to.",
    Role.OBSERVE,
)
GET_PAYLOAD: Final = Operation(
    "getPayload",
    "GET",
    "/v1/jobs/{jobId}/payload",
    ReadQuery,
    Raw,
    "The payload of one job.",
    Role.OBSERVE,
)
GET_WORKFLOW: Final = Operation(
    "getWorkflow",
    "GET",
    "/v1/jobs/{jobId}/workflow",
    ReadQuery,
    Workflow,
    "The jobs around one job: what it runs after, and what runs after it.",
    Role.OBSERVE,
)
LIST_JOBS: Final = Operation(
    "listJobs",
    "GET",
    "/v1/jobs",
    ListQuery,
    JobsPage,
    "A page of jobs, with the counts.",
    Role.OBSERVE,
)
LIST_ENDED: Final = Operation(
    "listEnded",
    "GET",
    "/v1/ended",
    EndedQuery,
    EndedPage,
    "A page of jobs that have ended, the last to end first.",
    Role.OBSERVE,
)
COUNT_JOBS: Final = Operation(
    "countJobs",
    "GET",
    "/v1/count",
    CountQuery,
    JobsCount,
    "How many jobs are meant.",
    Role.OBSERVE,
)
ACT_ON_JOBS: Final = Operation(
    "actOnJobs",
    "POST",
    "/v1/jobs/actions",
    ActionRequest,
    ActionAnswer,
    "Retry or cancel many jobs, or set their priority.",
    Role.ADMIN,
)
LIST_DEAD_GROUPS: Final = Operation(
    "listDeadGroups",
    "GET",
    "/v1/dead/groups",
    ReadQuery,
    DeadGroups,
    "The dead letters by their errors.",
    Role.OBSERVE,
)
GET_STATS: Final = Operation(
    "getStats", "GET", "/v1/stats", ReadQuery, Stats, "The counts.", Role.OBSERVE
)
GET_STATUS: Final = Operation(
    "getStatus", "GET", "/v1/status", StatusQuery, BrokerStatus, "How this broker is doing.", None
)
ANNOUNCE_TYPES: Final = Operation(
    "announceTypes",
    "PUT",
    "/v1/types",
    AnnounceRequest,
    None,
    "Tell what payloads job types have.",
    frozenset({Role.WORK, Role.PRODUCE}),
)
GET_TYPES: Final = Operation(
    "getTypes", "GET", "/v1/types", ReadQuery, JobTypes, "The job types.", Role.OBSERVE
)
GET_SETTINGS: Final = Operation(
    "getSettings", "GET", "/v1/settings", None, Settings, "The settings of this broker.", Role.ADMIN
)
FAIL_OVER: Final = Operation(
    "failOver",
    "POST",
    "/v1/failover",
    None,
    None,
    "Have the leader hand over to a standby.",
    Role.ADMIN,
)

PUT_SCHEDULE: Final = Operation(
    "putSchedule",
    "PUT",
    "/v1/schedules/{name}",
    PutScheduleRequest,
    ScheduleInfo,
    "Have a job submitted again and again.",
    Role.ADMIN,
    ScheduleSpec,
)
DROP_SCHEDULE: Final = Operation(
    "dropSchedule",
    "DELETE",
    "/v1/schedules/{name}",
    ScheduleRef,
    None,
    "Forget a schedule, if there is one of this name.",
    Role.ADMIN,
)
LIST_SCHEDULES: Final = Operation(
    "listSchedules",
    "GET",
    "/v1/schedules",
    SchedulesQuery,
    SchedulesPage,
    "A page of schedules, by name.",
    Role.OBSERVE,
)
PAUSE_SCHEDULE: Final = Operation(
    "pauseSchedule",
    "POST",
    "/v1/schedules/{name}/pause",
    ScheduleRef,
    None,
    "Let a schedule submit nothing.",
    Role.ADMIN,
)
RESUME_SCHEDULE: Final = Operation(
    "resumeSchedule",
    "POST",
    "/v1/schedules/{name}/resume",
    ScheduleRef,
    None,
    "Let a schedule submit jobs again, from its next time on.",
    Role.ADMIN,
)
RUN_SCHEDULE: Final = Operation(
    "runSchedule",
    "POST",
    "/v1/schedules/{name}/run",
    RunScheduleRequest,
    SubmitAnswer,
    "Submit a job of a schedule now, beside its times.",
    Role.ADMIN,
    RunSpec,
)

SUBSCRIBE: Final = Operation(
    "subscribe", "STREAM", "", SubscribeRequest, Update, "Be told of changes.", Role.OBSERVE
)
STREAM_JOBS: Final = Operation(
    "streamJobs", "STREAM", "", StreamRequest, ClaimAnswer, "Be sent jobs as they come.", Role.WORK
)
ADD_CREDIT: Final = Operation(
    "addCredit", "STREAM", "", CreditRequest, None, "Let more jobs come by a stream.", Role.WORK
)

STREAMS: Final = (SUBSCRIBE, STREAM_JOBS, ADD_CREDIT)
"""What REST does not have: the broker pushes; see `osqueue.broker.streams`."""

OPERATIONS: Final = (
    SUBMIT,
    SUBMIT_LARGE,
    SUBMIT_BATCH,
    CLAIM,
    HEARTBEAT,
    HEARTBEAT_BATCH,
    COMPLETE,
    COMPLETE_BATCH,
    FAIL,
    RELEASE,
    RETRY,
    CANCEL,
    SET_PRIORITY,
    PAUSE,
    RESUME,
    GET_JOB,
    GET_PAYLOAD,
    GET_WORKFLOW,
    LIST_JOBS,
    LIST_ENDED,
    COUNT_JOBS,
    ACT_ON_JOBS,
    LIST_DEAD_GROUPS,
    GET_STATS,
    GET_STATUS,
    GET_TYPES,
    ANNOUNCE_TYPES,
    GET_SETTINGS,
    FAIL_OVER,
    LIST_SCHEDULES,
    PUT_SCHEDULE,
    DROP_SCHEDULE,
    PAUSE_SCHEDULE,
    RESUME_SCHEDULE,
    RUN_SCHEDULE,
)
"""Every operation, most used first. An exact path wins over one with ``{jobId}``."""

GET_OVERVIEW: Final = Operation(
    "getOverview",
    "GET",
    "/v1/overview",
    OverviewQuery,
    Overview,
    "How this broker and its queue stand, or what has changed since.",
    Role.OBSERVE,
)
WATCH_OVERVIEW: Final = Operation(
    "watchOverview",
    "STREAM",
    "",
    OverviewQuery,
    Overview,
    "Be told how they stand, and what changes.",
    Role.OBSERVE,
)

FOR_PAGES: Final = (GET_OVERVIEW,)
"""What is made for a page in a browser: REST and the WebSocket have it, and no others."""

PAGE_STREAMS: Final = (WATCH_OVERVIEW,)
"""The same, of what the broker pushes, by the WebSocket alone."""

WAITING: Final = frozenset({CLAIM.name, GET_JOB.name})
"""What may be kept waiting on purpose, and is of no use when its caller has gone."""

WITH_PAYLOADS: Final = frozenset({CLAIM.name, GET_PAYLOAD.name})
"""What brings payloads: a client times a silence of its answer, not the whole of it."""
