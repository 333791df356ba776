"""The OpenAPI document, and the broker held against it."""

from __future__ import annotations

import asyncio
import os
import re
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.integration.conftest import Shared

pytestmark = pytest.mark.asyncio(loop_scope="module")

EXCLUDED = (
    # A cancelled job is known as `cancelled` for a while: GET answers 200 behind a DELETE.
    "use_after_free",
    # Submitting the id of a job that is over answers that id and adds nothing, so what
    # "was just created" may have been completed by an earlier scenario that used the same id.
    "ensure_resource_availability",
)
ROUTES = {
    "/v1/jobs": {"get", "post"},
    "/v1/jobs/batch": {"post"},
    "/v1/jobs/claim": {"post"},
    "/v1/jobs/heartbeat": {"post"},
    "/v1/jobs/complete": {"post"},
    "/v1/ended": {"get"},
    "/v1/count": {"get"},
    "/v1/jobs/actions": {"post"},
    "/v1/dead/groups": {"get"},
    "/v1/jobs/{jobId}": {"get", "put", "delete"},
    "/v1/jobs/{jobId}/payload": {"get"},
    "/v1/jobs/{jobId}/workflow": {"get"},
    "/v1/jobs/{jobId}/heartbeat": {"post"},
    "/v1/jobs/{jobId}/complete": {"post"},
    "/v1/jobs/{jobId}/fail": {"post"},
    "/v1/jobs/{jobId}/release": {"post"},
    "/v1/jobs/{jobId}/retry": {"post"},
    "/v1/jobs/{jobId}/priority": {"post"},
    "/v1/pause": {"post"},
    "/v1/resume": {"post"},
    "/v1/stats": {"get"},
    "/v1/status": {"get"},
    "/v1/types": {"get", "put"},
    "/v1/settings": {"get"},
    "/v1/failover": {"post"},
    "/v1/schedules": {"get"},
    "/v1/schedules/{name}": {"put", "delete"},
    "/v1/schedules/{name}/pause": {"post"},
    "/v1/schedules/{name}/resume": {"post"},
    "/v1/schedules/{name}/run": {"post"},
    "/v1/throttle-stats": {"get"},
    "/state": {"get"},
    "/healthz": {"get"},
    "/readyz": {"get"},
    "/openapi.json": {"get"},
    "/metrics": {"get"},
    "/v1/events": {"get"},
    "/v1/overview": {"get"},
}
OPERATIONS = sum(map(len, ROUTES.values()))
UNTRIED = 3
"""`failOver`, `subscribe` and the document itself."""


async def document(shared: Shared) -> Any:
    return (await shared.rest.get("/openapi.json")).json


async def test_document_when_asked_for_then_it_names_every_route(shared: Shared) -> None:
    paths = (await document(shared))["paths"]
    assert {path: set(methods) for path, methods in paths.items()} == ROUTES


async def test_document_when_read_then_every_reference_leads_somewhere(shared: Shared) -> None:
    text = (await shared.rest.get("/openapi.json")).body.decode()
    schemas = (await document(shared))["components"]["schemas"]
    assert set(re.findall(r'"#/components/schemas/(\w+)"', text)) <= set(schemas)


async def test_document_when_read_then_operations_have_names_of_their_own(shared: Shared) -> None:
    paths = (await document(shared))["paths"]
    names = [
        operation["operationId"] for methods in paths.values() for operation in methods.values()
    ]
    assert len(set(names)) == len(names) == OPERATIONS


async def test_document_when_read_then_its_patterns_are_those_of_json_schema(
    shared: Shared,
) -> None:
    text = (await shared.rest.get("/openapi.json")).body.decode()
    assert r"\\Z" not in text
    job_id = (await document(shared))["components"]["schemas"]["HeartbeatRef"]["properties"][
        "jobId"
    ]
    assert re.search(job_id["pattern"], "a-b_c.d~9")
    for bad in ("..", ".", "a b", "a/b", ""):
        assert not re.search(job_id["pattern"], bad)


async def test_broker_when_schemathesis_tries_every_operation_then_it_finds_nothing(
    shared: Shared, tmp_path: Path
) -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "schemathesis.cli", "run", f"{shared.rest.url}/openapi.json"),
        *("--exclude-checks", ",".join(EXCLUDED), "--max-examples", "8", "--seed", "1"),
        *("--exclude-operation-id", "failOver"),  # to a standby that it has made up
        *("--exclude-operation-id", "subscribe"),  # whose answer never ends
        *("--no-color", "--suppress-health-check", "all", "--request-timeout", "30"),
        cwd=tmp_path,
        env={**os.environ, "SCHEMATHESIS_HOOKS": "openapi_hooks", "PYTHONPATH": _path()},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await process.communicate()
    assert process.returncode == 0, output.decode()
    assert f"Tested: {OPERATIONS - UNTRIED}" in output.decode()


def _path() -> str:
    here = str(Path(__file__).parent)
    return os.pathsep.join(filter(None, [here, os.environ.get("PYTHONPATH")]))
