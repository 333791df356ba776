"""Every limit and setting, with its reason; frozen, and checked together by `validate`.

The groups are handed to what they configure. Nothing here reads the environment: the command line
does that (`osqueue.cli.options`).
"""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import UNSET, Meta, UnsetType

from osqueue.errors import ConfigError

__all__ = [
    "AccessSettings",
    "ArchiveSettings",
    "BrokerSettings",
    "ClientSettings",
    "CommitSettings",
    "GrpcSettings",
    "LeadershipSettings",
    "PayloadSettings",
    "ProcessSettings",
    "QueueLimits",
    "RetryPolicy",
    "ServerSettings",
    "ServerTlsSettings",
    "StreamSettings",
    "ThrottleSettings",
    "WebSocketSettings",
    "WorkerSettings",
]

KIB = 1024
MIB = 1024 * KIB
HOUR_MS = 3_600_000

STATE_KEY = "queue.json"
"""The default queue's state object; the older implementations' name."""

DEFAULT_MAX_ATTEMPTS = 3
"""Attempts of a job that asked for none; the older implementations' default."""

JOB_ID_CHARS_MAX = 128
"""Longest job id: a UUID four times over, and still a fair path segment."""

NAME_CHARS_MAX = 256
"""Longest job type, worker id and claim id."""

BATCH_JOBS_MAX = 1_000
"""Most jobs of one request: a batch is applied in one go, and 1,000 take about 5 ms."""

AFTER_MAX = 100
"""Most jobs that one job waits for: each is named twice in its JSON, as long as it waits. More can
be gathered by jobs in between."""

CHILDREN_MAX = 1_000
"""Most jobs that wait for one job: when it is completed, all of them are free in one go."""

WORKFLOW_JOBS_MAX = 200
"""Most jobs of a workflow that are shown together: more cannot be taken in."""

WORKFLOW_EDGES_MAX = 2_000
"""Most edges of them: each is about 80 bytes, and a line in a drawing."""

CLAIM_TYPES_MAX = 1_000
"""Most types of one claim: each is looked at for each job handed out."""

SCHEDULES_MAX = 1_000
"""Most schedules of a queue: each commit writes them all."""

SCHEDULE_NAME_CHARS_MAX = 128
"""Longest name of a schedule: that of a job's id, and for the same reason."""

SCHEDULE_PAYLOAD_BYTES_MAX = 16 * KIB
"""Largest payload of a schedule: it stands in every commit, also while it is not due. What is
larger belongs where the handler can fetch it."""

SCHEDULE_EVERY_MS_MIN = 1_000
"""Shortest interval: what is to run more often is a loop of a worker, not a job."""

SCHEDULE_EVERY_MS_MAX = 10 * 365 * 24 * HOUR_MS
"""Longest interval, ten years: what is longer is a mistake."""

SCHEDULE_CRON_CHARS_MAX = 256
"""Longest cron expression: the longest of use lists every minute of an hour, in 170."""

SCHEDULE_ZONE_CHARS_MAX = 64
"""Longest name of a time zone: the longest that there is has 32."""

SCHEDULES_PAGE_MAX = 100
"""Schedules of one page: with the largest payloads 1.6 MiB, less than any transport takes."""

SCHEDULES_FIRED_MAX = 100
"""Schedules that submit their jobs in one go, about 10 ms of work; the rest do so right after."""

SCHEDULE_RETRY_MS = 1_000
"""How soon a schedule is tried again that was due, and could not submit its job."""

SCHEDULE_MISSED_MS = 60_000
"""A time counts as missed when it is this late: a restart or a takeover takes less."""

ROOMY_BYTES = MIB
"""A submit of one job that is larger than this waits for room, and is judged off the loop: each
MiB takes about 10 ms."""

OVERVIEW_EVERY_S = 0.25
"""How often those who watch the overview are told of changes at the most: as quick as an eye."""

OVERVIEW_SHARE = 100
"""It is renewed no sooner than this many times what that takes: at most a hundredth of a processor
goes into it."""

OVERVIEW_LINGER_S = 10
"""For how long after it was asked for the overview is kept up to date: who polls asks again."""

OVERVIEW_ASK_S = 1
"""How long the overview waits for the figures of the queue, before it is told without them."""

OVERVIEW_TYPES_MAX = 100
"""Job types that the overview tells apart: more than a person reads."""

OVERVIEW_WORKERS_MAX = 200
"""Workers of the overview; with their jobs about 100 KiB."""

OVERVIEW_WORKER_JOBS_MAX = 20
"""Jobs of one worker that the overview lists."""

OVERVIEW_JOBS_MAX = 1_000
"""Jobs that the overview lists in all: each is about 100 bytes, four times a second."""

OVERVIEW_ACTIVITY_MAX = 20
"""Newest changes of jobs that the overview lists."""

OVERVIEW_GONE_MAX = 1_000
"""Types and workers that have gone, of which somebody may not have been told yet."""

SURVEY_LOOKS_MAX = 1_000
"""Types, and workers, that are looked at to find the largest: about 1 ms, four times a second."""

HISTORY_STEP_MS = 5_000
"""What is told apart in the history of the overview."""

HISTORY_STEPS = 720
"""How far it goes back: an hour."""

WORKER_TYPES_MAX = 50
"""Most job types that a worker tells of itself: they are for people to read."""

WORKERS_KNOWN_MAX = 2_000
"""Workers that a leader knows more of than their jobs, those that were heard of last: some 500
bytes each, and with the longest names of types 13 KiB."""

WORKER_FORGET_MS = 120_000
"""How long one is known after its last sign of life: twice the longest wait of a claim."""

WORKER_TELL_MS = 30_000
"""How often a worker tells of itself: 200 bytes, which a claim need not carry each time."""

TYPES_KNOWN_MAX = 1_000
"""Most job types that a leader keeps schemas of: as many as one claim can name."""

TYPE_SCHEMA_BYTES_MAX = 64 * KIB
"""Largest schema of a job type. The largest of common libraries take a few KiB."""

TYPES_BYTES_MAX = 512 * KIB
"""About the most bytes of one announcement of job types: to check them takes 5 ms."""

TYPES_KNOWN_BYTES_MAX = 4 * MIB
"""Most bytes of schemas that a leader keeps; those that were announced longest ago go first."""

METRIC_TYPES_MAX = 50
"""Job types that metrics tell apart, those with the most jobs: each is a time series, for ever."""

EVENTS_PING_S = 15
"""How often something is sent to an observer over HTTP: proxies close what is silent for 30 s or
60 s, and a lost connection is noticed only by writing to it."""

EVENTS_LOOK_S = 3
"""How often it is looked whether such an observer's token still holds."""

RPC_BODIES_BYTES_MAX = 256 * MIB
"""Most bytes of large requests that are read at a time by Connect and gRPC-Web: three of the
largest."""

RPC_BODIES_WAIT_MS = 10_000
"""How long such a request waits, unread, before it is refused: as long as a client waits."""

HEALTH_WATCHES_MAX = 1_000
"""Most callers that watch gRPC's health, which needs no token: each counts as a call under way."""

WS_ID_BYTES_MAX = 1 * KIB
"""Longest id of a request by WebSocket: it is kept until the request has been answered."""

CREDIT_MAX = 10_000
"""Most jobs that a stream may have on their way to one worker."""

STREAM_TOTAL_MAX = 2**53 - 1
"""Most jobs that a stream may bring in all: what JSON's numbers hold for everybody."""

STREAM_JOBS_MAX = 100
"""Most jobs of one answer in a stream: with payloads in the state, 6 MiB; more come at once."""

STREAM_WAIT_MS = 600_000
"""How long a claim of a stream waits before it is made anew: each asks the store who leads."""

COMMIT_EVENTS_MAX = 100_000
"""Most events kept of one commit, about 15 MB. A store that is slow under a flood of batches can
make it larger: then observers are told to begin anew."""

COMMIT_SPANS_MAX = 128
"""Most traces that one commit appears in: each is a span, some 20 us of the broker's time."""

TELL_US = 50
"""What it takes to tell one observer, of one commit or of several: waking it, and one write."""

TELL_SHARE = 5
"""Observers are told no sooner than this many times what that takes after one another: at most a
fifth of the processor goes into it. One is told of each commit, 1,000 four times a second."""

UPDATE_EVENTS_MAX = 1_000
"""Most events of one update: about 150 KiB of JSON."""

STATS_EVERY_MS_MIN = 100
"""How often an observer can be told the counts: faster than a person can read."""

WAIT_MS_MAX = 60_000
"""Longest wait of a claim: below the idle time-outs of common proxies."""

RESULT_WAIT_MS = 20_000
"""How long a client that waits for a result has the broker wait each time: also where a proxy gives
an answer half a minute."""

STATUS_WAIT_MS_MAX = 5_000
"""Longest time that a leader keeps a question of a broker that stands by."""

PRIORITY_MAX = 2**53 - 1
"""Largest priority, either way: the integers that every JSON reader keeps exactly."""

TIME_MS_MAX = 253_402_300_799_999
"""The last millisecond of the year 9999: what `datetime` can still show."""

PAYLOAD_BYTES_LIMIT = 1024 * MIB
"""The most that the largest payload can be configured to: each is held whole in memory."""

PAYLOAD_DEPTH_MAX = 200
"""Deepest nesting of a payload. Plain `json` stops near 1,000, V8 and Go later; the state
object, a page and a traceback around it need room, too."""

PAYLOAD_DIGITS_MAX = 4_300
"""Longest run of digits in a payload: Python's own limit for reading an integer."""

ERROR_TEXT_CHARS_MAX = 8 * KIB
"""What is kept of a failure's message and of its traceback: it is carried in every commit."""

ERRORS_KEPT_MAX = 5
"""Failures that are kept of one job, the last included: enough to see whether they are alike."""

ERRORS_BYTES_MAX = 16 * KIB
"""What those before the last take together, as JSON; the oldest go first."""

RESULT_BYTES_MAX = 64 * KIB
"""Largest result: it stands in the state until the archive has it. More belongs into a store of its
own, and its name into the result."""

PROGRESS_NOTE_CHARS_MAX = 200
"""Longest note of a worker's progress: one line for a person."""

LINEAGE_WRITERS_MAX = 64
"""Writers whose last commit the state remembers."""

SEGMENT_SLOTS = 32
"""Jobs joined into one cached piece of the encoded state. A change re-joins its piece, and touching
jobs that lie apart in memory is what costs: with 1 % of 100,000 jobs changed all over, 32 take
11 ms and 1,024 take 22 ms; with few changes it makes no difference."""

LIST_PAGE_MAX = 1_000
"""Most jobs of one page of a listing."""

LIST_SCAN_MAX = 100_000
"""Most work done for one page, in jobs looked at (a text in them counts for more): a filter that
matches little gives short pages instead of holding up the broker."""

OLDEST_SCAN_MAX = 10_000
"""Most jobs looked at for the age of the oldest that is ready, at each scrape of the metrics."""

LIST_TEXT_CHARS_MAX = 200
"""Longest text that jobs are searched for."""

FIND_SCANS_MAX = 200
"""Most scans, each of `LIST_SCAN_MAX`, to count jobs or to find those to act on: more jobs than a
state holds by far."""

FAILED_SHOWN_MAX = 50
"""Most refusals that the answer to an action on many jobs lists: the rest are of the same kinds."""

ENDED_OBJECTS_MAX = 4
"""Most objects of the archive read for one page of ended jobs: a few MiB and round trips."""

ENDED_PAGE_BYTES_MAX = MIB
"""About the most bytes of results and payloads in one page of ended jobs."""

ENDED_CURSOR_CHARS_MAX = 1_024
"""Longest cursor of such a page: it may name an object."""

DEAD_GROUPS_MAX = 200
"""Most groups of dead letters that are shown: a person reads the first few."""

DEAD_GROUPS_KEPT_MAX = 2_000
"""Most groups that are told apart while they are counted, against errors that are all different."""

DEAD_GROUP_IDS_MAX = 1_000
"""Most ids shown of one group: as many as one action takes."""

DEAD_GROUP_TYPES_MAX = 20
"""Most job types shown of one group."""

DEAD_MESSAGE_CHARS_MAX = 300
"""What is kept of a message to tell groups apart: what follows is mostly data."""


STORE_ANSWER_S_MAX = 20
"""Longest wait for one answer of the store; a write that takes longer is of unknown fate."""


ARCHIVE_LOOKUPS_MAX = 16
"""Most lookups in the archive at a time: each may hold one batch of some MiB in memory."""

ARCHIVE_LOOKUP_OBJECTS_MAX = 64
"""Most batches read for one lookup. A UUIDv7 is in one of the first few; an id that carries no
time is found among the newest of the batches that hold such ids."""

ARCHIVE_FOUND_BYTES_MAX = 4 * MIB
"""About the most bytes of jobs that one search for many brings: they become one operation."""


TOKENS_BYTES_MAX = MIB
"""Largest list of tokens: about 8,000, and read from its file every second."""

TLS_FILE_BYTES_MAX = MIB
"""Largest file of certificates: the authorities that a system trusts take 200 KiB."""

RATE_BUCKETS_MAX = 10_000
"""Callers whose rate is counted at a time: about 200 bytes each."""

SESSIONS_MAX = 1_000
"""Browsers that are logged in at a time, some 400 bytes each; whoever has looked at nothing for
longest logs in again."""

SESSIONS_PER_TOKEN_MAX = 100
"""The same by one token: whoever has it cannot log out those who have others."""

SESSION_IDLE_MS = 12 * HOUR_MS
"""How long a session lives that is not used. An open dashboard uses it."""

LOGIN_BYTES_MAX = KIB
"""Largest request to log in: a token is 81 bytes."""

LOGIN_FAILURES_AT_ONCE = 10
LOGIN_FAILURES_PER_S = 0.2
"""Wrong tokens that one host may try to log in with, at once and in the long run. A right one is
always taken: nobody can guess one, and whoever is behind the same proxy must not be kept out."""


RetryMs = Annotated[int, Meta(ge=0, le=TIME_MS_MAX)]
RetryFactor = Annotated[float, Meta(ge=1, le=1_000)]
RetryJitter = Annotated[float, Meta(ge=0, le=1)]


class RetryPolicy(
    msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True, gc=False
):
    """How long a failed job waits until it runs again; it travels, and is kept, with the job.

    After the failed attempt n that is ``min(max_ms, base_ms * factor ** (n - 1))``, less a share of
    up to ``jitter``, which is different for each job, so that those that failed together do not
    come back together.
    """

    base_ms: RetryMs = 1_000
    """After the first attempt; 0: at once, always."""

    factor: RetryFactor = 2.0
    max_ms: RetryMs = HOUR_MS
    jitter: RetryJitter = 0.25


class QueueLimits(msgspec.Struct, frozen=True, kw_only=True):
    """What bounds one queue's state."""

    retry: RetryPolicy = RetryPolicy()
    """How long a failed job waits that brought no policy of its own: a fault of something that it
    needs is often over after a while, and asking at once again prolongs it."""

    lease_timeout_ms: int = 30_000
    """A lease without a heartbeat for this long expires. The older implementations' value."""

    renewal_written_ms: int | None = None
    """A heartbeat is written when the last that was written is this old; ``None``: it stays in the
    leader's memory, who alone judges it. Processes that share a queue see only what is written."""

    orphan_after_ms: int = 10_000
    """A lease that its worker's full list leaves out is released when it is older than this: two
    of the worker's heartbeat intervals, so a claim's answer still on its way is not taken away."""

    state_bytes_max: int = 64 * MIB
    """Beyond this, submits are refused; claims and completes go on. Each commit writes it all."""

    payload_inline_max: int = 64 * KIB
    """A larger payload is an object of its own: the state is written whole with every commit, so
    what stands in it costs again each time, while an object costs one write and one read."""

    claim_bytes_max: int = 64 * MIB
    """Most payload bytes of one claim, beyond its first job: what the broker has to hold and send
    for it, and the worker to take in before it can begin."""

    finished_max: int = 1_000
    """Ended jobs kept with their details while nothing archives them."""

    dead_max: int = 1_000
    """Dead letters kept in the state; with an archive, the oldest beyond it move there."""

    archived: bool = False
    """Whether ended jobs are kept, beyond ``finished_max``, until they are in the archive."""

    finished_bytes_max: int = 16 * MIB
    """When more than this waits for an archive that cannot be written, submits are refused: a
    quarter of the state, some 60,000 jobs."""

    dedupe_window_ms: int = 60_000
    """How long the end of a job or lease is remembered. Clients repeat a request for at most half
    of it."""

    dedupe_max: int = 20_000
    """Most ends remembered: about 2.5 MiB of state; the oldest go first."""


SHARED_DEDUPE_MAX = 4_000
"""The same without a broker: about 0.5 MiB. A script that lives for a second has seen no end grow
old, and can forget by number only; 4,000 are 66 ended jobs a second over the whole window."""


class CommitSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How the committer paces and bounds itself."""

    interval_ms: int = 0
    """Least time between the starts of two commits; 0: as little as the store takes."""

    encode_share: int = 5
    """Under load, commits start no sooner than this many times the last encoding's time after one
    another: at most a fifth of the processor goes into encoding, however large the state."""

    lull_ms: int = 2
    """Requests that stay away for this long all wait for the commit: it begins without regard to
    the share, but leaves as much time again as the encoding took."""

    pending_ops_max: int = 20_000
    """Most requests waiting for a commit."""

    pending_bytes_max: int = 64 * MIB
    """Most payload bytes waiting for a commit."""

    waiting_claims_max: int = 20_000
    """Most claims waiting for a job; each costs a socket and about 2 KiB, no processor time."""

    answer_ms_max: int = 30_000
    """A caller whose commit is not durable by then is told that its fate is unknown."""

    fresh_ms: int = 1_000
    """Answers that need no write are given when leadership was confirmed this recently."""

    look_ms: int = 1_000
    """How often a process that shares its queue looks for what others have written, while claims
    wait: a job that another process submits is found within about this."""

    backoff_first_ms: int = 20
    """First pause before an unresolved write is put again; doubled each time, with jitter."""

    backoff_max_ms: int = 2_000
    """Longest such pause: a store that comes back is noticed within about this."""

    pause_ms_max: int = 1_000
    """A tick later than this means that the process stood still: leases get the time back."""

    expiry_grace_ms: int = 50
    """A due lease expires this much after it was first seen due: requests that had arrived by
    then are applied first."""


class StreamSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What the broker pushes, and how much of it may wait for slow readers."""

    subscriptions_max: int = 2_000
    """Most observers at a time: so many are told twice a second."""

    end_waits_max: int = 10_000
    """Calls that wait for a job's end at once, some 3 KiB each."""

    streams_max: int = 20_000
    """Most workers that are sent jobs: as many as may wait for one."""

    updates_max: int = 1_024
    """Most updates that wait for one observer: about a second of commits, at their fastest."""

    events_max: int = 20_000
    """Most events that wait for one observer, but for those of one commit when none did; those of
    others are the same objects."""


MEMORY_RETENTION_MS = HOUR_MS
"""How long a queue in memory keeps ended jobs at the most: they cost what the queue itself needs,
about 90 MB for an hour of 100 jobs a second."""


class ArchiveSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How ended jobs are kept outside of the state."""

    retention_ms: int = 7 * 24 * HOUR_MS
    """How long; older hours are deleted. 0: no archive, only the last ended jobs are known."""

    batch_jobs_max: int = 4_000
    """Most jobs of one object: sealing and dropping them takes about 10 ms each."""

    batch_bytes_max: int = 4 * MIB
    """About the most bytes of one object: a lookup reads whole objects."""

    linger_ms: int = 10_000
    """An ended job waits at most this long for more to share its object with: an object and two
    commits every 10 s under a light load."""

    look_ms: int = 500
    """How often it is looked whether there is enough for an object."""

    sweep_ms: int = 600_000
    """How often old hours are deleted."""

    backoff_max_ms: int = 10_000
    """Longest pause before an object that could not be written is tried again."""

    def validate(self) -> None:
        if 0 < self.retention_ms < HOUR_MS or self.retention_ms < 0:
            raise ConfigError(
                "ARCHIVE_RETENTION must be at least an hour (1h), or 0 for no archive"
            )


class LeadershipSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How a broker takes and keeps its place."""

    heartbeat_interval_ms: int = 3_000
    """A leader writes at least this often while a standby watches it."""

    idle_interval_ms: int = 60_000
    """And this often while none does: 1,440 writes a day."""

    young_timeouts: int = 10
    """A new leader counts as watched for this many time-outs, so two brokers that cannot see each
    other do not take turns."""

    heartbeat_timeout_ms: int = 10_000
    """A version that stands still for this long belongs to a leader that is gone. Also how long
    answers wait for leadership to be confirmed."""

    adopt: bool = False
    """Go on from what an older implementation has overwritten."""

    def validate(self) -> None:
        if self.heartbeat_interval_ms < 1:
            raise ConfigError(
                f"the broker's heartbeat interval must be at least 1 ms, not "
                f"{self.heartbeat_interval_ms} (BROKER_HEARTBEAT_INTERVAL_MS)"
            )
        if self.heartbeat_interval_ms * 3 > self.heartbeat_timeout_ms:
            raise ConfigError(
                f"the broker's heartbeat interval ({self.heartbeat_interval_ms} ms) must be at "
                f"most a third of its heartbeat timeout ({self.heartbeat_timeout_ms} ms): a leader "
                "that misses one heartbeat would lose its place; raise BROKER_HEARTBEAT_TIMEOUT_MS "
                "or lower BROKER_HEARTBEAT_INTERVAL_MS"
            )


class PayloadSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How payload objects are written, read and swept."""

    in_bytes_max: int = 256 * MIB
    """Most bytes of large payloads on their way into the store: four of the largest."""

    out_bytes_max: int = 256 * MIB
    """Most bytes of large payloads on their way to workers."""

    room_wait_ms: int = 10_000
    """How long a request waits for room among these, unread, before it is refused: as long as a
    client waits for an answer."""

    parallel_max: int = 8
    """Most objects written, read or deleted at a time: more only queue up at the store."""

    answer_ms_max: int = 60_000
    """Longest wait for one object: 64 MiB at 9 Mbit/s."""

    tries_max: int = 4
    """How often an object is written, each time under a fresh key, or deleted."""

    backoff_ms: int = 200
    """Pause before the second try; doubled each time."""

    sweep_first_ms: int = 60_000
    """How long after a takeover the first sweep begins: when the start is over."""

    sweep_every_ms: int = 3_600_000
    """Time between sweeps: what they find is rare, and listing costs."""

    sweep_keys_max: int = 10_000
    """Most objects deleted by one sweep; the next goes on."""

    checked_at_once_max: int = MIB
    """Larger texts are checked piece by piece on a thread: this much takes about 10 ms."""


class ThrottleSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How often a store may be asked, for those whom it costs money; 0: as often as it takes."""

    reads_per_minute: int = 0
    writes_per_minute: int = 0
    writes_per_day: int = 0

    @property
    def active(self) -> bool:
        """Whether there is any limit."""
        return max(self.reads_per_minute, self.writes_per_minute, self.writes_per_day) > 0

    def validate(self) -> None:
        """Raise `ConfigError` for a negative limit."""
        if min(self.reads_per_minute, self.writes_per_minute, self.writes_per_day) < 0:
            raise ConfigError(
                "S3_MAX_READS_PER_MINUTE, S3_MAX_WRITES_PER_MINUTE and S3_MAX_WRITES_PER_DAY must "
                "not be negative; 0 means no limit"
            )


GRPC_PORT = 9090
"""Where gRPC is served unless it is said: the port of an older system."""


class GrpcSettings(msgspec.Struct, frozen=True, kw_only=True):
    """The gRPC port."""

    calls_max: int = 25_000
    """Most calls at a time: as many waiting claims as there may be, and some to spare."""

    streams_max: int = 2_000
    """Most calls at a time on one connection; further ones wait at the caller's. Each waiting claim
    is one."""

    handshake_ms_max: int = 10_000
    """A connection that does not begin to speak HTTP/2 by then is closed."""

    ping_ms: int = 20_000
    """A silent connection is asked this often whether anybody is there."""

    pong_ms: int = 10_000
    """Who does not answer in time is gone: claims that wait for a dead host end within 30 s."""

    pinged_ms_min: int = 5_000
    """Clients that ask more often than this, again and again, are sent away."""

    ping_strikes_max: int = 3
    """How often they may."""


class WebSocketSettings(msgspec.Struct, frozen=True, kw_only=True):
    """One connection by WebSocket."""

    requests_max: int = 1_024
    """Most requests under way; further ones are not read until some are answered. With a store
    that takes 50 ms, these are 20,000 a second."""

    request_bytes_max: int = 4 * MIB
    """The same for their bytes; one that is larger is let in alone."""

    waits_max: int = 1_000
    """Most waiting claims and streams: they may last for minutes, so more are refused, lest the
    heartbeats behind them stay unread."""

    ping_s: int = 20
    """A connection from which nothing has come for this long is pinged: often enough for the
    proxies and address translators on its way to remember it."""

    pong_s: int = 20
    """And is given up when nothing comes for as long again: its other end is gone."""

    close_s: int = 2
    """How long the other end may take to close its side; so long can a broker's stop last."""

    def validate(self) -> None:
        """Raise `ConfigError` for limits that let nothing pass."""
        least = min(self.requests_max, self.request_bytes_max, self.ping_s, self.pong_s)
        if least < 1 or self.waits_max < 0 or self.close_s < 0:
            raise ConfigError(
                "requests_max, request_bytes_max, ping_s and pong_s of a WebSocket must be at "
                "least 1, waits_max and close_s at least 0"
            )


class ServerSettings(msgspec.Struct, frozen=True, kw_only=True):
    """The HTTP port."""

    host: str = "0.0.0.0"  # noqa: S104 - documented; other hosts are refused unless allowed
    port: int = 8080
    grpc_port: int | UnsetType | None = UNSET
    """Of the gRPC port; 0: none, ``None``: any free one. Where it is not said, it is `GRPC_PORT` if
    nobody else has it, and none where ``port`` is 0: a second broker on one host must not fail, and
    a broker on any port has nobody who would look for the other one."""

    grpc: GrpcSettings = GrpcSettings()
    body_bytes_max: int = MIB
    """Largest request body, but of `PUT /v1/jobs/{jobId}`."""

    payload_bytes_max: int = 64 * MIB
    """Largest payload, by `PUT /v1/jobs/{jobId}`: it is held whole in memory on its way."""

    keep_alive_s: int = 72
    """An idle connection is closed after this: longer than common load balancers keep theirs."""

    connections_max: int = 20_000
    """Most open connections."""

    connections_per_host: int = 0
    """Most open connections of one host; 0: no limit but the one on all of them. Behind a proxy all
    callers are one host."""

    head_bytes_max: int = 64 * KIB
    """Largest request line with its headers: what common servers and proxies let through."""

    request_s_max: int = 60
    """A request that has not arrived in full after this is given up, and after as long again for
    each further MiB: 140 kbit/s."""

    send_s_max: int = 30
    """A caller that takes in nothing of a large answer for this long is given up."""

    allow_remote: bool = False
    """Whether other hosts are served although no token protects the queue."""

    cors_origins: tuple[str, ...] = ()
    """Origins of browsers' pages that may call, beside the broker's own."""

    access_log: bool = False
    """Whether each request is logged: some 10 us each."""

    dashboard: bool = True
    """Whether the dashboard is served at ``/``."""

    hide_payloads: bool = False
    """Whether payloads and results are shown only to tokens with the role ``work``: they may hold
    what those who look after a queue need not know."""

    ws: WebSocketSettings = WebSocketSettings()


class AccessSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Who may call, and how often. Without a list of tokens none is asked for."""

    tokens_file: str | None = None
    """The list of tokens: see `osqueue.server.door.tokens`."""

    tokens: str | None = None
    """Lines of such a list, with line feeds or semicolons between them."""

    reload_ms: int = 1_000
    """How often the file is looked at; a change counts when it was seen twice."""

    requests_per_s: float = 0
    """Most requests of one token, or of one host where no token is needed; 0: no limit. A batch is
    one request."""

    burst: int = 0
    """Most requests at once of one who has been quiet; 0: those of one second."""

    @property
    def tokens_configured(self) -> bool:
        """Whether callers need a token."""
        return self.tokens_file is not None or bool(self.tokens)

    def validate(self) -> None:
        """Raise `ConfigError` for limits that make no sense."""
        if not 0 <= self.requests_per_s <= 1_000_000:
            raise ConfigError(
                "BROKER_REQUESTS_PER_S must be 0 (no limit) to 1000000, "
                f"not {self.requests_per_s:g}"
            )
        if self.burst < 0:
            raise ConfigError(f"BROKER_REQUESTS_BURST must not be negative, not {self.burst}")
        if self.burst and not self.requests_per_s:
            raise ConfigError("BROKER_REQUESTS_BURST needs BROKER_REQUESTS_PER_S")
        if self.reload_ms < 1:
            raise ConfigError("reload_ms must be at least 1")


class ServerTlsSettings(msgspec.Struct, frozen=True, kw_only=True):
    """TLS on both ports: paths of PEM files, which are read again when they change."""

    cert: str | None = None
    """The broker's certificate, followed by those between it and the authority's."""

    key: str | None = None
    """The certificate's private key, not protected by a password."""

    client_ca: str | None = None
    """Authorities one of which must vouch for every client (mutual TLS)."""

    ca: str | None = None
    """Authorities that vouch for the other brokers of the queue; by default those that this
    machine trusts."""

    handshake_s_max: int = 10
    """A handshake that takes longer is given up."""

    reload_ms: int = 10_000
    """How often the files are looked at."""

    @property
    def active(self) -> bool:
        """Whether the ports speak TLS."""
        return self.cert is not None

    def validate(self) -> None:
        """Raise `ConfigError` for half a pair, and for what has no meaning without one."""
        if (self.cert is None) != (self.key is None):
            raise ConfigError("BROKER_TLS_CERT and BROKER_TLS_KEY go together: give both, or none")
        if not self.active and (self.client_ca is not None or self.ca is not None):
            raise ConfigError(
                "BROKER_TLS_CLIENT_CA and BROKER_TLS_CA need BROKER_TLS_CERT and BROKER_TLS_KEY"
            )
        if min(self.handshake_s_max, self.reload_ms) < 1:
            raise ConfigError("handshake_s_max and reload_ms must each be at least 1")


class BrokerSettings(msgspec.Struct, frozen=True, kw_only=True):
    """All settings of one broker."""

    server: ServerSettings = ServerSettings()
    access: AccessSettings = AccessSettings()
    tls: ServerTlsSettings = ServerTlsSettings()
    limits: QueueLimits = QueueLimits()
    commit: CommitSettings = CommitSettings()
    leadership: LeadershipSettings = LeadershipSettings()
    payloads: PayloadSettings = PayloadSettings()
    archive: ArchiveSettings = ArchiveSettings()
    throttle: ThrottleSettings = ThrottleSettings()
    streams: StreamSettings = StreamSettings()
    drain_ms: int = 10_000
    """How long a clean stop waits for the commits under way."""

    def validate(self) -> None:
        """Raise `ConfigError` when the settings make no sense alone or together."""
        self.access.validate()
        self.tls.validate()
        self.leadership.validate()
        self.archive.validate()
        self.throttle.validate()
        self.server.ws.validate()
        if self.limits.lease_timeout_ms < 1_000:
            raise ConfigError("JOB_HEARTBEAT_TIMEOUT_MS must be at least 1000")
        if self.commit.interval_ms < 0:
            raise ConfigError("GROUP_COMMIT_INTERVAL_MS must not be negative")
        if not 0 <= self.server.port <= 65_535:
            raise ConfigError(f"the port must be 0 to 65535, not {self.server.port}")
        if not 0 <= (self.server.grpc_port or 0) <= 65_535:
            raise ConfigError(f"the gRPC port must be 0 to 65535, not {self.server.grpc_port}")
        if self.server.connections_per_host < 0:
            raise ConfigError("BROKER_CONNECTIONS_PER_HOST must not be negative; 0 means no limit")
        if not 1 <= self.server.payload_bytes_max <= PAYLOAD_BYTES_LIMIT:
            raise ConfigError(
                f"BROKER_MAX_PAYLOAD_BYTES must be 1 to {PAYLOAD_BYTES_LIMIT}, "
                f"not {self.server.payload_bytes_max}"
            )


class ClientSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How a client waits and tries again."""

    timeout_ms: int = 10_000
    """Longest wait for one answer, beyond what a claim itself waits."""

    connect_ms: int = 3_000
    """Longest wait for a connection, of that time: a lost packet is sent again within 1 s, and a
    host that is gone says nothing at all."""

    retry_for_ms: int = 30_000
    """How long one request is tried again: half of the broker's memory of ended jobs."""

    backoff_first_ms: int = 50
    backoff_max_ms: int = 2_000
    connections_max: int = 100
    """Connections to one broker; further requests wait for one to be free. The waiting claim of a
    worker takes one."""

    batch_bytes_max: int = 512 * KIB
    """About the bytes of one request of many jobs: half of a broker's default limit on bodies."""

    answer_bytes_max: int = 256 * MIB
    """Largest answer read: a page or claim of the largest state, and room to spare."""

    def validate(self) -> None:
        """Raise `ConfigError` when the settings make no sense alone or together."""
        if min(self.timeout_ms, self.connect_ms) < 1 or self.retry_for_ms < 0:
            raise ConfigError(
                "timeout_ms and connect_ms must be at least 1, retry_for_ms at least 0"
            )
        if self.retry_for_ms > QueueLimits().dedupe_window_ms // 2:
            raise ConfigError(
                f"retry_for_ms ({self.retry_for_ms}) must be at most "
                f"{QueueLimits().dedupe_window_ms // 2}: a broker forgets ended jobs after that, "
                "and a later retry could take effect twice"
            )


class ProcessSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How a worker keeps the processes that run its handlers."""

    warm: int = 1
    """How many are started with the worker; more when they are needed, each for a tenth of a
    second and the imports of its handlers."""

    memory_bytes_max: int | None = None
    """Most memory of one process; then its handler gets a `MemoryError`."""

    cancel_ms: int = 500
    """How long a handler that was told to end may take before its process is killed."""

    start_ms_max: int = 300_000
    """How long a process may take until it begins with its first job: the imports of large
    libraries take a minute on a slow disk."""

    stop_ms: int = 1_000
    """How long an idle process may take to end, with the `atexit` functions of its libraries."""

    starts_max: int = 3
    """In how many processes it is tried to begin a job, when they end before."""

    def validate(self) -> None:
        """Raise `ConfigError` when the settings make no sense."""
        if self.warm < 0 or self.cancel_ms < 0 or self.stop_ms < 0:
            raise ConfigError("warm, cancel_ms and stop_ms must not be negative")
        if self.start_ms_max < 1 or self.starts_max < 1:
            raise ConfigError("start_ms_max and starts_max must each be at least 1")
        if self.memory_bytes_max is not None and self.memory_bytes_max < PROCESS_MEMORY_BYTES_MIN:
            raise ConfigError(
                f"a process of handlers needs at least {PROCESS_MEMORY_BYTES_MIN // MIB} MiB, "
                f"not {self.memory_bytes_max} bytes"
            )


PROCESS_MEMORY_BYTES_MIN = 64 * MIB
"""Below this a process cannot even begin: the interpreter and the client take about 40 MiB."""


class WorkerSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How a worker paces itself."""

    wait_ms: int = 20_000
    """How long one claim waits at the broker."""

    heartbeat_interval_ms: int = 5_000
    """One request this often for all jobs that run; a sixth of the lease time-out."""

    grace_ms: int = 10_000
    """How long `stop` lets handlers finish before it releases their jobs."""

    settle_ms: int = 2_000
    """How long `stop` then waits for cancelled handlers to end, and as long again for the last
    reports to reach the broker."""

    poll_ms: int = 1_000
    """Least time from one claim to the next when it found nothing: a broker that doesn't wait is
    not asked in a tight loop."""

    finishing_max: int = 4_000
    """Most finished jobs whose report the broker has not yet taken; beyond it nothing is claimed,
    so a broker that takes no reports is given no further work to lose. Four claims' worth: while
    one is reported, the next may run."""

    progress_ms: int = 1_000
    """Progress is told at most this often: each time costs a heartbeat for all jobs."""

    callback_ms: int = 5_000
    """How long an async callback may take before it is given up: it is no job, and nothing else
    would ever end it."""

    hurry_ms: int = 1_000
    """How long a worker that is to stop at once tries to give its jobs back."""

    def validate(self) -> None:
        """Raise `ConfigError` when the settings make no sense alone or together."""
        if not 0 <= self.wait_ms <= WAIT_MS_MAX:
            raise ConfigError(f"wait_ms must be 0 to {WAIT_MS_MAX}, not {self.wait_ms}")
        if self.heartbeat_interval_ms * 3 > QueueLimits().lease_timeout_ms:
            raise ConfigError(
                f"heartbeat_interval_ms ({self.heartbeat_interval_ms}) must be at most a third of "
                "the broker's job heartbeat timeout (30000 ms by default)"
            )
        for name in (
            "heartbeat_interval_ms",
            "poll_ms",
            "finishing_max",
            "progress_ms",
            "callback_ms",
        ):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} must be at least 1, not {getattr(self, name)}")
        for name in ("grace_ms", "settle_ms", "hurry_ms"):
            if getattr(self, name) < 0:
                raise ConfigError(f"{name} must not be negative, not {getattr(self, name)}")
