"""What schemathesis must know of the wire that a schema cannot say."""

from __future__ import annotations

from typing import Any

import schemathesis

WAIT_MS = 5
HOUR_MS = 3_600_000
PUT_SCHEDULE = "PUT /v1/schedules/{name}"


@schemathesis.hook
def filter_case(_context: object, case: Any) -> bool:
    """Leave out what the schema allows, but the wire refuses on purpose.

    A cursor is opaque: only one that a page of this very listing gave is valid, any other is
    answered with 400. An id may stand in a batch once; a schema cannot say that of a field, nor
    that a job cannot run after itself, nor what stands between commas. An action must say which
    jobs it means, and a schedule when it comes. Parameters that nobody knows are passed over.
    """
    asked = set(case.query or {})
    if "cursor" in asked or not asked <= {each.name for each in case.operation.query}:
        return False
    if case.operation.label == PUT_SCHEDULE and not _comes(case.body):
        return False
    ids = _ids(case.body)
    return len(ids) == len(set(ids)) and _means_some(case.body) and _comes_after_others(case)


@schemathesis.hook
def before_call(_context: object, case: Any, _kwargs: object) -> None:
    """Shorten what waits: up to a minute is right, but tests nothing more.

    A step of a longer story is not filtered: where it would be left out, it says something else.
    """
    if not _means_some(case.body):
        case.body = {"action": "retry", "jobIds": []}
    if case.operation.label == PUT_SCHEDULE and not _comes(case.body):
        case.body = {"everyMs": HOUR_MS}
    if isinstance(case.body, dict) and isinstance(case.body.get("waitMs"), int | float):
        wait_ms = case.body["waitMs"]
        case.body["waitMs"] = WAIT_MS if WAIT_MS < wait_ms <= 60_000 else wait_ms
    asked = str((case.query or {}).get("waitMs", ""))
    if asked.isdecimal() and asked == str(int(asked)) and WAIT_MS < int(asked) <= 60_000:
        case.query["waitMs"] = str(WAIT_MS)


def _comes(body: object) -> bool:
    """Whether a schedule has times, and those of an interval: a schema does not know cron."""
    if not isinstance(body, dict):
        return True
    untimed = body.get("cron") is None and body.get("timezone") is None
    return untimed and body.get("everyMs") is not None


def _means_some(body: object) -> bool:
    """Whether an action says which jobs, and means none that it cannot be done to."""
    if not isinstance(body, dict) or "action" not in body:
        return True
    if (body.get("priority") is None) == (body["action"] == "setPriority"):
        return False
    wanted = body.get("filter")
    if not isinstance(wanted, dict):
        return body.get("jobIds") is not None
    status, type_, text = (wanted.get(name) for name in ("status", "type", "text"))
    if status is type_ is None and not text:
        return False
    sayable = {"retry": ("dead",), "setPriority": ("unclaimed", "ready", "delayed", "waiting")}
    return status is None or body["action"] == "cancel" or status in sayable[body["action"]]


def _comes_after_others(case: Any) -> bool:
    """Whether no job is to run after itself, or after one twice."""
    asked = str((case.query or {}).get("after", "")).split(",")
    named = {*asked} - {(case.path_parameters or {}).get("jobId")}
    jobs = case.body.get("jobs") if isinstance(case.body, dict) else None
    bodies = [case.body, *(jobs if isinstance(jobs, list) else ())]
    said = [(body.get("jobId"), body.get("after")) for body in bodies if isinstance(body, dict)]
    alone = [own for own, after in said if isinstance(after, list) and own in after]
    return len(named) == len(asked) and not alone


def _ids(body: object) -> list[str]:
    if isinstance(body, dict) and isinstance(body.get("jobIds"), list):
        return [job_id for job_id in body["jobIds"] if isinstance(job_id, str)]
    jobs = body.get("jobs") if isinstance(body, dict) else None
    if not isinstance(jobs, list):
        return []
    ids = [job.get("jobId") for job in jobs if isinstance(job, dict)]
    return [job_id for job_id in ids if isinstance(job_id, str)]
