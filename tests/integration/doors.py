"""A broker that asks for tokens, and what each operation is asked with."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

from osqueue.app import BrokerServer
from osqueue.clock import SeededEntropy
from osqueue.config import AccessSettings, BrokerSettings, ServerSettings
from osqueue.server.door.tokens import NewToken, new_token, token_line
from osqueue.wire import messages, schedules
from osqueue.wire import operations as ops
from osqueue.wire.operations import Operation
from osqueue.wire.roles import Role

UNARY: Final = (*ops.OPERATIONS, ops.ADD_CREDIT)
STREAMS: Final = (ops.SUBSCRIBE, ops.STREAM_JOBS)

_LEASE: Final = messages.LeaseRequest(worker_id="w", lease="l")
_ERROR: Final = messages.JobError(type="E", message="m")
_DONE: Final = messages.CompleteRequest(worker_id="w", lease="l")
_KEPT: Final = [messages.HeartbeatRef(job_id="none", lease="l")]
_DONES: Final = [messages.CompleteRef(job_id="none", lease="l")]

REQUESTS: Final[Mapping[str, msgspec.Struct]] = {
    ops.SUBMIT.name: messages.SubmitRequest(payload=msgspec.Raw(b"1")),
    ops.SUBMIT_LARGE.name: messages.SubmitRequest(payload=msgspec.Raw(b"1"), job_id="large"),
    ops.SUBMIT_BATCH.name: messages.SubmitBatchRequest(
        jobs=[messages.SubmitRequest(payload=msgspec.Raw(b"1"))]
    ),
    ops.CLAIM.name: messages.ClaimRequest(worker_id="w", types=["none"], max=1),
    ops.HEARTBEAT.name: _LEASE,
    ops.HEARTBEAT_BATCH.name: messages.HeartbeatBatchRequest(worker_id="w", jobs=_KEPT),
    ops.COMPLETE.name: _DONE,
    ops.COMPLETE_BATCH.name: messages.CompleteBatchRequest(worker_id="w", jobs=_DONES),
    ops.FAIL.name: messages.FailRequest(worker_id="w", lease="l", error=_ERROR),
    ops.RELEASE.name: messages.ReleaseRequest(worker_id="w", lease="l"),
    ops.SET_PRIORITY.name: messages.PriorityRequest(priority=1),
    ops.LIST_JOBS.name: ops.ListQuery(),
    ops.ANNOUNCE_TYPES.name: messages.AnnounceRequest({"t": messages.JobTypeInfo()}),
    ops.ACT_ON_JOBS.name: messages.ActionRequest(action="retry", job_ids=["none"]),
    ops.SUBSCRIBE.name: messages.SubscribeRequest(stats_every_ms=100),
    ops.STREAM_JOBS.name: messages.StreamRequest(worker_id="w", credit=1, stream_id="s"),
    ops.ADD_CREDIT.name: messages.CreditRequest(total=1, stream_id="none"),
    ops.PUT_SCHEDULE.name: schedules.PutScheduleRequest(name="s", every_ms=3_600_000),
    ops.DROP_SCHEDULE.name: schedules.ScheduleRef(name="none"),
    ops.PAUSE_SCHEDULE.name: schedules.ScheduleRef(name="none"),
    ops.RESUME_SCHEDULE.name: schedules.ScheduleRef(name="none"),
    ops.RUN_SCHEDULE.name: schedules.RunScheduleRequest(name="none"),
}
"""A valid request of each operation that takes one, about a job that there is not."""


class Keys:
    """A token for each role, and the file that lists them."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "tokens"
        entropy = SeededEntropy(9)
        self.made = {role: new_token(f"the-{role}", frozenset({role}), entropy) for role in Role}
        self.spare = new_token("spare", frozenset(Role), entropy)
        self.write(*self.made.values())

    def __getitem__(self, role: Role) -> str:
        return self.made[role].token

    def write(self, *tokens: NewToken) -> None:
        """Replace the file as a whole, as `osqueue token` does."""
        new = self.path.with_suffix(".new")
        new.touch(mode=0o600)
        new.write_text("".join(f"{token_line(each.entry)}\n" for each in tokens))
        new.replace(self.path)

    def broker(self, *, server: ServerSettings | None = None, **access: float) -> BrokerServer:
        """A broker that knows them."""
        settings = AccessSettings(tokens_file=str(self.path), reload_ms=5, **access)  # type: ignore[arg-type]
        return BrokerServer(
            "memory://",
            host="127.0.0.1",
            port=0,
            grpc_port=None,
            settings=BrokerSettings(access=settings, server=server or ServerSettings()),
        )


class Case(NamedTuple):
    """An operation asked for by somebody; ``None``: by nobody in particular."""

    operation: Operation
    role: Role | None

    @property
    def allowed(self) -> bool:
        needed = self.operation.role
        some = needed if isinstance(needed, frozenset) else {needed}
        return needed is None or self.role in {*some, Role.ADMIN}

    def __str__(self) -> str:
        return f"{self.operation.name}-{self.role or 'no token'}"


def cases(*operations: Operation) -> list[Case]:
    """Every operation, by every role."""
    return [Case(operation, role) for operation in operations for role in (None, *Role)]
