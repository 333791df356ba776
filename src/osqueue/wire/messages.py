"""Requests and answers as they travel in JSON (camelCase), for both sides of the wire.

Payloads are `msgspec.Raw`: their bytes are handed through, never built. Limits that can be said
per field are said here, so that a request that decodes is already within them.
"""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import UNSET, Meta, Raw, UnsetType

from osqueue.config import (
    AFTER_MAX,
    BATCH_JOBS_MAX,
    CLAIM_TYPES_MAX,
    CREDIT_MAX,
    ENDED_CURSOR_CHARS_MAX,
    ERROR_TEXT_CHARS_MAX,
    JOB_ID_CHARS_MAX,
    LIST_TEXT_CHARS_MAX,
    NAME_CHARS_MAX,
    PRIORITY_MAX,
    PROGRESS_NOTE_CHARS_MAX,
    STREAM_TOTAL_MAX,
    TIME_MS_MAX,
    TYPES_KNOWN_MAX,
    WAIT_MS_MAX,
    WORKER_TYPES_MAX,
    RetryPolicy,
)

__all__ = [
    "ActionAnswer",
    "ActionRequest",
    "AnnounceRequest",
    "BatchAnswer",
    "BrokerStatus",
    "ClaimAnswer",
    "ClaimRequest",
    "ClaimedJob",
    "CompleteBatchRequest",
    "CompleteRef",
    "CompleteRequest",
    "CreditRequest",
    "DeadGroup",
    "DeadGroups",
    "EndedPage",
    "ErrorBody",
    "FailRequest",
    "HeartbeatBatchRequest",
    "HeartbeatRef",
    "JobAnswer",
    "JobError",
    "JobEvent",
    "JobFilter",
    "JobInfo",
    "JobRef",
    "JobTypeInfo",
    "JobTypes",
    "JobsCount",
    "JobsPage",
    "LeaseRequest",
    "PayloadAnswer",
    "PriorityRequest",
    "Progress",
    "ReleaseRequest",
    "RetryPolicy",
    "Setting",
    "Settings",
    "Standby",
    "Stats",
    "StreamRequest",
    "SubmitAnswer",
    "SubmitBatchAnswer",
    "SubmitBatchRequest",
    "SubmitRequest",
    "SubscribeRequest",
    "Update",
    "WorkerInfo",
    "Workflow",
    "WorkflowEdge",
    "WorkflowJob",
]

JobId = Annotated[
    str,
    Meta(min_length=1, max_length=JOB_ID_CHARS_MAX, pattern=r"^(?!\.{1,2}\Z)[A-Za-z0-9._~-]+\Z"),
]
"""What can stand in a path: ``.`` and ``..`` cannot, clients resolve them."""

Name = Annotated[str, Meta(max_length=NAME_CHARS_MAX)]
TypeName = Annotated[str, Meta(min_length=1, max_length=NAME_CHARS_MAX)]
WorkerId = Annotated[str, Meta(min_length=1, max_length=NAME_CHARS_MAX)]
Lease = Annotated[str, Meta(min_length=1, max_length=NAME_CHARS_MAX)]
Priority = Annotated[int, Meta(ge=-PRIORITY_MAX, le=PRIORITY_MAX)]
TimeMs = Annotated[int, Meta(ge=0, le=TIME_MS_MAX)]
Attempts = Annotated[int, Meta(ge=0, le=2**31 - 1)]
AMOUNT_MAX = 1e18
Amount = Annotated[float, Meta(ge=0, le=AMOUNT_MAX)]
"""A number that JSON can say, which the widest of Protocol Buffers need not be."""

TimeoutMs = Annotated[int, Meta(ge=1, le=TIME_MS_MAX)]
TraceParent = Annotated[str, Meta(max_length=NAME_CHARS_MAX)]
"""Where a job comes from, as W3C Trace Context writes it; kept with the job, never read here."""


After = Annotated[list[JobId], Meta(max_length=AFTER_MAX, extra_json_schema={"uniqueItems": True})]

_ONE_ID = rf"(?!\.{{1,2}}(?:,|\Z))[A-Za-z0-9._~-]{{1,{JOB_ID_CHARS_MAX}}}"
AfterText = Annotated[str, Meta(pattern=rf"^(?:{_ONE_ID}(?:,{_ONE_ID}){{0,{AFTER_MAX - 1}}})?\Z")]
"""The same in one text, with commas between."""


class _Message(msgspec.Struct, rename="camel", gc=False):
    """Unknown fields are ignored, as everywhere on this wire."""


class SubmitRequest(_Message, kw_only=True, omit_defaults=True):
    """`POST /v1/jobs`. ``jobId`` makes it idempotent; ``runAt`` is ms since the epoch.

    ``timeoutMs`` is the time of one attempt, which its worker keeps; ``keepResult`` asks the worker
    for what the handler returns; ``retry`` is how long the job waits after a failed attempt.
    ``after`` names jobs that have to be completed before it runs: each is known to the broker, or
    stands before it in the same batch.
    """

    payload: Raw | UnsetType = UNSET
    type: Name | None = None
    max_attempts: Attempts | None = None
    job_id: JobId | None = None
    priority: Priority = 0
    run_at: TimeMs | None = None
    traceparent: TraceParent | None = None
    retry: RetryPolicy | None = None
    timeout_ms: TimeoutMs | None = None
    keep_result: bool = False
    after: After = []


class SubmitAnswer(_Message):
    job_id: str


class SubmitBatchRequest(_Message):
    """`POST /v1/jobs/batch`: all of them or none."""

    jobs: Annotated[list[SubmitRequest], Meta(max_length=BATCH_JOBS_MAX)]


class SubmitBatchAnswer(_Message):
    """The ids, in the order of the request."""

    job_ids: list[str]


class WorkerInfo(_Message, kw_only=True, omit_defaults=True):
    """What a worker says of itself, now and then, to those who watch the queue."""

    concurrency: Annotated[int, Meta(ge=1, le=2**31 - 1)] | None = None
    """How many jobs it runs at a time."""
    host: Name = ""
    pid: Annotated[int, Meta(ge=0, le=2**31 - 1)] | None = None
    version: Name = ""
    types: Annotated[list[Name], Meta(max_length=WORKER_TYPES_MAX)] | None = None
    """The job types that it has handlers for; of very many, the first."""


class ClaimRequest(_Message, kw_only=True, omit_defaults=True):
    """`POST /v1/jobs/claim`. With ``max`` the answer is `ClaimAnswer`, without it one job.

    ``maxByType``: of these types at most so many; a type with 0 is left out. ``worker``: what is to
    be known of whoever claims; it need not be said each time.
    """

    worker_id: WorkerId
    types: Annotated[list[Name], Meta(max_length=CLAIM_TYPES_MAX)] | None = None
    max: Annotated[int, Meta(ge=1, le=BATCH_JOBS_MAX)] | None = None
    wait_ms: Annotated[int, Meta(ge=0, le=WAIT_MS_MAX)] = 0
    claim_id: Annotated[str, Meta(min_length=1, max_length=NAME_CHARS_MAX)] | None = None
    max_by_type: (
        Annotated[
            dict[Name, Annotated[int, Meta(ge=0, le=BATCH_JOBS_MAX)]],
            Meta(max_length=CLAIM_TYPES_MAX),
        ]
        | None
    ) = None
    worker: WorkerInfo | None = None


class ClaimedJob(_Message, kw_only=True):
    """A job handed to a worker. ``payload`` and ``type`` are left out when the job has none."""

    job_id: str
    payload: Raw | UnsetType = UNSET
    type: str | UnsetType = UNSET
    lease: str
    attempt: int
    max_attempts: int
    created_at: int
    priority: int
    traceparent: str | UnsetType = UNSET
    timeout_ms: int | UnsetType = UNSET
    keep_result: bool | UnsetType = UNSET


class ClaimAnswer(_Message):
    jobs: list[ClaimedJob]


class LeaseRequest(_Message, kw_only=True, omit_defaults=True):
    """`POST /v1/jobs/{id}/heartbeat`."""

    worker_id: WorkerId
    lease: Lease | None = None


class CompleteRequest(LeaseRequest, kw_only=True, omit_defaults=True):
    """`POST /v1/jobs/{id}/complete`. ``result`` is any JSON, of at most 64 KiB."""

    result: Raw | UnsetType = UNSET


class ReleaseRequest(LeaseRequest, kw_only=True, omit_defaults=True):
    """`POST /v1/jobs/{id}/release`."""


class JobError(_Message, kw_only=True, omit_defaults=True):
    """Why an attempt failed. Longer texts are cut. When it was, and whose, the broker notes."""

    type: Annotated[str, Meta(max_length=NAME_CHARS_MAX)]
    message: str
    traceback: str | None = None
    at: int | None = None
    """When it was reported, in ms since the epoch."""
    attempt: int | None = None
    worker_id: str | None = None

    def bounded(self) -> JobError:
        """What a worker says of it, with its texts cut to what is kept."""
        limit = ERROR_TEXT_CHARS_MAX
        trace = self.traceback if self.traceback is None else self.traceback[-limit:]
        return JobError(type=self.type, message=self.message[:limit], traceback=trace)


class FailRequest(LeaseRequest, kw_only=True, omit_defaults=True):
    """`POST /v1/jobs/{id}/fail`. ``retry`` false makes it a dead letter at once.

    It runs again after ``delayMs``; without that, as its own policy says.
    """

    error: JobError
    retry: bool = True
    delay_ms: Annotated[int, Meta(ge=0, le=TIME_MS_MAX)] | None = None


class PriorityRequest(_Message, kw_only=True):
    """`POST /v1/jobs/{id}/priority`. Jobs of a lower value are claimed first."""

    priority: Priority


class JobRef(_Message, kw_only=True, omit_defaults=True):
    """One job of a batch, and the lease that the worker holds on it."""

    job_id: JobId
    lease: Lease | None = None


class Progress(_Message, kw_only=True, omit_defaults=True):
    """How far a worker is with a job: ``done`` of ``total``, in whatever it counts."""

    done: Amount
    total: Amount | None = None
    note: Annotated[str, Meta(max_length=PROGRESS_NOTE_CHARS_MAX)] = ""


class HeartbeatRef(JobRef, kw_only=True, omit_defaults=True):
    """A job whose lease is renewed, and how far it is, if that is to be told."""

    progress: Progress | None = None


class CompleteRef(JobRef, kw_only=True, omit_defaults=True):
    """A job that is done, and its result, if there is one."""

    result: Raw | UnsetType = UNSET


class HeartbeatBatchRequest(_Message, kw_only=True, omit_defaults=True):
    """`POST /v1/jobs/heartbeat`. ``all``: the list names every lease that the worker holds."""

    worker_id: WorkerId
    jobs: Annotated[list[HeartbeatRef], Meta(max_length=BATCH_JOBS_MAX)]
    all: bool = False
    worker: WorkerInfo | None = None


class CompleteBatchRequest(_Message, kw_only=True, omit_defaults=True):
    """`POST /v1/jobs/complete`."""

    worker_id: WorkerId
    jobs: Annotated[list[CompleteRef], Meta(max_length=BATCH_JOBS_MAX)]


class ErrorBody(_Message, kw_only=True, omit_defaults=True):
    """The body of every error."""

    tag: str = msgspec.field(name="_tag")
    message: str
    applied: str | None = None
    leader: str | None = None


class JobAnswer(_Message, kw_only=True, omit_defaults=True):
    """What became of one job of a batch: done, or its error."""

    job_id: str
    error: ErrorBody | None = None


class BatchAnswer(_Message):
    """One answer per job, in the order of the request."""

    results: list[JobAnswer]


class JobInfo(_Message, kw_only=True, omit_defaults=True):
    """A job as observers see it.

    ``status`` is ``unclaimed``, ``in_progress`` or ``dead``, and for a job that ended
    ``completed``, ``cancelled``, ``expired`` or ``discarded``. ``max_attempts`` is 0 when the job
    asked for none, ``heartbeat`` 0 when it has none. Times are ms since the epoch. A large payload
    is left out, and ``payload_bytes`` tells its size. ``errors``, where one job is asked for, are
    its last failures, oldest first, `last_error` included. ``payload_hidden``: payload or result
    are left out, as whoever asks may not see them. ``after`` are the jobs that it was submitted to
    run after, and ``waits_for`` those of them that are not completed yet.
    """

    id: str
    status: str
    payload: Raw | UnsetType = UNSET
    type: str | UnsetType = UNSET
    worker_id: str | UnsetType = UNSET
    created_at: int | UnsetType = UNSET
    attempts: int | UnsetType = UNSET
    max_attempts: int | UnsetType = UNSET
    heartbeat: int | UnsetType = UNSET
    priority: int = 0
    run_at: int | None = None
    last_error: JobError | None = None
    ended_at: int | None = None
    payload_bytes: int | None = None
    retry: RetryPolicy | None = None
    timeout_ms: int | None = None
    keep_result: bool = False
    result: Raw | UnsetType = UNSET
    progress: Progress | None = None
    errors: list[JobError] = []
    payload_hidden: bool = False
    after: list[str] = []
    waits_for: list[str] = []

    def hide_payload(self) -> None:
        """Leave out what may be secret."""
        self.payload_hidden = not (
            self.payload is UNSET and self.result is UNSET and self.payload_bytes is None
        )
        self.payload = self.result = UNSET


class WorkflowJob(_Message, kw_only=True, omit_defaults=True):
    """A job of a workflow. ``status`` is that of a `JobInfo`, or ``unknown`` of one that is neither
    in the queue nor remembered. ``waits``: for others of them.
    """

    id: str
    type: str | None = None
    """Left out when it is not known any more."""
    status: str
    run_at: int | None = None
    waits: bool = False


class WorkflowEdge(msgspec.Struct, array_like=True, gc=False):
    """``child`` runs after ``parent``: in JSON ``[parent, child]``."""

    parent: str
    child: str


class Workflow(_Message, kw_only=True, omit_defaults=True):
    """`GET /v1/jobs/{id}/workflow`: the jobs around one, nearest first, itself the first; at most
    200. ``more``: others are connected with these.
    """

    jobs: list[WorkflowJob]
    edges: list[WorkflowEdge]
    more: bool = False


class PayloadAnswer(_Message):
    """A payload, where an answer is an object. It is left out when the job has none."""

    payload: Raw | UnsetType = UNSET


class Stats(_Message, kw_only=True, omit_defaults=True):
    """`GET /v1/stats`. ``total`` = ``unclaimed`` + ``in_progress``; delayed jobs are unclaimed.

    Only ``paused`` and ``waiting`` are left out when there is nothing to say. The counts that older
    brokers do not know are made by a factory: what is equal to a plain default would be left out,
    too.
    """

    total: int
    unclaimed: int
    in_progress: int
    completed_total: int
    broker_address: str
    delayed: int = msgspec.field(default_factory=int)
    dead: int = msgspec.field(default_factory=int)
    dead_total: int = msgspec.field(default_factory=int)
    paused: bool = False
    """Whether claims get nothing until the queue is resumed."""
    waiting: int = 0
    """Of ``unclaimed``, those that wait for other jobs."""


class Standby(_Message):
    """A broker that stands by for the leader."""

    broker_id: str
    address: str
    seen_ms_ago: int


class BrokerStatus(_Message, kw_only=True):
    """`GET /v1/status`: how one broker is doing. ``commits`` counts those of its current term."""

    ready: bool
    """Whether it leads, and its store has confirmed that of late."""
    role: str
    """``leader``, ``standby``, ``candidate``, ``stepping down``, ``halted`` or ``stopped``."""
    address: str
    broker_id: str
    leader: str | None = None
    """The address of the leader, as far as is known."""
    epoch: int
    writable: bool = False
    """Whether it leads, and its store has taken a commit of late."""
    commits: int = 0
    commits_per_s: float = 0.0
    state_bytes: int | None = None
    """Of a leader: a standby does not load the state."""
    heartbeat_age_ms: int | None = None
    """How old the last commit is; at a standby: for how long it has seen no new one."""
    heartbeat_every_ms: int | None = None
    standbys: tuple[Standby, ...] = ()
    reason: str | None = None
    """Why it is not ready."""
    grpc_port: int | None = None
    """Where it serves gRPC, if it does."""
    paused: bool = False
    """Whether the queue that it leads is paused."""


class JobsPage(Stats, kw_only=True, omit_defaults=True):
    """`GET /v1/jobs`: the counts, and one page of jobs in their order of arrival."""

    jobs: list[JobInfo]
    next_cursor: str | None = None


class JobsCount(_Message, kw_only=True, omit_defaults=True):
    """`GET /v1/count`. ``at_least``: there may be more."""

    count: int
    at_least: bool = False


class EndedPage(_Message, kw_only=True, omit_defaults=True):
    """`GET /v1/ended`: jobs that are over, and dead letters that have left the queue, the last
    to end first.
    """

    jobs: list[JobInfo]
    next_cursor: str | None = None
    damaged: list[str] = []
    """Objects of the archive of which not everything could be read."""


LiveStatus = Annotated[str, Meta(pattern=r"^(unclaimed|ready|delayed|waiting|in_progress|dead)\Z")]
"""Where a job is that has not ended; ``ready``, ``delayed`` and ``waiting`` (for other jobs) part
the unclaimed ones.
"""

EndStatus = Annotated[str, Meta(pattern=r"^(completed|cancelled|expired|discarded|dead)\Z")]
SearchText = Annotated[str, Meta(max_length=LIST_TEXT_CHARS_MAX)]
"""What is looked for in upper or lower case; ``""`` is in every job."""

EndedCursor = Annotated[str, Meta(max_length=ENDED_CURSOR_CHARS_MAX)]


class JobFilter(_Message, kw_only=True, omit_defaults=True):
    """Which jobs are meant: those of which all that is said is true."""

    status: LiveStatus | None = None
    type: Name | None = None
    text: SearchText | None = None


class ActionRequest(_Message, kw_only=True, omit_defaults=True):
    """`POST /v1/jobs/actions`: do something to many jobs.

    Those of ``jobIds``, or the ``max`` oldest that the ``filter`` means; with both, those of the
    ids that the filter still means.
    """

    action: Annotated[str, Meta(pattern=r"^(retry|cancel|setPriority)\Z")]
    priority: Priority | None = None
    """What `setPriority` sets."""
    job_ids: Annotated[list[JobId], Meta(max_length=BATCH_JOBS_MAX)] | None = None
    filter: JobFilter | None = None
    max: Annotated[int, Meta(ge=1, le=BATCH_JOBS_MAX)] = BATCH_JOBS_MAX


class ActionAnswer(_Message, kw_only=True, omit_defaults=True):
    """To how many jobs it was done, and why not to the others.

    ``failed`` lists 50 at most. ``left``: there may be more that the filter means. ``skipped``
    counts the jobs that it means no more.
    """

    done: int
    failed: list[JobAnswer]
    left: bool
    skipped: int = 0


class DeadGroup(_Message, kw_only=True):
    """Dead letters that failed alike. ``message``: numbers and the like in it are ``#``."""

    key: str
    error_type: str
    message: str
    count: int
    types: dict[str, int]
    """How many of each job type; the 20 most frequent."""
    oldest: int
    """When the first of them died, in ms since the epoch."""
    newest: int
    job_ids: list[str]
    """The oldest, at most 1,000."""


class DeadGroups(_Message, kw_only=True):
    """`GET /v1/dead/groups`: the largest first, at most 200; ``total`` counts all letters."""

    groups: list[DeadGroup]
    total: int


class SubscribeRequest(_Message, kw_only=True, omit_defaults=True):
    """What an observer wants to be told: each job's changes, the counts, or both."""

    events: bool = True
    types: Annotated[list[Name], Meta(max_length=CLAIM_TYPES_MAX)] | None = None
    """Only of jobs of these types; none given means of all."""
    stats_every_ms: Annotated[int, Meta(ge=0, le=TIME_MS_MAX)] = 1_000
    """How often to tell the counts, when they have changed; 0: never, and else at least 100."""


class JobEvent(_Message, kw_only=True, omit_defaults=True):
    """What has become of a job.

    ``kind``: ``submitted``, ``claimed``, ``completed``, ``retrying`` (failed, with attempts left),
    ``expired`` (the same, for want of heartbeats), ``dead``, ``released``, ``cancelled``,
    ``discarded`` or ``revived``; or ``progress``, as its worker has told it. ``at`` is when it was
    applied, in ms since the epoch.
    """

    kind: str
    job_id: str
    type: str = ""
    at: int
    worker_id: str = ""
    attempt: int = 0
    progress: Progress | None = None


class Update(_Message, kw_only=True, omit_defaults=True, dict=True, gc=True):
    """What one commit has changed, for an observer. It is told once that is durable.

    Many are told the same object: `osqueue.server.encode_once` keeps its encodings with it.
    """

    events: list[JobEvent] = []
    stats: Stats | None = None
    commit: str
    """``<epoch>-<number>``."""


class StreamRequest(_Message, kw_only=True, omit_defaults=True):
    """A worker that is sent jobs as they come, as many as it has credit for."""

    worker_id: WorkerId
    types: Annotated[list[Name], Meta(max_length=CLAIM_TYPES_MAX)] | None = None
    credit: Annotated[int, Meta(ge=0, le=CREDIT_MAX)]
    stream_id: Annotated[str, Meta(min_length=1, max_length=NAME_CHARS_MAX)]
    """Made by the worker, and hard to guess; credit is added under it."""


class CreditRequest(_Message, kw_only=True, omit_defaults=True):
    """More credit for a stream of jobs.

    ``total`` is how many may come in all: the first credit, and all that was added since. So asked
    twice, or late, it adds nothing again.
    """

    stream_id: Annotated[str, Meta(min_length=1, max_length=NAME_CHARS_MAX)]
    total: Annotated[int, Meta(ge=1, le=STREAM_TOTAL_MAX)]


class JobTypeInfo(_Message, kw_only=True, omit_defaults=True):
    """What is known of a job type. ``schema``: what its payload must be, as JSON Schema."""

    schema: Raw | UnsetType = UNSET


class AnnounceRequest(_Message):
    """`PUT /v1/types`: job types of a worker or a producer."""

    types: Annotated[dict[TypeName, JobTypeInfo], Meta(max_length=TYPES_KNOWN_MAX)]


class JobTypes(_Message):
    """`GET /v1/types`: the job types that were announced, and others that the queue has seen."""

    types: dict[str, JobTypeInfo]


class Setting(_Message, kw_only=True, omit_defaults=True):
    """One setting as it holds. ``env``: the variable that sets it; ``help``: why it is as it is."""

    name: str
    """Dotted, as in Python: ``limits.lease_timeout_ms``."""
    value: Raw
    """Any JSON. A secret is not told."""
    env: str = ""
    help: str = ""


class Settings(_Message):
    """`GET /v1/settings`."""

    settings: list[Setting]
