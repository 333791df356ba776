"""The job types that producers and workers agree on.

Handlers are named, not imported: only the worker imports them, when the first such job comes.
"""

from __future__ import annotations

from dataclasses import dataclass

from pydantic import BaseModel, Field

from osqueue import Backoff, JobType, Registry


class SendEmail(BaseModel):
    """A payload may be a pydantic model …"""

    to: str = Field(pattern=r".+@.+")
    subject: str
    body: str = ""


@dataclass
class GenerateReport:
    """… or a dataclass, a TypedDict, a msgspec.Struct, or any type that pydantic can check."""

    year: int
    month: int


registry = Registry(
    {
        "email:send": JobType(
            SendEmail,
            max_attempts=5,
            retry=Backoff(base=2, max=600),
            handler="examples.typed.handlers:send_email",
        ),
        "report:generate": JobType(
            GenerateReport,
            timeout=120,
            keep_result=True,  # so that the producer can wait for what the handler returns
            handler="examples.typed.handlers:generate_report",
        ),
    }
)
