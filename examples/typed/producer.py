"""Submits a report, waits for it, and has it sent: python -m examples.typed.producer

mypy and pyright see a wrong payload here before it runs; what they cannot see is refused before it
leaves this process.
"""

from __future__ import annotations

import asyncio
import os

from examples.typed.registry import GenerateReport, SendEmail, registry
from osqueue import OsqueueClient
from osqueue.errors import PayloadValidationError

BROKER_URL = os.environ.get("BROKER_URL", "http://localhost:8080")


async def main() -> None:
    async with OsqueueClient(BROKER_URL, registry=registry) as client:
        try:
            await client.submit_job("report:generate", {"year": 2026, "month": "July"})
        except PayloadValidationError as error:
            print(f"refused: {error}")

        job = await client.submit(GenerateReport(year=2026, month=7))
        report = await job.result(timeout=30)  # the broker tells when it is done; nobody polls
        print(f"{report['title']} has {report['pages']} pages")

        email = SendEmail(to="ada@example.org", subject=report["title"])
        sent = await client.submit(email, priority=-1)  # before all others that wait
        print(f"the email's job is {(await sent.wait(timeout=30)).status}")


if __name__ == "__main__":
    asyncio.run(main())
