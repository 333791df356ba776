"""The OpenAPI document of the REST routes, made from the table of operations."""

from __future__ import annotations

from typing import Any, Final

import msgspec
from msgspec import Raw

import osqueue
from osqueue.wire import operations as ops
from osqueue.wire.errors import HTTP_STATUS
from osqueue.wire.messages import ClaimedJob, ErrorBody, JobId, SubscribeRequest
from osqueue.wire.operations import (
    CountQuery,
    EndedQuery,
    JobQuery,
    ListQuery,
    Operation,
    PutQuery,
    ReadQuery,
    SchedulesQuery,
    StatusQuery,
)
from osqueue.wire.overview import OverviewQuery
from osqueue.wire.roles import called
from osqueue.wire.schedules import ScheduleName

__all__ = ["openapi_document"]

_REF = "#/components/schemas/{name}"
_ERROR = {"application/json": {"schema": {"$ref": _REF.format(name="ErrorBody")}}}
_EXPLAINED: Final = {
    "consistent": "`true`: answer with what is true after the request was sent.",
    "payloads": "`false`: leave out payloads and results.",
    "text": "Stands in the id, the type, the worker's id, or the last error's type or message; "
    "upper and lower case are the same.",
}
"""What a name alone does not tell."""

_TOKEN: Final = {
    "type": "http",
    "scheme": "bearer",
    "description": "Where the broker asks for tokens; see `osqueue token`.",
}
_JOB_ID: Final[dict[str, Any]] = {
    "name": "jobId",
    "in": "path",
    "required": True,
    "schema": msgspec.json.schema(JobId),
}
_SCHEDULE: Final[dict[str, Any]] = {
    "name": "name",
    "in": "path",
    "required": True,
    "schema": msgspec.json.schema(ScheduleName),
}
_PAGES = {
    "/healthz": ("Whether the process is alive.", (200,)),
    "/readyz": ("Whether this broker leads and its store answers.", (200, 503)),
    "/state": ("The whole state object as stored.", (200, 503)),
    "/v1/throttle-stats": ("What the throttle of the store does.", (200,)),
    "/openapi.json": ("This document.", (200,)),
    "/metrics": ("Figures for Prometheus.", (200,)),
}
_QUERIES: Final = (
    CountQuery,
    EndedQuery,
    JobQuery,
    ListQuery,
    OverviewQuery,
    ReadQuery,
    SchedulesQuery,
    StatusQuery,
)
_NO_EVENTS: Final = (307, 400, 401, 403, 429, 503)


def openapi_document() -> bytes:
    """The document as JSON text."""
    types = [
        type_
        for op in (*ops.OPERATIONS, *ops.FOR_PAGES)
        for type_ in (op.body if op.on_one_schedule else op.request, op.answer)
        if type_ is not None and type_ is not Raw
    ]
    _, schemas = msgspec.json.schema_components([*types, ErrorBody, ClaimedJob], ref_template=_REF)
    for query in _QUERIES:
        schemas.pop(query.__name__, None)
    paths: dict[str, dict[str, Any]] = {}
    for operation in (*ops.OPERATIONS, *ops.FOR_PAGES):
        paths.setdefault(operation.path, {})[operation.verb.lower()] = _operation(operation)
    for path, (summary, statuses) in _PAGES.items():
        paths[path] = {"get": _page(path, summary, statuses)}
    paths["/v1/events"] = {"get": _events()}
    document = msgspec.json.encode(
        {
            "openapi": "3.1.0",
            "info": {"title": "osqueue", "version": osqueue.__version__},
            "paths": paths,
            "components": {"schemas": schemas, "securitySchemes": {"token": _TOKEN}},
        }
    )
    return document.replace(rb"\\Z", b"$")  # how the regular expressions of JSON Schema end


def _operation(operation: Operation) -> dict[str, Any]:
    described: dict[str, Any] = {
        "operationId": operation.name,
        "summary": operation.summary,
        "parameters": _parameters(operation),
        "responses": _responses(operation),
    }
    if operation.role is not None:
        described["security"] = [{"token": []}, {}]
        described["description"] = f"Asks for the role `{called(operation.role)}`."
    if operation.takes_body:
        described["requestBody"] = {
            "required": operation is not ops.RUN_SCHEDULE,
            "content": {"application/json": {"schema": _ref(operation.body or operation.request)}},
        }
    if operation is ops.SUBMIT_LARGE:
        described["requestBody"] = {
            "required": True,
            "description": "The payload: any JSON.",
            "content": {"application/json": {"schema": {}}},
        }
    return described


def _parameters(operation: Operation) -> list[dict[str, Any]]:
    if operation.on_one_schedule:
        return [_SCHEDULE]
    parameters = [_JOB_ID] if operation.on_one_job else []
    query = PutQuery if operation is ops.SUBMIT_LARGE else operation.request
    if query is None or operation.takes_body:
        return parameters
    return parameters + _in_query(query)


def _in_query(kind: type[msgspec.Struct]) -> list[dict[str, Any]]:
    (schema,) = msgspec.json.schema_components([kind])[1].values()
    parameters = []
    for name, field in schema["properties"].items():
        parameter = {"name": name, "in": "query", "schema": _not_null(field)}
        if name in _EXPLAINED:
            parameter["description"] = _EXPLAINED[name]
        parameters.append(parameter)
    return parameters


def _not_null(field: dict[str, Any]) -> dict[str, Any]:
    """A query cannot say null: an absent parameter is meant."""
    kinds: list[dict[str, Any]] = [
        kind for kind in field.get("anyOf", [field]) if kind.get("type") != "null"
    ]
    return kinds[0]


def _responses(operation: Operation) -> dict[str, Any]:
    if operation.answer is None:
        success: dict[str, Any] = {"204": {"description": "Done."}}
    else:
        schema: dict[str, Any] = {} if operation.answer is Raw else _ref(operation.answer)
        if operation is ops.CLAIM:
            schema = {"anyOf": [schema, _ref(ClaimedJob), {"type": "object", "maxProperties": 0}]}
        success = {
            "200": {"description": "Done.", "content": {"application/json": {"schema": schema}}}
        }
    if operation is ops.GET_PAYLOAD:
        success["204"] = {"description": "The job has no payload."}
    statuses = sorted({*HTTP_STATUS.values(), 307, 401, 413, 415, 500})
    errors = {str(status): {"description": "Refused.", "content": _ERROR} for status in statuses}
    return {**success, **errors}


def _events() -> dict[str, Any]:
    """Server-Sent Events: the data of each is an `Update`, or at the end an error."""
    stream = {"text/event-stream": {"schema": {"type": "string"}}}
    refused = {str(status): {"description": "Refused.", "content": _ERROR} for status in _NO_EVENTS}
    return {
        "operationId": ops.SUBSCRIBE.name,
        "summary": ops.SUBSCRIBE.summary,
        "parameters": _in_query(SubscribeRequest),
        "responses": {"200": {"description": "As it happens.", "content": stream}, **refused},
    }


def _page(path: str, summary: str, statuses: tuple[int, ...]) -> dict[str, Any]:
    content: dict[str, Any] = {"application/json": {"schema": {"type": "object"}}}
    if path == "/metrics":
        content |= {"text/plain": {"schema": {"type": "string"}}}
    return {
        "operationId": path.strip("/").replace("/", "-").replace(".", "-"),
        "summary": summary,
        "responses": {
            str(status): {"description": summary, "content": content}
            for status in (*statuses, 401, 403)
        },
    }


def _ref(message: Any) -> dict[str, Any]:
    return {"$ref": _REF.format(name=message.__name__)}
