"""Between the messages of JSON and those of Protocol Buffers: one field by the same name each.

Laws: what comes in is held to the limits of its fields, as JSON is; a field without presence that
stands at its default is one that was not given, where that can be. Payloads are JSON text on both
sides; where there is none, Protocol Buffers say ``null``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import Any, Final, NamedTuple, TypeAlias, TypeVar

import msgspec
from msgspec import UNSET, Raw
from msgspec.inspect import (
    DictType,
    ListType,
    RawType,
    StructType,
    Type,
    UnionType,
    VarTupleType,
    type_info,
)
from protobuf import Message
from protobuf.wkt.google.protobuf.descriptor_pb import FieldDescriptorProto

from osqueue.wire import messages as json
from osqueue.wire import schedules
from osqueue.wire.gen.osqueue.v1 import queue_pb as pb
from osqueue.wire.operations import (
    CountQuery,
    EndedQuery,
    JobQuery,
    ListQuery,
    ReadQuery,
    SchedulesQuery,
)

__all__ = ["PAIRS", "from_proto", "to_proto"]

ProtoT = TypeVar("ProtoT", bound=Message[Any])
StructT = TypeVar("StructT", bound=msgspec.Struct)
Convert: TypeAlias = Callable[[Any], Any]

INT32_MAX: Final = 2**31 - 1
_NO_PAYLOAD: Final = b"null"

PAIRS: Final[tuple[tuple[type[msgspec.Struct], type[Message[Any]]], ...]] = (
    (json.SubmitRequest, pb.SubmitJobRequest),
    (json.SubmitAnswer, pb.SubmitJobResponse),
    (json.SubmitBatchRequest, pb.SubmitJobsRequest),
    (json.SubmitBatchAnswer, pb.SubmitJobsResponse),
    (json.WorkerInfo, pb.WorkerInfo),
    (json.ClaimRequest, pb.ClaimJobRequest),
    (json.ClaimRequest, pb.ClaimJobsRequest),
    (json.ClaimedJob, pb.ClaimJobResponse),
    (json.ClaimAnswer, pb.ClaimJobsResponse),
    (json.LeaseRequest, pb.HeartbeatRequest),
    (json.CompleteRequest, pb.CompleteJobRequest),
    (json.FailRequest, pb.FailJobRequest),
    (json.ReleaseRequest, pb.ReleaseJobRequest),
    (json.PriorityRequest, pb.SetPriorityRequest),
    (json.RetryPolicy, pb.RetryPolicy),
    (json.Progress, pb.Progress),
    (json.HeartbeatRef, pb.HeartbeatRef),
    (json.CompleteRef, pb.CompleteRef),
    (json.HeartbeatBatchRequest, pb.HeartbeatJobsRequest),
    (json.CompleteBatchRequest, pb.CompleteJobsRequest),
    (json.ErrorBody, pb.ErrorBody),
    (json.JobAnswer, pb.JobAnswer),
    (json.BatchAnswer, pb.BatchResponse),
    (json.JobError, pb.JobError),
    (json.Stats, pb.GetStatsResponse),
    (ReadQuery, pb.GetStatsRequest),
    (ReadQuery, pb.GetPayloadRequest),
    (ReadQuery, pb.GetWorkflowRequest),
    (json.WorkflowJob, pb.WorkflowJob),
    (json.WorkflowEdge, pb.WorkflowEdge),
    (json.Workflow, pb.GetWorkflowResponse),
    (ListQuery, pb.ListJobsRequest),
    (json.JobsPage, pb.ListJobsResponse),
    (JobQuery, pb.GetJobRequest),
    (json.JobInfo, pb.JobInfo),
    (EndedQuery, pb.ListEndedRequest),
    (json.EndedPage, pb.ListEndedResponse),
    (CountQuery, pb.CountJobsRequest),
    (json.JobsCount, pb.CountJobsResponse),
    (json.JobFilter, pb.JobFilter),
    (json.ActionRequest, pb.ActOnJobsRequest),
    (json.ActionAnswer, pb.ActOnJobsResponse),
    (ReadQuery, pb.ListDeadGroupsRequest),
    (json.DeadGroup, pb.DeadGroup),
    (json.DeadGroups, pb.ListDeadGroupsResponse),
    (json.Standby, pb.Standby),
    (json.BrokerStatus, pb.BrokerStatus),
    (json.JobTypeInfo, pb.JobTypeInfo),
    (ReadQuery, pb.GetTypesRequest),
    (json.JobTypes, pb.GetTypesResponse),
    (json.AnnounceRequest, pb.AnnounceTypesRequest),
    (json.Setting, pb.Setting),
    (json.Settings, pb.GetSettingsResponse),
    (json.SubscribeRequest, pb.SubscribeRequest),
    (json.JobEvent, pb.JobEvent),
    (json.Update, pb.Update),
    (json.StreamRequest, pb.StreamJobsRequest),
    (json.CreditRequest, pb.AddCreditRequest),
    (schedules.PutScheduleRequest, pb.PutScheduleRequest),
    (schedules.ScheduleInfo, pb.ScheduleInfo),
    (schedules.ScheduleRef, pb.DropScheduleRequest),
    (schedules.ScheduleRef, pb.PauseScheduleRequest),
    (schedules.ScheduleRef, pb.ResumeScheduleRequest),
    (schedules.RunScheduleRequest, pb.RunScheduleRequest),
    (json.SubmitAnswer, pb.RunScheduleResponse),
    (SchedulesQuery, pb.ListSchedulesRequest),
    (schedules.SchedulesPage, pb.ListSchedulesResponse),
)
"""Every struct that travels, and the message that it travels in."""

_PROTO_OF: Final = dict(PAIRS)


class _Field(NamedTuple):
    """One field that both sides have. ``key`` is its name in JSON."""

    name: str
    key: str
    number: int
    """Where Protocol Buffers tell an absent one from its default, and 0 where they do not."""
    required: bool
    """Whether the struct cannot do without it."""
    pack: Convert | None
    unpack: Convert | None


class _Plan(NamedTuple):
    """The fields that both sides have: all, those that are always there, and the others."""

    fields: tuple[_Field, ...]
    plain: tuple[tuple[str, str, bool, Convert | None], ...]
    """Of each its names, whether it is required, and how it is unpacked."""
    optional: Mapping[int, tuple[str, str, Convert | None]]
    """The same by number, but for the requirement: there are none."""


def to_proto(struct: msgspec.Struct, kind: type[ProtoT]) -> ProtoT:
    """The message that says the same. Fields that ``kind`` does not have are left out, and so are
    those that a more general struct does not have.
    """
    given = {}
    plan = _PLANS.get((type(struct), kind)) or _plan(type(struct), kind)
    for field in plan.fields:
        value = getattr(struct, field.name)
        if value is not None and value is not UNSET:
            given[field.name] = value if field.pack is None else field.pack(value)
        elif field.name == "payload":
            given["payload"] = _NO_PAYLOAD
    return kind(**given)


def from_proto(message: Message[Any], kind: type[StructT]) -> StructT:
    """The struct that says the same. Raises `msgspec.ValidationError` when it breaks a limit."""
    return msgspec.convert(_builtins(message, _PLANS[kind, type(message)]), kind)


def _builtins(message: Message[Any], plan: _Plan) -> dict[str, Any]:
    """What was given of a message; this is done for each job of a batch."""
    given = {}
    for name, key, required, unpack in plan.plain:
        value = getattr(message, name)
        if value or (required and value is not None):  # or it stands at its default
            given[key] = value if unpack is None else unpack(value)
    for number in message._present:  # noqa: SLF001 - asking for each field takes three times as long
        if number in plan.optional:
            name, key, unpack = plan.optional[number]
            value = getattr(message, name)
            given[key] = value if unpack is None else unpack(value)
    return given


def _plan(kind: type[msgspec.Struct], proto: type[Message[Any]]) -> _Plan:
    fields = tuple(_shared(kind, proto))
    return _Plan(
        fields,
        tuple([(f.name, f.key, f.required, f.unpack) for f in fields if not f.number]),
        {f.number: (f.name, f.key, f.unpack) for f in fields if f.number},
    )


def _shared(kind: type[msgspec.Struct], proto: type[Message[Any]]) -> Iterator[_Field]:
    info = type_info(kind)
    assert isinstance(info, StructType), "structs are described as such"
    presence = _presence(proto)
    for field in info.fields:
        if field.name not in presence:
            continue
        inner = _inner(field.type)
        pack, unpack = _converts(inner)
        yield _Field(
            field.name,
            field.encode_name,
            presence[field.name],
            field.required,
            _clamped if proto is pb.ListJobsResponse and field.name == "completed_total" else pack,
            unpack,
        )


def _presence(proto: type[Message[Any]]) -> dict[str, int]:
    """The fields of a message, with the numbers of those that tell absence apart.

    Of messages in messages none does: where there is none, there is ``None``.
    """
    return {
        field.name: field.number
        if field.proto.proto3_optional and field.proto.type != FieldDescriptorProto.Type.MESSAGE
        else 0
        for field in proto.desc().fields
    }


def _inner(type_: Type) -> Type:
    """The one type of a field that may also be absent or null."""
    if not isinstance(type_, UnionType):
        return type_
    structured = [each for each in type_.types if isinstance(each, RawType | StructType | ListType)]
    return structured[0] if structured else type_.types[0]


def _converts(inner: Type) -> tuple[Convert | None, Convert | None]:
    if isinstance(inner, RawType):
        return bytes, Raw
    if isinstance(inner, StructType):
        return _each_way(inner.cls)
    if isinstance(inner, ListType | VarTupleType) and isinstance(inner.item_type, StructType):
        return _all_each_way(inner.item_type.cls)
    if isinstance(inner, DictType) and isinstance(inner.value_type, StructType):
        return _by_name_each_way(inner.value_type.cls)
    return None, None


def _each_way(kind: type[msgspec.Struct]) -> tuple[Convert, Convert]:
    pack, unpack = _all_each_way(kind)
    return lambda struct: pack((struct,))[0], lambda message: unpack((message,))[0]


def _by_name_each_way(kind: type[msgspec.Struct]) -> tuple[Convert, Convert]:
    pack, unpack = _all_each_way(kind)
    return (
        lambda structs: dict(zip(structs, pack(structs.values()), strict=True)),
        lambda messages: dict(zip(messages, unpack(messages.values()), strict=True)),
    )


def _all_each_way(kind: type[msgspec.Struct]) -> tuple[Convert, Convert]:
    proto = _PROTO_OF[kind]
    unnamed = kind.__struct_config__.array_like  # all its fields are required, so all are there

    def pack(structs: Iterable[msgspec.Struct]) -> list[Message[Any]]:
        return [to_proto(each, proto) for each in structs]

    def unpack(messages: Iterable[Message[Any]]) -> list[Any]:
        plan = _PLANS[kind, proto]
        each_one = [_builtins(each, plan) for each in messages]
        return [[*each.values()] for each in each_one] if unnamed else each_one

    return pack, unpack


def _clamped(count: int) -> int:
    """Older clients take this one count as 32 bits."""
    return min(count, INT32_MAX)


_PLANS: Final = MappingProxyType({pair: _plan(*pair) for pair in PAIRS})
"""The fields of each pair, looked up once."""
