"""Between the messages of JSON and those of Protocol Buffers, nothing is lost or let through."""

from __future__ import annotations

import filecmp
import math
from pathlib import Path
from typing import Any

import msgspec
import pytest
from msgspec import UNSET, Raw
from protobuf import Message
from tests.proto import generate

import osqueue.wire.gen
from osqueue.wire import messages as json
from osqueue.wire import operations as ops
from osqueue.wire.gen.osqueue.v1 import queue_pb as pb
from osqueue.wire.methods import METHODS, SERVICE, STREAMED, method_of
from osqueue.wire.operations import CountQuery, EndedQuery, JobQuery, ListQuery, ReadQuery
from osqueue.wire.protobuf import PAIRS, from_proto, to_proto

CLAIMED = json.ClaimedJob(
    job_id="j", payload=Raw(b'{"a":[1]}'), type="t", lease="l-0", attempt=2, max_attempts=3,
    created_at=1_706_000_000_000, priority=-4, traceparent="00-1-2-01", timeout_ms=5,
    keep_result=True,
)  # fmt: skip
STATS = json.Stats(
    total=2, unclaimed=1, in_progress=1, completed_total=2**40, broker_address="h:1",
    delayed=1, dead=5, dead_total=6,
)  # fmt: skip
INFO = json.JobInfo(
    id="j", status="in_progress", payload=Raw(b"[]"), type="t", worker_id="w", created_at=5,
    attempts=1, max_attempts=2, heartbeat=7, priority=1, run_at=9,
    last_error=json.JobError(type="E", message="m", traceback="tb"),
    retry=json.RetryPolicy(base_ms=0, factor=3.0, max_ms=1, jitter=0.0), timeout_ms=1,
    keep_result=True, result=Raw(b"null"), progress=json.Progress(done=0),
    errors=[json.JobError(type="E", message="m", at=4, attempt=1, worker_id="w")],
)  # fmt: skip
STATUS = json.BrokerStatus(
    ready=True, role="leader", address="h:1", broker_id="b", leader=None, epoch=3, writable=True,
    commits=4, commits_per_s=0.5, state_bytes=0, heartbeat_every_ms=3000, grpc_port=9090,
    standbys=(json.Standby(broker_id="s", address="h:2", seen_ms_ago=0),),
)  # fmt: skip
WORKER = json.WorkerInfo(concurrency=2**31 - 1, host="h", pid=0, version="1", types=["t", ""])
WHOLE: list[tuple[msgspec.Struct, type[Message[Any]]]] = [
    (
        json.SubmitRequest(
            payload=Raw(b'"x"'), type="t", max_attempts=0, job_id="j", priority=-1, run_at=0,
            traceparent="00-1-2-01", timeout_ms=9, keep_result=True,
            retry=json.RetryPolicy(base_ms=0, factor=1.0, max_ms=7, jitter=0.5),
        ),
        pb.SubmitJobRequest,
    ),
    (json.ClaimRequest(worker_id="w", types=["a", ""], max=5, wait_ms=6, claim_id="c",
                       max_by_type={"a": 0, "": 3}, worker=WORKER),
     pb.ClaimJobsRequest),
    (json.ClaimRequest(worker_id="w", worker=WORKER), pb.ClaimJobRequest),
    (json.HeartbeatBatchRequest(worker_id="w", jobs=[], worker=json.WorkerInfo()),
     pb.HeartbeatJobsRequest),
    (json.AnnounceRequest({"t": json.JobTypeInfo(schema=Raw(b"{}")), "é": json.JobTypeInfo()}),
     pb.AnnounceTypesRequest),
    (json.JobTypes({}), pb.GetTypesResponse),
    (json.Settings([json.Setting(name="a.b", value=Raw(b"null"), env="A", help="why")]),
     pb.GetSettingsResponse),
    (json.FailRequest(worker_id="w", lease="l", error=json.JobError(type="E", message=""),
                      retry=False, delay_ms=4), pb.FailJobRequest),
    (json.HeartbeatBatchRequest(worker_id="w", jobs=[json.HeartbeatRef(
        job_id="j", progress=json.Progress(done=0, total=2.5, note="n"))], all=True),
     pb.HeartbeatJobsRequest),
    (json.CompleteRequest(worker_id="w", lease="l", result=Raw(b"[1]")), pb.CompleteJobRequest),
    (json.CompleteBatchRequest(worker_id="w", jobs=[
        json.CompleteRef(job_id="j", result=Raw(b"null")), json.CompleteRef(job_id="k")]),
     pb.CompleteJobsRequest),
    (JobQuery(wait_ms=7, consistent=True), pb.GetJobRequest),
    (json.ClaimAnswer([CLAIMED, CLAIMED]), pb.ClaimJobsResponse),
    (json.BatchAnswer([json.JobAnswer(job_id="j"), json.JobAnswer(
        job_id="k", error=json.ErrorBody(tag="LeaseLostError", message="m", applied="no"))]),
     pb.BatchResponse),
    (STATS, pb.GetStatsResponse),
    (INFO, pb.JobInfo),
    (STATUS, pb.BrokerStatus),
    (json.Update(events=[json.JobEvent(kind="claimed", job_id="j", at=4, worker_id="w")],
                 stats=STATS, commit="1-2"), pb.Update),
    (json.SubscribeRequest(events=False, types=["t"], stats_every_ms=0), pb.SubscribeRequest),
    (ListQuery(limit=5, cursor="c", status="dead", type="", consistent=True, text="é",
               order="newest", payloads=False), pb.ListJobsRequest),
    (EndedQuery(limit=5, cursor="c", status="dead", type="", text="", consistent=True,
                payloads=False), pb.ListEndedRequest),
    (json.EndedPage(jobs=[INFO], next_cursor="c", damaged=["k"]), pb.ListEndedResponse),
    (CountQuery(status="ready", type="t", text="x", consistent=True), pb.CountJobsRequest),
    (json.JobsCount(count=0, at_least=True), pb.CountJobsResponse),
    (json.ActionRequest(action="setPriority", job_ids=["a"], max=7, priority=0,
                        filter=json.JobFilter(status="dead", type="", text="x")),
     pb.ActOnJobsRequest),
    (json.ActionAnswer(done=0, failed=[json.JobAnswer(job_id="k", error=json.ErrorBody(
        tag="JobNotFoundError", message="m"))], left=False, skipped=2), pb.ActOnJobsResponse),
    (json.DeadGroups(groups=[json.DeadGroup(
        key="k", error_type="", message="#", count=0, types={"": 3, "t": 0}, oldest=0, newest=4,
        job_ids=["a", "b"])], total=3), pb.ListDeadGroupsResponse),
    (json.DeadGroups(groups=[], total=0), pb.ListDeadGroupsResponse),
    (ReadQuery(consistent=True), pb.GetPayloadRequest),
    (ReadQuery(consistent=True), pb.GetStatsRequest),
]  # fmt: skip


def plain(struct: msgspec.Struct) -> Any:
    return msgspec.json.decode(msgspec.json.encode(struct))


@pytest.mark.parametrize(
    ("struct", "kind"), WHOLE, ids=lambda each: getattr(each, "__name__", type(each).__name__)
)
def test_struct_when_sent_and_read_then_nothing_is_lost(
    struct: msgspec.Struct, kind: type[Message[Any]]
) -> None:
    data = to_proto(struct, kind).to_binary()
    assert plain(from_proto(kind.from_binary(data), type(struct))) == plain(struct)


@pytest.mark.parametrize(("struct", "proto"), PAIRS, ids=lambda each: each.__name__)
def test_pair_when_compared_then_every_field_is_on_both_sides(
    struct: type[msgspec.Struct], proto: type[Message[Any]]
) -> None:
    beside = {"job_id"} - {field.name for field in msgspec.structs.fields(struct)}
    fields = {field.name for field in proto.desc().fields} - beside
    lacks = {"max"} if proto is pb.ClaimJobRequest else set()
    assert fields == {field.name for field in msgspec.structs.fields(struct)} - lacks


def test_request_when_nothing_is_given_then_the_defaults() -> None:
    request = from_proto(pb.SubmitJobRequest(payload=b"1"), json.SubmitRequest)
    assert plain(request) == {"payload": 1}
    assert from_proto(pb.ClaimJobRequest(worker_id="w"), json.ClaimRequest) == json.ClaimRequest(
        worker_id="w"
    )
    assert from_proto(pb.SubscribeRequest(), json.SubscribeRequest).stats_every_ms == 1_000


def test_request_when_more_general_than_its_message_then_it_says_what_it_has() -> None:
    general = json.LeaseRequest(worker_id="w", lease="l")
    message = to_proto(general, pb.CompleteJobRequest)
    assert (message.worker_id, message.lease, message.has_field("result")) == ("w", "l", False)


def test_payload_when_there_is_none_then_null_is_said() -> None:
    assert to_proto(json.SubmitRequest(), pb.SubmitJobRequest).payload == b"null"
    job = msgspec.structs.replace(CLAIMED, payload=UNSET)
    assert to_proto(job, pb.ClaimJobResponse).payload == b"null"


@pytest.mark.parametrize(
    ("message", "kind", "field"),
    [
        (pb.SubmitJobRequest(payload=b"1", type="t" * 257), json.SubmitRequest, r"\$\.type"),
        (pb.SubmitJobRequest(payload=b"1", job_id="a/b"), json.SubmitRequest, r"\$\.jobId"),
        (pb.SubmitJobRequest(payload=b"1", max_attempts=-1), json.SubmitRequest, "maxAttempts"),
        (pb.ClaimJobRequest(), json.ClaimRequest, r"\$\.workerId"),
        (pb.ClaimJobsRequest(worker_id="w", max=0), json.ClaimRequest, r"\$\.max"),
        (pb.FailJobRequest(worker_id="w"), json.FailRequest, "error"),
        (pb.ClaimJobsRequest(worker_id="w", max_by_type={"t": -1}), json.ClaimRequest, "maxByType"),
        (
            pb.ClaimJobsRequest(worker_id="w", worker=pb.WorkerInfo(types=["t"] * 51)),
            json.ClaimRequest,
            r"worker\.types",
        ),
        (
            pb.HeartbeatJobsRequest(worker_id="w", worker=pb.WorkerInfo(concurrency=0)),
            json.HeartbeatBatchRequest,
            r"worker\.concurrency",
        ),
        (
            pb.AnnounceTypesRequest(types={"": pb.JobTypeInfo()}),
            json.AnnounceRequest,
            "length >= 1",
        ),
        (pb.SubmitJobRequest(payload=b"1", timeout_ms=0), json.SubmitRequest, "timeoutMs"),
        *(
            (
                pb.SubmitJobRequest(payload=b"1", retry=pb.RetryPolicy(factor=factor)),
                json.SubmitRequest,
                r"retry\.factor",
            )
            for factor in (0.5, 1_001.0, math.inf, math.nan)
        ),
        *(
            (
                pb.HeartbeatJobsRequest(
                    worker_id="w",
                    jobs=[pb.HeartbeatRef(job_id="j", progress=pb.Progress(done=done))],
                ),
                json.HeartbeatBatchRequest,
                r"progress\.done",
            )
            for done in (-1.0, math.inf, math.nan)
        ),
        (pb.SubscribeRequest(stats_every_ms=-1), json.SubscribeRequest, "statsEveryMs"),
    ],
)
def test_request_when_beyond_a_limit_then_refused_with_the_field(
    message: Message[Any], kind: type[msgspec.Struct], field: str
) -> None:
    with pytest.raises(msgspec.ValidationError, match=field):
        from_proto(message, kind)


def test_count_when_too_large_for_older_clients_then_the_largest_they_take() -> None:
    page = json.JobsPage(**msgspec.structs.asdict(STATS), jobs=[])
    assert to_proto(page, pb.ListJobsResponse).completed_total == 2**31 - 1


def test_methods_when_listed_then_every_rpc_of_the_service_is_there() -> None:
    service = next(each for each in pb.desc().services if each.type_name == SERVICE)
    older = {"Push", "Claim", "Complete"}
    named = {method.name: method for method in (*METHODS, *STREAMED)}
    assert {rpc.name for rpc in service.methods} - older == set(named)
    for rpc in service.methods:
        if rpc.name not in older:
            ours = named[rpc.name]
            assert (rpc.input.type_name, rpc.output.type_name) == (
                ours.request.desc().type_name,
                ours.answer.desc().type_name,
            )


@pytest.mark.parametrize("operation", [*ops.OPERATIONS, *ops.STREAMS], ids=lambda each: each.name)
def test_method_of_when_asked_for_any_operation_then_there_is_one(operation: ops.Operation) -> None:
    assert method_of(operation).path.startswith(f"/{SERVICE}/")


def test_job_when_known_then_what_is_not_said_is_zero() -> None:
    method = method_of(ops.GET_JOB)
    fresh = json.JobInfo(
        id="j", status="unclaimed", created_at=1, attempts=0, max_attempts=0, heartbeat=0,
        payload_bytes=70_000,
    )  # fmt: skip
    assert method.read_answer(method.write_answer(fresh)) == fresh
    ended = json.JobInfo(id="j", status="completed", ended_at=5)
    assert method.read_answer(method.write_answer(ended)) == ended


def test_payload_answer_when_there_is_none_then_none() -> None:
    method = method_of(ops.GET_PAYLOAD)
    assert method.read_answer(method.write_answer(None)) is None
    assert bytes(method.read_answer(method.write_answer(Raw(b"null")))) == b"null"


def test_request_when_about_one_job_then_its_id_travels_beside() -> None:
    method = method_of(ops.COMPLETE)
    message = method.write_request(json.CompleteRequest(worker_id="w", lease="l"), "j")
    asked = method.read_request(method.request.from_binary(message.to_binary()))
    assert (asked.message, asked.job_id) == (json.CompleteRequest(worker_id="w", lease="l"), "j")


def test_generated_code_when_made_again_then_it_is_the_same(tmp_path: Path) -> None:
    generate(tmp_path)
    own = Path(osqueue.wire.gen.__file__).parent
    made = sorted(path.relative_to(tmp_path) for path in tmp_path.rglob("*.py"))
    assert made == sorted(path.relative_to(own) for path in own.rglob("*.py"))
    assert filecmp.cmpfiles(tmp_path, own, [str(path) for path in made], shallow=False)[1:] == (
        [],
        [],
    ), "run `make proto`"


@pytest.mark.parametrize("given", [{}, {"max_attempts": 0}, {"job_id": ""}, {"run_at": 5}])
def test_presence_when_asked_for_by_number_then_as_by_name(given: dict[str, Any]) -> None:
    message = pb.SubmitJobRequest.from_binary(pb.SubmitJobRequest(**given).to_binary())
    for field in message.desc().fields:
        if field.proto.proto3_optional:
            by_number = field.number in message._present
            assert by_number == message.has_field(field.name)  # type: ignore[arg-type]
