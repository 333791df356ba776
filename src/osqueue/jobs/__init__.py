"""Typed jobs: what a payload must be, by which name it goes, and which function handles it.

It knows of no client, worker or broker: those know of it.
"""

from __future__ import annotations

from osqueue.jobs.backoff import Backoff
from osqueue.jobs.handlers import HandlerSpec, JobCallbacks
from osqueue.jobs.job_type import JobType, TypeOptions
from osqueue.jobs.jobs import Jobs
from osqueue.jobs.references import Reference
from osqueue.jobs.registry import RegisteredType, Registry, RegistryLike
from osqueue.jobs.schema import Schema
from osqueue.jobs.signatures import Signature, inspect_handler
from osqueue.jobs.submission import CheckedJob, JobOptions, NewJob
from osqueue.jobs.typed_job import TypedJob

__all__ = [
    "Backoff",
    "CheckedJob",
    "HandlerSpec",
    "JobCallbacks",
    "JobOptions",
    "JobType",
    "Jobs",
    "NewJob",
    "Reference",
    "RegisteredType",
    "Registry",
    "RegistryLike",
    "Schema",
    "Signature",
    "TypeOptions",
    "TypedJob",
    "inspect_handler",
]
