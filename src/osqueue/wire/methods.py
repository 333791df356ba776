"""The methods of the service that Connect and gRPC speak, each with the operation that it is.

Two tables: `METHODS` are the unary ones and `STREAMED` those that the broker pushes. The three that
an older system has for jobs of any bytes are in neither: they are `osqueue.server.rpc.any_bytes`.
"""

from __future__ import annotations

from collections.abc import Callable
from types import MappingProxyType
from typing import Any, Final, NamedTuple

import msgspec
from msgspec import UNSET, Raw
from msgspec.structs import replace
from protobuf import Message

from osqueue.wire import messages as json
from osqueue.wire import operations as ops
from osqueue.wire.gen.osqueue.v1 import queue_pb as pb
from osqueue.wire.operations import Operation
from osqueue.wire.protobuf import from_proto, to_proto

__all__ = ["METHODS", "SERVICE", "STREAMED", "Asked", "Method", "method_of"]

SERVICE: Final = "osqueue.v1.QueueService"


class Asked(NamedTuple):
    """A request, read: what the operation takes, and the job it is about."""

    message: Any
    job_id: str = ""


class Method(NamedTuple):
    """One method. ``one``: of a claim, whether the answer is a job rather than a list."""

    name: str
    operation: Operation
    request: type[Message[Any]]
    answer: type[Message[Any]]
    one: bool = False

    @property
    def path(self) -> str:
        """The path of an HTTP request, and what gRPC calls the method."""
        return f"/{SERVICE}/{self.name}"

    def read_request(self, message: Any) -> Asked:
        """What was asked. Raises `msgspec.ValidationError` when it breaks a limit."""
        kind = self.operation.request
        named = self.operation.on_one_job and self.operation is not ops.SUBMIT_LARGE
        return Asked(
            None if kind in _UNSAID else from_proto(message, kind),
            message.job_id if named else "",
        )

    def write_request(self, request: msgspec.Struct | None, job_id: str | None) -> Message[Any]:
        """The message that asks for the same."""
        if self.operation.on_one_job:
            empty = self.request() if request is None else to_proto(request, self.request)
            empty.job_id = job_id or ""
            return empty
        return self.request() if request is None else to_proto(request, self.request)

    def write_answer(self, value: Any) -> Message[Any]:
        """The message of an answer: a struct, nothing, or a payload."""
        if self.operation is ops.GET_PAYLOAD:
            return pb.GetPayloadResponse(payload=None if value is None else bytes(value))
        return self.answer() if value is None else to_proto(value, self.answer)

    def read_answer(self, message: Any) -> Any:
        """The answer as the operation has it."""
        kind = self.operation.answer
        if kind is None:
            return None
        if self.operation is ops.GET_PAYLOAD:
            return Raw(message.payload) if message.has_field("payload") else None
        return _COMPLETED.get(kind, _as_it_is)(from_proto(message, kind))


_UNSAID: Final = (None, ops.StatusQuery)
"""Requests without a word of their own: only brokers ask each other for more than the status."""


def _as_it_is(answer: Any) -> Any:
    return answer


def _known(info: json.JobInfo) -> json.JobInfo:
    """What is not said of a job that is known is zero, and no payload is one that is elsewhere."""
    if info.created_at is UNSET:
        return replace(info, payload=UNSET)
    return replace(
        info,
        payload=UNSET if info.payload_bytes is not None else info.payload,
        attempts=0 if info.attempts is UNSET else info.attempts,
        max_attempts=0 if info.max_attempts is UNSET else info.max_attempts,
        heartbeat=0 if info.heartbeat is UNSET else info.heartbeat,
    )


def _page(page: Any) -> Any:
    return replace(page, jobs=[_known(info) for info in page.jobs])


_COMPLETED: Final[dict[Any, Callable[[Any], Any]]] = {
    json.JobInfo: _known,
    json.JobsPage: _page,
    json.EndedPage: _page,
}

METHODS: Final = (
    Method("SubmitJob", ops.SUBMIT, pb.SubmitJobRequest, pb.SubmitJobResponse),
    Method("SubmitJobs", ops.SUBMIT_BATCH, pb.SubmitJobsRequest, pb.SubmitJobsResponse),
    Method("ClaimJob", ops.CLAIM, pb.ClaimJobRequest, pb.ClaimJobResponse, one=True),
    Method("ClaimJobs", ops.CLAIM, pb.ClaimJobsRequest, pb.ClaimJobsResponse),
    Method("Heartbeat", ops.HEARTBEAT, pb.HeartbeatRequest, pb.HeartbeatResponse),
    Method("HeartbeatJobs", ops.HEARTBEAT_BATCH, pb.HeartbeatJobsRequest, pb.BatchResponse),
    Method("CompleteJob", ops.COMPLETE, pb.CompleteJobRequest, pb.CompleteJobResponse),
    Method("CompleteJobs", ops.COMPLETE_BATCH, pb.CompleteJobsRequest, pb.BatchResponse),
    Method("FailJob", ops.FAIL, pb.FailJobRequest, pb.FailJobResponse),
    Method("ReleaseJob", ops.RELEASE, pb.ReleaseJobRequest, pb.ReleaseJobResponse),
    Method("CancelJob", ops.CANCEL, pb.CancelJobRequest, pb.CancelJobResponse),
    Method("RetryJob", ops.RETRY, pb.RetryJobRequest, pb.RetryJobResponse),
    Method("SetPriority", ops.SET_PRIORITY, pb.SetPriorityRequest, pb.SetPriorityResponse),
    Method("PauseQueue", ops.PAUSE, pb.PauseQueueRequest, pb.PauseQueueResponse),
    Method("ResumeQueue", ops.RESUME, pb.ResumeQueueRequest, pb.ResumeQueueResponse),
    Method("GetStats", ops.GET_STATS, pb.GetStatsRequest, pb.GetStatsResponse),
    Method("GetWorkflow", ops.GET_WORKFLOW, pb.GetWorkflowRequest, pb.GetWorkflowResponse),
    Method("ListJobs", ops.LIST_JOBS, pb.ListJobsRequest, pb.ListJobsResponse),
    Method("ListEnded", ops.LIST_ENDED, pb.ListEndedRequest, pb.ListEndedResponse),
    Method("CountJobs", ops.COUNT_JOBS, pb.CountJobsRequest, pb.CountJobsResponse),
    Method("ActOnJobs", ops.ACT_ON_JOBS, pb.ActOnJobsRequest, pb.ActOnJobsResponse),
    Method(
        "ListDeadGroups",
        ops.LIST_DEAD_GROUPS,
        pb.ListDeadGroupsRequest,
        pb.ListDeadGroupsResponse,
    ),
    Method("GetJob", ops.GET_JOB, pb.GetJobRequest, pb.JobInfo),
    Method("GetPayload", ops.GET_PAYLOAD, pb.GetPayloadRequest, pb.GetPayloadResponse),
    Method("GetStatus", ops.GET_STATUS, pb.GetStatusRequest, pb.BrokerStatus),
    Method("GetTypes", ops.GET_TYPES, pb.GetTypesRequest, pb.GetTypesResponse),
    Method("AnnounceTypes", ops.ANNOUNCE_TYPES, pb.AnnounceTypesRequest, pb.AnnounceTypesResponse),
    Method("GetSettings", ops.GET_SETTINGS, pb.GetSettingsRequest, pb.GetSettingsResponse),
    Method("FailOver", ops.FAIL_OVER, pb.FailOverRequest, pb.FailOverResponse),
    Method("ListSchedules", ops.LIST_SCHEDULES, pb.ListSchedulesRequest, pb.ListSchedulesResponse),
    Method("PutSchedule", ops.PUT_SCHEDULE, pb.PutScheduleRequest, pb.ScheduleInfo),
    Method("DropSchedule", ops.DROP_SCHEDULE, pb.DropScheduleRequest, pb.DropScheduleResponse),
    Method("PauseSchedule", ops.PAUSE_SCHEDULE, pb.PauseScheduleRequest, pb.PauseScheduleResponse),
    Method(
        "ResumeSchedule", ops.RESUME_SCHEDULE, pb.ResumeScheduleRequest, pb.ResumeScheduleResponse
    ),
    Method("RunSchedule", ops.RUN_SCHEDULE, pb.RunScheduleRequest, pb.RunScheduleResponse),
)
"""Every unary method, most used first."""

STREAMED: Final = (
    Method("Subscribe", ops.SUBSCRIBE, pb.SubscribeRequest, pb.Update),
    Method("StreamJobs", ops.STREAM_JOBS, pb.StreamJobsRequest, pb.ClaimJobsResponse),
    Method("AddCredit", ops.ADD_CREDIT, pb.AddCreditRequest, pb.AddCreditResponse),
)
"""What the broker pushes, and the credit for it, which is unary."""

_BY_OPERATION: Final = MappingProxyType(
    {each.operation.name: each for each in (*METHODS, *STREAMED) if not each.one}
    | {ops.SUBMIT_LARGE.name: METHODS[0]}
)


def method_of(operation: Operation) -> Method:
    """The method that does an operation; of two that do, the one with more to say."""
    return _BY_OPERATION[operation.name]
