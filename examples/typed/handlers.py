"""What is done for each job. Run it by

osqueue worker examples.typed.registry:registry --concurrency 4
"""

from __future__ import annotations

import calendar

from examples.typed.registry import GenerateReport, SendEmail
from osqueue import Discard
from osqueue.worker import JobContext


async def send_email(email: SendEmail) -> None:
    """An async handler runs on the worker's event loop."""
    print(f"to {email.to}: {email.subject}", flush=True)


def generate_report(report: GenerateReport, ctx: JobContext) -> dict[str, object]:
    """A plain one runs in a thread. The context knows the job, and tells how far it is."""
    if not 1 <= report.month <= 12:
        raise Discard(f"there is no month {report.month}")  # trying again would be no use
    days = calendar.monthrange(report.year, report.month)[1]
    for day in range(1, days + 1):
        ctx.progress(day, days, note=f"day {day}")
    ctx.log.info("the report covers %d days", days)
    return {"title": f"{calendar.month_name[report.month]} {report.year}", "pages": days}
