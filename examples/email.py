"""Jobs that send emails: the smallest program with osqueue.

In one terminal each:

    osqueue broker --storage file:queue
    osqueue worker examples.email:jobs --concurrency 10
    python -m examples.email ada@example.org bob@example.org
"""

from __future__ import annotations

import asyncio
import os
import sys

from pydantic import BaseModel

from osqueue import Backoff, Jobs, OsqueueClient

BROKER_URL = os.environ.get("BROKER_URL", "http://localhost:8080")


class SendEmail(BaseModel):
    """What a job carries. It is checked when it is submitted, and again when it is handled."""

    to: str
    subject: str = "hello"


jobs = Jobs()


@jobs.job("email:send", SendEmail, max_attempts=5, timeout=30, retry=Backoff(base=5))
async def send_email(email: SendEmail) -> None:
    """Returning completes the job; raising has it tried again, after 5 s, 10 s, 20 s, …"""
    if "@" not in email.to:
        raise ValueError(f"{email.to!r} is not an address")
    print(f"to {email.to}: {email.subject}", flush=True)  # a real one would speak SMTP


async def main(recipients: list[str]) -> None:
    """The producer: when `submit` returns, the job is on disk."""
    async with OsqueueClient(BROKER_URL) as client:
        jobs.use(client)
        for recipient in recipients:
            job = await send_email.submit(to=recipient)
            print(f"submitted {job.job_id}")


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1:] or ["ada@example.org"]))
